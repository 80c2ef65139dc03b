"""Notebook 02: a convolution as two loops over the places of a window."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from helpers.page.exercises import Task


def _random(*shapes: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def _by_torch(image: torch.Tensor, kernel: torch.Tensor, stride: int = 1) -> torch.Tensor:
    return F.conv2d(image[None, None], kernel[None, None], stride=stride)[0, 0]  # [H, W] -> [H-k+1, W-k+1]


def conv2d(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Cross-correlation of image [H, W] with kernel [k, k], without padding, by PyTorch -> [H-k+1, W-k+1]."""
    return _by_torch(image, kernel)


def _in_the_corner(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    output, inside = torch.zeros(image.shape), _by_torch(image, kernel)
    output[: inside.shape[0], : inside.shape[1]] = inside
    return output


CONV2D = Task(
    right=conv2d,
    inputs=(_random((7, 9), (3, 3)), _random((6, 5), (2, 2)), _random((12, 8), (5, 5))),
    mistakes={
        "the output is as large as the picture: count the places where the whole window fits": _in_the_corner,
        "the last row and the last column are missing: the window fits once more": lambda image, kernel: _by_torch(
            image, kernel
        )[:-1, :-1],
        "the kernel is turned by 180°: lay it on the picture as it is printed": lambda image, kernel: _by_torch(
            image, kernel.flip(0, 1)
        ),
        "the rows and columns of the kernel are exchanged": lambda image, kernel: _by_torch(image, kernel.T),
        "the products are averaged: they are to be added up": lambda image, kernel: (
            _by_torch(image, kernel) / kernel.numel()
        ),
        "the window jumps by its own width: it moves by one pixel at a time": lambda image, kernel: _by_torch(
            image, kernel, stride=len(kernel)
        ),
    },
)
