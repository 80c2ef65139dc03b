"""PaLM-E: observations stand at their places among the words, and nowhere else; each claim has its counter-check."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.models.language import Cache, LanguageModel, next_token_loss
from helpers.models.palm_e import (
    ENCODERS,
    GridEncoder,
    PalmE,
    StateEncoder,
    answer,
    answer_loss,
    answer_probability,
    build_palm_e,
    interleave,
    shared_loss,
)
from helpers.models.robot import patch_masks
from helpers.training.fit import Recipe, fit, parameter_groups, seeded
from helpers.worlds.table.drawing.render import render
from helpers.worlds.table.sample import scenes
from helpers.worlds.table.sentences import seen, sentences, table_tokenizer, turn
from helpers.worlds.table.state import state_vector
from helpers.worlds.tokenizer import Answer

V, D = 704, 32
LANGUAGE = {"vocabulary": V, "length": 200, "width": D, "layers": 2, "heads": 4}
SMALL = {"image": 32, "patch": 8, "size": 32, "layers": 1}  # 16 patches
TOKENIZER = table_tokenizer()


def small(encoder: str = "grid", seed: int = 0) -> PalmE:
    arguments = {} if encoder == "state" else SMALL
    model = seeded(lambda: build_palm_e(LANGUAGE, encoder, **arguments), seed).eval()
    for p in model.language.parameters():  # the small start of a language model makes all tokens equally probable
        p.data.mul_(3)
    return model


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def batch(rows: list, left: bool = False):
    found = sentences(TOKENIZER, rows, left=left)
    return found.ids, found.real, found.pictures, found.target


# Interleaving


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 9), st.integers(1, 5))
def test_embeddings_stand_at_their_places_and_words_stay(seed: int, b: int, t: int, d: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    words, places = torch.randn(b, t, d, generator=rng), torch.rand(b, t, generator=rng) < 0.4
    observed = torch.randn(int(places.sum()), d, generator=rng)
    found = interleave(words, places, observed)
    assert torch.equal(found[places], observed) and torch.equal(found[~places], words[~places])
    expected, k = words.clone(), 0  # the same as a loop
    for i in range(b):
        for j in range(t):
            if places[i, j]:
                expected[i, j], k = observed[k], k + 1
    assert torch.equal(found, expected)


def test_gradients_reach_words_and_observations_but_not_the_words_that_were_replaced() -> None:
    words, observed = torch.zeros(1, 3, 2, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    interleave(words, torch.tensor([[False, True, False]]), observed).sum().backward()
    assert words.grad.tolist() == [[[1, 1], [0, 0], [1, 1]]] and observed.grad.tolist() == [[1, 1]]


def test_too_few_or_too_many_embeddings_are_named() -> None:
    words, places = torch.zeros(1, 3, 2), torch.tensor([[False, True, False]])
    for n in (0, 2):
        with pytest.raises(ValueError, match=rf"expected \[1, 2\], an embedding for each of the 1 places.*\[{n}, 2\]"):
            interleave(words, places, torch.zeros(n, 2))
    with pytest.raises(ValueError, match=r"places: expected bool \[1, 3\]"):
        interleave(words, places[:, :2], torch.zeros(1, 2))


# The sentence


def test_a_sentence_shows_its_pictures_where_they_are_named() -> None:
    ids, real, places, target = batch([[*seen(2, 4), *turn("was it done?", "yes")], turn("hello", "no")])
    row = ids[0].tolist()
    assert places[0].sum() == 8 and not places[1].any() and real[1].sum() < real[0].sum()
    first, second = row.index(TOKENIZER.img_id), len(row) - row[::-1].index(TOKENIZER.img_id) - 4
    assert TOKENIZER.decode(row[:first]) == "given" and TOKENIZER.decode(row[first + 4 : second]) == "and then"
    assert [TOKENIZER.decode(ids[i][target[i]]) for i in (0, 1)] == ["yes", "no"]
    assert ids[0][target[0]][-1] == TOKENIZER.sep_id  # the end of the answer is to be predicted too
    assert (target & places).sum() == 0 and target[0].sum() == 2


def test_objects_are_introduced_by_their_numbers() -> None:
    ids, _, places, _ = batch([[*seen(1, 8, objects=True), *turn("where is object 3?", "centre")]])
    text = TOKENIZER.decode(ids[0])
    assert places.sum() == 8 and all(f"object {i} is" in text for i in range(1, 9))
    at = places[0].nonzero().flatten().tolist()
    assert TOKENIZER.decode(ids[0][at[2] - 3 : at[2]]) == "object 3 is"


def test_two_turns_about_one_picture_have_two_answers() -> None:
    ids, _, places, target = batch([[*seen(1, 4), *turn("one?", "yes"), *turn("two?", "no")]])
    assert TOKENIZER.decode(ids[0][target[0]]) == "yes no" and target.sum() == 4 and places.sum() == 4
    told = sentences(TOKENIZER, [[Answer("yes")]])
    assert told.target.sum() == 1  # no separator follows: none is to be predicted


# The model


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_text_alone_gives_exactly_the_plain_language_model(encoder: str) -> None:
    model = small(encoder)
    ids, real, places, _ = batch([turn("is there a red block?"), turn("hello")])
    with torch.inference_mode():
        plain = model.language(ids, real=real)
        assert torch.equal(model(ids, places, (), real), plain) and torch.equal(model(ids, real=real), plain)


def test_the_counter_check_a_picture_changes_what_comes_after_it_and_nothing_before() -> None:
    model = small()
    ids, real, places, _ = batch([["put the red block", *seen(1, 16), *turn("where is it?")]])
    with torch.inference_mode():
        one, other = (model(ids, places, (pictures(1, seed),), real) for seed in (0, 1))
        plain = model.language(ids, real=real)
    first = places[0].nonzero()[0, 0]
    assert torch.equal(one[:, :first], other[:, :first]) and torch.allclose(one[:, :first], plain[:, :first], atol=1e-5)
    assert (one[:, first:] - other[:, first:]).abs().amax(2).min() > 1e-6


def test_two_pictures_in_another_order_say_something_else() -> None:
    model, images = small(), pictures(2)
    ids, real, places, _ = batch([[*seen(2, 16), *turn("was it done?")]])
    with torch.inference_mode():
        one, other = (model(ids, places, (shown,), real)[:, -1] for shown in (images, images.flip(0)))
        both = model(ids, places, (images[:1].expand(2, -1, -1, -1),), real)[:, -1]
    assert (one - other).abs().max() > 1e-4 and (one - both).abs().max() > 1e-4


def test_each_sentence_sees_its_own_pictures() -> None:
    model, images = small(), pictures(3)
    rows = [[*seen(2, 16), *turn("was it done?", "yes")], turn("hello", "no"), [*seen(1, 16), *turn("why?", "no")]]
    ids, real, places, _ = batch(rows)
    with torch.inference_mode():
        together = model(ids, places, (images,), real)
        for i, own in enumerate((images[:2], (), images[2:])):
            alone = batch(rows[i : i + 1])
            n = alone[0].shape[1]
            logits = model(alone[0], alone[2], (own,) if len(own) else (), alone[1])
            assert torch.allclose(together[i, :n], logits[0], atol=1e-4)


def test_the_loss_is_of_the_answers_alone() -> None:
    model, shown = small(), (pictures(1),)
    ids, real, places, target = batch([[*seen(1, 16), *turn("where is the red block?", "at the centre")]])
    with torch.inference_mode():
        logits = model(ids, places, shown, real)
        own = [-logits[0, t - 1].log_softmax(0)[ids[0, t]] for t in target[0].nonzero().flatten()]
        value = answer_loss(model, ids, real, places, target, *shown)
        assert torch.isclose(value, torch.stack(own).mean(), atol=1e-5) and len(own) == 4
        assert not torch.isclose(value, next_token_loss(logits, ids), atol=1e-2)  # all tokens: another loss
        changed = ids.masked_fill(places, 5)  # the ids at the places do not matter, even if they were targets
        assert torch.equal(answer_loss(model, changed, real, places, target, *shown), value)
        assert torch.equal(answer_loss(model, ids, real, places, target | places, *shown), value)
        probability = answer_probability(model, ids, real, places, target, *shown)
        assert torch.isclose(probability[0], (-torch.stack(own).sum()).exp(), rtol=1e-3)


def test_sentences_about_the_same_pictures_may_share_what_was_read_of_them() -> None:
    model, shown = small(), pictures(5)
    pairs = torch.tensor([[0, 1], [2, 0], [3, 4]])  # what each beginning shows
    of = torch.tensor([2, 0, 1, 0])
    texts = [("why?", "no"), ("where is the red block?", "at the centre"), ("is it?", "yes"), ("where?", "back left")]
    ids, real, places, target = batch([[*seen(2, 16), *turn(*text)] for text in texts])

    def alone(k: int, at: torch.Tensor) -> torch.Tensor:
        row = (tensor[k : k + 1] for tensor in (ids, real, places, target))
        return answer_loss(model, *row, shown[pairs[at[k]]])

    observed = model.encoder(shown)[pairs].flatten(1, 2)  # [3, 2·16, D]
    together = shared_loss(model, ids, real, places, target, of, observed)
    expected = torch.stack([alone(k, of) for k in range(4)])
    assert torch.allclose(together, expected, atol=1e-5)
    wrong = torch.stack([alone(k, torch.tensor([0, 1, 2, 0])) for k in range(4)])  # the counter-check: other pictures
    assert not torch.allclose(together[:3], wrong[:3], atol=1e-3) and torch.isclose(together[3], wrong[3], atol=1e-5)
    apart, joint = (torch.autograd.grad(x.sum(), model.encoder.project.weight)[0] for x in (expected, together))
    assert torch.allclose(apart, joint, atol=1e-4) and joint.abs().max() > 1e-3  # gradients reach the pictures, too


def test_a_loss_that_counts_the_places_is_another_one() -> None:
    """The broken version: without the mask, the model would be asked to predict the marks of pictures."""
    model, shown = small(), (pictures(1),)
    ids, real, places, target = batch([[*seen(1, 16), *turn("why?", "no")]])
    with torch.inference_mode():
        broken = next_token_loss(model(ids, places, shown, real), ids, target | places)
        assert not torch.isclose(broken, answer_loss(model, ids, real, places, target | places, *shown), atol=1e-2)


def test_frozen_words_stay_and_the_encoder_learns() -> None:
    frozen, tuned = small().freeze_language(), small()
    rows = [[*seen(1, 16), *turn("what?", "yes")], [*seen(1, 16), *turn("what?", "no")]]
    parts = (*batch(rows), pictures(2))
    for model, still in ((frozen, True), (tuned, False)):
        before = {name: p.clone() for name, p in model.state_dict().items()}
        fit(model, lambda first: iter([parts] * 4), answer_loss, Recipe(4, 3e-3), progress=False)
        same = {name: torch.equal(before[name], p) for name, p in model.state_dict().items()}
        words = [equal for name, equal in same.items() if name.startswith("language.")]
        assert all(words) == still and any(words) <= still
        assert not same["encoder.project.weight"]
    assert sum(len(group["params"]) for group in parameter_groups(frozen, 0.1)) < len(list(frozen.parameters()))


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_each_encoder_learns_to_tell_two_tables_apart(encoder: str) -> None:
    model = small(encoder)
    tables = scenes("train", 4)
    rows = [[*seen(1, model.encoder.places, encoder != "grid"), *turn("which?", str(i))] for i in range(4)]
    images = torch.from_numpy(np.stack([render(scene, 32, i) for i, scene in enumerate(tables)])).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.stack([patch_masks(scene, 32, i, 8) for i, scene in enumerate(tables)]))
    states = torch.from_numpy(np.stack([state_vector(scene) for scene in tables]))
    shown = {"grid": (images,), "objects": (images, masks), "state": (states,)}[encoder]
    parts = (*batch(rows), *shown)
    run = fit(model, lambda first: iter([parts] * 120), answer_loss, Recipe(120, 3e-3), progress=False)
    assert run.losses[-1] < 0.25 < run.losses[0]
    shuffled = [part[[1, 2, 3, 0]] for part in shown]
    assert answer_loss(model, *parts[:4], *shuffled).item() > 4 * run.losses[-1]  # it looks


def test_masks_gather_the_patches_of_their_thing() -> None:
    scene = scenes("train", 1)[0]
    shares = patch_masks(scene, 32, 0, 8)
    assert shares.shape == (8, 16) and shares.max() <= 1 and not shares[len(scene.things) :].any()
    model, image = small("objects"), pictures(1)
    masks = torch.zeros(1, 8, 16)
    masks[0, 0, 3] = 1.0
    masks[0, 1, 3], masks[0, 2, 5] = 0.25, 1.0
    with torch.inference_mode():
        found = model.encoder(image, masks)[0]
    assert torch.allclose(found[0], found[1], atol=1e-5)  # how much of a patch does not matter if it is the only one
    assert not torch.allclose(found[0], found[2], atol=1e-3) and torch.equal(found[3], found[7])


def test_wrong_encoders_and_pictures_are_named() -> None:
    with pytest.raises(ValueError, match="encoder: 'eyes' is not one of state, grid, objects"):
        build_palm_e(LANGUAGE, "eyes")
    with pytest.raises(ValueError, match="expected pictures uint8"):
        GridEncoder(D, **SMALL)(pictures(1).float())
    assert StateEncoder(D)(torch.zeros(2, 8, 14)).shape == (2, 8, D)


# Answering


def test_answers_are_those_of_a_loop_without_cache() -> None:
    model, images = small(), pictures(3)
    rows = [[*seen(2, 16), *turn("was it done?")], [*seen(1, 16), *turn("where is the red block now?")]]
    ids, real, places, _ = batch(rows, left=True)
    end = TOKENIZER.sep_id
    written = answer(model, ids, real, places, (images,), 6, end=end)
    for i, own in enumerate((images[:2], images[2:])):
        ids, _, places, _ = batch(rows[i : i + 1])
        for token in written.ids[i].tolist():
            with torch.inference_mode():
                logits = model(ids, places, (own,))[0, -1]
            assert logits.argmax().item() == token
            ids = torch.cat([ids, torch.tensor([[token]])], 1)
            places = torch.cat([places, torch.zeros(1, 1, dtype=torch.bool)], 1)
            if token == end:
                break


def test_a_token_of_an_answer_costs_no_look_at_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    model, looked, read = small(), [], []
    forward, language = GridEncoder.forward, LanguageModel.forward
    monkeypatch.setattr(GridEncoder, "forward", lambda self, x: looked.append(len(x)) or forward(self, x))

    def counted(self: LanguageModel, tokens: torch.Tensor, *rest, **named) -> torch.Tensor:
        read.append(tokens.shape[1])
        return language(self, tokens, *rest, **named)

    monkeypatch.setattr(LanguageModel, "forward", counted)
    ids, real, places, _ = batch([[*seen(1, 16), *turn("why?")]], left=True)
    answer(model, ids, real, places, (pictures(1),), 5, end=-1)
    assert looked == [1] and read == [ids.shape[1], 1, 1, 1, 1]


def test_beams_carry_their_pictures() -> None:
    model, images = small(), pictures(2)
    ids, real, places, _ = batch([[*seen(1, 16), *turn("why?")]] * 2, left=True)
    greedy, beams = (answer(model, ids, real, places, (images,), 4, end=-1, beams=n) for n in (1, 3))
    assert (beams.probability >= greedy.probability * (1 - 1e-4)).all()
    assert Cache().blocks == []
