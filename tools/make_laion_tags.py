"""Make data/weights/laion-tags.safetensors: `python -m tools.make_laion_tags`, the tag heads of `helpers.laion.tags`.

The pictures are street scenes as the miniature web shows them: plain, with an agency's name over them, and under a
warning sign, each changed as re-hosters change pictures. The scenes are not those of any web. `data/weights/
laion-tags.json` tells how well the heads do on other scenes. It takes about two minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from helpers.files import DATA, whole, write_json
from helpers.laion.pictures import examine
from helpers.laion.similarity import image_features, one_thread
from helpers.laion.tags import TAGS, WEIGHTS, TagHead
from helpers.training.fit import Recipe, Shuffled, fit, seeded
from helpers.worlds.streets import load_street
from helpers.worlds.web import files

AGENCIES = ("picture agency", "© photo", "stock image", "sample", "preview only", "do not copy")
HELD_OUT = "picture agency"  # what the miniature web's watermarks say; no head is trained on it
SEED, SIZE = 7_000, 128


def shown(picture: np.ndarray, rng: np.random.Generator, agencies: tuple[str, ...]) -> tuple[np.ndarray, list[float]]:
    """A picture uint8 [H, W, 3] as a web might show it, and its tags, 0 or 1 each."""
    watermark, unsafe = rng.random() < 0.4, rng.random() < 0.3
    if watermark:
        picture = files.with_watermark(picture, agencies[int(rng.random() * len(agencies))])
    if unsafe:
        picture = files.with_warning(picture)
    changes = ("", *files.CHANGES)
    picture = files.changed(picture, changes[int(rng.random() * len(changes))])
    data = files.encoded(picture, "jpg", quality=int(rng.integers(40, 95)))
    found, _, _ = examine(data)
    return found, [float(unsafe), float(watermark)]


def examples(split: str, n: int, copies: int, agencies: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """CLIP's features float [n · copies, D] of pictures of `n` scenes, and their tags [n · copies, 2]."""
    street = load_street(split, n, SIZE, seed=SEED, captions=0, cache=False)
    pictures, tags = [], []
    for i in range(n * copies):
        picture = street.images[i % n].permute(1, 2, 0).numpy()
        found, truth = shown(picture, np.random.default_rng([SEED, i]), agencies)
        pictures.append(found)
        tags.append(truth)
    return torch.from_numpy(image_features(pictures)), torch.tensor(tags)


def area(scores: torch.Tensor, truth: torch.Tensor) -> float:
    """The area under the ROC curve: how often a tagged picture scores above an untagged one; ties count half."""
    yes, no = scores[truth > 0.5], scores[truth < 0.5]
    above = (yes[:, None] > no[None]).double() + 0.5 * (yes[:, None] == no[None]).double()
    return above.mean().item()


def measure(head: TagHead, features: torch.Tensor, truth: torch.Tensor) -> dict[str, Any]:
    """For each tag the area under the ROC curve, and precision and recall at a probability of 0.5."""
    with torch.inference_mode():
        p = torch.sigmoid(head(features))
    found = {}
    for i, tag in enumerate(TAGS):
        yes, real = p[:, i] >= 0.5, truth[:, i] > 0.5
        hits = (yes & real).sum().item()
        found[tag] = {
            "area": round(area(p[:, i], truth[:, i]), 4),
            "precision": round(hits / max(1, yes.sum().item()), 4),
            "recall": round(hits / max(1, real.sum().item()), 4),
        }
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=DATA, help="folder to write weights/ into (default: data)")
    parser.add_argument("--scenes", type=int, default=600, help="scenes to train on (default: 600)")
    options = parser.parse_args(arguments)
    others = tuple(name for name in AGENCIES if name != HELD_OUT)
    with one_thread():
        features, tags = examples("train", options.scenes, 4, others)
        head = seeded(lambda: TagHead(features.shape[1]), SEED)
        recipe = Recipe(steps=1_500, rate=3e-3, weight_decay=0.02, seed=SEED)
        batches = Shuffled((features, tags), min(250, len(features)), SEED)
        fit(
            head,
            batches,
            lambda model, x, y: F.binary_cross_entropy_with_logits(model(x), y),
            recipe,
            device=torch.device("cpu"),
            progress=False,
        )
        scenes = max(50, options.scenes // 5)
        figures = measure(head, *examples("test", scenes, 2, (HELD_OUT,)))
    path = options.target / WEIGHTS
    with whole(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in head.state_dict().items()}, temporary)
    facts = {"model": "laion-tags", "scenes": options.scenes, "test_scenes": scenes, "figures": figures}
    write_json(path.with_suffix(".json"), facts)
    print(json.dumps(figures, indent=1))
    print("now: python -m tools.make_manifest", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
