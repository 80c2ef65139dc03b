"""How fast a CLIP is trained here, beside `transformers.CLIPModel`, in one run: `python -m tools.bench clip`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from experiments.robustness import one_vehicle
from helpers.models.clip import build_clip, image_features, text_features
from helpers.models.clip import MAX_LOG_SCALE, contrastive_loss
from helpers.worlds.street.captions import caption
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.scene import KINDS
from helpers.worlds.tokenizer import StreetTokenizer
from helpers.zero_shot import street_prompts

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


class Ours:
    """The course's loop: bytes stay bytes, all captions in one call, nothing is computed that no result needs."""

    def __init__(self, images: np.ndarray, texts: list[list[str]]) -> None:
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()  # [n, 96, 96, 3] -> [n, 3, 96, 96]
        ids = StreetTokenizer()([text for of_one in texts for text in of_one])
        self.ids = ids.view(len(texts), 2, -1)  # [2n, 32] -> [n, 2, 32]
        self.model = build_clip()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1.2e-3, betas=(0.9, 0.98), fused=True)
        self.schedule = torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.02, total_iters=50)

    def steps(self) -> Iterator[None]:
        generator = torch.Generator().manual_seed(0)
        while True:
            for rows in torch.randperm(len(self.images), generator=generator).split(BATCH):
                pictures, scale = image_features(self.model, self.images[rows]), self.model.logit_scale.exp()
                groups = text_features(self.model, self.ids[rows].transpose(0, 1).flatten(0, 1)).chunk(2)
                loss = sum(contrastive_loss(pictures, group, scale) for group in groups) / 2
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                self.schedule.step()
                with torch.no_grad():
                    self.model.logit_scale.clamp_(0, MAX_LOG_SCALE)
                yield

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        return text_features(self.model, StreetTokenizer()(texts))

    def encode_image(self, images: np.ndarray) -> torch.Tensor:
        return image_features(self.model, torch.from_numpy(images).permute(0, 3, 1, 2))


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

    def steps(self) -> Iterator[None]:
        while True:
            for pictures, ids in DataLoader(self.pairs, BATCH, shuffle=True, collate_fn=self.collate):
                self.step(pictures, ids)
                yield

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


def accuracy(loop: Ours | Plain, images: np.ndarray, truth: torch.Tensor) -> float:
    """Zero-shot accuracy on the vehicle."""
    loop.model.eval()
    with torch.inference_mode():
        rows = torch.stack([loop.encode_text(prompts).mean(0) for prompts in street_prompts("vehicle")])
        found = loop.encode_image(images) @ F.normalize(rows, dim=1).T
    loop.model.train()
    return (found.argmax(1) == truth).float().mean().item()


def seconds_to(wanted: float, loop: Ours | Plain, test: tuple[np.ndarray, torch.Tensor], limit: float) -> float | None:
    """Seconds of training until the zero-shot accuracy is `wanted`, asked every 50 steps; None after `limit`."""
    steps, spent = loop.steps(), 0.0
    while spent < limit:
        begin = time.perf_counter()
        for _ in islice(steps, 50):
            pass
        spent += time.perf_counter() - begin
        if accuracy(loop, *test) >= wanted:
            return spent
    return None


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
    ours, plain = Ours(images, texts), Plain(images, texts)
    pixels, ids = plain.collate([(Image.fromarray(image), of_one) for image, of_one in zip(images, texts, strict=True)])

    def step() -> None:
        scale = ours.model.logit_scale.exp()
        loss = contrastive_loss(image_features(ours.model, ours.images), text_features(ours.model, ids), scale)
        ours.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        ours.optimizer.step()

    first, second = best_seconds([step, lambda: plain.step(pixels, ids)])
    return first, second


def race() -> tuple[float | None, float | None, float]:
    """Seconds to WANTED zero-shot accuracy on the vehicle: ours, the plain loop's, and when that one is stopped."""
    images, texts, _ = scenes("train", SCENES)
    unseen, _, truth = scenes("test", TESTS)
    ours = seconds_to(WANTED, Ours(images, texts), (unseen, truth), 900)
    limit = 3.3 * (ours or 900)
    return ours, seconds_to(WANTED, Plain(images, texts), (unseen, truth), limit), limit
