"""Notebook 06: patches and the encoder's block (Dosovitskiy et al. 2021, section 3.1)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from helpers.models import layers
from helpers.page.exercises import Task


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _unfold(images: torch.Tensor, p: int) -> torch.Tensor:
    return F.unfold(images, p, stride=p).transpose(1, 2)


def _cut(order: str) -> Any:
    return lambda images, p: rearrange(images, f"b c (h p) (w q) -> {order}", p=p, q=p)


PATCHIFY = Task(
    right=_unfold,
    inputs=((_random(2, 3, 8, 12), 4), (_random(1, 3, 12, 6), 2), (_random(3, 1, 6, 9), 3)),
    mistakes={
        "the numbers of a patch come from all over the picture: cut first, then flatten": lambda images, p: (
            images.reshape(len(images), -1, images.shape[1] * p * p)
        ),
        "the patches run down the columns: read the picture line by line": _cut("b (w h) (c p q)"),
        "within a patch the colour runs fastest: all of one channel comes first, then the next": _cut(
            "b (h w) (p q c)"
        ),
        "each patch is turned: its rows have become columns": _cut("b (h w) (c q p)"),
        "the grid of patches is still a grid: make one sequence of it": _cut("b h w (c p q)"),
    },
)


class EncoderBlock(layers.Block):
    """`helpers.models.layers.Block` with the ε of the paper's code: (width, heads, mlp)."""

    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__(width, heads, mlp, eps=1e-6)


class _WithoutFirstShortcut(EncoderBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class _WithoutSecondShortcut(EncoderBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attention(self.ln_1(x))
        return self.mlp(self.ln_2(x))


class _PostNorm(EncoderBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.ln_1(x + self.self_attention(x))
        return self.ln_2(x + self.mlp(x))


class _FromTheNormalised(EncoderBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.ln_1(x)
        x = self.ln_2(x + self.self_attention(x))
        return x + self.mlp(x)


class _SideBySide(EncoderBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.self_attention(self.ln_1(x)) + self.mlp(self.ln_2(x))


class _OneNorm(EncoderBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_1(x))


class _NoNorm(EncoderBlock):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attention(x)
        return x + self.mlp(x)


def _run(block: Any, x: torch.Tensor, heads: int) -> torch.Tensor:
    """The output of a new block whose parameters, those of the normalisations included, are all random.

    They go by their names' order, so that it does not matter in which order the parts are made, or with how many idle
    ones between.
    """
    built = block(x.shape[2], heads, 3 * x.shape[2])
    for number, (_, parameter) in enumerate(sorted(built.named_parameters())):
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(number))
    with torch.no_grad():
        return built(x)


BLOCK = Task(
    right=EncoderBlock,
    inputs=((2 * _random(2, 5, 8) + 1, 2), (_random(1, 7, 12, seed=1), 3)),
    mistakes={
        "the attention has no shortcut: what a token held before is lost": _WithoutFirstShortcut,
        "the perceptron has no shortcut: what a token held before is lost": _WithoutSecondShortcut,
        "the sums are normalised: nothing may change what runs along the shortcut": _PostNorm,
        "the shortcut carries normalised tokens: it must carry them as they came": _FromTheNormalised,
        "the perceptron reads the tokens from before the attention": _SideBySide,
        "one normalisation serves both parts: each has one of its own": _OneNorm,
        "the normalisations are not used": _NoNorm,
    },
    apply=_run,
)
