"""The light under each sky, and the colours of leaves."""

from __future__ import annotations

from dataclasses import dataclass

from helpers.worlds.drawing.pen import RGB, mix
from helpers.worlds.street.view import Look


@dataclass(frozen=True)
class Light:
    """The light under one sky. Light factors multiply colours, 1 being full light; colours are 0 to 255."""

    top: RGB  # on vehicles and beings, at the top and the bottom
    bottom: RGB
    scenery: RGB  # on trees and buildings
    ground: RGB
    mirror: RGB  # what glass and chrome show
    lamps: float  # strength of lamps and lit windows
    haze: RGB
    shadow: float  # how dark it is under a vehicle
    cast: float  # how dark a cast shadow is, and how long
    reach: float
    zenith: RGB  # the sky from top to horizon
    middle: RGB
    horizon: RGB


_LIGHTS = {
    "day": Light(
        top=(1.06, 1.03, 0.98), bottom=(0.88, 0.90, 0.96), scenery=(1.04, 1.01, 0.95), ground=(1.04, 1.01, 0.96),
        mirror=(182, 212, 244), lamps=0.10, haze=(196, 216, 236), shadow=0.52, cast=0.46, reach=0.26,
        zenith=(58, 122, 206), middle=(116, 172, 232), horizon=(206, 228, 244),
    ),
    "dusk": Light(
        top=(1.02, 0.90, 0.80), bottom=(0.80, 0.72, 0.78), scenery=(0.80, 0.60, 0.56), ground=(0.82, 0.66, 0.66),
        mirror=(248, 176, 132), lamps=0.75, haze=(236, 160, 122), shadow=0.46, cast=0.42, reach=0.42,
        zenith=(62, 58, 118), middle=(204, 104, 116), horizon=(255, 190, 104),
    ),
    "night": Light(
        top=(0.74, 0.74, 0.80), bottom=(0.58, 0.57, 0.62), scenery=(0.36, 0.42, 0.58), ground=(0.44, 0.45, 0.56),
        mirror=(70, 84, 128), lamps=1.0, haze=(24, 32, 60), shadow=0.46, cast=0.22, reach=0.22,
        zenith=(7, 11, 32), middle=(16, 24, 58), horizon=(40, 50, 92),
    ),
    "overcast": Light(
        top=(0.93, 0.95, 0.97), bottom=(0.80, 0.82, 0.84), scenery=(0.80, 0.83, 0.86), ground=(0.84, 0.86, 0.88),
        mirror=(204, 209, 214), lamps=0.15, haze=(186, 192, 198), shadow=0.36, cast=0.08, reach=0.16,
        zenith=(150, 158, 166), middle=(178, 184, 190), horizon=(206, 209, 212),
    ),
}  # fmt: skip


def light(sky: str, look: Look) -> Light:
    """The light under `sky`, tinted by the look's warmth."""
    usual = _LIGHTS[sky]
    if not look.warmth:
        return usual
    tint = (1 + 0.05 * look.warmth, 1.0, 1 - 0.06 * look.warmth)

    def tinted(rgb: RGB) -> RGB:
        return tuple(c * t for c, t in zip(rgb, tint, strict=True))

    names = ("top", "bottom", "scenery", "ground", "zenith", "middle", "horizon", "haze")
    return Light(**(vars(usual) | {name: tinted(getattr(usual, name)) for name in names}))


def leaf(look: Look, rgb: RGB) -> RGB:
    """A colour of leaves, moved towards yellow or blue by the look."""
    return mix(rgb, (150, 140, 30) if look.foliage < 0 else (20, 90, 80), 0.28 * abs(look.foliage))
