"""ViLBERT: co-attention is the library's, masks hide what they should, and both tasks count only what they name."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.models.resnet import StreetResNet
from helpers.models.vilbert import (
    CoAttention,
    Detector,
    Regions,
    ViLBERT,
    co_attention,
    mask_regions,
    mask_words,
    region_loss,
    word_loss,
)
from helpers.training.fit import seeded

V, FEATURES, KINDS, MASK = 40, 6, 5, 2


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item()


def model(answers: int = 3) -> ViLBERT:
    net = seeded(lambda: ViLBERT(V, FEATURES, KINDS, answers, 12, 12, 16, 4, 1, 2), 0)
    return net.double().eval()


def regions(n: int, count: int = 5, seed: int = 0) -> Regions:
    boxes = normal(n, count, 5, seed=seed + 1).sigmoid()
    return Regions(normal(n, count, FEATURES, seed=seed), boxes, torch.ones(n, count, dtype=torch.bool))


def texts(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(5, V, shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99), st.booleans())
def test_co_attention_is_two_of_the_librarys(batch, count, words, heads, seed, masked) -> None:
    visual, language = 4 * heads, 6 * heads
    ours = CoAttention(visual, language, heads).double()
    pairs = []
    for own, width, context in ((ours.for_visual, visual, language), (ours.for_language, language, visual)):
        library = nn.MultiheadAttention(width, heads, kdim=context, vdim=context, batch_first=True, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        for p in library.parameters():
            nn.init.normal_(p, std=0.5, generator=generator)
        own.load_state_dict(library.state_dict(), strict=True)
        pairs.append(library)
    v, w = normal(batch, count, visual, seed=seed), normal(batch, words, language, seed=seed + 1)
    seen, read = torch.ones(batch, count, dtype=torch.bool), torch.ones(batch, words, dtype=torch.bool)
    if masked:
        seen[:, 1:], read[0, 1:] = False, False
    to_visual, to_language = ours(v, w, seen[:, None, None], read[:, None, None])
    true_visual, visual_weights = pairs[0](v, w, w, key_padding_mask=~read, average_attn_weights=False)
    true_language, language_weights = pairs[1](w, v, v, key_padding_mask=~seen, average_attn_weights=False)
    assert far(to_visual, true_visual) < 1e-10 and far(to_language, true_language) < 1e-10
    weights = ours.weights(v, w, seen[:, None, None], read[:, None, None])
    assert far(weights[0], visual_weights) < 1e-10 and far(weights[1], language_weights) < 1e-10


def test_each_stream_asks_the_other_and_a_stream_that_asks_itself_is_told_apart() -> None:
    visual = tuple(normal(2, 5, 12, seed=k) for k in range(3))
    language = tuple(normal(2, 4, 12, seed=3 + k) for k in range(3))
    to_visual, to_language = co_attention(visual, language, 3)

    def by_hand(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        heads = [
            (q @ k.transpose(1, 2) / 2).softmax(2) @ v
            for q, k, v in zip(*(t.split(4, 2) for t in (query, key, value)), strict=True)
        ]
        return torch.cat(heads, 2)

    assert to_visual.shape == (2, 5, 12) and to_language.shape == (2, 4, 12)
    assert far(to_visual, by_hand(visual[0], *language[1:])) < 1e-12
    assert far(to_language, by_hand(language[0], *visual[1:])) < 1e-12
    assert far(to_visual, by_hand(*visual)) > 0.1  # self-attention in two streams
    alone = co_attention(visual, tuple(2 * t for t in language), 3)
    assert far(alone[0], to_visual) > 1e-3 and far(co_attention(visual, language, 1)[0], to_visual) > 1e-3


@torch.inference_mode()
def test_what_is_masked_is_not_seen_and_each_stream_hears_of_the_other() -> None:
    net, see, ids = model(), regions(2), texts(2, 6)
    see.real[:, 4], ids[:, 5] = False, 0
    plain = net(see, ids)
    hidden = see._replace(features=see.features.clone(), boxes=see.boxes.clone())
    hidden.features[:, 4], hidden.boxes[:, 4] = 9.0, 0.5
    other = net(hidden, ids)
    assert far(other.language[:, :5], plain.language[:, :5]) < 1e-12
    assert far(other.visual[:, :4], plain.visual[:, :4]) < 1e-12
    padded = net(see, torch.cat([ids, torch.zeros(2, 3, dtype=torch.long)], 1))
    assert far(padded.visual[:, :4], plain.visual[:, :4]) < 1e-12
    hidden.features[:, 2] += 1.0
    assert far(net(hidden, ids).language[:, :5], plain.language[:, :5]) > 1e-4
    changed = ids.clone()
    changed[:, 1] = changed[:, 1] % (V - 6) + 6
    assert far(net(see, changed).visual[:, :4], plain.visual[:, :4]) > 1e-4
    boxes = see._replace(boxes=see.boxes.flip(1))  # a box is projected and added to its region
    assert far(net(boxes, ids).visual, plain.visual) > 1e-4
    order = [0, 3, 1, 2, 4]  # regions have no other place than their boxes
    turned = net(Regions(*(part[:, order] for part in see)), ids)
    assert far(turned.visual[:, :4], plain.visual[:, order][:, :4]) < 1e-10


@torch.inference_mode()
def test_alignment_is_read_off_the_product_of_both_wholes() -> None:
    net, see, ids = model(), regions(3), texts(3, 6)
    streams = net(see, ids)
    image = net.pool_visual(streams.visual[:, 0]).relu()
    text = net.pool_language(streams.language[:, 0]).relu()
    by_hand = (image * text) @ net.alignment_head.weight[0] + net.alignment_head.bias
    assert far(net.alignment(streams), by_hand) < 1e-12
    added = (image + text) @ net.alignment_head.weight[0] + net.alignment_head.bias
    assert far(net.alignment(streams), added) > 1e-3
    assert net.words(streams).shape == (3, 6, V) and net.classes(streams).shape == (3, 5, KINDS)
    assert net.answer(streams).shape == (3, 3)
    looks = net.looks(see, ids)
    assert len(looks) == 2 and all(far(one.sum(3), torch.ones(3, 4, 6)) < 1e-12 for one in looks)


def test_of_the_chosen_words_eight_in_ten_are_masked_one_is_random_and_one_stays() -> None:
    generator = torch.Generator().manual_seed(0)
    ids, maskable = texts(300, 40), torch.ones(300, 40, dtype=torch.bool)
    maskable[:, :4] = False
    shown, chosen = mask_words(ids, maskable, MASK, V, generator)
    assert not chosen[:, :4].any() and torch.equal(shown[~chosen], ids[~chosen])
    n = chosen.sum().item()
    assert n / maskable.sum().item() == pytest.approx(0.15, abs=0.01)
    masked, same = (shown[chosen] == MASK).float().mean().item(), (shown[chosen] == ids[chosen]).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.04) and same == pytest.approx(0.1, abs=0.03)
    assert 1 - masked - same == pytest.approx(0.1, abs=0.03)


def test_of_the_chosen_regions_nine_in_ten_are_emptied_and_never_the_whole_picture() -> None:
    see = regions(400, 9)
    see.real[:, 7:] = False
    masked, chosen = mask_regions(see, torch.Generator().manual_seed(0))
    assert not chosen[:, 0].any() and not chosen[:, 7:].any()
    assert chosen[:, 1:7].float().mean().item() == pytest.approx(0.15, abs=0.02)
    empty = (masked.features == 0).all(2)
    assert torch.equal(masked.features[~empty], see.features[~empty]) and not (empty & ~chosen).any()
    assert empty[chosen].float().mean().item() == pytest.approx(0.9, abs=0.04)
    assert torch.equal(masked.boxes, see.boxes)


def test_the_losses_are_the_librarys_over_what_was_chosen() -> None:
    logits, ids = normal(2, 4, V), texts(2, 4)
    chosen = torch.tensor([[True, False, False, True], [False] * 4])
    by_hand = -(logits[0, 0].log_softmax(0)[ids[0, 0]] + logits[0, 3].log_softmax(0)[ids[0, 3]]) / 2
    assert far(word_loss(logits, ids, chosen), by_hand) < 1e-12
    logits, truth = normal(2, 4, KINDS), normal(2, 4, KINDS, seed=1).softmax(2)
    p = logits[0].softmax(1)
    by_hand = sum((truth[0, k] * (truth[0, k] / p[k]).log()).sum() for k in (0, 3)) / 2
    assert far(region_loss(logits, truth, chosen), by_hand) < 1e-12
    turned = sum((p[k] * (p[k] / truth[0, k]).log()).sum() for k in (0, 3)) / 2
    assert abs(by_hand - turned) > 1e-3  # the divergence has a direction
    assert region_loss(truth.log(), truth, chosen).abs() < 1e-12
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    assert word_loss(normal(2, 4, V), ids, nothing) == 0 and region_loss(logits, truth, nothing) == 0


@torch.inference_mode()
def test_the_detector_sees_what_is_in_its_box() -> None:
    network = seeded(lambda: StreetResNet({"sky": 4}, (4, 6, 8, 10)), 0).eval()
    detect = Detector(network)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8, generator=generator)
    boxes = torch.tensor([[[0, 0, 1, 1, 1], [0.0, 0.0, 0.25, 0.25, 0.0625], [0.75, 0.75, 1, 1, 0.0625]]] * 2)
    found = detect(images, boxes)
    assert found.shape == (2, 3, detect.width) == (2, 3, 4 * (6 + 8))
    changed = images.clone()
    changed[:, :, 80:, 80:] = 255 - changed[:, :, 80:, 80:]
    other = detect(changed, boxes)
    assert far(other[:, 1], found[:, 1]) < 1e-6 < 1e-2 < far(other[:, 2], found[:, 2])
    assert far(other[:, 0], found[:, 0]) > 1e-4
    # The whole picture's samples are means over quarters: the first of them does not hear of the last.
    assert far(detect(images.flip(0), boxes)[1], found[0]) < 1e-5
    assert not any(p.requires_grad for p in detect.parameters())


def test_it_learns_which_text_belongs_to_which_picture() -> None:
    net = model().train()
    see, ids = regions(2, 3), texts(2, 4)
    turn = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 1, 0])
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        logits = net.alignment(net(see.rows(turn[0]), ids[turn[1]]))
        F.binary_cross_entropy_with_logits(logits, truth).backward()
        optimizer.step()
    assert torch.equal(logits > 0, truth > 0.5)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="13 tokens are more than the 12"):
        model()(regions(1), texts(1, 13))
    with pytest.raises(ValueError, match="2 pictures for 3 texts"):
        model()(regions(2), texts(3, 4))
    with pytest.raises(ValueError, match="width 10 cannot be shared among 4 heads"):
        CoAttention(10, 12, 4)
