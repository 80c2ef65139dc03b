"""A small residual network that reads a street scene: one body, one head for each label (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and the shortcut around them: relu(F(x) + x), paper figure 2 and section 3.2.

    Where the shape changes, the shortcut is a 1×1 convolution (option B). float [B, in, H, W] -> [B, out, H/s, W/s].
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


class StreetResNet(nn.Module):
    """Names the labels of a street scene.

    Args:
        heads: the number of classes of each label, such as {"vehicle": 7, "sky": 4}.
        widths: channels of the stages; each but the first halves the side.

    `forward` takes uint8 [B, 3, S, S], 0 to 255, S a multiple of 32, and gives {label: float logits [B, classes]}.
    Raises ValueError for another dtype or shape.
    """

    def __init__(self, heads: Mapping[str, int], widths: tuple[int, ...] = (24, 48, 96, 160)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.stages = nn.Sequential(
            BasicBlock(widths[0], widths[0]), *(BasicBlock(a, b, stride=2) for a, b in pairwise(widths))
        )
        # 3 × 3 places are kept apart: which vehicle is the nearest is told by where it stands.
        self.heads = nn.ModuleDict({label: nn.Linear(9 * widths[-1], n) for label, n in heads.items()})

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        if (
            images.dtype != torch.uint8
            or images.ndim != 4
            or images.shape[1] != 3
            or images.shape[2] != images.shape[3]
        ):
            raise ValueError(f"expected uint8 [B, 3, S, S], not {images.dtype} {list(images.shape)}")
        x = (images.float() - 128) / 64  # [B, 3, S, S]
        x = self.stages(self.stem(x.contiguous(memory_format=torch.channels_last)))  # [B, C, S/16, S/16]
        x = F.adaptive_avg_pool2d(x, 3).flatten(1)  # [B, C, 3, 3] -> [B, 9C]
        return {label: head(x) for label, head in self.heads.items()}
