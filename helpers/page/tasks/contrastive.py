"""Notebook 07: CLIP's loss (Radford et al. 2021, section 2.3 and figure 3), and the share that is found."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from helpers.models.clip import contrastive_loss
from helpers.page.exercises import Task


def _pairs(batch: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of length 1, float [B, E], of which each text is roughly like its picture."""
    image, noise = torch.randn(2, batch, width, generator=torch.Generator().manual_seed(seed))
    return F.normalize(image, dim=1), F.normalize(image + 0.7 * noise, dim=1)


def _halves(image: torch.Tensor, text: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    logits, labels = scale * image @ text.T, torch.arange(len(image))
    return F.cross_entropy(logits, labels), F.cross_entropy(logits.T, labels)


CLIP_LOSS = Task(
    right=contrastive_loss,
    inputs=((*_pairs(8, 16, 0), 10.0), (*_pairs(5, 3, 1), 3.0), (*_pairs(32, 64, 2), 14.0)),
    mistakes={
        "only the rows are asked: each picture chooses its text, but no text chooses its picture": lambda i, t, s: (
            _halves(i, t, s)[0]
        ),
        "only the columns are asked: each text chooses its picture, but no picture chooses its text": (
            lambda i, t, s: _halves(i, t, s)[1]
        ),
        "both halves are added, but their mean is wanted": lambda i, t, s: sum(_halves(i, t, s)),
        "the scale is missing: cosines alone lie too close together": lambda i, t, s: sum(_halves(i, t, 1.0)) / 2,
        "the scale divides the cosines": lambda i, t, s: sum(_halves(i, t, 1 / s)) / 2,
        "the sum over the pairs is given, not their mean": lambda i, t, s: len(i) * sum(_halves(i, t, s)) / 2,
        "the softmax is taken twice: cross_entropy takes logits, not probabilities": lambda i, t, s: (
            sum(
                F.cross_entropy(p, torch.arange(len(i))) for p in ((s * i @ t.T).softmax(1), (s * i @ t.T).T.softmax(1))
            )
            / 2
        ),
    },
)


def guessing(batch: int) -> float:
    """The loss of a model that gives each of `batch` candidates the same probability, in nats."""
    return math.log(batch)


def _recall(similarity: torch.Tensor, k: int) -> torch.Tensor:
    true = similarity.diagonal()[:, None]
    return ((similarity > true).sum(1) < k).float().mean()


def _random(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, n, generator=torch.Generator().manual_seed(seed)) + 1.5 * torch.eye(n)


RECALL = Task(
    right=_recall,
    inputs=((_random(50, 0), 1), (_random(50, 0), 5), (_random(20, 1), 3)),
    mistakes={
        "the columns are asked, not the rows": lambda S, k: _recall(S.T, k),
        "k is ignored: only the first place counts": lambda S, k: _recall(S, 1),
        "the number of hits is given, not their share": lambda S, k: len(S) * _recall(S, k),
        "the lowest values are taken for the highest": lambda S, k: _recall(-S, k),
    },
)


def _gradient(logits: torch.Tensor) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    labels = torch.arange(len(logits))
    loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    return torch.autograd.grad(loss, logits)[0]


def _by_hand(logits: torch.Tensor, less: float = 2.0, divisor: float = 2.0, columns: bool = True) -> torch.Tensor:
    B = len(logits)
    both = logits.softmax(1) + (logits.softmax(0) if columns else logits.softmax(1))
    return (both - less * torch.eye(B)) / (divisor * B)


GRADIENT = Task(
    right=_gradient,
    inputs=((10 * _random(4, 2),), (_random(7, 3),), (3 * _random(12, 4),)),
    mistakes={
        "it is twice as large: the two halves of the loss are averaged": lambda x: _by_hand(x, divisor=1.0),
        "the mean over the batch is missing": lambda x: _by_hand(x, divisor=2.0 / len(x)),
        "the right pairs are not pulled together: their target is missing": lambda x: _by_hand(x, less=0.0),
        "the right pair of a row is also that of a column: its target counts once for each": lambda x: _by_hand(
            x, less=1.0
        ),
        "only the rows are asked": lambda x: _by_hand(x, columns=False),
        "the sign is turned round: it climbs": lambda x: -_by_hand(x),
    },
)
