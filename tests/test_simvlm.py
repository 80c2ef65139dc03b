"""SimVLM: what its mask lets through, what its loss counts, and that it writes as it was taught."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.models.language import generate, next_token_loss, write
from helpers.models.simvlm import SimVLM, prefix_lm_loss, sample_prefix
from helpers.models.speakers import build_speaker
from helpers.training.fit import seeded
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

V, SIDE = 40, 32
WAYS = [("convolution", True), ("convolution", False), ("patches", True), ("patches", False)]


def model(image: str = "patches", picture_sees_text: bool = True, vocabulary: int = V, length: int = 16) -> SimVLM:
    net = seeded(
        lambda: SimVLM(vocabulary, length, 16, 2, 2, image, SIDE, (4, 8, 8), picture_sees_text=picture_sees_text), 0
    )
    for p in net.decoder.parameters():  # the small start of a language model makes all tokens equally probable
        p.data.mul_(4)
    return net.double().eval()


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def texts(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1, V, shape, generator=torch.Generator().manual_seed(seed))


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item()


@torch.inference_mode()
@settings(max_examples=12, deadline=None)
@given(st.sampled_from(WAYS), st.integers(0, 7), st.integers(0, 7))
def test_nothing_leaks_from_a_target_to_what_stands_before_it(way: tuple[str, bool], prefix: int, place: int) -> None:
    net, images, ids = model(*way), pictures(1), texts(1, 8)
    changed, length = ids.clone(), torch.tensor([prefix])
    changed[0, place] = changed[0, place] % (V - 1) + 1
    before, after = net(ids, images, length), net(changed, images, length)
    if place >= prefix:  # a target: all that stands before it stays as it was, the prefix among it
        assert place == 0 or far(before[:, :place], after[:, :place]) < 1e-10
    elif prefix > 1:  # the prefix sees itself, so its first token knows of its last
        assert far(before[:, :prefix], after[:, :prefix]) > 1e-9
        assert far(before[:, 0], after[:, 0]) > 1e-9
    assert far(before[:, place:], after[:, place:]) > 1e-6


@torch.inference_mode()
def test_the_leak_test_finds_a_mask_that_leaks() -> None:
    net, images, ids = model(), pictures(1), texts(1, 8)
    changed = ids.clone()
    changed[0, 6] = changed[0, 6] % (V - 1) + 1
    leaking = torch.tensor([7])  # one token too many in the prefix
    assert far(net(ids, images, leaking)[:, :6], net(changed, images, leaking)[:, :6]) > 1e-9


@torch.inference_mode()
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_text_sees_the_picture_and_the_picture_the_prefix_if_it_may(way: tuple[str, bool]) -> None:
    net, ids, prefix = model(*way), texts(1, 6), torch.tensor([3])
    assert far(net(ids, pictures(1), prefix), net(ids, pictures(1, seed=1), prefix)) > 1e-6
    # The second token hears of the third directly or not at all once it may see none of the prefix but the picture.
    held: list[torch.Tensor] = []
    hook = net.decoder.blocks[0].register_forward_hook(lambda block, inputs, out: held.append(out[:, : net.tokens]))
    other = ids.clone()
    other[0, 2] = other[0, 2] % (V - 1) + 1
    for text in (ids, other):
        net(text, pictures(1), prefix)
    hook.remove()
    of_picture = [out for out in held if out.shape[1] == net.tokens] if way[1] else held[::2]
    assert (far(of_picture[0], of_picture[-1]) > 1e-9) == way[1]


@torch.inference_mode()
def test_one_picture_read_once_serves_many_texts() -> None:
    net, images, ids = model(picture_sees_text=False), pictures(2), texts(6, 7)
    prefix = torch.tensor([0, 3, 7, 1, 2, 6])
    alone = net(ids, images.repeat_interleave(3, 0), prefix)
    assert far(net(ids, images, prefix), alone) < 1e-10
    memory = net.remember(images)
    for _ in range(2):  # the memory is not changed by the texts that follow it
        assert far(net(ids, prefix=prefix, memory=memory), alone) < 1e-10
    assert far(net(ids, images.flip(0), prefix), alone) > 1e-6
    with pytest.raises(ValueError, match="picture_sees_text"):
        model().remember(images)


@torch.inference_mode()
@pytest.mark.parametrize("way", [WAYS[2], WAYS[3]], ids=str)
def test_padding_changes_nothing_and_the_cache_gives_the_same_text(way: tuple[str, bool]) -> None:
    net, images, ids = model(*way), pictures(2), texts(2, 5)
    plain = net(ids, images, torch.tensor([5, 5]))
    padded = torch.nn.functional.pad(ids, (2, 0), value=7)
    real = torch.nn.functional.pad(torch.ones_like(ids, dtype=torch.bool), (2, 0))
    assert far(net(padded, images, torch.tensor([7, 7]), real)[:, 2:], plain) < 1e-10
    assert far(net(padded, images, torch.tensor([7, 7]))[:, 2:], plain) > 1e-6  # the counter-check
    written = generate(net, padded, 6, end=V, real=real, images=images)
    line = ids
    for step in range(6):  # written again without a cache, the prompt being the prefix
        token = net(line, images, torch.tensor([5, 5]))[:, -1].argmax(1)
        assert torch.equal(written.ids[:, step], token)
        line = torch.cat([line, token[:, None]], 1)
    beams = generate(net, padded, 6, end=V, real=real, images=images, beams=3)
    assert (beams.log_probabilities.sum(1) >= written.log_probabilities.sum(1) - 1e-5).all()


@torch.inference_mode()
def test_a_text_without_a_picture_stands_at_the_same_places() -> None:
    net, ids = model(), texts(1, 5)
    alone = net(ids)
    net.decoder.position_embedding.weight[: net.tokens] = 9.0  # the picture's places
    assert far(net(ids), alone) < 1e-12
    net.decoder.position_embedding.weight[net.tokens :] *= 2.0
    assert far(net(ids), alone) > 1e-9


def test_the_loss_counts_what_follows_the_prefix_only() -> None:
    net, images, ids = model(), pictures(2), texts(2, 6)
    prefix, real = torch.tensor([2, 4]), torch.ones(2, 6, dtype=torch.bool)
    real[0, 5] = False
    logits = net(ids, images, prefix, real)
    by_hand = [
        -logits[row, at - 1].log_softmax(0)[ids[row, at]] for row, at in ((0, 2), (0, 3), (0, 4), (1, 4), (1, 5))
    ]
    value = prefix_lm_loss(logits, ids, prefix, real)
    assert far(value, torch.stack(by_hand).mean()) < 1e-10
    assert far(value, next_token_loss(logits, ids)) > 1e-4


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=5), st.integers(0, 99))
def test_a_sampled_prefix_begins_after_the_picture_and_leaves_a_target(rows: list, seed: int) -> None:
    first = torch.tensor([a for a, _ in rows])
    lengths = first + torch.tensor([more for _, more in rows])
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([sample_prefix(first, lengths, generator) for _ in range(40)])
    assert (drawn >= first).all() and (drawn < lengths).all()
    with pytest.raises(ValueError, match="no token left"):
        sample_prefix(lengths, lengths, generator)


def test_every_length_of_prefix_is_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = sample_prefix(torch.full((3_000,), 2), torch.full((3_000,), 7), generator)
    counts = torch.bincount(drawn, minlength=7)
    assert counts[:2].sum() == 0 and (counts[2:] - 600).abs().max() < 100


def test_bad_input_is_named() -> None:
    net = model()
    with pytest.raises(ValueError, match=r"images: expected uint8 \[B, 3, 32, 32\], not torch.float32"):
        net(texts(1, 3), torch.zeros(1, 3, SIDE, SIDE))
    with pytest.raises(ValueError, match="from 4 to 4 are not lengths of a text of 3"):
        net(texts(1, 3), pictures(1), torch.tensor([4]))
    with pytest.raises(ValueError, match="3 texts cannot be shared out among 2 pictures"):
        net(texts(3, 3), pictures(2))
    with pytest.raises(ValueError, match="'squares' is not one of"):
        SimVLM(V, image="squares")
    with pytest.raises(ValueError, match="a picture of 40 px"):
        SimVLM(V, side=40)
    with pytest.raises(ValueError, match="architecture: 'CLIP' is not one of LanguageModel, SimVLM"):
        build_speaker(V, {"architecture": "CLIP"})


def test_it_learns_a_caption_and_an_answer_for_each_of_two_pictures() -> None:
    tokenizer = StreetTokenizer()
    net = seeded(lambda: SimVLM(tokenizer.vocab_size, 24, 16, 2, 2, "patches", SIDE, picture_sees_text=False), 0)
    images = torch.stack([torch.full((3, SIDE, SIDE), value, dtype=torch.uint8) for value in (10, 240)])
    asked = [("what", "a black bus"), ("is it day, dusk or night?", "night"), ("what", "a white van"),
             ("is it day, dusk or night?", "day")]  # fmt: skip
    rows = tokenizer.sequences([[prompt, SEPARATOR, text] for prompt, text in asked])
    prefix = (rows.ids == tokenizer.sep_id).int().argmax(1) + 1
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        prefix_lm_loss(net(rows.ids, images, prefix, rows.real), rows.ids, prefix, rows.real).backward()
        optimizer.step()
    net.eval()
    prompts = [prompt for prompt, _ in asked]
    told = write(net, tokenizer, prompts, 6, images=images.repeat_interleave(2, 0))
    assert told.texts == [text for _, text in asked]
    assert (told.probabilities > 0.5).all() and (told.probabilities <= 1).all()
    swapped = write(net, tokenizer, prompts, 6, images=images.flip(0).repeat_interleave(2, 0))
    assert swapped.texts == [*told.texts[2:], *told.texts[:2]]
