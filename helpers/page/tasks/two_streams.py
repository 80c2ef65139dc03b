"""Notebook 11: co-attention, each stream's queries on the other's keys and values (Lu et al. 2019, section 2.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from helpers.page.exercises import Task

Tensor = torch.Tensor
Both = tuple[Tensor, Tensor]


def _co_attention(visual: tuple[Tensor, ...], language: tuple[Tensor, ...]) -> Both:
    """PyTorch's attention, crosswise: 3 × float [N, D] and 3 × float [T, D] -> float [N, D], float [T, D]."""
    (query_v, key_v, value_v), (query_l, key_l, value_l) = visual, language
    attention = F.scaled_dot_product_attention
    return attention(query_v, key_l, value_l), attention(query_l, key_v, value_v)


def _wrong(
    order: Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], tuple[tuple[Tensor, ...], tuple[Tensor, ...]]],
    scale: float | None = None,
) -> Callable[..., Both]:
    """Attention of other queries, keys and values: `order` gives those for the regions and those for the words."""

    def both(visual: tuple[Tensor, ...], language: tuple[Tensor, ...]) -> Both:
        first, second = order(visual, language)
        return tuple(F.scaled_dot_product_attention(*parts, scale=scale) for parts in (first, second))

    return both


def _streams(regions: int, words: int, width: int, seed: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        tuple(1.5 * torch.randn(count, width, generator=generator) for _ in range(3)) for count in (regions, words)
    )


CO_ATTENTION = Task(
    right=_co_attention,
    # As many regions as words in the first trials, so that a mix-up of the streams runs without an error.
    inputs=(_streams(4, 4, 8, 0), _streams(6, 6, 3, 1)),
    mistakes={
        "each stream looks at itself: its queries must meet the other stream's keys": _wrong(lambda v, t: (v, t)),
        "only the words look across: the regions still look at themselves": _wrong(
            lambda v, t: (v, (t[0], v[1], v[2]))
        ),
        "only the regions look across: the words still look at themselves": _wrong(
            lambda v, t: ((v[0], t[1], t[2]), t)
        ),
        "the keys are the other stream's, but the values are the own ones: what is gathered comes from the other": (
            _wrong(lambda v, t: ((v[0], t[1], v[2]), (t[0], v[1], t[2])))
        ),
        "the values are the other stream's, but the keys are the own ones": _wrong(
            lambda v, t: ((v[0], v[1], t[2]), (t[0], t[1], v[2]))
        ),
        "the two results have changed places: the regions' comes first": _wrong(
            lambda v, t: ((t[0], v[1], v[2]), (v[0], t[1], t[2]))
        ),
        "the scores are not divided by √d": _wrong(lambda v, t: ((v[0], t[1], t[2]), (t[0], v[1], v[2])), scale=1.0),
        "keys and values have changed places": _wrong(lambda v, t: ((v[0], t[2], t[1]), (t[0], v[2], v[1]))),
    },
)
