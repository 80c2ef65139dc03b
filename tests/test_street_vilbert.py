"""What ViLBERT is taught: regions and texts of the same scenes, no answer in a question, losses where they belong."""

from __future__ import annotations

import itertools

import pytest
import torch

from experiments.street_vilbert import MODELS, build, losses, only_captions, only_questions, tables, without_picture
from helpers.models.vilbert import Regions
from helpers.training.fit import Batch
from helpers.worlds.boxed import load_boxed
from helpers.worlds.street.questions import ANSWERS
from helpers.worlds.street.sample import scenes
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer
from tests import street_truth

N, BATCH = 16, 8
TOKENIZER = StreetTokenizer()


@pytest.fixture(scope="module")
def given() -> list[Batch]:
    (model,) = MODELS
    return list(itertools.islice(model.batches(N, BATCH, model.recipe)(0), 3))


def test_regions_captions_and_questions_are_of_the_same_scenes(given: list[Batch]) -> None:
    street, drawn = load_boxed("train", N, progress=False), scenes("train", N)
    boxes, *_ = tables(street, MODELS[0].recipe.seed)
    alike = 0
    for features, own, there, _, hidden, named, ids, shown, filled, aligned, asking, right, _ in given:
        rows = [(boxes == one).flatten(1).all(1).nonzero().item() for one in own]
        assert len(set(rows)) == BATCH and features.shape == hidden.shape == (BATCH, 11, 384)
        assert (named <= there).all() and torch.equal(hidden[~named], features[~named])
        assert torch.equal(shown[~filled], ids[~filled])
        for i, row in enumerate(rows):
            source = row if aligned[i] else rows[i - 1]  # beside half of the pictures stands another's caption
            assert street_truth.read(TOKENIZER.decode(ids[i])).true_of(drawn[source])
            alike += int(aligned[i])
            for k in range(3):
                question = asking[3 * i + k]
                assert TOKENIZER.sep_id not in question and TOKENIZER.eot_id not in question
                answers = street_truth.possible_answers(drawn[row], TOKENIZER.decode(question))
                assert answers == {ANSWERS[right[3 * i + k]]}
    assert 0 < alike < 3 * BATCH


def test_only_what_belongs_together_is_filled_in_and_all_losses_reach_both_streams(given: list[Batch]) -> None:
    model, parts = build(0), list(given[0])
    aligned = next(k for k, part in enumerate(parts) if part.dtype == torch.bool and part.shape == (BATCH,))
    found = losses(model, *parts)
    assert found.keys() == {"words", "regions", "alignment", "questions"}
    assert all(value.isfinite() and value > 0 for value in found.values())
    sum(found.values()).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    parts[aligned] = torch.zeros(BATCH, dtype=torch.bool)
    apart = losses(model, *parts)
    assert apart["words"] == 0 and apart["regions"] == 0 and apart["alignment"] > 0


def test_a_prompt_is_cut_off_a_caption_and_an_answer_off_a_question() -> None:
    rows = TOKENIZER.sequences([["where", SEPARATOR, "a red bus"], ["where", SEPARATOR, "an old white van"]]).ids
    assert [TOKENIZER.decode(row) for row in only_captions(rows, TOKENIZER.sep_id)] == ["a red bus", "an old white van"]
    rows = TOKENIZER.sequences(
        [["is it day?", SEPARATOR, "yes"], ["is the road dry, wet or snowy?", SEPARATOR, "wet"]]
    ).ids
    cut = only_questions(rows, TOKENIZER.sep_id)
    asked = TOKENIZER.sequences([["is it day?"], ["is the road dry, wet or snowy?"]], end=False).ids
    assert torch.equal(cut, asked)  # as a question is put when it is asked


def test_nothing_is_left_of_a_picture_that_is_not_shown() -> None:
    see = Regions(torch.ones(2, 3, 4), torch.ones(2, 3, 5), torch.ones(2, 3, dtype=torch.bool))
    hidden = without_picture(see, torch.tensor([True, False]))
    assert not hidden.features[0].any() and not hidden.boxes[0].any()
    assert hidden.real.tolist() == [[True, False, False], [True, True, True]]
    assert torch.equal(hidden.features[1], see.features[1])
