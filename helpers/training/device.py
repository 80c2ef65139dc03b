"""Where tensors live, and random numbers that can be repeated."""

from __future__ import annotations

import os

import torch


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


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of random numbers of its own, started at `seed`; torch's global state stays untouched."""
    return torch.Generator(device=device).manual_seed(seed)
