"""How sure a figure is: shares of right answers and means over seeds, each with its 95 % interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import torch
from scipy.stats import t as student_t
from torch import nn

from helpers.training.device import moved


def interval(values: Sequence[float]) -> dict[str, float | list[float]]:
    """The mean of `values`, two at least, with its 95 % interval by Student's t.

    If a value is infinite or not a number, so are mean and interval (nan). Raises ValueError for fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"{n} value has no spread: an interval needs two seeds at least")
    if not all(map(math.isfinite, values)):
        return {"mean": math.nan, "interval": [math.nan, math.nan]}
    mean = statistics.fmean(values)
    half = float(student_t.ppf(0.975, n - 1)) * statistics.stdev(values) / n**0.5
    return {"mean": mean, "interval": [mean - half, mean + half]}


def share(right: torch.Tensor) -> dict[str, float | list[float] | int]:
    """The share of True in `right`, bool [n], with its 95 % interval (Wilson 1927)."""
    n, p, z = len(right), right.float().mean().item(), 1.959964
    middle, half = (p + z * z / 2 / n), z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    bounds = [round((middle - half) / (1 + z * z / n), 4), round((middle + half) / (1 + z * z / n), 4)]
    return {"accuracy": round(p, 4), "interval": bounds, "n": n}


def in_parts(model: nn.Module, images: torch.Tensor, batch: int = 250) -> list:
    """What `model` makes of `images` [n, …], `batch` at a time: in evaluation mode, on the fastest device."""
    with torch.inference_mode(), moved(model.eval()) as device:
        return [model(part.to(device)) for part in images.split(batch)]


def predict(model: nn.Module, images: torch.Tensor, batch: int = 250) -> torch.Tensor:
    """The model's outputs for `images` [n, …], `batch` at a time: float [n, …], on the CPU."""
    return torch.cat([out.float().cpu() for out in in_parts(model, images, batch)])


def accuracies(model: nn.Module, images: torch.Tensor, labels: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """For each label {label: int64 [n]}: bool [n], whether a network that gives {label: logits} named it rightly."""
    parts = in_parts(model, images)
    found = {label: torch.cat([logits[label].argmax(1).cpu() for logits in parts]) for label in labels}
    return {label: found[label] == truth for label, truth in labels.items()}
