"""How much language does a language model forget that learns to see? (Driess et al. 2023, section 6 and Table 8)

A language model reads texts of streets; then it learns lessons about tables, with pictures, and no text of a street
any more. How much worse does it predict streets then? *The paper:* PaLM-E-12B loses 87 % of its score in writing,
PaLM-E-562B 4 %; a model whose language part is fixed loses nothing, but plans worse.

*Ours, smaller:* three widths of the same three layers, from 90 thousand to 800 thousand parameters, and the loss of
each token instead of a score of twenty tasks. The fixed arm is a control: it cannot forget, and must show exactly 0.

*The pilot, before the run:* the narrowest and the widest tuned arm with seed 1000, about three minutes on two cores.
Both must predict streets better than 2.5 nats a token before the lessons (guessing costs 6.6), and say more right steps
after them than when they are shown another table; `judge` asks the same again.
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
    right,
    small,
    text_loss,
)
from experiments.runner import Experiment, Figures, Settings, together
from helpers.training.statistics import interval

WIDTHS = (32, 64, 128)
CONTROL = "fixed, 64"
HAS_READ = 2.5  # nats a token; a model that is worse has no language to forget


def run(settings: Settings, seed: int) -> Figures:
    """Train a language model on texts, then with pictures; the loss of texts before and after, and the next steps."""
    model = small("grid", seed, settings["width"])
    learn_language(model, settings["words"], seed, 2e-3)
    before = text_loss(model, settings["texts"])
    if not settings["tuned"]:
        model.freeze_language()
    kinds = [demonstrations(settings), other_lessons(settings)]
    learn_lessons(model, "grid", drawn_for(settings, "train"), kinds, settings["steps"], seed, 1e-3)
    after, test = text_loss(model, settings["texts"]), drawn_for(settings, "test")
    return {
        "before": before,
        "after": after,
        "forgotten": after - before,
        "right": right(model, "grid", test),
        "right, shown another": right(model, "grid", test, of_another),
    }


def _verdict(low: float, high: float) -> str:
    return "confirmed" if low > 0 else "refuted" if high <= 0 else "undecided"


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """Whether tuned models forget, whether wide ones forget less, by the rule; and what the control shows."""
    of_width = {w: figures[f"tuned, {w}"] for w in WIDTHS}
    forgotten = np.array([[one["forgotten"] for one in runs] for runs in of_width.values()])  # [widths, seeds]
    mean = interval([float(x) for x in forgotten.mean(0)])
    # How much less is forgotten for each doubling of the width, seed by seed.
    fall = interval([-float(np.polyfit(np.log2(WIDTHS), of_seed, 1)[0]) for of_seed in forgotten.T])
    read = all(one["before"] < HAS_READ for runs in of_width.values() for one in runs)
    seen = all(
        interval([one["right"] - one["right, shown another"] for one in runs])["interval"][0] > 0
        for runs in of_width.values()
    )
    still = all(one["forgotten"] == 0 for one in figures[CONTROL])
    says = read and seen and still
    verdicts = {
        "tuned": _verdict(*mean["interval"]) if says else "undecided",
        "width": _verdict(*fall["interval"]) if says else "undecided",
    }
    at = {str(w): interval([float(x) for x in of_one]) for w, of_one in zip(WIDTHS, forgotten, strict=True)}
    return {
        "verdict": together(verdicts.values()),
        "tuned": {"verdict": verdicts["tuned"], "forgotten": mean, "at": at},
        "width": {"verdict": verdicts["width"], "less for each doubling": fall},
        "control stands still": still,
    }


_ARM = DRAWN | {"words": 400, "steps": 400, "n": DRAWN["demonstrations"], "texts": 20}

EXPERIMENT = Experiment(
    name="palm_e_forgetting",
    hypothesis="A language model that learns lessons with pictures and reads no other text any more predicts the texts "
    "that it had learned worse than before, and the less so the wider it is; one that is fixed forgets nothing.",
    arms={
        CONTROL: _ARM | {"width": 64, "tuned": False},
        **{f"tuned, {w}": _ARM | {"width": w, "tuned": True} for w in WIDTHS},
    },
    seeds=tuple(range(50, 56)),
    metric="What is forgotten: the mean loss, in nats a token, of 960 texts of unseen streets after the lessons less "
    "that before them; its mean over the widths, and minus its least-squares change for each doubling of the width, "
    "seed by seed.",
    rule="With a 95 % interval (Student's t) over the seeds each of the two claims is confirmed if the figure lies "
    "wholly above 0, refuted if wholly at or below 0, and undecided otherwise; both are undecided if a tuned model "
    "costs 2.5 nats a token or more before the lessons, if a width does not say more right steps after them than when "
    "it is shown another table, or if the fixed model's loss has changed at all.",
    run=run,
    judge=judge,
    quick=FEW | {"words": 2, "steps": 2, "n": 6, "texts": 1},
    prepare=prepare,
    data=("tokenizer/table.json",),
)
