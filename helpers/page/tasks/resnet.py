"""Notebook 04: the residual block (He et al. 2016, section 3.2, figure 2, option A)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from helpers.models.resnet import CifarBlock
from helpers.page.exercises import Task


class Residual(CifarBlock):
    """The block with its two parts by name, as the notebook writes it: relu(body(x) + shortcut(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, stride, residual=True)

    def body(self, x: torch.Tensor) -> torch.Tensor:
        """F(x): float [B, in, H, W] -> [B, out, H/s, W/s]."""
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))

    def shortcut(self, x: torch.Tensor) -> torch.Tensor:
        """x, or every second place of it with zeros for the new channels."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """By the parts' names, so that the notebook's option B only has to write another shortcut."""
        return F.relu(self.body(x) + self.shortcut(x))


def _applied(block: Callable[..., torch.nn.Module], inputs: int, outputs: int, stride: int) -> torch.Tensor:
    """What a block of the written class makes of a fixed x, in evaluation mode, with fixed weights."""
    generator = torch.Generator().manual_seed(inputs + 10 * outputs)
    module = block(inputs, outputs, stride)
    with torch.no_grad():
        for _, tensor in sorted(module.state_dict().items()):  # by name: the layers may be made in any order
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.3 * (tensor.ndim == 4))
        return module.eval()(torch.randn(2, inputs, 6, 6, generator=generator))


class _WithoutShortcut(Residual):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x))


class _ReluFirst(Residual):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x)) + self.shortcut(x)


class _WithoutRelu(Residual):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


class _Difference(Residual):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) - self.shortcut(x))


class _Product(Residual):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) * self.shortcut(x))


RESIDUAL = Task(
    right=Residual,
    inputs=((3, 3, 1), (4, 8, 2), (2, 5, 1)),
    mistakes={
        "the shortcut is missing: this is the plain block": _WithoutShortcut,
        "the ReLU comes too early: it belongs behind the sum": _ReluFirst,
        "the ReLU behind the sum is missing": _WithoutRelu,
        "the shortcut is subtracted": _Difference,
        "the two ways are multiplied": _Product,
    },
    apply=_applied,
)
