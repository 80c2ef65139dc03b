"""VisualGPT (Chen et al. 2022): a language model that was taught on text alone learns to look at a picture.

Each block of the pretrained decoder gets a cross-attention to the picture's features. The self-resurrecting activation
unit (SRAU) decides for every number of every token how much comes from the picture and how much from the language model
(the paper, under that name).

*Ours, smaller:* the picture's features come from a convolution stage and one block, where the paper has a detector's
regions and an encoder of three levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from torch import nn

from helpers.models.language import Cache, LanguageModel
from helpers.models.layers import Block
from helpers.models.resnet import ConvStage

TAU = 0.2
Gates = tuple[torch.Tensor, torch.Tensor]


def gates(alpha: torch.Tensor, tau: float = TAU) -> Gates:
    """How much is taken from the picture and how much from the language, of float α from 0 to 1, of any shape.

    α where α > τ and else 0; 1 − α where 1 − α > τ and else 0 (the paper's B_vis and B_lan). For τ < ½ they are never 0
    both, so that a gate which is shut still gets a gradient by way of its partner. Raises ValueError for a τ outside 0
    to 1.
    """
    if not 0 <= tau <= 1:
        raise ValueError(f"tau: {tau!r} is not a threshold from 0 to 1")
    beta = 1 - alpha
    return alpha * (alpha > tau), beta * (beta > tau)


def srau(hidden: torch.Tensor, seen: torch.Tensor, tau: float = TAU) -> tuple[torch.Tensor, Gates]:
    """The self-resurrecting activation unit: B_vis ⊗ seen + B_lan ⊗ hidden, with the gates (B_vis, B_lan).

    hidden: float [..., D], what the language model holds. seen: float [..., D], what cross-attention found in the
    picture. The gates are those of σ(hidden), one for each number, as in the paper. The result stands in
    place of `hidden`: there is no shortcut around it. Raises ValueError if the shapes differ or τ is out of range.
    """
    if hidden.shape != seen.shape:
        raise ValueError(f"seen: expected the shape of hidden, {list(hidden.shape)}, not {list(seen.shape)}")
    visual, language = gates(hidden.sigmoid(), tau)
    return visual * seen + language * hidden, (visual, language)


class SRAU(nn.Module):
    """The unit as the paper writes it, without parameters: 2 × [B, T, D] -> [B, T, D]. See `srau`."""

    def __init__(self, tau: float = TAU) -> None:
        super().__init__()
        self.tau = tau

    def gates(self, hidden: torch.Tensor, seen: torch.Tensor) -> Gates:
        """How much of the picture and of the language is let through, 2 × float [B, T, D], 0 to 1."""
        return gates(hidden.sigmoid(), self.tau)

    def forward(self, hidden: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return srau(hidden, seen, self.tau)[0]


class LearnedSRAU(SRAU):
    """The unit as the authors' code has it: a linear layer reads both, hidden state and picture, and α is for language.

    α = σ(W [hidden; seen] + b); the language is weighted by α, the picture by 1 − α, each cut at τ. *Ours, smaller:*
    the code adds three such units, one for each level of its encoder, and divides by √3; we have one level.
    """

    def __init__(self, width: int, tau: float = TAU) -> None:
        super().__init__(tau)
        self.gate = nn.Linear(2 * width, width)

    def gates(self, hidden: torch.Tensor, seen: torch.Tensor) -> Gates:
        language, visual = gates(self.gate(torch.cat([hidden, seen], -1)).sigmoid(), self.tau)
        return visual, language

    def forward(self, hidden: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        visual, language = self.gates(hidden, seen)
        return visual * seen + language * hidden


Fusion = Literal["srau", "learned srau", "residual"]
FUSIONS: Mapping[str, Callable[[int, float], nn.Module] | None] = {
    "srau": lambda width, tau: SRAU(tau),
    "learned srau": LearnedSRAU,
    "residual": None,  # the block's own: hidden + seen, plain cross-attention
}


class VisualGPT(nn.Module):
    """A decoder language model whose blocks look at a picture.

    Args:
        vocabulary: how many ids there are.
        length: the most tokens of a text.
        width, layers, heads: of the blocks.
        fusion: how what is seen joins the language: one of FUSIONS.
        tau: the threshold of the gates.
        side: of the pictures, in pixels; a multiple of 16.
        channels: of the convolution stage.

    Raises ValueError for another `fusion`.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int = 64,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        fusion: Fusion = "srau",
        tau: float = TAU,
        side: int = 96,
        channels: Sequence[int] = (32, 64, 128),
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion: {fusion!r} is not one of {', '.join(FUSIONS)}")
        if side < 16 or side % 16:
            raise ValueError(f"side: a picture of {side} px is not cut into places of 16 px: choose a multiple")
        self.side, places, make = side, side // 16, FUSIONS[fusion]
        self.eye = nn.Sequential(ConvStage(channels), nn.Conv2d(channels[-1], width, 1))
        self.place_embedding = nn.Parameter(0.5 * torch.randn(places**2, width))
        self.encoder = nn.Sequential(nn.LayerNorm(width), Block(width, heads), nn.LayerNorm(width))
        self.no_picture_embedding = nn.Parameter(0.02 * torch.randn(1, width))
        self.decoder = LanguageModel(
            vocabulary, length, width, layers, heads, width, fuse=make and partial(make, width, tau)
        )

    def start_from(self, pretrained: LanguageModel) -> None:
        """Take over the weights of a decoder that was taught on text alone; what is new, the cross-attention, stays.

        Raises ValueError if its parts have other names or shapes.
        """
        self.decoder.start_from(pretrained.state_dict())

    def look(self, images: torch.Tensor) -> torch.Tensor:
        """What the blocks look at: uint8 [B, 3, S, S], 0 to 255 -> float [B, (S/16)², width].

        Raises ValueError for another dtype or shape.
        """
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != (3, self.side, self.side):
            raise ValueError(
                f"images: expected uint8 [B, 3, {self.side}, {self.side}], not {images.dtype} {list(images.shape)}"
            )
        return self.encoder(self.eye(images).flatten(2).transpose(1, 2) + self.place_embedding)

    def forward(
        self,
        ids: torch.Tensor,
        seen: torch.Tensor | None = None,
        real: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Logits of each next token, float [B, T, vocabulary].

        ids: int64 [B, T]. seen: float [B, N, width], what `look` made of pictures, one for each text; without it the
        blocks see one learned vector that stands for no picture. real, cache: as in LanguageModel.
        """
        if seen is None:
            seen = self.no_picture_embedding.expand(len(ids), 1, -1)
        return self.decoder(ids, real, context=seen, cache=cache)

    @torch.no_grad()
    def gates(self, ids: torch.Tensor, seen: torch.Tensor) -> list[Gates]:
        """For each block the gates of picture and language while it reads a text: 2 × float [B, T, width] each.

        ids: int64 [B, T]. seen: float [B, N, width]. Raises ValueError if this model's fusion has no gates.
        """
        units = [block.fuse for block in self.decoder.blocks]
        if not all(isinstance(unit, SRAU) for unit in units):
            raise ValueError("fusion: plain cross-attention has no gates; build the model with 'srau'")
        read: list[Gates] = []

        def note(unit: nn.Module, inputs: Gates, out: torch.Tensor) -> None:
            read.append(unit.gates(*inputs))

        hooks = [unit.register_forward_hook(note) for unit in units]
        try:
            self(ids, seen)
        finally:
            for hook in hooks:
                hook.remove()
        return read
