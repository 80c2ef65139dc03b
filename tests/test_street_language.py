"""The measures of the models with words: one that knows gets all, one that does not gets what guessing gives."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import shipped as shipped_models
from experiments import street_visualgpt
from experiments.__main__ import main
from experiments.registry import all_models
from experiments.shipped import train
from experiments.street_language import EASY, System, auc_figure, bleu_figure, f1_figure, measure_language
from helpers.files import DATA
from helpers.weights import pretrained
from helpers.weights.store import WeightsError, load_state, shipped
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.captions import FOCI, caption
from helpers.worlds.street.lessons import load_lessons
from helpers.worlds.street.reading import Score
from helpers.worlds.street.sample import scenes
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import StreetTokenizer
from tests import street_truth

N, SEED = 12, 11


class Knowing:
    """Answers and describes by the scene itself."""

    def see(self, street: Drawn) -> torch.Tensor:
        self.scenes = street.scenes
        return torch.arange(len(street))

    def answer(self, rows: torch.Tensor | None, questions: list[str]) -> list[str]:
        if rows is None:
            return ["yes"] * len(questions)
        told = [street_truth.possible_answers(self.scenes[i], q) for i, q in zip(rows, questions, strict=True)]
        return [min(answers) if answers else "" for answers in told]

    def describe(self, rows: torch.Tensor | None, foci: list[str]) -> list[str]:
        return [caption(self.scenes[i], np.random.default_rng(0), focus) for i, focus in zip(rows, foci, strict=True)]


@pytest.fixture(scope="module")
def figures() -> dict:
    who = Knowing()
    return measure_language(System(who.see, who.answer, who.describe), N, SEED)


def test_one_that_knows_the_scene_is_right_in_everything(figures: dict) -> None:
    for key in ("vqa", "vqa_unseen"):
        assert figures[key]["accuracy"] == 1 and figures[key]["n"] > 8 * N
    for key in ("caption_f1", "caption_f1_unseen"):
        assert figures[key] == {"value": 1.0, "interval": [1.0, 1.0], "n": N}
    assert all(kind["accuracy"] == 1 and kind["n"] > 0 for kind in figures["vqa_by_type"].values())
    assert sum(kind["n"] for kind in figures["vqa_by_type"].values()) == figures["vqa"]["n"]
    json.dumps(figures)


def test_without_the_picture_or_with_another_it_is_mostly_wrong(figures: dict) -> None:
    assert figures["vqa_blind"]["accuracy"] < 0.5 and 0.2 < figures["vqa_blind"]["majority"] < 0.6
    assert figures["vqa_shuffled"]["accuracy"] < 0.8 and figures["vqa_shuffled"]["n"] == figures["vqa"]["n"]
    assert figures["caption_f1_shuffled"]["value"] < 0.8


def test_an_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    generator = torch.Generator().manual_seed(0)
    true, false = torch.randint(0, 5, (30,), generator=generator), torch.randint(0, 4, (20,), generator=generator)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(true.tolist(), false.tolist())]
    found = auc_figure(true, false, 0)
    assert found["value"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-4)
    low, high = found["interval"]
    assert low < found["value"] < high and high - low < 0.4
    assert auc_figure(true + 9, false, 0)["value"] == 1 and auc_figure(false, true + 9, 0)["value"] == 0


def test_an_interval_of_f1_is_over_the_captions() -> None:
    good, bad = Score(4, 4, 2, 2), Score(1, 4, 1, 2)
    found = f1_figure([good] * 30 + [bad] * 10, 0)
    low, high = found["interval"]
    p, r = 130 / 160, 70 / 80
    assert found["value"] == pytest.approx(2 * p * r / (p + r), abs=1e-4) and low < found["value"] < high
    wider = f1_figure([good] * 3 + [bad], 0)["interval"]
    assert wider[1] - wider[0] > high - low


def test_bleu_is_the_geometric_mean_of_shared_runs_of_words_and_knows_no_truth(figures: dict) -> None:
    text, reference = "a red truck is parked on a wet street", "a red truck is parked under a tree here"
    shared = [6 / 9, 4 / 8, 3 / 7, 2 / 6]  # runs of one to four words; both texts are of nine words
    assert bleu_figure([text], [reference])["value"] == pytest.approx(100 * math.prod(shared) ** 0.25, abs=0.01)
    told = [caption(scene, np.random.default_rng([0, i]), FOCI[-1]) for i, scene in enumerate(scenes("test", 40))]
    same, other = bleu_figure(told, told), bleu_figure(told[1:] + told[:1], told)
    assert same["value"] == 100 and other["value"] < 40 and other["interval"][0] < other["value"] < other["interval"][1]
    false = [text.replace("red", "blue").replace("green", "white") for text in told]
    assert false != told and bleu_figure(false, told)["value"] > 80, "a false colour costs little"
    assert 5 < figures["caption_bleu"]["value"] < 100


SYSTEMS = ("street-simvlm", "street-visualgpt", "street-vilbert")


@pytest.mark.parametrize("name", ["street-simvlm", "palm-e"])
def test_evaluate_says_of_an_untrained_model_how_it_is_trained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "UNTRAINED", (name,))
    with pytest.raises(SystemExit, match=f"'{name}' has not been trained yet.*experiments train {name}"):
        main(["evaluate", name, "--test-seed", "1", "--scenes", "2"])


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_model_is_trained_stored_loaded_and_evaluated(
    name: str, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(shipped_models, "BUILD", tmp_path)
    small = replace(all_models()[name], trial=16, batch=8)
    train(small, quick=True)
    folder = tmp_path / "quick" / name
    facts = json.loads((folder / "weights" / f"{name}.json").read_text())
    assert facts["configuration"] == json.loads(json.dumps(small.facts["configuration"])) and facts["steps"] == 4
    capsys.readouterr()

    def file_of(file: str) -> Path:
        return folder / file if (folder / file).exists() else shipped(file)

    # As if the files lay in data/ and the name had left the list.
    monkeypatch.setattr(pretrained, "UNTRAINED", ())
    monkeypatch.setattr(pretrained, "shipped", file_of)
    monkeypatch.setattr(pretrained, "load_result", lambda name: json.loads(file_of(f"weights/{name}.json").read_text()))
    model, stored = pretrained.load(name).model, load_state(folder / "weights" / f"{name}.safetensors")
    assert not model.training and all(torch.equal(value, stored[key]) for key, value in model.state_dict().items())
    main(["evaluate", name, "--test-seed", "5", "--scenes", "2"])
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["test_seed"], found["scenes"]) == (name, 5, 2)
    assert {"vqa", "vqa_unseen", "vqa_by_type", "vqa_blind", "vqa_shuffled"} <= found["figures"].keys()
    for key, figure in found["figures"].items():
        for one in figure.values() if key == "vqa_by_type" else [figure]:
            assert {"interval", "n"} <= one.keys() and ("accuracy" in one or "value" in one)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in pretrained.UNTRAINED])
def test_a_shipped_model_says_of_fresh_streets_what_its_page_tells(name: str) -> None:
    page = json.loads((DATA / "weights" / f"{name}.json").read_text())["figures"]
    found = all_models()[name].measure(pretrained.load(name).model, 60, 77)
    for key in ("vqa", "vqa_unseen", "vqa_blind", "vqa_shuffled"):
        p, n = page[key]["accuracy"], found[key]["n"]
        # Questions about the same street hang together, so the spread is wider than of as many streets.
        assert abs(found[key]["accuracy"] - p) < 8 * math.sqrt(max(p * (1 - p), 0.02) / n), key
    assert page["vqa"]["accuracy"] > page["vqa_blind"]["accuracy"] + 0.2
    for key in ("caption_f1", "alignment_auc"):
        if key in page:
            assert abs(found[key]["value"] - page[key]["value"]) < 0.08


def test_what_simvlm_is_taught_belongs_to_its_pictures_and_no_picture_is_mirrored() -> None:
    model = all_models()["street-simvlm"]
    source = model.batches(16, 8, model.recipe)
    tokenizer, street, told = (
        StreetTokenizer(),
        load_street("train", 16, captions=0, progress=False),
        scenes("train", 16),
    )
    for images, captions, prefix, questions, asked, alone, _ in itertools.islice(source(0), 4):
        rows = [(street.images == image).flatten(1).all(1).nonzero().item() for image in images]
        assert len(set(rows)) == 8
        lengths = (captions != 0).sum(1)
        start = (captions == tokenizer.sep_id).int().argmax(1) + 1
        assert (prefix >= start).all() and (prefix < lengths).all()
        for i, ids, n in zip(rows, captions, start, strict=True):
            assert tokenizer.decode(ids[:n]) in FOCI
            assert street_truth.read(tokenizer.decode(ids[n:])).true_of(told[i])
        for i, (ids, n) in enumerate(zip(questions, asked, strict=True)):
            answers = street_truth.possible_answers(told[rows[i // 3]], tokenizer.decode(ids[:n]))
            assert answers == {tokenizer.decode(ids[n:])}
        assert len(questions) == 24 and len(alone) == 1
    again = next(iter(source(3)))
    assert all(torch.equal(a, b) for a, b in zip(again, (images, captions, prefix, questions, asked), strict=False))


def test_the_first_steps_show_streets_with_one_vehicle() -> None:
    model = all_models()["street-visualgpt"]
    source = model.batches(40, 8, replace(model.recipe, steps=10))
    street, told = load_street("train", 40, captions=0, progress=False), scenes("train", 40)
    for step, (images, *_) in enumerate(itertools.islice(source(0), 5)):
        rows = [(street.images == image).flatten(1).all(1).nonzero()[0].item() for image in images]
        alone = [len(told[i].vehicles) == 1 for i in rows]
        assert all(alone) == (step < int(10 * EASY))


def test_the_text_decoder_is_measured_by_its_perplexity_and_visualgpt_starts_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = all_models()["street-text"]
    source = shipped.batches(16, 8, shipped.recipe)
    captions, _ = next(iter(source(0)))
    streets = load_lessons("train", 16, street_visualgpt.OTHER_STREETS)
    known = {tuple(row[row != 0].tolist()) for row in streets.captions.flatten(0, 1)}
    assert all(tuple(row[row != 0].tolist()) in known for row in captions)
    with_pictures = {tuple(row[row != 0].tolist()) for row in load_lessons("train", 16).captions[:, -1]}
    assert not with_pictures & known
    model = shipped.build(0)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    found = shipped.measure(model, 2, 0)  # all tokens equally probable
    assert found["captions_perplexity"]["value"] == pytest.approx(StreetTokenizer().vocab_size, rel=1e-3)
    monkeypatch.setattr(pretrained, "UNTRAINED", ("street-text",))
    with pytest.raises(WeightsError, match="street-text' has not been trained yet"):
        street_visualgpt.build(0)
