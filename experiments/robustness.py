"""Is it language that makes a model robust, or the variety of its pictures? (Fang et al. 2022)

Two image encoders are equal in all; one learns the vehicle's name as a class, the other learns from captions by CLIP's
loss and is then asked zero-shot. Both see the very same pictures: streets of 48 px with one vehicle, all of them
photographs, or a fourth each photograph, cartoon, painting and mosaic. They are tested on photographs and on three
styles that neither saw. A model with more right on photographs is expected to have more right elsewhere too; what is
compared is the *effective robustness* (Taori et al. 2020): how far a model lies above the line that supervised models
of varied length of training make, fitted here on logits of the accuracies.

*Ours, smaller:* Fang et al. train on ImageNet with captions and on YFCC, 15 million pictures and less.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import ROOT, Experiment, Figures, Settings, interval
from experiments.vit_vs_cnn import CNN
from helpers.models.clip import MAX_LOG_SCALE, contrastive_loss
from helpers.files import whole
from helpers.street import render as street_render
from helpers.worlds.street.captions import caption
from helpers.worlds.street.sample import scene_at
from helpers.worlds.street.scene import KINDS, Scene
from helpers.worlds.tokenizer import StreetTokenizer
from helpers.zero_shot import street_prompts

SIDE, BATCH, WIDTH, TOKENS = 48, 64, 64, 32
MANY = ("photo", "cartoon", "painting", "mosaic")
UNSEEN = ("embroidery", "pixel art", "sketch")
FOCI = ("everything", "what")


def one_vehicle(split: str, i: int) -> Scene:
    """Scene number `i` of `split` with its main vehicle alone, in the near lane."""
    scene = scene_at(split, i)
    return replace(scene, vehicles=(replace(scene.main, lane=0),), being=None)


def _draw(split: str, styles: tuple[str, ...], numbers: Sequence[int]) -> np.ndarray:
    images = np.empty((len(numbers), 3, SIDE, SIDE), np.uint8)
    for out, i in zip(images, numbers, strict=True):
        seed = zlib.crc32(f"one vehicle {split} {i}".encode())
        drawn = street_render.render(one_vehicle(split, i), SIDE, seed, styles[i % len(styles)])
        out[:] = drawn.transpose(2, 0, 1)  # [48, 48, 3] -> [3, 48, 48]
    return images


def pictures(split: str, n: int, styles: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` pictures of `split`, uint8 [n, 3, 48, 48], in `styles` by turns, and their vehicles, int64 [n].

    They are drawn on all cores and kept below build/, under a name that changes with the code that draws them.
    """
    sources = [Path(__file__), *sorted(Path(street_render.__file__).parent.glob("*.py"))]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    path = ROOT / "build" / "pictures" / f"one-vehicle-{split}-{'-'.join(styles)}-{n}-{key}.npy"
    if not path.exists():
        parts = [range(start, min(start + 64, n)) for start in range(0, n, 64)]
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            drawn = np.concatenate(list(pool.map(partial(_draw, split, styles), parts)))
        with whole(path) as temporary, open(temporary, "wb") as file:
            np.save(file, drawn)
    vehicles = [KINDS.index(scene_at(split, i).main.kind) for i in range(n)]
    return torch.from_numpy(np.load(path)), torch.tensor(vehicles)


class Words(nn.Module):
    """A caption's feature: int64 [B, n] -> float [B, 64]. One block of attention, then the mean over the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(StreetTokenizer().vocab_size, WIDTH)
        self.positions = nn.Parameter(0.02 * torch.randn(TOKENS, WIDTH))
        self.block = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        length = int((ids != 0).sum(1).max())
        ids = ids[:, :length]
        x = self.embedding(ids) + self.positions[:length]  # [B, length, 64]
        x = self.block(x, src_key_padding_mask=ids == 0)
        kept = (ids != 0).to(x.dtype)[:, :, None]  # [B, length, 1]
        return (x * kept).sum(1) / kept.sum(1)


class Captions(nn.Module):
    """An image encoder and a text encoder, and what their cosines are multiplied by."""

    def __init__(self) -> None:
        super().__init__()
        self.images, self.words = CNN(WIDTH), Words()
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def loss(self, images: torch.Tensor, *texts: torch.Tensor) -> torch.Tensor:
        """The mean contrastive loss of pictures float [B, 3, 48, 48] with groups of captions int64 [B, n]."""
        pictures = F.normalize(self.images(images), dim=1)
        scale = self.logit_scale.clamp(max=MAX_LOG_SCALE).exp()
        groups = [F.normalize(self.words(ids), dim=1) for ids in texts]
        return torch.stack([contrastive_loss(pictures, group, scale) for group in groups]).mean()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Zero-shot logits, float [B, 7], one for each vehicle."""
        prompts = [
            [p for p in texts if "parked" not in p and "driving" not in p] for texts in street_prompts("vehicle")
        ]
        tokenizer = StreetTokenizer()
        rows = [F.normalize(F.normalize(self.words(tokenizer(p)), dim=1).mean(0), dim=0) for p in prompts]  # 7 x [64]
        return F.normalize(self.images(images), dim=1) @ torch.stack(rows).T


def _captions(n: int) -> torch.Tensor:
    """Ids of a caption of each of FOCI for the first `n` training scenes, int64 [n, 2, 32]."""
    texts = []
    for i in range(n):
        rng, scene = np.random.default_rng([11, i]), one_vehicle("train", i)
        texts += [caption(scene, rng, focus) for focus in FOCI]
    return StreetTokenizer()(texts).view(n, len(FOCI), TOKENS)  # [2n, 32] -> [n, 2, 32]


def _standard(images: torch.Tensor) -> torch.Tensor:
    return (images.float() - 128) / 64  # [B, 3, 48, 48]


def run(settings: Settings, seed: int) -> Figures:
    """Train one model; its accuracy on vehicles in photographs and in each style, seen or not."""
    images, vehicles = pictures("train", settings["scenes"], tuple(settings["styles"]))
    by_words = settings["supervision"] == "captions"
    texts = _captions(len(images)) if by_words else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Captions() if by_words else CNN(len(KINDS))
    optimizer = torch.optim.AdamW(model.parameters(), settings["rate"], weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings["rate"], total_steps=settings["steps"], pct_start=0.1
    )
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings["steps"]):
        rows = torch.randint(len(images), (BATCH,), generator=generator)
        batch = _standard(images[rows])
        loss = model.loss(batch, *texts[rows].unbind(1)) if by_words else F.cross_entropy(model(batch), vehicles[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()

    def accuracy(split: str, style: str) -> float:
        unseen, truth = pictures(split, settings["test"], (style,))
        with torch.inference_mode():
            found = torch.cat([model(_standard(part)).argmax(1) for part in unseen.split(500)])
        return round((found == truth).float().mean().item(), 4)

    figures: Figures = {style: accuracy("test", style) for style in (*MANY, *UNSEEN)}
    # Chosen by photographs alone: a rate chosen by an unseen style would have seen it.
    return figures | {"validation error": round(1 - accuracy("validation", "photo"), 4)}


def _logit(accuracy: float) -> float:
    p = min(max(accuracy, 0.001), 0.999)
    return float(np.log(p / (1 - p)))


def _effective(figures: dict[str, list[Figures]]) -> tuple[dict[str, list[float]], list[float]]:
    """For each of the four arms and each seed the points above the line; the line's slope and height, on logits."""
    line = [run for arm, runs in figures.items() if arm.startswith("baseline") for run in runs]

    def elsewhere(run: Figures) -> float:
        return sum(run[style] for style in UNSEEN) / len(UNSEEN)

    slope, height = np.polyfit([_logit(run["photo"]) for run in line], [_logit(elsewhere(run)) for run in line], 1)

    def above(run: Figures) -> float:
        expected = 1 / (1 + np.exp(-(slope * _logit(run["photo"]) + height)))
        return float(100 * (elsewhere(run) - expected))

    arms = {arm: [above(run) for run in runs] for arm, runs in figures.items() if not arm.startswith("baseline")}
    return arms, [float(slope), float(height)]


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """The verdict by the rule."""
    arms, line = _effective(figures)

    def effect(more: tuple[str, str], less: tuple[str, str]) -> Figures:
        pairs = [np.array(arms[a]) - np.array(arms[b]) for a, b in zip(more, less, strict=True)]
        return interval([float(x) for x in np.mean(pairs, 0)])

    variety = effect(("labels, many styles", "captions, many styles"), ("labels, one style", "captions, one style"))
    language = effect(("captions, one style", "captions, many styles"), ("labels, one style", "labels, many styles"))
    (v_low, v_high), (l_low, l_high) = variety["interval"], language["interval"]
    if v_low > 5 and l_low > -5 and l_high < 5:
        verdict = "confirmed"
    else:
        verdict = "refuted" if v_high < 5 or l_low > 5 or l_high < -5 else "undecided"
    told = {arm: interval(points) for arm, points in arms.items()}
    return {"verdict": verdict, "variety": variety, "language": language, "effective robustness": told, "line": line}


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures once, before several processes ask for them."""
    for n, styles in {(own["scenes"], tuple(own["styles"])) for own in settings}:
        pictures("train", n, styles)
    for n in {own["test"] for own in settings}:
        pictures("validation", n, ("photo",))
        for style in (*MANY, *UNSEEN):
            pictures("test", n, (style,))


_COMMON = {"scenes": 8_000, "test": 1_000}
_FULL = {
    f"{supervision}, {name}": {"supervision": supervision, "styles": list(styles), "steps": 700, **_COMMON}
    for supervision in ("labels", "captions")
    for name, styles in (("one style", ("photo",)), ("many styles", MANY))
}
_BASELINES = {
    f"baseline, {steps} steps": {"supervision": "labels", "styles": ["photo"], "steps": steps, **_COMMON}
    for steps in (60, 120, 200, 350)
}

EXPERIMENT = Experiment(
    name="robustness",
    hypothesis="What makes a model robust to styles it never saw is the variety of the pictures it learned from, by "
    "more than 5 points of effective robustness; whether it learned from captions or from labels makes less than 5.",
    arms=_BASELINES | _FULL,
    seeds=(0, 1, 2, 3),
    metric="Accuracy on the vehicle, mean of the unseen styles (embroidery, pixel art, sketch), less what the line "
    "expects at the accuracy on photographs; the line is fitted on the baselines, labels learned from photographs with "
    "fewer steps.",
    rule="With 95 % intervals (Student's t) over the seeds, each effect being the mean of two differences of arms at "
    "equal seed: confirmed if the effect of variety lies wholly above 5 points and that of language wholly between -5 "
    "and 5; refuted if the effect of variety lies wholly below 5, or that of language wholly above 5 or below -5; "
    "otherwise undecided. The learning rate is the one with the lowest error on validation photographs in one run with "
    "another seed, for each arm.",
    run=run,
    judge=judge,
    quick={"scenes": 128, "test": 50, "steps": 3},
    grid={"rate": (1e-3, 3e-3)},
    tuned_by="validation error",
    tuned=lambda settings: settings | {"steps": min(settings["steps"], 350)},
    prepare=prepare,
)
