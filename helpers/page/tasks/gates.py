"""Notebook 10: the self-resurrecting activation unit (Chen et al. 2022, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from helpers.models.visualgpt import srau
from helpers.page.exercises import Task

Tensor = torch.Tensor


def _srau(hidden: Tensor, seen: Tensor, tau: float = 0.2) -> Tensor:
    """The course's unit without its gates: 2 × float [..., D] -> float [..., D]."""
    return srau(hidden, seen, tau)[0]


def _wrong(
    visual: Callable[[Tensor, float], Tensor] = lambda a, tau: a * (a > tau),
    language: Callable[[Tensor, float], Tensor] = lambda a, tau: (1 - a) * (1 - a > tau),
    of: Callable[[Tensor, Tensor], Tensor] = lambda hidden, seen: hidden,
    shortcut: bool = False,
) -> Callable[..., Tensor]:
    """The unit with other gates, or gates of something else."""

    def unit(hidden: Tensor, seen: Tensor, tau: float = 0.2) -> Tensor:
        alpha = of(hidden, seen).sigmoid()
        return visual(alpha, tau) * seen + language(alpha, tau) * hidden + (hidden if shortcut else 0)

    return unit


def _pair(*shape: int, seed: int) -> tuple[Tensor, Tensor]:
    hidden, seen = 2 * torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))
    return hidden, seen


SRAU = Task(
    right=_srau,
    inputs=((*_pair(6, seed=0), 0.2), (*_pair(2, 5, 8, seed=1), 0.2), (*_pair(2, 4, seed=2), 0.35)),
    mistakes={
        "the picture and the language have changed places": _wrong(
            lambda a, t: (1 - a) * (1 - a > t), lambda a, t: a * (a > t)
        ),
        "no gate is shut: below the threshold a gate is 0": _wrong(lambda a, t: a, lambda a, t: 1 - a),
        "only the picture's gate is shut below the threshold": _wrong(language=lambda a, t: 1 - a),
        "only the language's gate is shut below the threshold": _wrong(visual=lambda a, t: a),
        "an open gate lets everything through: it must let through its share": _wrong(
            lambda a, t: (a > t).to(a.dtype), lambda a, t: (1 - a > t).to(a.dtype)
        ),
        "the threshold is subtracted: a gate that is open keeps its value": _wrong(
            lambda a, t: (a - t).clamp(0), lambda a, t: (1 - a - t).clamp(0)
        ),
        "the gates are those of what is seen: they must be those of the hidden state": _wrong(of=lambda h, s: s),
        "the hidden state is added once more: the unit has no shortcut around it": _wrong(shortcut=True),
        "the language gets what the picture leaves, also where that is under the threshold": _wrong(
            language=lambda a, t: 1 - a * (a > t)
        ),
    },
)
