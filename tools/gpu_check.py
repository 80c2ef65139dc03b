"""Try the course on a graphics card: `python -m tools.gpu_check` writes build/gpu.json, with the card's name.

It needs no network and, beside torch, only what the models import; a part whose package is missing is left out by name.
Every model and its loss is computed on the card and on the CPU and compared, the shipped models name the same things on
both, the small CLIP of notebook 07 is trained, and each shipped model is trained for a few steps. Without a card
`tests/test_gpu.py` runs the same CASES on tensors that only say that they are on one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from helpers.files import BUILD, write_json
from helpers.training.device import pick_device
from helpers.training.fit import seeded

Case = tuple[nn.Module, tuple[torch.Tensor, ...]]


class Calling(nn.Module):
    """A function of a model and tensors as a module, so that parameters can be put in its place."""

    def __init__(self, model: nn.Module, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(self.model, *inputs)


def _numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _bytes(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def _ids(*shape: int) -> torch.Tensor:
    """Texts for CLIP: random pieces, with the end token, the highest id, in the last place."""
    ids = torch.randint(5, 511, shape, generator=torch.Generator().manual_seed(0))
    ids[:, -1] = 511
    return ids


def _resnet() -> Case:
    from helpers.models.resnet import StreetResNet

    model = StreetResNet({"sky": 4, "tree": 5})
    return Calling(model, lambda net, images: torch.cat(list(net(images).values()), 1)), (_bytes(2, 3, 96, 96),)


def _cifar() -> Case:
    from helpers.models.resnet import cifar_network

    return cifar_network(20, True, 7), (_numbers(4, 3, 32, 32),)


def _small_resnet() -> Case:
    from helpers.models.resnet import SmallResNet

    return SmallResNet(5), (_numbers(4, 3, 48, 48),)


def _vit() -> Case:
    from helpers.models.vit import StreetViT

    model = StreetViT({"sky": 4}, width=32, layers=2, heads=4)
    return Calling(model, lambda net, images: net(images)["sky"]), (_bytes(2, 3, 96, 96),)


def _clip() -> Case:
    from helpers.models.clip import build_clip, contrastive_loss, image_features, text_features

    def loss(model: nn.Module, images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return contrastive_loss(image_features(model, images), text_features(model, ids), model.logit_scale.exp())

    return Calling(build_clip(), loss), (_bytes(4, 3, 96, 96), _ids(4, 32))


def _patches_of_clip() -> Case:
    from helpers.models.clip import build_clip, image_tokens

    return Calling(build_clip(), image_tokens), (_bytes(2, 3, 96, 96),)


def _language() -> Case:
    from helpers.models.language import LanguageModel, next_token_loss

    def loss(model: nn.Module, ids: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        return next_token_loss(model(ids, real=real), ids, real)

    real = torch.arange(12) < torch.tensor([[12], [7], [9]])
    return Calling(LanguageModel(512, 16, 32, 2, 4), loss), (_ids(3, 12), real)


def _language_with_a_picture() -> Case:
    from helpers.models.language import LanguageModel, next_token_loss
    from helpers.models.layers import prefix_mask

    def loss(model: nn.Module, ids: torch.Tensor, picture: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        return next_token_loss(model(ids, mask=prefix_mask(prefix, ids.shape[1]), context=picture), ids)

    inputs = _ids(3, 12), _numbers(3, 9, 24), torch.tensor([2, 5, 0])
    return Calling(LanguageModel(512, 16, 32, 2, 4, context_width=24), loss), inputs


def _words() -> Case:
    from helpers.models.words import WordEmbedding

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
    real = torch.arange(6) < torch.tensor([[6], [4]])
    return WordEmbedding(pieces, 16, 2).eval(), (torch.randint(5, 7, (2, 6)), real)


def _captions() -> Case:
    from experiments.robustness import Captions

    model = Captions()
    return Calling(model, lambda net, *inputs: net.loss(*inputs)), (_numbers(4, 3, 48, 48), _ids(4, 20), _ids(4, 20))


def _towers() -> Case:
    from experiments.train_clip import Towers
    from helpers.models.clip import build_clip

    model = Towers(build_clip())
    return Calling(model, lambda net, *inputs: torch.cat(net(*inputs)[:2])), (_bytes(3, 3, 96, 96), _ids(3, 32))


# Every model of the course with its loss or output, as (module, inputs), on the CPU.
CASES: dict[str, Callable[[], Case]] = {
    "StreetResNet": _resnet,
    "cifar_network": _cifar,
    "SmallResNet": _small_resnet,
    "StreetViT": _vit,
    "CLIP": _clip,
    "CLIP's patches": _patches_of_clip,
    "LanguageModel": _language,
    "LanguageModel with a picture": _language_with_a_picture,
    "WordEmbedding": _words,
    "robustness.Captions": _captions,
    "train_clip.Towers": _towers,
}


def compare(device: torch.device) -> dict[str, float]:
    """For each case the largest difference between card and CPU, as a share of the largest output."""
    found = {}
    for name, case in CASES.items():
        model, inputs = seeded(case, 0)
        model.eval()
        with torch.no_grad():
            truth = model(*inputs)
            there = model.to(device)(*(x.to(device) for x in inputs)).cpu()
        found[name] = ((there - truth).abs().max() / truth.abs().max()).item()
        if not found[name] < 1e-3:
            raise ValueError(f"{name}: card and CPU differ by {found[name]:.1e} of the largest output")
    return found


def shipped(device: torch.device) -> dict[str, Any]:
    """What the shipped models say of the same pictures on both devices: largest difference, and equal answers."""
    from helpers.models.clip import encode_images
    from helpers.training.device import moved
    from helpers.training.statistics import in_parts
    from helpers.weights.pretrained import load
    from helpers.worlds.streets import load_street

    images, found = load_street("test", 256, captions=0, progress=False).images, {}
    clip, cpu = load("street-clip").model, torch.device("cpu")
    features = []
    for where in (cpu, device):
        with moved(clip, where):
            features.append(encode_images(clip, images))
    found["street-clip"] = {"difference": (features[0] - features[1]).abs().max().item()}
    for name in ("street-resnet", "street-vit"):
        model = load(name).model
        with torch.inference_mode():
            here = model(images)
        there = in_parts(model, images)
        same = [
            (torch.cat([p[k] for p in there]).argmax(1).cpu() == v.argmax(1)).float().mean().item()
            for k, v in here.items()
        ]
        found[name] = {"equal answers": min(same)}
        if min(same) < 0.98:
            raise ValueError(f"{name}: only {min(same):.1%} of the answers are the same on card and CPU")
    return found


def live(device: torch.device) -> dict[str, Any]:
    """The shipped CLIP's recipe for 240 steps: how fast, and how far the loss falls."""
    from experiments.street_clip import MODELS
    from helpers.training.fit import fit

    (model,) = MODELS
    recipe = replace(model.recipe, steps=240)
    run = fit(model.build(0), model.batches(4_000, 128, recipe), model.loss, recipe, device=device,
              after_step=model.after_step, progress=False)  # fmt: skip
    first, last = sum(run.losses[:20]) / 20, sum(run.losses[-20:]) / 20
    if not last < first - 0.5:
        raise ValueError(f"the loss went from {first:.2f} to {last:.2f} in 240 steps: nothing was learned")
    return {"steps": 240, "seconds": round(run.seconds, 1), "loss at first": first, "loss in the end": last}


def steps(device: torch.device) -> dict[str, Any]:
    """Three steps of each model that `experiments train` makes."""
    from experiments.registry import all_models
    from helpers.training.fit import fit
    from helpers.weights.store import WeightsError

    found = {}
    for name, model in all_models().items():
        recipe = replace(model.recipe, steps=3)
        try:
            network = model.build(0)
        except WeightsError as reason:  # it starts from another model, which has not been trained yet
            found[name] = f"left out: {reason}"
            continue
        run = fit(network, model.batches(256, 64, recipe), model.loss, recipe, device=device, progress=False)
        found[name] = run.losses
    return found


PARTS: tuple[Callable[[torch.device], Any], ...] = (compare, shipped, steps, live)


def main() -> int:
    """Run all parts; return 1 if one failed or there is no card."""
    device = pick_device()
    if device.type == "cpu":
        print("gpu_check: torch sees no graphics card here; without one, tests/test_gpu.py checks what can be checked.")
        return 1
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    found: dict[str, Any] = {"card": name, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
    failed = False
    for part in PARTS:
        start = time.perf_counter()
        try:
            told: Any = {"figures": part(device)}
        except ImportError as error:
            told = {"left out": str(error)}
        except Exception as error:  # the other parts are worth knowing, too
            told, failed = {"failed": f"{type(error).__name__}: {error}"}, True
        found[part.__name__] = told | {"seconds": round(time.perf_counter() - start, 1)}
        print(part.__name__, json.dumps(found[part.__name__]), flush=True)
    write_json(BUILD / "gpu.json", found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
