"""What does a captioner learn by heart: a picture that a data set holds once, or one that it holds a hundred times?

The captioner of notebook 09, `street-simvlm`, goes on learning from new streets, each pair of which it sees as often as
the data set holds it. Most captions are true. Some pictures carry the caption of another street: nothing in the picture
tells it, so who repeats it word for word has learned it by heart. A fifth of these stand once in the data set, a fifth
3 times, and so on to 100. In the other arm, "without copies", each stands there once, as after perfect deduplication;
new streets with true captions take the places of the copies, so that both arms learn from as many pairs.

Carlini et al. 2023 ("Extracting training data from diffusion models") asked an image generator for the 350,000 pictures
with the most copies in its training data, and got about a hundred back. *Ours, other:* a captioner, and captions that
are false, since a true one can be told without having been seen; one pass over a few thousand pairs.
"""

from __future__ import annotations

import torch
from torch import nn

from experiments.runner import Experiment, Figures, Settings, together
from helpers.models.language import write
from helpers.models.simvlm import prefix_lm_loss
from helpers.training.device import moved
from helpers.training.fit import Recipe, Shuffled, fit
from helpers.training.statistics import interval
from helpers.weights.pretrained import load
from helpers.worlds.street.captions import CAPTION_FACTS, FOCI
from helpers.worlds.street.lessons import load_lessons, prompt_lengths, trimmed
from helpers.worlds.street.reading import attribute_f1
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import SPECIALS, StreetTokenizer

FOCUS = "everything"
TIMES = (1, 3, 10, 30, 100)  # how often a picture with a false caption stands in the data set
PICTURES = 8  # with false captions, of each number of TIMES
WITH, WITHOUT = "with copies", "without copies"
WEB_SEED = 12  # the streets of this data set are none that street-simvlm has seen
BATCH = 24
HALF = 0.5  # a difference of shares that counts as learned by heart
ABLE = 0.6  # of F1: a captioner that tells less of new streets truly has broken
SEP = SPECIALS.index("<sep>")


def pairs(settings: Settings, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The data set of one run: rows of streets int64 [n], rows of captions int64 [n], and the false pictures [5, 8].

    A row of the last tells which streets have the false captions that stand as often as TIMES in the arm with copies.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(settings["drawn"], generator=generator)
    n = len(TIMES) * settings["pictures"]
    false, lenders, true = rows[:n], rows[n : 2 * n], rows[2 * n :]
    times = torch.tensor(TIMES).repeat_interleave(settings["pictures"])
    if not settings["copies"]:
        times = torch.ones_like(times)
    true = true[: settings["pairs"] - int(times.sum())]
    streets = torch.cat([false.repeat_interleave(times), true])
    return streets, torch.cat([lenders.repeat_interleave(times), true]), false.view(len(TIMES), -1)


def loss(model: nn.Module, images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The mean loss of the captions int64 [B, T] of pictures uint8 [B, 3, 96, 96]; their prompts do not count."""
    start, real = prompt_lengths(ids, SEP), ids != 0
    return prefix_lm_loss(model(ids, prefix=start, real=real, memory=model.remember(images)), ids, start, real)


def captions_of(model: nn.Module, images: torch.Tensor) -> list[str]:
    """What the captioner says about everything in pictures uint8 [B, 3, 96, 96]."""
    with torch.inference_mode(), moved(model.eval()) as device:
        return write(model, StreetTokenizer(), [FOCUS] * len(images), images=images.to(device)).texts


def told(ids: torch.Tensor) -> list[str]:
    """The captions in rows of ids int16 [B, T], without their prompts."""
    starts = prompt_lengths(ids, SEP).tolist()
    return [StreetTokenizer().decode(row[start:]) for row, start in zip(ids.long(), starts, strict=True)]


def run(settings: Settings, seed: int) -> Figures:
    """One pass over one data set; which false captions the captioner repeats, and what it tells of new streets."""
    web = load_street("train", settings["drawn"], seed=WEB_SEED, captions=0, progress=False)
    ids = load_lessons("train", settings["drawn"], WEB_SEED, progress=False).captions[:, FOCI.index(FOCUS)]
    streets, texts, false = pairs(settings, seed)
    model = load("street-simvlm").model
    model.requires_grad_(True)
    model.eye[0].freeze()  # as in its own training
    batches = Shuffled((web.images[streets], trimmed(ids[texts])), BATCH, seed)
    steps = len(streets) // BATCH  # each pair is seen once
    fit(model, batches, loss, Recipe(steps, settings["rate"], betas=(0.9, 0.98), seed=seed), progress=False)

    lent = dict(zip(streets.tolist(), texts.tolist(), strict=True))
    figures: Figures = {"pairs": len(streets), "steps": steps}
    for times, rows in zip(TIMES, false.tolist(), strict=True):
        said, taught = captions_of(model, web.images[rows]), told(ids[[lent[row] for row in rows]])
        figures[f"repeated {times}"] = sum(a == b for a, b in zip(said, taught, strict=True)) / len(rows)
    for split in ("validation", "test"):
        new = load_street(split, settings["test"], captions=0, progress=False)
        f1 = attribute_f1(captions_of(model, new.images), list(new.scenes), CAPTION_FACTS[FOCUS])
        figures[f"{split} f1"] = round(f1, 4)
    return figures | {"validation error": round(1 - figures["validation f1"], 4)}


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """A verdict on what a hundred copies do, one on what taking them out does, and one for both."""

    def repeated(arm: str, times: int) -> list[float]:
        return [one[f"repeated {times}"] for one in figures[arm]]

    def less(first: list[float], second: list[float]) -> dict:
        return interval([a - b for a, b in zip(first, second, strict=True)])

    many = TIMES[-1]
    copies = less(repeated(WITH, many), repeated(WITH, 1))
    cure = less(repeated(WITH, many), repeated(WITHOUT, many))
    f1 = [sum(one["test f1"] for one in runs) / len(runs) for runs in figures.values()]

    def verdict(bounds: list[float]) -> str:
        low, high = bounds
        return "undecided" if min(f1) < ABLE or low <= HALF <= high else "confirmed" if low > HALF else "refuted"

    claims = {"copies": verdict(copies["interval"]), "cure": verdict(cure["interval"])}
    return {"verdict": together(claims.values()), "claims": claims, "100 less 1": copies, "with less without": cure}


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures and write the captions once, before several processes ask for them."""
    for n in {own["drawn"] for own in settings}:
        load_street("train", n, seed=WEB_SEED, captions=0, progress=False)
        load_lessons("train", n, WEB_SEED, progress=False)
    for n in {own["test"] for own in settings}:
        for split in ("validation", "test"):
            load_street(split, n, captions=0, progress=False)


EXPERIMENT = Experiment(
    name="memorisation",
    hypothesis="A captioner that sees every pair of a data set once repeats the false caption of a picture that stands "
    "there a hundred times, and not of one that stands there once; without the copies it repeats neither.",
    arms={
        arm: {"copies": arm == WITH, "pictures": PICTURES, "pairs": 3_600, "drawn": 3_680, "test": 200}
        for arm in (WITH, WITHOUT)
    },
    seeds=tuple(range(10, 16)),
    metric="Of eight pictures with false captions for each number of copies, the share whose caption the captioner "
    "writes word for word when it is shown the picture. Copies: the share of those with 100 copies less that of those "
    "with one, seed by seed. Cure: the share of those with 100 copies less that of the same pictures in the arm "
    "without copies.",
    rule="With a 95 % interval (Student's t) over the seeds each of the two claims is confirmed if its figure lies "
    "wholly above a half, refuted if wholly below, otherwise undecided; undecided, too, if in either arm the F1 of "
    "facts in captions of 200 new streets is below 0.6. The whole is confirmed if both are, and refuted if one is. The "
    "learning rate is the one with the best captions of other new streets in one run with another seed, for each arm.",
    run=run,
    judge=judge,
    quick={"pictures": 1, "pairs": 160, "drawn": 170, "test": 4},
    grid={"rate": (3e-4, 1e-3, 3e-3)},
    tuned_by="validation error",
    prepare=prepare,
    data=("weights/street-simvlm.safetensors", "tokenizer/street.json"),
)
