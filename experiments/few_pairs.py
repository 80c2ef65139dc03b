"""What does a decoder that already knows language gain, when captioned pictures are few? (Chen et al. 2022)

The decoder begins as `street-text` or from random numbers, and looks at the picture by plain cross-attention or through
the self-resurrecting activation unit. All its weights learn. The eye is the same for all, `street-clip`'s image tower,
and does not learn, as the paper's is a detector that was trained before: so only the writer has to make do with few
pairs.

*Ours, smaller:* the paper has GPT-2, and photographs with captions that people wrote; the eye here has seen captioned
streets itself. Every arm takes the same number of steps; the weights are kept that had the lowest validation loss on
the way, since the smallest sets are seen hundreds of times.
"""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Experiment, Figures, Settings, together
from helpers.models.clip import image_tokens
from helpers.models.language import LanguageModel, write
from helpers.models.simvlm import prefix_lm_loss
from helpers.models.visualgpt import FUSIONS, TAU
from helpers.training.device import moved
from helpers.training.fit import Batch, Recipe, Shuffled, fit, seeded
from helpers.training.statistics import in_parts, interval
from helpers.weights.pretrained import load
from helpers.worlds.street.captions import CAPTION_FACTS, FOCI
from helpers.worlds.street.lessons import load_lessons, prompt_lengths, trimmed
from helpers.worlds.street.reading import attribute_f1
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import SPECIALS

FOCUS = "everything"
STARTS, WAYS, PAIRS = ("scratch", "pretrained"), ("residual", "srau"), (32, 128, 512, 4_096)
FEW = (32, 128)  # the numbers of pairs that the claims are about
MARGIN = 0.02  # of F1: a smaller gain of the unit would not be worth its name
LEARNED, CEILING = 0.6, 0.97  # an arm below the one or above the other at the most pairs says nothing
BATCH, LOOK_EVERY, EYE_BLOCKS = 32, 50, 5
SEP = SPECIALS.index("<sep>")


class Eye(nn.Module):
    """The tokens of `street-clip`'s last block but one, normalised: uint8 [B, 3, 96, 96] -> float [B, 37, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.clip = load("street-clip").model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = image_tokens(self.clip, images, EYE_BLOCKS)
        return F.layer_norm(tokens, tokens.shape[-1:])


def build(start: str, way: str, seed: int) -> LanguageModel:
    """The decoder of an arm, with all its weights to be learned."""
    text, unit = load("street-text").model, FUSIONS[way]
    width = text.ln_final.weight.shape[0]
    sizes = {"length": len(text.position_embedding.weight), "layers": len(text.blocks)}
    model = seeded(
        lambda: LanguageModel(
            len(text.token_embedding.weight),
            width=width,
            heads=text.blocks[0].self_attention.heads,
            context_width=width,
            fuse=unit and (lambda: unit(width, TAU)),
            **sizes,
        ),
        seed,
    )
    if start == "pretrained":
        model.load_state_dict(model.state_dict() | text.state_dict())
    return model


def loss(model: nn.Module, seen: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The mean of −ln p over the tokens of captions int64 [B, T] after the prompt, given what is seen [B, N, D]."""
    start = prompt_lengths(ids, SEP)
    return prefix_lm_loss(model(ids, ids != 0, context=seen), ids, start, ids != 0)


def pairs(split: str, n: int, rows: torch.Tensor | None = None) -> Batch:
    """What the eye sees of the first `n` scenes of `split`, or of `rows` of them, and a caption about everything."""
    rows = torch.arange(n) if rows is None else rows
    street = load_street(split, n, captions=0, progress=False)
    ids = load_lessons(split, n, progress=False).captions[:, FOCI.index(FOCUS)]
    return torch.cat(in_parts(Eye(), street.images[rows])).cpu().clone(), trimmed(ids[rows])


def run(settings: Settings, seed: int) -> Figures:
    """Train one arm; the F1 of facts of its captions of streets that it never saw."""
    chosen = torch.randperm(settings["drawn"], generator=torch.Generator().manual_seed(seed))[: settings["pairs"]]
    model = build(settings["start"], settings["way"], seed)
    unseen, ids = pairs("validation", settings["test"])
    best: dict = {"loss": float("inf")}

    def look(step: int, net: nn.Module) -> None:
        if step % LOOK_EVERY and step != settings["steps"]:
            return
        with torch.inference_mode():
            value = sum(
                loss(net, *part).item() * len(part[1])
                for part in zip(unseen.split(BATCH), ids.split(BATCH), strict=True)
            )
        if value / len(ids) < best["loss"]:
            best.update(loss=value / len(ids), step=step, state=deepcopy(net.state_dict()))

    recipe = Recipe(settings["steps"], settings["rate"], betas=(0.9, 0.98), seed=seed)
    batches = Shuffled(pairs("train", settings["drawn"], chosen), min(BATCH, settings["pairs"]), seed)
    fit(model, batches, loss, recipe, device=torch.device("cpu"), after_step=look, progress=False)
    model.load_state_dict(best["state"])
    street = load_street("test", settings["test"], captions=0, progress=False)
    seen, tokenizer = torch.cat(in_parts(Eye(), street.images)), load("street-text").tokenizer
    with moved(model.eval()) as device:
        texts = write(model, tokenizer, [FOCUS] * len(seen), context=seen.to(device)).texts
    return {
        "validation loss": round(best["loss"], 4),
        "best step": best["step"],
        "caption f1": round(attribute_f1(texts, list(street.scenes), CAPTION_FACTS[FOCUS]), 4),
    }


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """A verdict on what pretraining gives, one on what the unit gives, and one for both."""

    def f1(start: str, way: str, n: int) -> list[float]:
        return [one["caption f1"] for one in figures[f"{start}, {way}, {n}"]]

    def mean(columns: list[list[float]]) -> list[float]:
        return [sum(of_seed) / len(of_seed) for of_seed in zip(*columns, strict=True)]

    def less(first: list[float], second: list[float]) -> list[float]:
        return [a - b for a, b in zip(first, second, strict=True)]

    lead = {n: less(*(mean([f1(start, way, n) for way in WAYS]) for start in ("pretrained", "scratch"))) for n in PAIRS}
    unit = {n: less(f1("pretrained", "srau", n), f1("pretrained", "residual", n)) for n in PAIRS}
    few, many = mean([lead[n] for n in FEW]), lead[PAIRS[-1]]
    told: Figures = {
        "language": {"lead": {str(n): interval(lead[n]) for n in PAIRS}, "shrinks": interval(less(few, many))},
        "unit": {"lead": {str(n): interval(unit[n]) for n in PAIRS}, "few": interval(mean([unit[n] for n in FEW]))},
    }
    told["language"]["few"] = interval(few)
    most = [sum(f1(s, w, PAIRS[-1])) / len(f1(s, w, PAIRS[-1])) for s in STARTS for w in WAYS]
    says = min(most) > LEARNED and max(most) < CEILING
    (low, high), (shrinks, grows) = (told["language"][key]["interval"] for key in ("few", "shrinks"))
    language = "confirmed" if low > 0 and shrinks > 0 else "refuted" if high <= 0 or grows <= 0 else "undecided"
    low, high = told["unit"]["few"]["interval"]
    gained = "confirmed" if low > MARGIN else "refuted" if high < MARGIN else "undecided"
    told["language"]["verdict"] = language if says else "undecided"
    told["unit"]["verdict"] = gained if says else "undecided"
    return {"verdict": together((told["language"]["verdict"], told["unit"]["verdict"])), **told}


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures and write the captions once, before several processes ask for them."""
    sizes = {("train", own["drawn"]) for own in settings}
    for split, n in sorted(sizes | {(split, own["test"]) for own in settings for split in ("validation", "test")}):
        load_street(split, n, captions=0, progress=False), load_lessons(split, n, progress=False)


EXPERIMENT = Experiment(
    name="few_pairs",
    hypothesis="With few captioned pictures a decoder that was taught on text alone states more of a street truly than "
    "the same decoder begun at random, and its lead shrinks as pairs become more; with few pairs the "
    "self-resurrecting activation unit does better than plain cross-attention.",
    arms={
        f"{start}, {way}, {n}": {
            "start": start,
            "way": way,
            "pairs": n,
            "drawn": max(PAIRS),
            "steps": 300,
            "test": 300,
        }
        for n in PAIRS
        for start in STARTS
        for way in WAYS
    },
    seeds=tuple(range(10, 15)),
    metric="F1 of facts of captions about everything in 300 test streets. Language: the pretrained decoder's less the "
    "other's, the mean of both ways of looking, seed by seed. Unit: the unit's less plain cross-attention's, both with "
    "the pretrained decoder. Few pairs are 32 and 128, the mean of both.",
    rule="With 95 % intervals (Student's t) over the seeds. Language: confirmed if the lead with few pairs lies wholly "
    "above 0 and exceeds the one with 4,096 pairs, by an interval wholly above 0; refuted if either lies wholly "
    "at or below 0. Unit: confirmed if its gain with few pairs lies wholly above 0.02, refuted if wholly below 0.02. "
    "Otherwise undecided, and both are if the mean of an arm with 4,096 pairs is below 0.6 or above 0.97. The whole is "
    "confirmed if both are, and refuted if one is. The learning rate is the one with the lowest validation loss at 512 "
    "pairs in one run with another seed, for each start and way.",
    run=run,
    judge=judge,
    quick={"pairs": 8, "drawn": 32, "steps": 2, "test": 8},
    grid={"rate": (3e-4, 1e-3, 3e-3)},
    tuned_by="validation loss",
    tuned=lambda settings: settings | {"pairs": 512},
    prepare=prepare,
    data=("weights/street-clip.safetensors", "weights/street-text.safetensors", "tokenizer/street.json"),
)
