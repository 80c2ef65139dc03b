"""VisualGPT: the gates are the published ones, a dead gate comes back, and what is pretrained is taken over."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.models.language import LanguageModel, generate
from helpers.models.visualgpt import FUSIONS, SRAU, LearnedSRAU, VisualGPT, gates, srau
from helpers.training.fit import seeded

V, SIDE = 30, 32


def model(fusion: str = "srau", tau: float = 0.2) -> VisualGPT:
    net = seeded(lambda: VisualGPT(V, 16, 16, 2, 2, fusion, tau, SIDE, (4, 8, 8)), 0)
    for name, p in net.decoder.named_parameters():
        if "fuse" not in name:
            p.data.mul_(4)
    return net.double().eval()


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def texts(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1, V, shape, generator=torch.Generator().manual_seed(seed))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item()


numbers = st.floats(-12, 12, allow_nan=False)


@settings(max_examples=80, deadline=None)
@given(numbers, numbers, st.floats(0, 1))
def test_each_number_is_gated_as_the_paper_writes(hidden: float, seen: float, tau: float) -> None:
    alpha = 1 / (1 + math.exp(-hidden))
    if min(abs(alpha - tau), abs(1 - alpha - tau)) < 1e-9:
        return
    visual, language = (alpha if alpha > tau else 0.0), (1 - alpha if 1 - alpha > tau else 0.0)
    out, (b_visual, b_language) = srau(
        torch.tensor([hidden], dtype=torch.float64), torch.tensor([seen], dtype=torch.float64), tau
    )
    assert b_visual.item() == pytest.approx(visual) and b_language.item() == pytest.approx(language)
    assert out.item() == pytest.approx(visual * seen + language * hidden)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 0.4999), st.integers(0, 99))
def test_below_a_half_both_gates_are_never_shut_and_from_a_half_on_they_can_be(tau: float, seed: int) -> None:
    alpha = torch.rand(2_000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    visual, language = gates(alpha, tau)
    assert ((visual > 0) | (language > 0)).all()
    visual, language = gates(torch.tensor([0.5, 0.45, 0.6]), 0.6)
    assert (visual == 0).any() and ((visual == 0) & (language == 0)).any()


def test_a_dead_gate_comes_back_by_way_of_its_partner() -> None:
    hidden = torch.tensor([-3.0], dtype=torch.float64, requires_grad=True)  # σ < τ: the picture is shut out
    seen = torch.tensor([5.0], dtype=torch.float64)
    alive = None
    optimizer = torch.optim.SGD([hidden], 0.5)
    for step in range(60):
        out, (visual, language) = srau(hidden, seen)
        if step == 0:
            assert visual.item() == 0 and language.item() > 0.2
        if visual.item() > 0:
            alive = step
            break
        optimizer.zero_grad()
        (out - 5.0).pow(2).sum().backward()
        sigma = hidden.detach().sigmoid()
        by_hand = 2 * (out.detach() - 5) * ((1 - sigma) - sigma * (1 - sigma) * hidden.detach())
        assert far(hidden.grad, by_hand) < 1e-12 and hidden.grad.abs().item() > 1e-3
        optimizer.step()
    assert alive is not None and alive > 0
    # The counter-check: where both gates are shut, as τ above a half allows, no gradient is left to bring one back.
    stuck = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    out, both = srau(stuck, seen, 0.6)
    assert all(gate.item() == 0 for gate in both)
    out.sum().backward()
    assert stuck.grad.item() == 0


def test_the_authors_code_weights_the_language_by_alpha() -> None:
    unit = seeded(lambda: LearnedSRAU(6), 0).double()
    hidden, seen = normal(2, 3, 6), normal(2, 3, 6, seed=1)
    alpha = torch.sigmoid(torch.cat([hidden, seen], -1) @ unit.gate.weight.T + unit.gate.bias)
    by_hand = hidden * alpha * (alpha > 0.2) + seen * (1 - alpha) * (1 - alpha > 0.2)
    assert far(unit(hidden, seen), by_hand) < 1e-12
    swapped = seen * alpha * (alpha > 0.2) + hidden * (1 - alpha) * (1 - alpha > 0.2)
    assert far(unit(hidden, seen), swapped) > 0.1
    assert far(SRAU()(hidden, seen), srau(hidden, seen)[0]) == 0
    assert far(SRAU()(hidden, seen), unit(hidden, seen)) > 0.1


def test_the_block_puts_the_unit_in_place_of_the_shortcut() -> None:
    net = model("srau")
    block, x, context = net.decoder.blocks[0], normal(1, 4, 16), normal(1, 5, 16, seed=1)
    hidden = x + block.self_attention(block.ln_1(x))
    seen = block.cross_attention(block.ln_cross(hidden), context)
    fused = srau(hidden, seen)[0]
    assert far(block(x, context=context), fused + block.mlp(block.ln_2(fused))) < 1e-10
    assert far(block(x, context=context), hidden + fused + block.mlp(block.ln_2(hidden + fused))) > 0.1
    plain = model("residual").decoder.blocks[0]
    plain.load_state_dict(block.state_dict())
    fused = hidden + seen
    assert far(plain(x, context=context), fused + plain.mlp(plain.ln_2(fused))) < 1e-10


@torch.inference_mode()
@pytest.mark.parametrize("fusion", FUSIONS)
def test_it_sees_the_picture_no_later_token_and_writes_the_same_with_a_cache(fusion: str) -> None:
    net, ids = model(fusion), texts(2, 6)
    seen = net.look(pictures(2))
    assert seen.shape == (2, 4, 16)
    plain = net(ids, seen)
    assert far(plain, net(ids, seen.flip(0))) > 1e-6 and far(plain, net(ids)) > 1e-6
    changed = ids.clone()
    changed[:, 4] = changed[:, 4] % (V - 1) + 1
    assert far(net(changed, seen)[:, :4], plain[:, :4]) < 1e-10 < far(net(changed, seen)[:, 4:], plain[:, 4:])
    written, line = generate(net, ids, 4, end=V, seen=seen), ids
    for step in range(4):
        token = net(line, seen)[:, -1].argmax(1)
        assert torch.equal(written.ids[:, step], token)
        line = torch.cat([line, token[:, None]], 1)


@pytest.mark.parametrize("fusion", ["srau", "learned srau"])
def test_gates_are_those_with_which_the_text_was_read(fusion: str) -> None:
    net, ids = model(fusion), texts(1, 5)
    seen = net.look(pictures(1)).detach()
    read = net.gates(ids, seen)
    assert len(read) == 2 and all(gate.shape == (1, 5, 16) for pair in read for gate in pair)
    for visual, language in read:
        assert ((visual == 0) | (visual > 0.2)).all() and ((visual > 0) | (language > 0)).all()
        both = (visual > 0) & (language > 0)
        assert both.any()
        assert far((visual + language)[both], torch.ones(int(both.sum()))) < 1e-12
    assert far(net.gates(ids.flip(1), seen)[0][0], read[0][0]) > 1e-6
    assert not any(block.fuse._forward_hooks for block in net.decoder.blocks)
    with pytest.raises(ValueError, match="has no gates"):
        model("residual").gates(ids, seen)


def test_a_pretrained_decoder_is_taken_over_whole() -> None:
    net, text = model(), seeded(lambda: LanguageModel(V, 16, 16, 2, 2), 5).double()
    cross = net.decoder.blocks[1].cross_attention.in_proj_weight.clone()
    net.start_from(text)
    for name, value in text.state_dict().items():
        assert torch.equal(net.decoder.state_dict()[name], value), name
    assert torch.equal(net.decoder.blocks[1].cross_attention.in_proj_weight, cross)
    plain = seeded(lambda: VisualGPT(V, 16, 16, 2, 2, "residual", 0.2, SIDE, (4, 8, 8)), 0).double().eval()
    plain.start_from(text.eval())
    for block in plain.decoder.blocks:  # a cross-attention that adds nothing leaves the text decoder as it was
        block.cross_attention.out_proj.weight.data.zero_()
        block.cross_attention.out_proj.bias.data.zero_()
    ids = texts(2, 5)
    assert far(plain(ids, plain.look(pictures(2))), text(ids)) < 1e-5
    with pytest.raises(ValueError, match=r"position_embedding.* do not fit"):
        net.start_from(seeded(lambda: LanguageModel(V, 17, 16, 2, 2), 0))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="fusion: 'sum' is not one of srau, learned srau, residual"):
        VisualGPT(V, fusion="sum")
    with pytest.raises(ValueError, match="a picture of 40 px"):
        VisualGPT(V, side=40)
    with pytest.raises(ValueError, match=r"tau: -0\.1"):
        gates(torch.zeros(1), -0.1)
    with pytest.raises(ValueError, match=r"seen: expected the shape of hidden, \[2, 3\], not \[3\]"):
        srau(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(ValueError, match="expected uint8"):
        model().look(torch.zeros(1, 3, SIDE, SIDE))
