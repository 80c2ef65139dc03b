"""Multi-head attention is torch's, gradients and masks included, and a broken one is found out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.attention import MultiHeadAttention

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 7), st.integers(1, 4), st.integers(1, 5))


def pair(width: int, heads: int) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    """Ours and torch's with the same random weights; the biases, which start at zero, are random too."""
    library = nn.MultiheadAttention(width, heads, batch_first=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in library.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    ours = MultiHeadAttention(width, heads)
    ours.load_state_dict(library.state_dict(), strict=True)
    return ours, library


def tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=30)
@given(SHAPES, st.booleans(), st.booleans())
def test_equals_torchs(shape: tuple, cross: bool, masked: bool) -> None:
    batch, queries, keys, heads, size = shape
    ours, library = pair(heads * size, heads)
    x = tokens(batch, queries, heads * size)
    context = tokens(batch, keys, heads * size, seed=2) if cross else None
    source = x if context is None else context
    mask = torch.rand(queries, source.shape[1], generator=torch.Generator().manual_seed(3)) < 0.5
    mask[:, 0] = True  # a query that may look at nothing has no answer
    mask = mask if masked else None
    theirs, weights = library(x, source, source, attn_mask=None if mask is None else ~mask, average_attn_weights=False)
    assert torch.allclose(ours(x, context, mask), theirs, atol=1e-4)
    found = ours.weights(x, context, mask)
    assert torch.allclose(found, weights, atol=1e-5)
    assert torch.allclose(found.sum(3), torch.ones(batch, heads, queries), atol=1e-5)


def test_gradients_equal_torchs() -> None:
    ours, library = pair(8, 2)
    x = tokens(2, 5, 8)
    ours(x).square().sum().backward()
    library(x, x, x, need_weights=False)[0].square().sum().backward()
    theirs = dict(library.named_parameters())
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, theirs[name].grad, rtol=1e-3, atol=1e-3), name


def test_one_head_is_scaled_dot_product_attention() -> None:
    ours, _ = pair(8, 1)
    x = tokens(2, 5, 8)
    q, k, v = F.linear(x, ours.in_proj_weight, ours.in_proj_bias).chunk(3, dim=2)  # 3 × [B, T, D]
    assert torch.allclose(ours(x), ours.out_proj(F.scaled_dot_product_attention(q, k, v)), atol=1e-5)


def swap_queries_and_keys(ours: MultiHeadAttention) -> None:
    q, k, v = ours.in_proj_weight.data.chunk(3)
    ours.in_proj_weight.data = torch.cat([k, q, v])


def forget_the_scale(ours: MultiHeadAttention) -> None:
    ours.in_proj_weight.data[:8] *= (8 / ours.heads) ** 0.5  # queries that much longer undo 1 / √d


def split_heads_wrongly(ours: MultiHeadAttention) -> None:
    ours._split = lambda x, context: [
        t.unflatten(2, (-1, ours.heads)).permute(0, 3, 1, 2)
        for t in F.linear(x, ours.in_proj_weight, ours.in_proj_bias).chunk(3, dim=2)
    ]


@pytest.mark.parametrize("fault", [swap_queries_and_keys, forget_the_scale, split_heads_wrongly])
def test_a_broken_one_is_found_out(fault: object) -> None:
    ours, library = pair(8, 2)
    x = tokens(2, 5, 8)
    assert torch.allclose(ours(x), library(x, x, x)[0], atol=1e-4)
    fault(ours)
    assert not torch.allclose(ours(x), library(x, x, x)[0], atol=1e-4)


def test_a_later_token_changes_nothing_before_it_under_a_causal_mask() -> None:
    ours, _ = pair(8, 2)
    x = tokens(1, 6, 8)
    changed = x.clone()
    changed[:, 4] += 1
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    assert torch.allclose(ours(x, mask=causal)[:, :4], ours(changed, mask=causal)[:, :4], atol=1e-6)
    assert not torch.allclose(ours(x)[:, :4], ours(changed)[:, :4], atol=1e-6)


def test_permuted_tokens_give_permuted_outputs() -> None:
    ours, _ = pair(8, 2)
    x, order = tokens(2, 7, 8), torch.randperm(7, generator=torch.Generator().manual_seed(4))
    assert torch.allclose(ours(x)[:, order], ours(x[:, order]), atol=1e-5)


def test_other_shapes_are_refused_by_name() -> None:
    ours, _ = pair(8, 2)
    with pytest.raises(ValueError, match=r"x: expected \[B, T, 8\], not \[2, 5, 6\]"):
        ours(tokens(2, 5, 6))
    with pytest.raises(ValueError, match=r"context: expected \[B, T, 8\], not \[5, 8\]"):
        ours(tokens(2, 5, 8), tokens(5, 8))
    for heads in (3, 0):
        with pytest.raises(ValueError, match=f"width 8 cannot be shared among {heads} heads"):
            MultiHeadAttention(8, heads)
