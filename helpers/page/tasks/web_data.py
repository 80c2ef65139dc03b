"""Notebook 12: how far apart two hashes are, how good a filter is, and who says no."""

from __future__ import annotations

import torch

from helpers.laion.duplicates import hamming_distance
from helpers.laion.optout import DIRECTIVES, directives
from helpers.page.exercises import Task

Tensor = torch.Tensor

HAMMING_DISTANCE = Task(
    right=hamming_distance,
    inputs=((0b1011, 0b1001), (0, 2**64 - 1), (12_345, 12_345), (2**63 + 6, 9), (0x0F0F_1234_ABCD_0007, 0x00FF)),
    mistakes={
        "it counts the bits that both have: count those in which they differ": lambda a, b: (a & b).bit_count(),
        "it counts the bits that either has: count those in which they differ": lambda a, b: (a | b).bit_count(),
        "it counts the bits that are equal": lambda a, b: 64 - (a ^ b).bit_count(),
        "it gives the bits that differ as one number: how many are they?": lambda a, b: a ^ b,
        "it is the difference of two numbers: look at their bits": lambda a, b: abs(a - b),
        "it compares how many ones there are, not where they stand": lambda a, b: abs(a.bit_count() - b.bit_count()),
        "it only says whether they differ": lambda a, b: int(a != b),
    },
)


def _precision_recall(kept: Tensor, fits: Tensor) -> tuple[float, float]:
    """2 × bool [n] -> the share of what is kept that fits, the share of what fits that is kept."""
    hits = (kept & fits).sum().item()
    return hits / kept.sum().item(), hits / fits.sum().item()


def _drawn(n: int, seed: int) -> tuple[Tensor, Tensor]:
    kept, fits = torch.rand(2, n, generator=torch.Generator().manual_seed(seed)) < torch.tensor([[0.4], [0.7]])
    return kept, fits


PRECISION_RECALL = Task(
    right=_precision_recall,
    inputs=((torch.tensor([True, True, False, False, False]), torch.tensor([True, False, True, True, False])),
            _drawn(40, 1), _drawn(300, 2)),
    mistakes={
        "precision and recall have changed places": lambda kept, fits: _precision_recall(kept, fits)[::-1],
        "both are shares of all pairs: each has a denominator of its own": lambda kept, fits: (
            (kept & fits).float().mean(), (kept & fits).float().mean()),
        "both are shares of what is kept": lambda kept, fits: (_precision_recall(kept, fits)[0],) * 2,
        "both are shares of what fits": lambda kept, fits: (_precision_recall(kept, fits)[1],) * 2,
        "the first is the share of right decisions, which counts what was dropped rightly too": lambda kept, fits: (
            (kept == fits).float().mean(), _precision_recall(kept, fits)[1]),
        "the share of everything that is kept, and of everything that fits: compare the two": lambda kept, fits: (
            kept.float().mean(), fits.float().mean()),
    },
)  # fmt: skip


def _says_no(value: str) -> bool:
    return bool(directives(value) & DIRECTIVES)


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.lower().split(",")]


SAYS_NO = Task(
    right=_says_no,
    inputs=tuple(
        (value,)
        for value in (
            "noai", "noindex, nofollow", "noindex, NoAI", "  noimageai ,noarchive", "noairplane", "", "all",
            "nofollow,noimageai", "noindex noai", "noai, noimageai",
        )
    ),
    mistakes={
        "it looks for the letters anywhere: “noairplane” is another word": lambda v: (
            "noai" in v.lower() or "noimageai" in v.lower()),
        "capital letters hide a directive from it": lambda v: bool(
            {part.strip() for part in v.split(",")} & DIRECTIVES),
        "blanks around a directive hide it": lambda v: bool(set(v.lower().split(",")) & DIRECTIVES),
        "it knows one of the two directives only": lambda v: "noai" in _parts(v),
        "it reads the first directive only": lambda v: _parts(v)[0] in DIRECTIVES,
        "it cuts at blanks: directives are separated by commas": lambda v: bool(
            {part.strip(",") for part in v.lower().replace(",", " ").split()} & DIRECTIVES),
    },
)  # fmt: skip
