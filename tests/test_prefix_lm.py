"""Prefix against causal: the arms differ in one thing, the masks are what they are called, and the rule decides."""

from __future__ import annotations

import pytest
import torch

from experiments.prefix_lm import (
    CAUSAL,
    EXPERIMENT,
    EYES,
    PREFIX,
    RANDOM,
    TRAININGS,
    answers,
    build,
    guessed,
    judge,
    logits,
)
from helpers.models.language import generate
from helpers.models.simvlm import SimVLM
from helpers.worlds.street.lessons import prompt_lengths
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

TOKENIZER = StreetTokenizer()


def test_arms_are_all_pairs_of_a_training_and_an_eye() -> None:
    pairs = [(arm["training"], arm["eye"]) for arm in EXPERIMENT.arms.values()]
    assert sorted(pairs) == sorted((training, eye) for training in TRAININGS for eye in EYES)
    assert len({(arm["scenes"], arm["steps"], arm["test"]) for arm in EXPERIMENT.arms.values()}) == 1
    assert len(EXPERIMENT.seeds) >= 5


def network(eye: str = "patches") -> SimVLM:
    net = build({"eye": eye}, 0).eval()
    for p in net.decoder.parameters():  # the small start of a language model makes all tokens equally probable
        p.data.mul_(3)
    return net


def pictures(n: int) -> torch.Tensor:
    return torch.randint(256, (n, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def texts(*pairs: tuple[str, str]) -> torch.Tensor:
    return TOKENIZER.sequences([[question, SEPARATOR, answer] for question, answer in pairs]).ids


@torch.inference_mode()
@pytest.mark.parametrize("training", TRAININGS)
def test_the_question_hears_of_its_end_only_where_the_mask_lets_it(training: str) -> None:
    net, images = network(), pictures(1)
    ids, other = texts(("is there a bus?", "yes")), texts(("is there a car?", "yes"))
    real, prefix = ids != 0, prompt_lengths(ids, TOKENIZER.sep_id)
    assert ids.shape == other.shape
    moved = (
        logits(net, training, images, ids, prefix, real) - logits(net, training, images, other, prefix, real)
    ).abs()
    assert (moved[0, 0].max() > 1e-4) == (training != CAUSAL)  # <sot> stands before the word that was exchanged
    answer = ids.clone()
    answer[0, prefix] = (answer[0, prefix] + 1) % TOKENIZER.vocab_size
    moved = (
        logits(net, training, images, ids, prefix, real) - logits(net, training, images, answer, prefix, real)
    ).abs()
    assert moved[0, : int(prefix)].max() < 1e-4 < moved[0, int(prefix) :].max()


@torch.inference_mode()
def test_a_right_answer_is_one_that_greedy_writing_gives() -> None:
    net, images = network("convolution"), pictures(3)
    ids = texts(*[("is there a bus?", "yes")] * 3)
    prompts = ids[:, : int(prompt_lengths(ids, TOKENIZER.sep_id)[0])]  # without the answer
    written = generate(net, prompts, 3, end=TOKENIZER.eot_id, images=images).ids
    assert (written != 0).all() and len(written.unique(dim=0)) > 1
    right, loss = answers(net, PREFIX, images, torch.cat([prompts, written], 1))
    assert right.all() and torch.isfinite(loss)
    written[1, -1] = written[1, -1] % (TOKENIZER.vocab_size - 1) + 1
    assert answers(net, PREFIX, images, torch.cat([prompts, written], 1))[0].tolist() == [True, False, True]


def test_guessing_takes_the_most_frequent_answer_to_the_same_words() -> None:
    learned = texts(("a?", "yes"), ("a?", "yes"), ("a?", "no"), ("b?", "no"))[:, None]
    assert guessed(learned, texts(("a?", "yes"), ("a?", "no"), ("b?", "no"), ("c?", "no"))) == 0.5


def figures(prefix: float, convolution: float, random: float = 0.0, base: float = 0.6) -> dict:
    """Runs of five seeds whose gains are so many points, a little more or less with each."""
    found = {}
    for training, gain in ((CAUSAL, 0.0), (PREFIX, prefix), (RANDOM, prefix + random)):
        for eye, more in (("convolution", convolution), ("patches", 0.0)):
            spread = [
                0.1 * (s - 2) * (1 if eye == "patches" else -1) * (2 if training == PREFIX else 1) for s in range(5)
            ]
            found[f"{training}, {eye}"] = [
                {"test accuracy": base + (gain + more + s) / 100, "guessing": 0.4} for s in spread
            ]
    return found


@pytest.mark.parametrize(
    ("prefix", "convolution", "expected"),
    [(3, 4, "confirmed"), (-3, 4, "refuted"), (3, -4, "refuted"), (3, 0.05, "undecided")],
)
def test_each_claim_is_judged_by_its_rule(prefix: float, convolution: float, expected: str) -> None:
    told = judge(figures(prefix, convolution, 1.0))
    assert told["verdict"] == expected
    assert told["prefix over causal"]["mean"] == pytest.approx(prefix, abs=1e-6)
    assert told["convolution over patches"]["mean"] == pytest.approx(convolution, abs=1e-6)
    assert told["random prefix over prefix"]["mean"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("base", [0.42, 0.96])
def test_an_arm_that_guesses_or_has_nothing_left_to_win_says_nothing(base: float) -> None:
    assert judge(figures(3, 4, base=base))["verdict"] == "undecided"
