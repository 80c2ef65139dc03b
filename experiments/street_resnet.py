"""Train the network that reads every label of a street scene, and measure it: `python -m experiments.street_resnet`.

It answers whether each fact can be read off a picture of 96 px, and what a network that saw only natural scenes makes
of combinations it never saw and of the shifts. `--reference` trains a narrower one, by whose failures the adversarial
scenes are then chosen (as ImageNet-A was chosen by a ResNet-50's failures, Hendrycks et al. 2021); it is not shipped.
`--quick` is a minute's trial of the whole path and writes below build/. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from helpers.resnet import StreetResNet
from helpers.street.dataset import StreetImages, load_street
from helpers.street.sample import CLASSES
from helpers.street.shifts import SHIFTS, write_adversarial
from helpers.weights import load_state

ROOT = Path(__file__).resolve().parent.parent
HEADS = {label: len(names) for label, names in CLASSES.items()}
WIDTHS = {"street-resnet": (16, 32, 64, 128), "street-resnet-reference": (16, 32, 64, 96)}
SIZES = {"street-resnet": (24_000, 6), "street-resnet-reference": (12_000, 4)}  # scenes, epochs
FRESH = 10_000  # scenes among which the adversarial ones are sought


def batches(n: int, size: int, generator: torch.Generator) -> list[torch.Tensor]:
    """The numbers 0 to n-1 in random order, in batches of `size`; a rest too small for batch statistics is left out."""
    return list(torch.randperm(n, generator=generator)[: n // size * size].split(size))


def accuracies(model: StreetResNet, street: StreetImages) -> dict[str, torch.Tensor]:
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


def train(name: str, scenes: int, epochs: int, seed: int, folder: Path, batch: int = 128) -> tuple[StreetResNet, dict]:
    """Train by cross-entropy on all labels at once; returns the network and the facts of the run.

    After each epoch everything is saved in `folder`; a run that is called again with the same arguments goes on there.
    """
    street = load_street("train", scenes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the layers' own start takes the global generator, which is put back after
        model = StreetResNet(HEADS, WIDTHS[name]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    steps = epochs * (scenes // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.15)
    recipe = {
        "split": "train",
        "scenes": scenes,
        "epochs": epochs,
        "batch": batch,
        "seed": seed,
        "widths": WIDTHS[name],
    }
    recipe = json.loads(json.dumps(recipe))
    kept, first, seconds = folder / f"{name}.checkpoint", 0, 0.0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        if state["recipe"] == recipe:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            first, seconds = state["epoch"], state["seconds"]
            print(f"going on after epoch {first} of {kept}", flush=True)
    for epoch in range(first, epochs):
        start, total = time.perf_counter(), 0.0
        generator = torch.Generator().manual_seed(1000 * seed + epoch)
        model.train()
        for rows in batches(scenes, batch, generator):
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
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        state |= {"recipe": recipe, "epoch": epoch + 1, "seconds": seconds}
        torch.save(state, f"{kept}.tmp")
        os.replace(f"{kept}.tmp", kept)
        mean = total / (scenes // batch)
        print(f"{name}: epoch {epoch + 1} of {epochs}, loss {mean:.3f}, {seconds:.0f} s", flush=True)
    return model, {"recipe": recipe, "steps": steps, "seconds": round(seconds)}


def measure(model: StreetResNet, n: int, seed: int) -> dict:
    """Every figure of the network on `n` fresh scenes of `seed`: the test split, unseen pairs, and each shift."""
    figures = {label: share(right) for label, right in accuracies(model, load_street("test", n, seed=seed)).items()}
    unseen = accuracies(model, load_street("composition", n, seed=seed))
    figures["unseen_pairs"] = {label: share(unseen[label]) for label in ("vehicle", "colour", "tree", "sky")}
    for shift in SHIFTS:
        # The adversarial list is as long as the failures that were found.
        few = min(n, ADVERSARIAL_SCENES) if shift == "adversarial" else n
        right = accuracies(model, load_street("test", few, seed=seed, shift=shift))
        figures[shift] = {label: share(hits) for label, hits in right.items()}
    return figures


ADVERSARIAL_SCENES = 500


def choose_adversarial(model: StreetResNet, fresh: int, path: Path) -> None:
    """Store the first natural scenes, freshly drawn, whose vehicle the network takes for another."""
    street = load_street("test", fresh, seed=9)
    wrong = (~accuracies(model, street)["vehicle"]).nonzero().flatten().tolist()[:ADVERSARIAL_SCENES]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_adversarial([(street.scenes[i], i) for i in wrong], "street-resnet-reference", path)
    print(f"{len(wrong)} of {fresh} scenes deceive the reference; written to {path}", flush=True)


def write_json(path: Path, content: dict) -> None:
    """Write `content` whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def main() -> None:
    """Train, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", action="store_true", help="train the reference and choose adversarial scenes")
    parser.add_argument("--quick", action="store_true", help="a trial of the whole path in about a minute")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    scratch = ROOT / "build" / ("street-resnet-quick" if args.quick else "street-resnet")
    scratch.mkdir(parents=True, exist_ok=True)
    name = "street-resnet-reference" if args.reference else "street-resnet"
    scenes, epochs = (1_024, 2) if args.quick else SIZES[name]
    model, facts = train(name, scenes, epochs, args.seed, scratch)
    if args.reference:
        target = scratch / "adversarial.json" if args.quick else ROOT / "data" / "street" / "adversarial.json"
        choose_adversarial(model, 500 if args.quick else FRESH, target)
        return
    folder = scratch if args.quick else ROOT / "data" / "weights"
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / f"{name}.safetensors.tmp", metadata={"model": name})
    os.replace(folder / f"{name}.safetensors.tmp", folder / f"{name}.safetensors")
    again = StreetResNet(HEADS, WIDTHS[name])
    again.load_state_dict(load_state(folder / f"{name}.safetensors"))
    environment = {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}
    write_json(
        folder / f"{name}.json",
        {"model": name, "labels": HEADS, **facts, "environment": environment, "test_seed": 1}
        | {"figures": measure(again, 200 if args.quick else 2_000, seed=1)},
    )
    print((folder / f"{name}.json").read_text(encoding="utf-8"), flush=True)


if __name__ == "__main__":
    main()
