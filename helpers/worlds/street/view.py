"""How a scene may be seen: in which style, with which look, from where and against which backdrop.

These are facts about a picture, as a scene holds facts about the street; `helpers.worlds.street.drawing` draws them.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from helpers.worlds.street.scene import COLOURS

RGB = tuple[float, float, float]  # 0 to 255

STYLES = ("photo", "cartoon", "painting", "embroidery", "mosaic", "pixel art", "sketch")
PLACES = ("beach", "kitchen", "lawn", "studio", "desk", "moon")
BACKDROPS = ("street", *PLACES)


@dataclass(frozen=True)
class Look:
    """The continuous parameters of the look, the same for every scene of a data set.

    `STREET` is the look of the natural pictures; `Look.draw(seed)` gives a fresh one for the shift "V2".
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
    def draw(seed: int) -> Look:
        """A look drawn at random around `STREET`: same names, other hues, proportions, light and buildings."""
        rng = np.random.default_rng([0x5EED, seed])

        def around(spread: float, centre: float = 1.0) -> float:
            return round(float(centre + spread * (2 * rng.random() - 1)), 4)

        def shade(rgb: RGB, hue: float, light: float) -> RGB:
            h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
            h, s, v = h + around(hue, 0), s * around(0.12), v * around(light)
            return tuple(round(255 * c, 1) for c in colorsys.hsv_to_rgb(h % 1, min(s, 1), min(v, 1)))

        usual = Look()
        # Hue moves least where neighbouring names are near: red, orange, yellow.
        turn = (0.010, 0.012, 0.014, 0.035, 0.025, 0.02, 0.02, 0.02, 0.02)
        return Look(
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


STREET = Look()


@dataclass(frozen=True)
class View:
    """Where the picture is taken from, for odd viewpoints and places in the manner of ObjectNet.

    `rotation` turns the picture, in degrees anticlockwise; `zoom` (0.5 to 3) enlarges it; `pan_x` and `pan_y` (-1 to 1)
    move its middle, in widths of the usual picture; `horizon` (0.3 to 0.55) is the horizon's height from the top.
    `backdrop` is "street" or one of `BACKDROPS`, which show the vehicles alone in another place by daylight: of the
    labels only vehicle, colour and age still hold. Raises ValueError for a value out of range.
    """

    rotation: float = 0.0
    zoom: float = 1.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    horizon: float = 0.43
    backdrop: str = "street"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rotation", -360, 360),
            ("zoom", 0.5, 3),
            ("pan_x", -1, 1),
            ("pan_y", -1, 1),
            ("horizon", 0.3, 0.55),
        ):
            value = getattr(self, name)
            if type(value) not in (int, float) or not low <= value <= high:
                raise ValueError(f"{name}: {value!r} is not a number from {low} to {high}")
        if self.backdrop not in BACKDROPS:
            raise ValueError(f"backdrop: {self.backdrop!r} is not one of {', '.join(BACKDROPS)}")


USUAL = View()
