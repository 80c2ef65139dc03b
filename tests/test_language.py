"""The decoder language model: parity with GPT-2, and decoding that is right by exhaustive search."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.models.language import Cache, LanguageModel, generate, next_token_loss
from helpers.training.fit import seeded

V, END = 7, 6


def model(context_width: int | None = None, seed: int = 0, length: int = 24) -> LanguageModel:
    net = seeded(lambda: LanguageModel(V, length, 16, 2, 4, context_width), seed).eval()
    for p in net.parameters():  # the small start of a language model makes all tokens equally probable
        p.data.mul_(4)
    return net


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1, V, shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_gpt_2_with_the_same_weights() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=V, n_positions=24, n_embd=16, n_layer=2, n_head=4, activation_function="gelu")
    theirs = seeded(lambda: GPT2LMHeadModel(config), 1).eval()
    ours, state = model(), theirs.state_dict()
    names = {"token_embedding": "wte", "position_embedding": "wpe", "ln_final": "ln_f"}
    inside = {"ln_1": "ln_1", "ln_2": "ln_2", "self_attention.out_proj": "attn.c_proj", "mlp.0": "mlp.c_fc"}
    for i in range(2):
        for name, other in (*inside.items(), ("mlp.3", "mlp.c_proj")):
            names[f"blocks.{i}.{name}"] = f"h.{i}.{other}"
    copied = {}
    for name in ours.state_dict():
        for old, new in (("in_proj_weight", "c_attn.weight"), ("in_proj_bias", "c_attn.bias")):
            if name.endswith(old):
                copied[name] = state[f"transformer.h.{name.split('.')[1]}.attn.{new}"]
        base, _, kind = name.rpartition(".")
        if base in names:
            copied[name] = state[f"transformer.{names[base]}.{kind}"]
        if copied[name].ndim == 2 and "embedding" not in name:
            copied[name] = copied[name].T  # GPT-2 keeps its matrices transposed
    ours.load_state_dict(copied)
    ids = tokens(3, 9)
    with torch.no_grad():
        difference = (ours(ids) - theirs(ids).logits).abs().max()
        assert difference < 1e-5
        ours.blocks[1].ln_2.eps = 1e-1
        assert (ours(ids) - theirs(ids).logits).abs().max() > 1e-4  # the counter-check


def test_no_token_sees_a_later_one() -> None:
    net, ids = model(), tokens(2, 8)
    changed = ids.clone()
    changed[:, 5] = changed[:, 5] % (V - 1) + 1
    assert torch.equal(net(ids)[:, :5], net(changed)[:, :5])
    assert not torch.allclose(net(ids)[:, 5:], net(changed)[:, 5:])
    everything = torch.ones(8, 8, dtype=torch.bool)
    assert not torch.allclose(net(ids, mask=everything)[:, :5], net(changed, mask=everything)[:, :5])


def test_padding_changes_nothing_wherever_it_stands() -> None:
    net, ids = model().double(), tokens(2, 6)
    plain = net(ids)
    for before, after in ((3, 0), (0, 3), (2, 2)):
        real = torch.nn.functional.pad(torch.ones(2, 6, dtype=torch.bool), (before, after))
        padded = torch.nn.functional.pad(ids, (before, after), value=3)
        assert (net(padded, real=real)[:, before : before + 6] - plain).abs().max() < 1e-10
        assert (net(padded)[:, before : before + 6] - plain).abs().max() > 1e-3 or not before  # without it, it would


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.integers(0, 3))
def test_the_cache_gives_the_same_logits_in_whatever_pieces(pieces: list[int], seeing: bool, padding: int) -> None:
    net, ids = model(12 if seeing else None).double(), tokens(2, sum(pieces) + padding)
    real = torch.arange(ids.shape[1])[None] >= torch.tensor([[padding], [0]])
    picture = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = {"context": picture} if seeing else {}
    cache, parts, start = Cache(), [], 0
    with torch.no_grad():
        for n in [padding + pieces[0], *pieces[1:]]:
            part = slice(start, start + n)
            parts.append(net(ids[:, part], real=real[:, part], cache=cache, **inputs))
            start += n
        assert ((torch.cat(parts, 1) - net(ids, real=real, **inputs))[real]).abs().max() < 1e-10


def exhaustive(net: LanguageModel, prompt: torch.Tensor, steps: int, penalty: float) -> tuple[list[int], float]:
    """The best continuation of one prompt among all there are, by the sum of ln p over length^penalty."""
    best: tuple[list[int], float] = ([], float("-inf"))
    for n in range(1, steps + 1):
        for text in itertools.product(range(V), repeat=n):
            ended = text[-1] == END
            if END in text[:-1] or (not ended and n < steps):
                continue
            ids = torch.cat([prompt, torch.tensor([text])], 1)
            log_p = net(ids).log_softmax(2)[0, prompt.shape[1] - 1 : -1].gather(1, torch.tensor(text)[:, None])
            score = log_p.sum().item() / n**penalty
            if score > best[1]:
                best = (list(text), score)
    return best


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_wide_beams_find_the_best_of_all_texts(seed: int, penalty: float) -> None:
    net, prompts = model(seed=seed), tokens(2, 3, seed=seed)
    with torch.no_grad():
        wide = generate(net, prompts, 3, end=END, beams=V**3, length_penalty=penalty)
        for row, prompt in enumerate(prompts):
            text, score = exhaustive(net, prompt[None], 3, penalty)
            assert wide.ids[row, : len(text)].tolist() == text
            told = wide.log_probabilities[row].sum().item() / len(text) ** penalty
            assert told == pytest.approx(score, abs=1e-4)
            greedy = generate(net, prompt[None], 3, end=END)
            length = greedy.log_probabilities.ne(0).sum().item()
            assert greedy.log_probabilities.sum().item() / length**penalty <= score + 1e-4


def test_greedy_takes_the_most_probable_token_and_stops_at_the_end() -> None:
    net, prompts = model(seed=2), tokens(6, 3)
    with torch.no_grad():
        written = generate(net, prompts, 10, end=END)
        for row, prompt in enumerate(prompts):
            ids = prompt[None]
            for step in range(10):
                token = net(ids)[0, -1].argmax().item()
                assert written.ids[row, step].item() == token
                ids = torch.cat([ids, torch.tensor([[token]])], 1)
                if token == END:
                    assert (written.ids[row, step + 1 :] == 0).all()
                    assert (written.log_probabilities[row, step + 1 :] == 0).all()
                    break
    assert (written.ids == END).any(), "no text of this test ends: it shows less than it should"


def test_prompts_of_unequal_length_are_written_on_as_if_alone() -> None:
    net, long = model(seed=1), tokens(1, 5)
    short, real = long[:, 2:], torch.ones(2, 5, dtype=torch.bool)
    real[1, :2] = False
    both = torch.cat([long, torch.nn.functional.pad(short, (2, 0))])
    for more in ({}, {"beams": 3}):
        together = generate(net, both, 6, end=END, real=real, **more)
        for row, alone in enumerate((long, short)):
            one = generate(net, alone, 6, end=END, **more).ids[0]
            assert together.ids[row, : len(one)].tolist() == one.tolist()


def test_the_nucleus_holds_the_fewest_tokens_that_add_up_to_p() -> None:
    net, prompt = model(seed=3), tokens(1, 4).repeat(4000, 1)
    with torch.no_grad():
        p = net(prompt[:1])[0, -1].softmax(0)
    drawn = generate(net, prompt, 1, end=END, top_p=0.7, generator=torch.Generator().manual_seed(0)).ids[:, 0]
    sorted_p, order = p.sort(descending=True)
    kept = order[: int((sorted_p.cumsum(0) < 0.7).sum()) + 1]
    assert set(drawn.tolist()) == set(kept.tolist())
    share = torch.bincount(drawn, minlength=V)[kept] / 4000
    assert (share - p[kept] / p[kept].sum()).abs().max() < 0.03
    everything = generate(
        net, prompt, 1, end=END, top_p=1.0, temperature=3.0, generator=torch.Generator().manual_seed(0)
    )
    assert len(set(everything.ids[:, 0].tolist())) == V
    again = generate(net, prompt, 1, end=END, top_p=0.7, generator=torch.Generator().manual_seed(0)).ids[:, 0]
    assert torch.equal(drawn, again)


def test_the_loss_counts_the_target_only() -> None:
    net, ids = model(), tokens(2, 6)
    target = torch.zeros(2, 6, dtype=torch.bool)
    target[0, 4] = target[1, 2] = True
    logits = net(ids)
    by_hand = -(logits[0, 3].log_softmax(0)[ids[0, 4]] + logits[1, 1].log_softmax(0)[ids[1, 2]]) / 2
    assert next_token_loss(logits, ids, target).item() == pytest.approx(by_hand.item(), abs=1e-6)
    shifted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())  # without the shift by one
    assert abs(next_token_loss(logits, ids).item() - shifted.item()) > 1e-3
    assert next_token_loss(logits, ids, torch.zeros_like(target)).isnan()  # which `fit` stops at


def test_bad_input_is_named() -> None:
    net, ids = model(length=8), tokens(1, 4)
    with pytest.raises(ValueError, match="9 tokens are more than the 8"):
        net(tokens(1, 9))
    with pytest.raises(ValueError, match="two ways"):
        generate(net, ids, 2, end=END, beams=2, top_p=0.5)
    with pytest.raises(ValueError, match="ends with padding"):
        generate(net, ids, 2, end=END, real=torch.tensor([[True, True, True, False]]))
    for bad in ({"beams": 0}, {"top_p": 0.0}, {"top_p": 1.5}, {"temperature": 0.0}):
        with pytest.raises(ValueError, match="begin at 1"):
            generate(net, ids, 2, end=END, **bad)
    with pytest.raises(ValueError, match="context is missing"):
        model(context_width=5)(ids)
