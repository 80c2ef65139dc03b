"""How strictly should pairs from the web be filtered by a CLIP before another one learns from them? (Schuhmann et al.
2022, section 3; Gadre et al. 2023, section 4)

Streets with one vehicle are crawled with the alt texts of the miniature web, half of which say little or nothing that
is true. `street-clip` scores each pair, and a share of them, those with the highest cosines, is kept. A small CLIP
learns from what is kept and is asked, without further training, what it sees on streets that it never saw. "Equal
crawl": the stricter the filter, the fewer pairs are left, and they are seen more often. "Equal size": the crawl is so
much larger that as many pairs are left at each share.

*Ours, smaller:* LAION kept about a tenth of its candidates, at a fixed cosine; the student is judged on five attributes
of a street instead of on many data sets. *Ours, other:* the filter has been taught on clean pairs of the same world.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from experiments.runner import Experiment, Figures, Settings, together
from helpers.laion.similarity import image_features, text_features
from helpers.models.clip import MAX_LOG_SCALE, contrastive_loss
from helpers.models.small_clip import SmallCLIP
from helpers.training.fit import Recipe, Shuffled, fit, seeded
from helpers.training.statistics import interval, predict
from helpers.worlds.chance import pick
from helpers.worlds.drawn import Drawn, load
from helpers.worlds.street.lessons import trimmed
from helpers.worlds.street.prompts import street_prompts
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.streets import OneVehicle
from helpers.worlds.tokenizer import StreetTokenizer
from helpers.worlds.web.words import LANGUAGES, alt_of

CRAWL, KEPT = "equal crawl", "equal size"
# What the filter keeps. With 1,280 pairs of "equal size" a pilot's student without a filter hardly beat guessing.
SHARES = {CRAWL: (1.0, 0.5, 0.25, 0.1), KEPT: (1.0, 0.5, 0.25)}
CRAWLED, SIZE_KEPT = 6_400, 3_200  # pairs crawled in the one case, kept in the other
DRAWN = 12_800  # streets that there are to be crawled
NOISE = 0.5  # the share of bad alt texts
ENGLISH = 0.7  # the share of English ones
LABELS = ("vehicle", "colour", "tree", "road", "sky")
SIDE, SEEN, BATCH = 96, 48, 128  # the sides of the filter's and of the student's pictures; pairs of a step
TUNED_AT = 0.5  # the share at which the learning rate is chosen
LEARNED, CEILING = 0.05, 0.97  # an arm that is nearer to guessing, or above the ceiling, says nothing


def streets(split: str, n: int) -> Drawn:
    """The first `n` streets of `split` with one vehicle, as the filter sees them."""
    return load(OneVehicle(split, n, SIDE), progress=False)


def small(images: torch.Tensor) -> torch.Tensor:
    """uint8 [B, 3, 96, 96] -> uint8 [B, 3, 48, 48], as the student sees them."""
    return torch.cat([F.avg_pool2d(part.float(), SIDE // SEEN).round().byte() for part in images.split(500)])


@cache
def features(n: int) -> np.ndarray:
    """What the filter's CLIP makes of the first `n` streets of training: float32 [n, D]."""
    return image_features([image.permute(1, 2, 0).numpy() for image in streets("train", n).images])


def crawled(settings: Settings, seed: int) -> tuple[torch.Tensor, list[str]]:
    """The streets that one run's crawl finds, int64 [n], and their alt texts."""
    rng = np.random.default_rng([0xC4A71, seed])
    rows = rng.permutation(settings["drawn"])[: settings["crawled"]]
    scenes, texts = streets("train", settings["drawn"]).scenes, []
    for row in rows:
        language = LANGUAGES[0] if rng.random() < ENGLISH else pick(rng, LANGUAGES[1:])
        texts.append(alt_of(scenes[row], language, rng, NOISE).text)
    return torch.from_numpy(rows), texts


def filtered(settings: Settings, rows: torch.Tensor, texts: list[str]) -> np.ndarray:
    """Which of the pairs are kept, the most alike first: int64 [kept]."""
    cosines = (features(settings["drawn"])[rows] * text_features(texts)).sum(1)
    return np.argsort(-cosines, kind="stable")[: max(1, round(settings["share"] * len(rows)))]


class Student(SmallCLIP):
    """A small CLIP that gives the features of pictures uint8 [B, 3, 48, 48]: float [B, 64]."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.encode_image(images)

    def classifier(self, label: str) -> torch.Tensor:
        """The mean direction of the prompts of each class of a label: float [classes, 64]."""
        tokenizer = StreetTokenizer()
        with torch.inference_mode():
            return torch.stack([self.encode_text(tokenizer(texts)).mean(0) for texts in street_prompts(label)])


def loss(model: Student, images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The contrastive loss of pictures uint8 [B, 3, 48, 48] and their texts int64 [B, T]."""
    scale = model.logit_scale.clamp(max=MAX_LOG_SCALE).exp()
    return contrastive_loss(model(images), model.encode_text(ids), scale)


def named(model: Student, split: str, n: int) -> dict[str, float]:
    """Of `n` streets of `split` the share of which the student names each label rightly."""
    street = streets(split, n)
    seen = predict(model, small(street.images))  # [n, 64]
    found = {}
    for label in LABELS:
        truth = torch.tensor([CLASSES[label].index(scene.labels[label]) for scene in street.scenes])
        said = (seen @ F.normalize(model.classifier(label), dim=1).T).argmax(1)
        found[label] = (said == truth).float().mean().item()
    return found


def run(settings: Settings, seed: int) -> Figures:
    """Crawl, filter, train one student on what is kept; how much of streets it never saw it names."""
    rows, texts = crawled(settings, seed)
    kept = filtered(settings, rows, texts)
    images = small(streets("train", settings["drawn"]).images[rows[kept]])
    ids = trimmed(StreetTokenizer()([texts[k] for k in kept]))
    model = seeded(lambda: Student(StreetTokenizer().vocab_size), seed)
    batches = Shuffled((images, ids), min(BATCH, len(kept)), seed)
    losses = fit(model, batches, loss, Recipe(settings["steps"], settings["rate"], seed=seed), progress=False).losses
    last = losses[int(0.9 * len(losses)) :]
    figures: Figures = {"kept": len(kept), "training loss": round(sum(last) / len(last), 4)}
    for split in ("validation", "test"):
        of_labels = named(model, split, settings["test"])
        figures[f"{split} accuracy"] = round(sum(of_labels.values()) / len(LABELS), 4)
    figures["validation error"] = round(1 - figures["validation accuracy"], 4)
    return figures | {label: round(right, 4) for label, right in of_labels.items()}


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """A verdict on what purity gives at equal size, one on the inverted U at equal crawl, and one for both."""

    def accuracy(case: str, share: float, split: str = "test") -> np.ndarray:
        return 100 * np.array([one[f"{split} accuracy"] for one in figures[f"{case}, {share:.0%}"]])

    halvings = np.log2(1 / np.array(SHARES[KEPT]))
    at_size = np.array([accuracy(KEPT, share) for share in SHARES[KEPT]])  # [shares, seeds]
    slope = interval([float(np.polyfit(halvings, of_seed, 1)[0]) for of_seed in at_size.T])
    first, *inner, last = SHARES[CRAWL]
    best, end = (
        max(shares, key=lambda share: accuracy(CRAWL, share, "validation").mean()) for shares in (inner, (first, last))
    )
    lead = interval([float(x) for x in accuracy(CRAWL, best) - accuracy(CRAWL, end)])
    means = [accuracy(case, share).mean() / 100 for case, shares in SHARES.items() for share in shares]
    chance = sum(1 / len(CLASSES[label]) for label in LABELS) / len(LABELS)
    says = min(means) > chance + LEARNED and max(means) < CEILING

    def verdict(bounds: list[float]) -> str:
        low, high = bounds
        return "undecided" if not says or low <= 0 < high else "confirmed" if low > 0 else "refuted"

    claims = {"purity": verdict(slope["interval"]), "inverted u": verdict(lead["interval"])}
    told = {"points for each halving of the share": slope, "best inner share": best, "better end": end, "lead": lead}
    return {"verdict": together(claims.values()), "claims": claims, **told}


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures once, before several processes ask for them."""
    for n in {own["drawn"] for own in settings}:
        streets("train", n)
    for n in {own["test"] for own in settings}:
        streets("validation", n), streets("test", n)


def _arm(case: str, share: float) -> Settings:
    pairs = CRAWLED if case == CRAWL else round(SIZE_KEPT / share)
    return {"case": case, "share": share, "crawled": pairs, "drawn": DRAWN, "steps": 400, "test": 1_000}


EXPERIMENT = Experiment(
    name="filtering",
    hypothesis="Where as many pairs are left at each share, a student learns the more the smaller the share of the "
    "crawl that the filter keeps; where the crawl is given, it learns most from a share between all and a tenth.",
    arms={f"{case}, {share:.0%}": _arm(case, share) for case, shares in SHARES.items() for share in shares},
    seeds=tuple(range(10, 15)),
    metric="The mean, over vehicle, colour, tree, road and sky, of the share of 1,000 new streets that the student "
    "names rightly by prompts. Purity: the least-squares change in points for each halving of the share at equal size, "
    "seed by seed. Inverted U: at equal crawl the lead, in points, of the best of the two inner shares over the "
    "better of the two ends; which they are is decided on other streets, the validation ones.",
    rule="With a 95 % interval (Student's t) over the seeds each of the two claims is confirmed if its figure lies "
    "wholly above 0, refuted if wholly at or below, otherwise undecided; undecided, too, if the mean of an arm is less "
    "than 5 points above guessing, or 97 % or more. The whole is confirmed if both are, and refuted if one is. The "
    "learning rate is the one with the lowest validation error in one run with another seed at a share of a half, in "
    "each of the two cases.",
    run=run,
    judge=judge,
    quick={"crawled": 64, "drawn": 64, "steps": 3, "test": 40},
    grid={"rate": (1e-3, 3e-3, 1e-2)},
    tuned_by="validation error",
    tuned=lambda settings: _arm(settings["case"], TUNED_AT),
    prepare=prepare,
    data=("weights/street-clip.safetensors", "tokenizer/street.json"),
)
