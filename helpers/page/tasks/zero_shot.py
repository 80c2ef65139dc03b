"""Notebook 08: the prompt ensemble, the classifier made of sentences (Radford et al. 2021, section 3.1.4), top-5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import torch
import torch.nn.functional as F

from helpers.page.exercises import Task

Prompts = Sequence[Sequence[str]]


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Features whose lengths differ by a factor of ten and more, so that a mean of them depends on the lengths."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    return x * (0.1 + 3 * torch.rand((*shape[:-1], 1), generator=generator))


# --- One class, many sentences -----------------------------------------------------------------------------------


def _ensemble(features: torch.Tensor) -> torch.Tensor:
    return F.normalize(F.normalize(features, dim=-1).mean(0), dim=0)


ENSEMBLE = Task(
    right=_ensemble,
    inputs=((_random(4, 6),), (_random(3, 3, seed=1),), (_random(9, 5, seed=2),)),
    mistakes={
        "a long feature counts for more than a short one": lambda f: F.normalize(f.mean(0), dim=0),
        "the row does not have length 1": lambda f: F.normalize(f, dim=-1).mean(0),
        "this is the plain mean, nothing has been brought to length 1": lambda f: f.mean(0),
        "the mean runs along the wrong axis: it is the sentences that are averaged": (
            lambda f: F.normalize(F.normalize(f, dim=-1).mean(1), dim=0)
        ),
        "the columns of the matrix were brought to length 1, not the sentences": lambda f: F.normalize(
            F.normalize(f, dim=0).mean(0), dim=0
        ),
        "only the first sentence counts": lambda f: F.normalize(f[0], dim=0),
    },
)


# --- A classifier made of sentences ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Encoder:
    """Stands in for a text encoder: the same features for the same text, of any length."""

    width: int

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        if isinstance(texts, str):
            raise TypeError("encode takes a list of sentences, not one sentence")
        return torch.stack([_random(self.width, seed=crc32(text.encode())) for text in texts])  # [n, D]

    def __repr__(self) -> str:
        return "encode"


def _classifier(encode: Callable[[list[str]], torch.Tensor], prompts: Prompts) -> torch.Tensor:
    return torch.stack([_ensemble(encode(list(sentences))) for sentences in prompts])


def _all_as_one(encode: Callable[[list[str]], torch.Tensor], prompts: Prompts) -> torch.Tensor:
    return _ensemble(encode([text for sentences in prompts for text in sentences])).expand(len(prompts), -1)


CLASSIFIER = Task(
    right=_classifier,
    inputs=(
        (_Encoder(6), [["a car", "a red car"], ["a bus", "a red bus"], ["a van", "a red van"]]),
        (_Encoder(4), [["day", "a street by day", "noon"], ["night"]]),
        (_Encoder(5), [["a truck", "one truck"]]),
    ),
    mistakes={
        "within a class, a long feature counts for more than a short one": (
            lambda e, p: torch.stack([F.normalize(e(list(s)).mean(0), dim=0) for s in p])
        ),
        "the rows do not have length 1": lambda e, p: torch.stack([F.normalize(e(list(s)), dim=-1).mean(0) for s in p]),
        "only the first sentence of each class is used": lambda e, p: _classifier(e, [s[:1] for s in p]),
        "the classes stand in the columns: a classifier has one row for each class": lambda e, p: _classifier(e, p).T,
        "every class gets the same row: its own sentences alone should make it": _all_as_one,
    },
)


# --- Among the first five ----------------------------------------------------------------------------------------


def _among_first(cosines: torch.Tensor, truth: torch.Tensor, k: int = 5, largest: bool = True) -> float:
    best = cosines.topk(k, dim=1, largest=largest).indices  # [B, k]
    return (best == truth[:, None]).any(1).float().mean().item()


def _guesses(n: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.rand((n, classes), generator=generator) * 2 - 1
    return cosines, torch.randint(classes, (n,), generator=generator)


TOP_FIVE = Task(
    right=_among_first,
    inputs=(_guesses(40, 9, 0), _guesses(60, 12, 1), _guesses(50, 20, 2)),
    mistakes={
        "this is top-1: the right class may also stand on places two to five": lambda c, t: _among_first(c, t, 1),
        "six answers are counted, not five": lambda c, t: _among_first(c, t, 6),
        "the five smallest cosines are taken, not the five largest": lambda c, t: _among_first(c, t, largest=False),
        "this is the share that is wrong": lambda c, t: 1 - _among_first(c, t),
        "this is a percentage: the share lies between 0 and 1": lambda c, t: 100 * _among_first(c, t),
        "this is the number of right answers: divide by the number of pictures": lambda c, t: (
            _among_first(c, t) * len(t)
        ),
    },
)
