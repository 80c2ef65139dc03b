"""Does a robot that also learns to answer questions plan better from few demonstrations? (Driess et al. 2023, Table 1)

Four claims of the paper, each with arms that differ in one thing. *Mixture:* half of each batch are demonstrations,
half questions, affordances, successes and captions of other tables; the arm alone has demonstrations only, at equal
steps, and so sees each twice as often. *Encoder:* the state of each thing against the patches of a picture, alone.
*Language:* a language model that has read texts of streets before against a fresh one, in the mixture. *Tuning:* the
language model goes on learning, or is fixed and only the encoder learns, in the mixture.

The figure is the share of unseen tables at which the model says the oracle's next step, letter by letter. Two controls
are told with it: the same model shown another table, which tells what the instruction alone is worth, and, for states,
the slots in another order, which should change nothing, as no instruction names a slot by its number.

*Ours, smaller:* the paper's arms are of 12 billion parameters and are judged by plans carried out. Of its encoders two
are here: the exact state stands for the object-centric slots, whose masks would cost as much as the pictures, and the
patches for ViT-4B. Of N in {10, 20, 40, 80, 320} three are here.

*The pilot, before the run:* the five kinds of arm at N = 320 with seed 1000, about five minutes on two cores. Each must
say more right steps than when it is shown another table, and none more than 97 % (then N or the steps are changed, and
the reason noted here). `judge` asks the same again: a claim of which an arm fails it is undecided.
"""

from __future__ import annotations

import numpy as np

from experiments.palm_e_small import (
    DRAWN,
    FEW,
    demonstrations,
    drawn_for,
    learn_language,
    learn_lessons,
    of_another,
    other_lessons,
    prepare,
    reordered,
    right,
    small,
    step_loss,
)
from experiments.runner import Experiment, Figures, Settings, together
from helpers.training.statistics import interval

ALL = DRAWN["demonstrations"]
NUMBERS = (20, 80, ALL)
CEILING = 0.97
PLAIN = {"encoder": "grid", "mixture": True, "words": 150, "tuned": True, "n": ALL}
FULL = DRAWN | {"steps": 600}


def _arms() -> dict[str, Settings]:
    arms = {"grid, mixture, fresh": PLAIN | {"words": 0}, "grid, mixture, fixed": PLAIN | {"tuned": False}}
    for n in NUMBERS:
        arms[f"state, alone, {n}"] = PLAIN | {"encoder": "state", "mixture": False, "n": n}
        arms[f"grid, alone, {n}"] = PLAIN | {"mixture": False, "n": n}
        arms[f"grid, mixture, {n}"] = PLAIN | {"n": n}
    return {name: settings | FULL for name, settings in arms.items()}


# For each claim pairs of arms, of which the first is to say more right steps than the second.
CLAIMS = {
    "mixture": [(f"grid, mixture, {n}", f"grid, alone, {n}") for n in NUMBERS],
    "encoder": [(f"state, alone, {n}", f"grid, alone, {n}") for n in NUMBERS],
    "language": [(f"grid, mixture, {ALL}", "grid, mixture, fresh")],
    "tuning": [(f"grid, mixture, {ALL}", "grid, mixture, fixed")],
}


def run(settings: Settings, seed: int) -> Figures:
    """Train one small PaLM-E, and count the right next steps at unseen tables."""
    encoder, model = settings["encoder"], small(settings["encoder"], seed)
    learn_language(model, settings["words"], seed, 1e-3)
    if not settings["tuned"]:
        model.freeze_language()
    kinds = [demonstrations(settings), *([other_lessons(settings)] if settings["mixture"] else [])]
    learn_lessons(model, encoder, drawn_for(settings, "train"), kinds, settings["steps"], seed, settings["rate"])
    test = drawn_for(settings, "test")
    figures = {
        "validation loss": step_loss(model, encoder, drawn_for(settings, "validation")),
        "right": right(model, encoder, test),
        "right, shown another": right(model, encoder, test, of_another),
    }
    if encoder == "state":
        figures["right, reordered"] = right(model, encoder, test, reordered)
    return figures


def _looks(runs: list[Figures]) -> bool:
    """Whether an arm has learned to look, with room left above it: only then does a difference say anything."""
    gained = interval([one["right"] - one["right, shown another"] for one in runs])["interval"][0]
    return gained > 0 and float(np.mean([one["right"] for one in runs])) < CEILING


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """A verdict for each claim by the rule, the leads that it rests on in points, and one verdict for all."""
    found: Figures = {}
    for claim, pairs in CLAIMS.items():
        leads = np.array(
            [
                [100 * (a["right"] - b["right"]) for a, b in zip(figures[better], figures[worse], strict=True)]
                for better, worse in pairs
            ]
        )  # [pairs, seeds]
        lead = interval([float(x) for x in leads.mean(0)])
        low, high = lead["interval"]
        if not all(_looks(figures[arm]) for pair in pairs for arm in pair):
            verdict = "undecided"
        else:
            verdict = "confirmed" if low > 0 else "refuted" if high <= 0 else "undecided"
        at = {better: interval([float(x) for x in of_pair]) for (better, _), of_pair in zip(pairs, leads, strict=True)}
        found[claim] = {"verdict": verdict, "lead": lead, "at": at}
    return {"verdict": together(one["verdict"] for one in found.values()), **found}


EXPERIMENT = Experiment(
    name="palm_e_transfer",
    hypothesis="At equal steps a small PaLM-E says the right next step more often if it learns questions, affordances, "
    "successes and captions beside few demonstrations than from these alone; from the state of each thing than from "
    "patches; with a language model that has read before than with a fresh one; and if the language model goes on "
    "learning than if it is fixed.",
    arms=_arms(),
    seeds=tuple(range(40, 46)),
    metric="The share of 900 pictures of unseen tables at which the model would write the oracle's next step, letter "
    "by letter. For each claim the lead in points, seed by seed, as the mean over the numbers of demonstrations.",
    rule="With a 95 % interval (Student's t) over the seeds each claim is confirmed if its lead lies wholly above 0, "
    "refuted if wholly at or below 0, and undecided otherwise; also undecided if an arm of the claim does not say more "
    "right steps than when it is shown another table, with the same kind of interval, or says 97 % or more right. The "
    "whole is confirmed if all four are, and refuted if one is. The learning rate is the one with the lowest loss of "
    "the next step on validation tables at 320 demonstrations, for each kind of arm, with another seed.",
    run=run,
    judge=judge,
    quick=FEW | {"n": 6, "steps": 3, "words": 2},
    grid={"rate": (1e-3, 3e-3)},
    tuned_by="validation loss",
    tuned=lambda settings: settings | {"n": ALL},
    prepare=prepare,
    data=("tokenizer/table.json",),
)
