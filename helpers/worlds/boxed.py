"""Natural streets as pictures that also tell where each object is: `load_boxed` draws them and keeps them.

Nothing here may import torch, as every process that draws imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass

from helpers.worlds.drawn import Drawn, load
from helpers.worlds.street.drawing.render import layers
from helpers.worlds.street.regions import to_words
from helpers.worlds.street.scene import Scene
from helpers.worlds.streets import Streets


@dataclass(frozen=True)
class BoxedStreets(Streets):
    """`Streets` whose words are the boxes of their objects, as `regions.to_words` writes them, in place of captions.

    Raises ValueError for a shift, which may move things.
    """

    captions: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shift is not None:
            raise ValueError(f"shift: {self.shift!r} may move things; boxes are known for natural streets only")

    def words(self, i: int, scene: Scene) -> list[str]:
        found = layers(scene, self.size, self.image_seed(i))
        return [to_words([(layer.name, layer.box) for layer in found], self.size)]


def load_boxed(split: str, n: int, seed: int = 0, cache: bool = True, progress: bool = True) -> Drawn:
    """The first `n` scenes of `split` as pictures of 96 px, each with one line of boxes in its `captions`.

    The pictures are those of `load_street`; `cache` and `progress` are explained at `helpers.worlds.drawn.load`.
    """
    return load(BoxedStreets(split, n, seed=seed), cache, progress)
