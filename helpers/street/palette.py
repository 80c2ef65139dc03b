"""The look of the street world: what each colour name means, the light under each sky, and shapes' proportions."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from helpers.street.pen import RGB, mix
from helpers.street.scene import COLOURS


@dataclass(frozen=True)
class Recipe:
    """The continuous parameters of the look, the same for every scene of a data set.

    `STREET` is the recipe of the natural pictures; `Recipe.draw(seed)` gives a fresh one for the shift "V2".
    """

    hues: tuple[RGB, ...] = (
        (206, 26, 30),  # red
        (244, 118, 12),  # orange
        (250, 208, 24),  # yellow
        (22, 138, 58),  # green
        (28, 84, 200),  # blue
        (112, 44, 168),  # purple
        (250, 136, 190),  # pink
        (240, 240, 238),  # white
        (22, 22, 25),  # black
    )
    length: float = 1.0  # of vehicles, as a multiple of the usual one; so are height and wheel
    height: float = 1.0
    wheel: float = 1.0
    sun: float = -0.6  # where light comes from: -1 left to 1 right
    warmth: float = 0.0  # -1 cool to 1 warm
    crown: float = 1.0  # breadth of the trees' crowns, and their height
    tall: float = 1.0
    foliage: float = 0.0  # hue of the leaves: -1 yellowish to 1 bluish
    walls: tuple[RGB, ...] = (
        (206, 192, 168), (178, 110, 88), (214, 206, 194), (160, 146, 132), (196, 170, 130), (150, 128, 118),
    )  # fmt: skip
    roofs: tuple[RGB, ...] = ((120, 62, 50), (86, 80, 84), (104, 84, 70), (72, 76, 88))
    glass: tuple[RGB, ...] = ((96, 118, 140), (126, 134, 140), (84, 100, 112), (142, 132, 122), (108, 120, 132))
    asphalt: float = 1.0  # brightness of the road

    @staticmethod
    def draw(seed: int) -> Recipe:
        """A recipe drawn at random around `STREET`: same names, other hues, proportions, light and buildings."""
        rng = np.random.default_rng([0x5EED, seed])

        def around(spread: float, centre: float = 1.0) -> float:
            return round(float(centre + spread * (2 * rng.random() - 1)), 4)

        def shade(rgb: RGB, hue: float, light: float) -> RGB:
            h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
            h, s, v = h + around(hue, 0), s * around(0.12), v * around(light)
            return tuple(round(255 * c, 1) for c in colorsys.hsv_to_rgb(h % 1, min(s, 1), min(v, 1)))

        usual = Recipe()
        # Hue moves least where neighbouring names are near: red, orange, yellow.
        turn = (0.010, 0.012, 0.014, 0.035, 0.025, 0.02, 0.02, 0.02, 0.02)
        return Recipe(
            hues=tuple(shade(rgb, t, 0.08) for rgb, t in zip(usual.hues, turn, strict=True)),
            length=around(0.07),
            height=around(0.08),
            wheel=around(0.10),
            sun=around(1.0, 0),
            warmth=around(0.8, 0),
            crown=around(0.15),
            tall=around(0.12),
            foliage=around(0.8, 0),
            walls=tuple(shade(rgb, 0.08, 0.15) for rgb in usual.walls),
            roofs=tuple(shade(rgb, 0.08, 0.2) for rgb in usual.roofs),
            glass=tuple(shade(rgb, 0.08, 0.15) for rgb in usual.glass),
            asphalt=around(0.15),
        )

    def hue(self, colour: str) -> RGB:
        return self.hues[COLOURS.index(colour)]


STREET = Recipe()


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


def light(sky: str, recipe: Recipe) -> Light:
    """The light under `sky`, tinted by the recipe's warmth."""
    usual = _LIGHTS[sky]
    if not recipe.warmth:
        return usual
    tint = (1 + 0.05 * recipe.warmth, 1.0, 1 - 0.06 * recipe.warmth)

    def tinted(rgb: RGB) -> RGB:
        return tuple(c * t for c, t in zip(rgb, tint, strict=True))

    names = ("top", "bottom", "scenery", "ground", "zenith", "middle", "horizon", "haze")
    return Light(**(vars(usual) | {name: tinted(getattr(usual, name)) for name in names}))


def leaf(recipe: Recipe, rgb: RGB) -> RGB:
    """A colour of leaves, moved towards yellow or blue by the recipe."""
    return mix(rgb, (150, 140, 30) if recipe.foliage < 0 else (20, 90, 80), 0.28 * abs(recipe.foliage))
