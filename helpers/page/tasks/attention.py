"""Notebook 05: attention itself (Vaswani et al. 2017, section 3.2.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from helpers.page.exercises import Task


def _random(*shapes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(2 * torch.randn(shape, generator=generator) for shape in shapes)


def _wrong(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, root: float = 0.5, dim: int = -1
) -> torch.Tensor:
    return (query @ key.transpose(-2, -1) / query.shape[-1] ** root).softmax(dim) @ value


ATTENTION = Task(
    right=F.scaled_dot_product_attention,
    inputs=(_random((5, 4), (5, 4), (5, 3)), _random((3, 4), (6, 4), (6, 8)), _random((2, 7, 9), (2, 5, 9), (2, 5, 4))),
    mistakes={
        "the softmax is missing: the weights of a query must be positive and add up to 1": lambda q, k, v: (
            q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 @ v
        ),
        "the scores are not divided by √d": lambda q, k, v: _wrong(q, k, v, root=0.0),
        "the scores are divided by d, not by its root": lambda q, k, v: _wrong(q, k, v, root=1.0),
        "the root is that of the number of keys, not of d": lambda q, k, v: (
            (q @ k.transpose(-2, -1) / k.shape[-2] ** 0.5).softmax(-1) @ v
        ),
        "the softmax runs over the queries: each query must share its attention among the keys": lambda q, k, v: _wrong(
            q, k, v, dim=-2
        ),
    },
)
