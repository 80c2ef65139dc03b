"""Notebook 05: attention itself (Vaswani et al. 2017, section 3.2.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from helpers.page.exercises import Task

Mask = torch.Tensor | None


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask = None) -> torch.Tensor:
    """PyTorch's, with the arguments of the notebook: `mask` is bool [..., N, M], True where a query may look."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _random(*shapes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(2 * torch.randn(shape, generator=generator) for shape in shapes)


def _mask(n: int, m: int) -> torch.Tensor:
    """About half of the pairs; each query may look at one key at least, and not at all."""
    mask = torch.rand(n, m, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[:, 0], mask[:, -1] = True, False
    return mask


def _wrong(
    root: float = 0.5, dim: int = -1, hidden: float = -torch.inf, turned: bool = False
) -> Callable[..., torch.Tensor]:
    """Attention with another power of d, a softmax along another axis, or another mask."""

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask = None) -> torch.Tensor:
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** root
        if mask is not None:
            scores = scores.masked_fill(mask if turned else ~mask, hidden)
        return scores.softmax(dim) @ v

    return attention


def _without_softmax(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask = None) -> torch.Tensor:
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    return (scores if mask is None else scores.masked_fill(~mask, 0)) @ v


def _root_of_the_keys(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask = None) -> torch.Tensor:
    return _attention(q * (q.shape[-1] / k.shape[-2]) ** 0.5, k, v, mask)


def _without_mask(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask = None) -> torch.Tensor:
    return _attention(q, k, v)


ATTENTION = Task(
    right=_attention,
    inputs=(
        _random((5, 4), (5, 4), (5, 3)),
        _random((3, 4), (6, 4), (6, 8)),
        _random((2, 7, 9), (2, 5, 9), (2, 5, 4)),
        (*_random((2, 7, 9), (2, 5, 9), (2, 5, 4)), _mask(7, 5)),
    ),
    mistakes={
        "the softmax is missing: the weights of a query must be positive and add up to 1": _without_softmax,
        "the scores are not divided by √d": _wrong(root=0.0),
        "the scores are divided by d, not by its root": _wrong(root=1.0),
        "the root is that of the number of keys, not of d": _root_of_the_keys,
        "the softmax runs over the queries: each query must share its attention among the keys": _wrong(dim=-2),
        "the mask is not used: without one all is right": _without_mask,
        "the mask is upside down: True means that a query may look there": _wrong(turned=True),
        "a masked score of 0 still gets a share of the attention: think of what the softmax makes of it": _wrong(
            hidden=0.0
        ),
    },
)
