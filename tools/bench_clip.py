"""How fast a CLIP is trained here, beside `transformers.CLIPModel`, in one run: `python -m tools.bench clip`."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from experiments.street_clip import loss
from helpers.models.clip import build_clip, clamp_scale, image_features, text_features
from helpers.training.fit import Recipe, Shuffled, fit, parameter_groups
from helpers.worlds.street.captions import caption
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.prompts import street_prompts
from helpers.worlds.street.sample import one_vehicle
from helpers.worlds.street.scene import KINDS
from helpers.worlds.tokenizer import StreetTokenizer

Encoders = tuple[Callable[[list[str]], torch.Tensor], Callable[[np.ndarray], torch.Tensor]]
SCENES, TESTS, BATCH, WANTED = 8_000, 500, 128, 0.9
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def transformers_clip() -> nn.Module:
    """`transformers.CLIPModel` of the sizes of data/models/street-clip.json, untrained."""
    from transformers import CLIPConfig, CLIPModel

    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 4}
    text = {"hidden_size": 96, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 3}
    vision |= {"image_size": 96, "patch_size": 16}
    text |= {
        "vocab_size": 512,
        "max_position_embeddings": 32,
        "bos_token_id": 1,
        "eos_token_id": 511,
        "pad_token_id": 0,
    }
    return CLIPModel(CLIPConfig(projection_dim=128, vision_config=vision, text_config=text))


def scenes(split: str, n: int) -> tuple[np.ndarray, list[list[str]], torch.Tensor]:
    """Streets with one vehicle: uint8 [n, 96, 96, 3], two captions of each, and the vehicles' classes [n]."""
    chosen = [one_vehicle(split, i) for i in range(n)]
    images = np.stack([render(scene, 96, i) for i, scene in enumerate(chosen)])
    texts = []
    for i, scene in enumerate(chosen):
        rng = np.random.default_rng([5, i])
        texts.append([caption(scene, rng, "everything"), caption(scene, rng, "what")])
    return images, texts, torch.tensor([KINDS.index(scene.main.kind) for scene in chosen])


class Reached(Exception):
    """The accuracy that was waited for is there, or the time is over."""


class Watch:
    """Counts the seconds of training; every 50 steps it stops the clock and asks whether `wanted` is reached."""

    def __init__(
        self, model: nn.Module, test: tuple[np.ndarray, torch.Tensor], encoders: Encoders, limit: float
    ) -> None:
        self.model, self.test, self.encoders, self.limit = model, test, encoders, limit
        self.spent, self.begin = 0.0, time.perf_counter()

    def __call__(self, step: int, *_: object) -> None:
        """After a step. Raises Reached, with the seconds or, after `limit` of them, with None."""
        if step % 50:
            return
        self.spent += time.perf_counter() - self.begin
        if accuracy(self.model, *self.encoders, *self.test) >= WANTED:
            raise Reached(self.spent)
        if self.spent > self.limit:
            raise Reached(None)
        self.begin = time.perf_counter()


def ours(images: np.ndarray, texts: list[list[str]]) -> tuple[nn.Module, Encoders, Callable[..., object]]:
    """The course's loop: bytes stay bytes, all captions in one call, nothing is computed that no result needs."""
    model, tokenizer = build_clip(), StreetTokenizer()
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()  # [n, 96, 96, 3] -> [n, 3, 96, 96]
    groups = [tokenizer([of_one[k] for of_one in texts]) for k in range(2)]  # 2 × [n, 32]
    recipe = Recipe(100_000, 1.2e-3, 0.01, betas=(0.9, 0.98), warm_up=5e-4, clip=0)

    def train(watch: Watch) -> None:
        def after_step(step: int, model: nn.Module) -> None:
            clamp_scale(step, model)
            watch(step)

        fit(model, Shuffled((pictures, *groups), BATCH), loss, recipe, after_step=after_step, progress=False)

    def encode_image(images: np.ndarray) -> torch.Tensor:
        return image_features(model, torch.from_numpy(images).permute(0, 3, 1, 2))

    return model, (lambda texts: text_features(model, tokenizer(texts)), encode_image), train


class Plain:
    """What one writes first: CLIPModel, a DataLoader of PIL pictures with torchvision's transforms, default AdamW."""

    def __init__(self, images: np.ndarray, texts: list[list[str]]) -> None:
        from torchvision import transforms

        self.tokenizer = StreetTokenizer()
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
        self.pairs = [(Image.fromarray(image), of_one) for image, of_one in zip(images, texts, strict=True)]
        self.model = transformers_clip()
        self.optimizer = torch.optim.AdamW(self.model.parameters())

    def collate(self, pairs: list[tuple[Image.Image, list[str]]]) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = torch.stack([self.transform(image) for image, _ in pairs])
        return pictures, self.tokenizer([texts[int(torch.randint(2, ()))] for _, texts in pairs])

    def train(self, watch: Watch) -> None:
        for step in count(1):
            if step % (len(self.pairs) // BATCH) == 1:
                loader = iter(DataLoader(self.pairs, BATCH, shuffle=True, collate_fn=self.collate, drop_last=True))
            self.step(*next(loader))
            watch(step)

    def step(self, pictures: torch.Tensor, ids: torch.Tensor) -> None:
        out = self.model(input_ids=ids, attention_mask=(ids != 0).long(), pixel_values=pictures, return_loss=True)
        self.optimizer.zero_grad()
        out.loss.backward()
        self.optimizer.step()

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        ids = self.tokenizer(texts)
        out = self.model.get_text_features(input_ids=ids, attention_mask=(ids != 0).long())
        return F.normalize(getattr(out, "pooler_output", out), dim=1)

    def encode_image(self, images: np.ndarray) -> torch.Tensor:
        pixels = torch.stack([self.transform(Image.fromarray(image)) for image in images])
        out = self.model.get_image_features(pixel_values=pixels)
        return F.normalize(getattr(out, "pooler_output", out), dim=1)


def accuracy(
    model: nn.Module,
    encode_text: Callable[[list[str]], torch.Tensor],
    encode_image: Callable[[np.ndarray], torch.Tensor],
    images: np.ndarray,
    truth: torch.Tensor,
) -> float:
    """Zero-shot accuracy on the vehicle."""
    model.eval()
    with torch.inference_mode():
        rows = torch.stack([encode_text(prompts).mean(0) for prompts in street_prompts("vehicle")])
        found = encode_image(images) @ F.normalize(rows, dim=1).T
    model.train()
    return (found.argmax(1) == truth).float().mean().item()


def seconds_of(train: Callable[[Watch], None], watch: Watch) -> float | None:
    """Seconds of training until the zero-shot accuracy is WANTED; None if the limit came first."""
    try:
        train(watch)
    except Reached as reached:
        return reached.args[0]


def best_seconds(functions: list[Callable[[], object]], rounds: int = 5) -> list[float]:
    """The shortest time of each function, taken in turns, so that a busy moment hits all alike."""
    for function in functions:
        function()
    times = [[] for _ in functions]
    for _ in range(rounds):
        for of_one, function in zip(times, functions, strict=True):
            begin = time.perf_counter()
            function()
            of_one.append(time.perf_counter() - begin)
    return [min(of_one) for of_one in times]


def step_seconds(batch: int = 256) -> tuple[float, float]:
    """Seconds of one training step on the same pairs, one caption for each picture: ours and CLIPModel's."""
    images, texts, _ = scenes("train", batch)
    rng = np.random.default_rng(0)
    texts = [[caption(one_vehicle("train", i), rng)] * 2 for i in range(batch)]  # of every focus, so of every length
    model, plain = build_clip(), Plain(images, texts)
    pixels, ids = plain.collate([(Image.fromarray(image), of_one) for image, of_one in zip(images, texts, strict=True)])
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(model, pictures, ids).backward()
        optimizer.step()

    first, second = best_seconds([step, lambda: plain.step(pixels, ids)])
    return first, second


def race() -> tuple[float | None, float | None, float]:
    """Seconds to WANTED zero-shot accuracy on the vehicle: ours, the plain loop's, and when that one is stopped."""
    images, texts, _ = scenes("train", SCENES)
    unseen, _, truth = scenes("test", TESTS)
    model, encoders, train = ours(images, texts)
    first = seconds_of(train, Watch(model, (unseen, truth), encoders, 900))
    limit, plain = 3.3 * (first or 900), Plain(images, texts)
    watch = Watch(plain.model, (unseen, truth), (plain.encode_text, plain.encode_image), limit)
    return first, seconds_of(plain.train, watch), limit
