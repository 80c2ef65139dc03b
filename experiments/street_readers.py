"""Train and measure the networks that read every label of a street scene.

`python -m experiments train NAME` makes a shipped network again, with its figures; a run that was stopped goes on where
it was. "street-resnet-reference" is not shipped: by its failures the adversarial scenes are chosen, as ImageNet-A was
chosen by a ResNet-50's (Hendrycks et al. 2021). `python -m experiments evaluate NAME` measures on other scenes.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from experiments.runner import ROOT, Figures, environment, write_json
from helpers.files import whole
from helpers.worlds.streets import StreetImages, load_street
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.street.shifts import SHIFTS, read_adversarial, write_adversarial
from helpers.street_models import build_street_model, load_street_model
from helpers.weights.pretrained import DATA

HEADS = {label: len(names) for label, names in CLASSES.items()}
TEST_SEED, TEST_SCENES = 1, 2_000
FRESH, ADVERSARIAL_SCENES = 10_000, 500  # scenes among which the adversarial ones are sought, and how many are kept


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: by AdamW, its rate rising for a first part of the steps and then falling to zero."""

    configuration: dict[str, Any]
    scenes: int
    epochs: int
    rate: float
    weight_decay: float
    batch: int = 128
    seed: int = 0
    split: str = field(default="train", init=False)


RECIPES = {
    "street-resnet": Recipe({"architecture": "StreetResNet", "widths": [16, 32, 64, 128]}, 24_000, 6, 3e-3, 0.02),
    "street-vit": Recipe({"architecture": "StreetViT", "width": 128, "layers": 6, "heads": 4}, 48_000, 8, 1e-3, 0.05),
    "street-resnet-reference": Recipe(
        {"architecture": "StreetResNet", "widths": [16, 32, 64, 96]}, 12_000, 4, 3e-3, 0.02
    ),
}


def accuracies(model: nn.Module, street: StreetImages) -> dict[str, torch.Tensor]:
    """For each label of `street`: bool [n], whether the network named it rightly."""
    model.eval()
    right: dict[str, list[torch.Tensor]] = {label: [] for label in street.labels}
    with torch.inference_mode():
        for start in range(0, len(street), 250):
            part = slice(start, start + 250)
            logits = model(street.images[part])
            for label, truth in street.labels.items():
                right[label].append(logits[label].argmax(1) == truth[part])
    return {label: torch.cat(parts) for label, parts in right.items()}


def share(right: torch.Tensor) -> dict[str, float | list[float] | int]:
    """The share of True in `right` with its 95 % interval (Wilson 1927)."""
    n, p, z = len(right), right.float().mean().item(), 1.959964
    middle, half = (p + z * z / 2 / n), z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    interval = [round((middle - half) / (1 + z * z / n), 4), round((middle + half) / (1 + z * z / n), 4)]
    return {"accuracy": round(p, 4), "interval": interval, "n": n}


def fit(recipe: Recipe, checkpoint: Path) -> tuple[nn.Module, Figures]:
    """Train by cross-entropy on all labels at once; returns the network and the facts of the run.

    After each epoch everything is saved in `checkpoint`; called again with the same recipe, it goes on there.
    """
    told = json.loads(json.dumps(asdict(recipe)))
    street = load_street(recipe.split, recipe.scenes, captions=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # the layers' own start takes the global generator, which is put back after
        model = build_street_model(HEADS, recipe.configuration).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (recipe.scenes // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps, pct_start=0.15)
    parts, first, seconds = {"model": model, "optimizer": optimizer, "schedule": schedule}, 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["recipe"] == told:
            for name, part in parts.items():
                part.load_state_dict(state[name])
            first, seconds = state["epoch"], state["seconds"]
            print(f"going on after epoch {first} of {checkpoint}", file=sys.stderr)
    for epoch in range(first, recipe.epochs):
        start, total = time.perf_counter(), 0.0
        generator = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
        model.train()
        # A rest too small for batch statistics is left out.
        order = torch.randperm(recipe.scenes, generator=generator)[: recipe.scenes // recipe.batch * recipe.batch]
        for rows in order.split(recipe.batch):
            images = street.images[rows]  # [B, 3, 96, 96]
            if torch.rand((), generator=generator) < 0.5:
                images = images.flip(3)  # no label depends on the side
            logits = model(images)
            loss = sum(F.cross_entropy(logits[label], street.labels[label][rows]) for label in HEADS)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds += time.perf_counter() - start
        state = {name: part.state_dict() for name, part in parts.items()}
        with whole(checkpoint) as temporary:
            torch.save(state | {"recipe": told, "epoch": epoch + 1, "seconds": seconds}, temporary)
        mean = total / (recipe.scenes // recipe.batch)
        print(f"epoch {epoch + 1} of {recipe.epochs}, loss {mean:.3f}, {seconds:.0f} s", file=sys.stderr)
    return model, {"recipe": told, "steps": steps, "seconds": round(seconds)}


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Every figure of the network on `n` scenes drawn afresh with `seed`: the test split, unseen pairs, each shift."""

    def figures(split: str, n: int, shift: str | None = None) -> Figures:
        street = load_street(split, n, seed=seed, shift=shift, cache=False, progress=False, captions=0)
        return {label: share(right) for label, right in accuracies(model, street).items()}

    unseen = figures("composition", n)
    found = figures("test", n) | {
        "unseen_pairs": {label: unseen[label] for label in ("vehicle", "colour", "tree", "sky")}
    }
    for shift in SHIFTS:
        # The adversarial list is as long as the failures that were found.
        found[shift] = figures("test", min(n, len(read_adversarial())) if shift == "adversarial" else n, shift)
    return found


def evaluate(name: str, test_seed: int, scenes: int) -> Figures:
    """Measure the shipped network `name` again, on scenes drawn afresh with `test_seed`."""
    figures = measure(load_street_model(name), scenes, test_seed)
    return {"model": name, "test_seed": test_seed, "scenes": scenes, "figures": figures}


def choose_adversarial(model: nn.Module, fresh: int, path: Path) -> None:
    """Store the first natural scenes, freshly drawn, whose vehicle the network takes for another."""
    street = load_street("test", fresh, seed=9, captions=0)
    wrong = (~accuracies(model, street)["vehicle"]).nonzero().flatten().tolist()[:ADVERSARIAL_SCENES]
    write_adversarial([(street.scenes[i], i) for i in wrong], "street-resnet-reference", path)
    print(f"{len(wrong)} of {fresh} scenes deceive the reference; written to {path}", file=sys.stderr)


def train(name: str, quick: bool = False) -> None:
    """Train the network `name` of RECIPES, measure it and store both; with `quick` a minute's trial, below build/."""
    recipe = replace(RECIPES[name], scenes=1_024, epochs=2) if quick else RECIPES[name]
    scratch = ROOT / "build" / ("quick" if quick else "training")
    model, facts = fit(recipe, scratch / f"{name}.checkpoint")
    target = scratch if quick else DATA
    if name == "street-resnet-reference":
        choose_adversarial(model, 500 if quick else FRESH, target / "street" / "adversarial.json")
        return
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    with whole(target / "weights" / f"{name}.safetensors") as temporary:
        save_file(state, temporary, metadata={"model": name})
    facts = {"model": name, "labels": HEADS, "configuration": facts["recipe"].pop("configuration"), **facts}
    facts |= {"environment": environment() | {"threads": torch.get_num_threads()}, "test_seed": TEST_SEED}
    facts["figures"] = measure(model, 200 if quick else TEST_SCENES, TEST_SEED)
    write_json(target / "weights" / f"{name}.json", facts)
