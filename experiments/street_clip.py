"""Train and measure the shipped CLIP of the street world: `python -m experiments train street-clip`.

The recipe is CLIP's (Radford et al. 2021, sections 2.3 to 2.5) at a thousandth of its size, with three changes, each
for the small scale: every picture meets three captions in a step, of all that is to be seen, of its main vehicle and of
another part; pictures are mirrored, with "left" and "right" exchanged; some pictures are made grey, with the colours
left out of their captions: at first all of them, later a few, so that form is learned before colour can stand for it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from experiments.runner import ROOT, Figures, environment, write_json
from experiments.street_readers import TEST_SCENES, TEST_SEED, share
from helpers.models.clip import CONFIGURATION, build_clip, image_features, street_clip, text_features
from helpers.models.clip import MAX_LOG_SCALE, contrastive_loss
from helpers.files import whole
from helpers.worlds.street.captions import caption
from helpers.worlds.streets import StreetImages, load_street
from helpers.worlds.street.sample import CLASSES, HELD_OUT_TREES, HELD_OUT_VEHICLES
from helpers.worlds.street.scene import COLOURS, KINDS
from helpers.worlds.street.shifts import SHIFTS, read_adversarial
from helpers.worlds.tokenizer import StreetTokenizer
from helpers.weights.pretrained import DATA
from helpers.zero_shot import encode_images, street_prompts, zero_shot_classifier

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: the brightness of red, green, blue
# The sentences kept for each picture, by focus: in each step one of each group is used.
GROUPS = (("everything",) * 2, ("what",) * 3, ("where", "count", "time", "road"))
CHECKPOINT_STEPS = 200


@dataclass(frozen=True)
class ClipRecipe:
    """How the model is trained: AdamW, the rate rising for a tenth of the steps and then falling to zero."""

    scenes: int = 48_000
    epochs: int = 10
    rate: float = 1.2e-3
    weight_decay: float = 0.05
    batch: int = 128
    grey: float = 0.1  # the share of pictures that lose their colours at the end of training
    grey_until: float = 0.6  # the part of the steps over which that share falls from 1
    seed: int = 0
    split: str = field(default="train", init=False)


def uncoloured(text: str) -> str:
    """A caption without its colours: "an orange bus" becomes "a bus"."""
    return re.sub(rf"\b(?:{'|'.join(COLOURS)}) ", "", re.sub(r"\ban orange ", "a ", text))


def sentences(street: StreetImages, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of the captions of each picture, in the order of GROUPS, int16 [n, 9, 32]; the same without colours.

    What is said of one vehicle is said of the main one, as alt-text says what a picture is of.
    """
    texts = []
    for i, scene in enumerate(street.scenes):
        rng = np.random.default_rng([seed, i])
        alone = replace(scene, vehicles=(scene.main,))
        foci = [focus for group in GROUPS for focus in group]
        texts += [caption(scene if focus in ("everything", "count") else alone, rng, focus) for focus in foci]
    tokenizer = StreetTokenizer()
    both = tokenizer(texts), tokenizer([uncoloured(text) for text in texts])
    return tuple(ids.short().view(len(street), -1, ids.shape[1]) for ids in both)  # [n·9, 32] -> [n, 9, 32]


@dataclass(frozen=True, eq=False)
class Batches:
    """What each step is trained on; step k of a recipe is the same whenever it is asked for."""

    recipe: ClipRecipe
    street: StreetImages
    ids: torch.Tensor  # int16 [n, 9, 32]
    grey_ids: torch.Tensor
    mirrored: torch.Tensor  # int64 [512]: each id's id in the mirror

    @classmethod
    def load(cls, recipe: ClipRecipe) -> Batches:
        """Draw (or read from the cache) the pictures, and write their captions."""
        street = load_street(recipe.split, recipe.scenes, captions=0)
        tokenizer = StreetTokenizer()
        mirrored = torch.arange(tokenizer.vocab_size)
        (left,), (right,) = tokenizer.encode("left"), tokenizer.encode("right")
        mirrored[[left, right]] = mirrored[[right, left]]
        return cls(recipe, street, *sentences(street, recipe.seed), mirrored)

    @property
    def steps(self) -> int:
        """How many steps the recipe has."""
        return self.recipe.epochs * (self.recipe.scenes // self.recipe.batch)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, ...]:
        """Pictures uint8 [B, 3, 96, 96], and for each of GROUPS one caption of each, int64 [B, 32]."""
        recipe = self.recipe
        epoch, k = divmod(step, recipe.scenes // recipe.batch)
        order = torch.randperm(recipe.scenes, generator=torch.Generator().manual_seed(1000 * recipe.seed + epoch))
        rows = order[k * recipe.batch : (k + 1) * recipe.batch]
        generator = torch.Generator().manual_seed(1_000_000 * (recipe.seed + 1) + step)
        images = self.street.images[rows]  # [B, 3, 96, 96]
        share = max(recipe.grey, 1 - step / (recipe.grey_until * self.steps)) if recipe.grey_until else recipe.grey
        grey = torch.rand(recipe.batch, generator=generator) < share
        luma = (images[grey].float() * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)  # [G, 1, 96, 96]
        images[grey] = luma.round().to(torch.uint8).expand(-1, 3, -1, -1)
        texts, first = [], 0
        for group in GROUPS:
            which = first + torch.randint(len(group), (recipe.batch,), generator=generator)
            texts.append(torch.where(grey[:, None], self.grey_ids[rows, which], self.ids[rows, which]).long())
            first += len(group)
        if torch.rand((), generator=generator) < 0.5:
            images, texts = images.flip(3), [self.mirrored[ids] for ids in texts]
        return images, *texts


def loss_of(model: nn.Module, images: torch.Tensor, *texts: torch.Tensor) -> torch.Tensor:
    """The mean of the contrastive losses of the pictures with each of the groups of captions [B, 32]."""
    pictures, scale = image_features(model, images), model.logit_scale.exp()
    groups = text_features(model, torch.cat(texts)).chunk(len(texts))  # [groups·B, D] -> groups of [B, D]
    return torch.stack([contrastive_loss(pictures, group, scale) for group in groups]).mean()


def optimizer_of(model: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that spares gains, biases, embeddings and the scale from decay (Radford et al. 2021, section 2.5)."""
    decayed = [p for name, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in name]
    spared = [p for name, p in model.named_parameters() if p.ndim < 2 or "embedding" in name]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate, betas=(0.9, 0.98), fused=True)


def fit_clip(recipe: ClipRecipe, checkpoint: Path, configuration: Path = CONFIGURATION) -> tuple[nn.Module, Figures]:
    """Train; returns the model and the facts of the run. Stopped and called again, it goes on at its checkpoint."""
    told = asdict(recipe)
    batches = Batches.load(recipe)
    model = build_clip(configuration, recipe.seed)
    optimizer = optimizer_of(model, recipe.rate, recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=batches.steps, pct_start=0.1, cycle_momentum=False
    )
    parts, first, seconds = {"model": model, "optimizer": optimizer, "schedule": schedule}, 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["recipe"] == told:
            for name, part in parts.items():
                part.load_state_dict(state[name])
            first, seconds = state["step"], state["seconds"]
            print(f"going on after step {first} of {checkpoint}", file=sys.stderr)
    start, total = time.perf_counter(), 0.0
    for step in range(first, batches.steps):
        loss = loss_of(model, *batches[step])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_LOG_SCALE)
        total += loss.item()
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == batches.steps:
            seconds += time.perf_counter() - start
            state = {name: part.state_dict() for name, part in parts.items()}
            with whole(checkpoint) as temporary:
                torch.save(state | {"recipe": told, "step": step + 1, "seconds": seconds}, temporary)
            mean = total / ((step % CHECKPOINT_STEPS) + 1)
            told_now = f"loss {mean:.3f}, scale {model.logit_scale.exp():.1f}, {seconds:.0f} s"
            print(f"step {step + 1} of {batches.steps}, {told_now}", file=sys.stderr, flush=True)
            start, total = time.perf_counter(), 0.0
    return model, {"recipe": told, "steps": batches.steps, "seconds": round(seconds)}


def measure_clip(model: nn.Module, n: int, seed: int) -> Figures:
    """Every zero-shot figure of the model on scenes drawn afresh with `seed`: the test split, unseen pairs, shifts.

    "colour_vehicle" is right if both are, out of 63 pairs. "unseen_pairs" is the same figure for scenes whose main
    vehicle is a pair that training never showed, with the single labels beside it. "r1_1000" is the share of captions
    of everything, no two equal, whose own picture is the nearest of 1,000.
    """
    model.eval()
    tokenizer = StreetTokenizer()
    rows = {}
    for label in (*CLASSES, "colour_vehicle"):
        rows[label] = zero_shot_classifier(model, tokenizer, street_prompts(label))

    def right(street: StreetImages) -> dict[str, torch.Tensor]:
        features = encode_images(model, street.images)
        truth = street.labels | {"colour_vehicle": street.labels["colour"] * len(KINDS) + street.labels["vehicle"]}
        return {label: (features @ rows[label].T).argmax(1) == truth[label] for label in truth}

    def drawn(split: str, n: int, shift: str | None = None) -> StreetImages:
        return load_street(split, n, seed=seed, shift=shift, cache=False, progress=False, captions=0)

    street = drawn("test", n)
    found: Figures = {label: share(hits) for label, hits in right(street).items()}
    street = drawn("composition", n)
    hits = right(street)
    new = torch.tensor([(scene.main.colour, scene.main.kind) in HELD_OUT_VEHICLES for scene in street.scenes])
    found["unseen_pairs"] = share(hits["colour_vehicle"][new])
    found["unseen_pairs"] |= {label: share(hits[label][new]) for label in ("vehicle", "colour")}
    new = torch.tensor(
        [(scene.trees.kind, scene.sky) in HELD_OUT_TREES if scene.trees else False for scene in street.scenes]
    )
    found["unseen_pairs"] |= {label: share(hits[label][new]) for label in ("tree", "sky")}
    found["r1_1000"] = share(_first_of_1000(model, tokenizer, seed))
    for shift in SHIFTS:
        # The adversarial list is as long as the failures that were found.
        m = min(n, len(read_adversarial())) if shift == "adversarial" else n
        found[shift] = {label: share(hits) for label, hits in right(drawn("test", m, shift)).items()}
    return found


def _first_of_1000(model: nn.Module, tokenizer: StreetTokenizer, seed: int) -> torch.Tensor:
    """For 1,000 scenes with captions of which no two are equal: bool [1000], whether each caption finds its picture."""
    street = load_street("test", 1_100, seed=seed, cache=False, progress=False, captions=0)
    captions: dict[str, int] = {}
    for i, scene in enumerate(street.scenes):
        captions.setdefault(caption(scene, np.random.default_rng([seed, i]), "everything"), i)
    texts, places = zip(*list(captions.items())[:1_000], strict=True)
    pictures = encode_images(model, street.images[list(places)])  # [1000, D]
    with torch.inference_mode():
        similarity = text_features(model, tokenizer(list(texts))) @ pictures.T  # [1000, 1000]
    return similarity.argmax(1) == torch.arange(len(texts))


def evaluate_street_clip(test_seed: int, scenes: int) -> Figures:
    """Measure the shipped model again, on scenes drawn afresh with `test_seed`."""
    figures = measure_clip(street_clip(), scenes, test_seed)
    return {"model": "street-clip", "test_seed": test_seed, "scenes": scenes, "figures": figures}


def train_street_clip(quick: bool = False) -> None:
    """Train the shipped model, measure it and store both; with `quick` a minute's trial, below build/."""
    recipe = ClipRecipe(scenes=1_024, epochs=2) if quick else ClipRecipe()
    scratch = ROOT / "build" / ("quick" if quick else "training")
    model, facts = fit_clip(recipe, scratch / "street-clip.checkpoint")
    target = scratch if quick else DATA
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    with whole(target / "weights" / "street-clip.safetensors") as temporary:
        save_file(state, temporary, metadata={"model": "street-clip"})
    facts = {"model": "street-clip", "configuration": json.loads(CONFIGURATION.read_text(encoding="utf-8")), **facts}
    facts |= {"environment": environment() | {"threads": torch.get_num_threads()}, "test_seed": TEST_SEED}
    facts["figures"] = measure_clip(model, 200 if quick else TEST_SCENES, TEST_SEED)
    write_json(target / "weights" / "street-clip.json", facts)
