"""Attention and the block equal PyTorch's, each fault is told apart, and the notebook's slider works."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.models.layers import Block, MultiHeadAttention, causal_mask, padding_mask, prefix_mask
from tools import ROOT


def random_tensor(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair(width: int, heads: int) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    """The course's layer and PyTorch's in float64, with the same weights, none of them zero."""
    library = nn.MultiheadAttention(width, heads, batch_first=True, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for parameter in library.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    ours = MultiHeadAttention(width, heads).double()
    ours.load_state_dict(library.state_dict(), strict=True)
    return ours, library


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item()


sizes = {
    "batch": st.integers(1, 3),
    "tokens": st.integers(1, 7),
    "heads": st.integers(1, 4),
    "per_head": st.integers(1, 5),
}
contexts = st.none() | st.integers(1, 6)


@settings(deadline=None, max_examples=60)
@given(**sizes, context=contexts, masked=st.booleans(), seed=st.integers(0, 99))
@example(batch=2, tokens=5, heads=3, per_head=4, context=None, masked=False, seed=0)
@example(batch=2, tokens=5, heads=3, per_head=4, context=6, masked=True, seed=0)
def test_equals_the_library_with_its_gradients(batch, tokens, heads, per_head, context, masked, seed) -> None:
    width = heads * per_head
    ours, library = pair(width, heads)
    x = random_tensor(batch, tokens, width, seed=seed).double().requires_grad_()
    c = None if context is None else random_tensor(batch, context, width, seed=seed + 1).double().requires_grad_()
    keys = x if c is None else c
    mask = None
    if masked:
        mask = random_tensor(tokens, keys.shape[1], seed=seed + 2) > 0
        mask[:, 0] = True  # each token may look somewhere; a row without any would be NaN in both
    out = ours(x, c, mask)
    truth, weights = library(x, keys, keys, attn_mask=None if mask is None else ~mask, average_attn_weights=False)
    assert out.shape == x.shape
    assert far(out, truth) < 1e-10
    assert far(ours.weights(x, c, mask), weights) < 1e-10
    aim = random_tensor(*out.shape, seed=seed + 3).double()
    leaves = [x] if c is None else [x, c]
    got = torch.autograd.grad((out * aim).sum(), [*leaves, *ours.parameters()])
    named = dict(library.named_parameters())
    wanted = torch.autograd.grad((truth * aim).sum(), [*leaves, *(named[n] for n, _ in ours.named_parameters())])
    assert all(far(a, b) < 1e-9 for a, b in zip(got, wanted, strict=True))


def test_equals_the_functional_form() -> None:
    ours, _ = pair(12, 3)
    x = random_tensor(2, 5, 12).double()
    q, k, v = F.linear(x, ours.in_proj_weight, ours.in_proj_bias).unflatten(2, (3, 3, 4)).permute(2, 0, 3, 1, 4)
    gathered = F.scaled_dot_product_attention(q, k, v)  # [B, h, T, D/h]
    assert far(ours(x), ours.out_proj(gathered.transpose(1, 2).flatten(2))) < 1e-12


def test_state_dicts_load_both_ways() -> None:
    ours, library = pair(8, 2)
    nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64).load_state_dict(ours.state_dict(), strict=True)
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in library.named_parameters()}


Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def by_parts(ours: MultiHeadAttention, x: torch.Tensor, change: Callable[..., Parts], scale: float) -> torch.Tensor:
    """The layer written out, with a place for one fault: `change` alters q, k and v, `scale` divides the scores."""
    q, k, v = change(*F.linear(x, ours.in_proj_weight, ours.in_proj_bias).chunk(3, dim=2))
    q, k, v = (t.unflatten(2, (ours.heads, -1)).transpose(1, 2) if t.ndim == 3 else t for t in (q, k, v))
    weights = (q @ k.transpose(2, 3) / scale).softmax(3)
    return ours.out_proj((weights @ v).transpose(1, 2).flatten(2))


def split_wrongly(*parts: torch.Tensor) -> Parts:
    """[B, T, D] read as [B, h, T, D/h] without the transposition: right shapes, wrong numbers."""
    return tuple(t.reshape(t.shape[0], 3, t.shape[1], -1) for t in parts)


FAULTS = {
    "no scaling": (lambda q, k, v: (q, k, v), 1.0),
    "scaled by the whole width": (lambda q, k, v: (q, k, v), 12**0.5),
    "queries and keys swapped": (lambda q, k, v: (k, q, v), 2.0),
    "keys as values": (lambda q, k, v: (q, v, k), 2.0),
    "heads split wrongly": (split_wrongly, 2.0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_apart(fault: str) -> None:
    ours, library = pair(12, 3)  # three heads of four numbers: the scores are divided by 2
    x = random_tensor(2, 5, 12).double()
    truth = library(x, x, x)[0]
    assert far(by_parts(ours, x, lambda q, k, v: (q, k, v), 2.0), truth) < 1e-10
    assert far(by_parts(ours, x, *FAULTS[fault]), truth) > 1e-2


def test_weights_are_shares_and_give_the_output() -> None:
    ours, _ = pair(12, 3)
    x, c = random_tensor(2, 5, 12).double(), random_tensor(2, 7, 12, seed=1).double()
    weights = ours.weights(x, c)  # [2, 3, 5, 7]
    assert weights.shape == (2, 3, 5, 7) and (weights >= 0).all()
    assert far(weights.sum(3), torch.ones(2, 3, 5)) < 1e-12
    v = F.linear(c, ours.in_proj_weight[24:], ours.in_proj_bias[24:]).unflatten(2, (3, 4)).transpose(1, 2)
    assert far(ours.out_proj((weights @ v).transpose(1, 2).flatten(2)), ours(x, c)) < 1e-12


def test_a_mask_is_true_where_attention_is_allowed() -> None:
    ours, _ = pair(12, 3)
    x = random_tensor(1, 6, 12).double()
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    assert (ours.weights(x, mask=causal)[:, :, ~causal] == 0).all()
    later = x.clone()
    later[:, 4:] += 1
    assert far(ours(later, mask=causal)[:, :4], ours(x, mask=causal)[:, :4]) < 1e-12
    for leaking in (None, causal.T):  # no mask, or True read as "forbidden"
        assert far(ours(later, mask=leaking)[:, :4], ours(x, mask=leaking)[:, :4]) > 1e-2


def test_a_mask_may_differ_between_pictures_and_heads() -> None:
    ours, _ = pair(12, 3)
    x = random_tensor(2, 5, 12).double()
    mask = random_tensor(2, 3, 5, 5) > 0
    mask[..., 0] = True
    assert (ours.weights(x, mask=mask)[~mask] == 0).all()
    assert far(ours(x, mask=mask)[1:], ours(x[1:], mask=mask[1:])) < 1e-12


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(6)))
@example(order=[1, 0, 2, 3, 4, 5])
def test_tokens_in_another_order_give_the_outputs_in_that_order(order: list[int]) -> None:
    ours, _ = pair(12, 3)
    x, c = random_tensor(2, 6, 12).double(), random_tensor(2, 6, 12, seed=1).double()
    assert far(ours(x[:, order]), ours(x)[:, order]) < 1e-12
    assert far(ours(x, c[:, order]), ours(x, c)) < 1e-12  # the order of what is attended to does not matter
    assert far(ours(x[:, order]).mean(1), ours(x).mean(1)) < 1e-12
    places = random_tensor(6, 12, seed=2).double()
    if order != list(range(6)):
        assert far(ours(x[:, order] + places), ours(x + places)[:, order]) > 1e-3


@pytest.mark.parametrize(("width", "heads"), [(24, 5), (24, 0), (24, -2), (3, 4)])
def test_heads_that_do_not_fit_are_refused(width: int, heads: int) -> None:
    with pytest.raises(ValueError, match=f"width {width} .* {heads} heads: choose a multiple"):
        MultiHeadAttention(width, heads)


@pytest.mark.parametrize("method", ["forward", "weights"])
def test_wrong_shapes_are_named(method: str) -> None:
    run = getattr(MultiHeadAttention(24, 4), method)
    good = torch.zeros(2, 5, 24)
    for bad in [torch.zeros(2, 5, 23), torch.zeros(5, 24), torch.zeros(2, 3, 8, 24)]:
        shape = str(list(bad.shape)).replace("[", r"\[").replace("]", r"\]")
        with pytest.raises(ValueError, match=rf"x: expected \[B, T, 24\], not {shape}"):
            run(bad)
        with pytest.raises(ValueError, match=rf"context: expected \[B, T, 24\], not {shape}"):
            run(good, bad)
    with pytest.raises(ValueError, match=r"context: expected the 2 sequences of x, not 3, in \[3, 7, 24\]"):
        run(good, torch.zeros(3, 7, 24))


@pytest.mark.parametrize("method", ["forward", "weights"])
@pytest.mark.parametrize("shape", [(5, 6), (4, 5), (3, 1, 5, 7), (3, 5, 7), (1, 2, 4, 5, 7)])
def test_wrong_masks_are_named(method: str, shape: tuple[int, ...]) -> None:
    run = getattr(MultiHeadAttention(24, 4), method)
    x, context = torch.zeros(2, 5, 24), torch.zeros(2, 7, 24)
    with pytest.raises(ValueError, match=r"mask: .* \[B, h, T, S\] = \[2, 4, 5, 7\], not torch.bool"):
        run(x, context, torch.ones(shape, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"mask: expected bool .* not torch.float32 \[5, 7\]"):
        run(x, context, torch.zeros(5, 7))  # PyTorch's additive mask
    run(x, context, torch.ones(5, 7, dtype=torch.bool))


@settings(deadline=None, max_examples=30)
@given(**sizes, context=st.integers(1, 6), context_width=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_context_of_another_width_equals_the_library(
    batch, tokens, heads, per_head, context, context_width, seed
) -> None:
    width = heads * per_head
    library = nn.MultiheadAttention(
        width, heads, kdim=context_width, vdim=context_width, batch_first=True, dtype=torch.float64
    )
    for parameter in library.parameters():
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(seed))
    ours = MultiHeadAttention(width, heads, context_width).double()
    ours.load_state_dict(library.state_dict(), strict=True)
    x = random_tensor(batch, tokens, width, seed=seed).double()
    c = random_tensor(batch, context, context_width, seed=seed + 1).double()
    truth, weights = library(x, c, c, average_attn_weights=False)
    assert far(ours(x, c), truth) < 1e-10
    assert far(ours.weights(x, c), weights) < 1e-10


def test_a_cached_context_is_not_computed_again() -> None:
    ours = MultiHeadAttention(12, 3, 5)
    x, c, cache = random_tensor(2, 4, 12), random_tensor(2, 7, 5, seed=1), {}
    first = ours(x, c, cache=cache)
    assert far(ours(x, torch.zeros_like(c), cache=cache), first) < 1e-6
    assert far(ours(x, torch.zeros_like(c)), first) > 1e-3


def block_pair(context: bool) -> tuple[Block, nn.Module]:
    """The course's block and PyTorch's layer with the same weights, none of them zero."""
    kind = nn.TransformerDecoderLayer if context else nn.TransformerEncoderLayer
    library = kind(12, 3, 20, dropout=0.0, activation="gelu", batch_first=True, norm_first=True).eval()
    generator = torch.Generator().manual_seed(2)
    for parameter in library.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    ours = Block(12, 3, 20, context_width=12 if context else None).eval()
    names = {"self_attn": "self_attention", "multihead_attn": "cross_attention", "linear1": "mlp.0", "linear2": "mlp.3"}
    norms = ("ln_1", "ln_cross", "ln_2") if context else ("ln_1", "ln_2")
    names |= {f"norm{i}": name for i, name in enumerate(norms, start=1)}
    state = {
        names[key.split(".")[0]] + "." + key.split(".", 1)[1]: value for key, value in library.state_dict().items()
    }
    ours.load_state_dict(state, strict=True)
    return ours, library


def test_the_block_is_the_librarys_encoder_layer() -> None:
    ours, library = block_pair(context=False)
    x, mask = random_tensor(2, 6, 12), causal_mask(6)
    assert far(ours(x), library(x)) < 1e-5
    assert far(ours(x, mask), library(x, src_mask=~mask)) < 1e-5
    real = torch.arange(6) < torch.tensor([[6], [3]])
    assert far(ours(x, padding_mask(real))[real], library(x, src_key_padding_mask=~real)[real]) < 1e-5
    assert far(ours(x, mask), library(x)) > 1e-2


def test_the_block_with_a_context_is_the_librarys_decoder_layer() -> None:
    ours, library = block_pair(context=True)
    x, c, mask = random_tensor(2, 6, 12), random_tensor(2, 4, 12, seed=1), causal_mask(6)
    seen = torch.arange(4) < torch.tensor([[4], [2]])
    truth = library(x, c, tgt_mask=~mask, memory_key_padding_mask=~seen)
    assert far(ours(x, mask, c, padding_mask(seen)), truth) < 1e-5
    assert far(ours(x, mask, c), truth) > 1e-2
    ours.ln_1, ours.ln_cross = ours.ln_cross, ours.ln_1
    assert far(ours(x, mask, c, padding_mask(seen)), truth) > 1e-2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=4))
def test_the_prefix_sees_itself_and_nobody_sees_ahead(prefixes: list[int]) -> None:
    mask = prefix_mask(torch.tensor(prefixes), 7)
    assert mask.shape == (len(prefixes), 1, 7, 7) and mask.dtype == torch.bool
    for row, prefix in zip(mask[:, 0], prefixes, strict=True):
        for i, j in torch.cartesian_prod(torch.arange(7), torch.arange(7)).tolist():
            assert row[i, j] == (j <= i or j < prefix)
    assert torch.equal(prefix_mask(torch.zeros(1, dtype=torch.long), 7)[0, 0], causal_mask(7))


def test_the_notebooks_slider_shows_the_pixel_it_names() -> None:
    shown: list = []
    names = {"display": shown.append}
    cells = nbformat.read(ROOT / "notebooks" / "05_attention_on_pixels.ipynb", 4).cells
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        exec(cell.source, names)
        if "look_from" in names:
            break
    for row, column in [(0, 0), (31, 31), (25, 17)]:
        names["look_from"](row, column)
        assert f"row {row}, column {column}" in " ".join(shown[-1].data.split())
    assert len({picture.data for picture in shown}) == 3
    assert "slider" in names and (names["slider"]["min"], names["slider"]["max"]) == (0, 31)
