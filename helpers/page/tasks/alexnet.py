"""Notebook 03: one row of a layer table (Krizhevsky, Sutskever and Hinton 2012, section 3.5)."""

from __future__ import annotations

import torch
from torch import nn

from helpers.page.exercises import Task


def _by_torch(
    channels: int, size: int, filters: int, k: int, stride: int = 1, padding: int = 0, groups: int = 1
) -> tuple[int, int, int]:
    with torch.device("meta"):  # shapes and counts only
        layer = nn.Conv2d(channels, filters, k, stride, padding, groups=groups)
        output = layer(torch.empty(1, channels, size, size))
    return output.shape[1], output.shape[2], sum(p.numel() for p in layer.parameters())


def _wrong(
    channels: int,
    size: int,
    filters: int,
    k: int,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    bias: bool = True,
    sides: int = 2,
    start: int = 1,
) -> tuple[int, int, int]:
    out = (size + sides * padding - k) // stride + start
    return filters, out, filters * (channels // groups) * k * k + (filters if bias else 0)


LAYER = Task(
    right=_by_torch,
    inputs=(
        (3, 227, 96, 11, 4),
        (96, 27, 256, 5, 1, 2, 2),
        (256, 13, 384, 3, 1, 1),
        (64, 56, 128, 3, 2, 1, 4),
        (3, 224, 64, 7, 2, 3),
    ),
    mistakes={
        "the biases are missing: each filter has one number that it adds": lambda *a: _wrong(*a, bias=False),
        "the groups are not counted: a filter in one of g groups sees only 1/g of the channels": lambda *a: _wrong(
            *a[:6], groups=1
        ),
        "the padding is counted once, but it lies on both sides of the picture": lambda *a: _wrong(*a, sides=1),
        "the first place of the window is not counted: without any step there is already one": lambda *a: _wrong(
            *a, start=0
        ),
        "each filter has weights for one channel only: it needs k × k of them for every channel it sees": lambda *a: (
            _wrong(1, *a[1:6], groups=1)
        ),
    },
)
