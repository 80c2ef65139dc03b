"""Where tensors live."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def pick_device(prefer: str | None = None) -> torch.device:
    """The device to compute on: the one asked for, else the fastest one here.

    `prefer` is "cuda", "mps" or "cpu"; without it the environment variable COURSE_DEVICE decides, and without that
    the first that this machine has, in that order. Raises ValueError if the device asked for is not available.
    """
    available = [
        name
        for name, present in [
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
            ("cpu", True),
        ]
        if present
    ]
    wanted = prefer or os.environ.get("COURSE_DEVICE") or available[0]
    if wanted not in available:
        raise ValueError(f"The device {wanted!r} is not available here: choose one of {', '.join(available)}.")
    return torch.device(wanted)


@contextmanager
def moved(model: nn.Module, device: torch.device | None = None) -> Iterator[torch.device]:
    """Bring `model` to a device (default: the one of `pick_device`), and back in the end to where it was.

    So a long computation runs on the fastest device, and a cell that asks the model about one picture need not know.
    """
    device = device or pick_device()
    home = next((p.device for p in model.parameters()), device)
    model.to(device)
    try:
        yield device
    finally:
        model.to(home)
