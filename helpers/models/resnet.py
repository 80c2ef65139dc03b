"""Residual networks (He et al. 2016): the paper's family for small pictures, and small ones that read a street."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class SmallResNet(nn.Module):
    """Four stages of basic blocks and a mean over all places: float [B, 3, S, S] -> float [B, classes]."""

    def __init__(self, classes: int, widths: tuple[int, ...] = (16, 32, 54, 106)) -> None:
        super().__init__()
        stem = (nn.Conv2d(3, widths[0], 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        stages = (BasicBlock(a, b, stride=2) for a, b in pairwise(widths))
        self.body = nn.Sequential(*stem, BasicBlock(widths[0], widths[0]), *stages)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images).mean((2, 3)))  # [B, D, s, s] -> [B, D] -> [B, classes]


class CifarBlock(nn.Module):
    """Two 3×3 convolutions, with or without the shortcut around them (the paper, figure 2).

    The shortcut pads new channels with zeros (option A), so that it has no parameters: a residual network has exactly
    those of the plain one. float [B, in, H, W] -> [B, out, H/s, W/s].
    """

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.more, self.residual = stride, outputs - inputs, residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.residual:
            y = y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))  # new channels: zero
        return F.relu(y)


def cifar_network(depth: int, residual: bool, classes: int, widths: tuple[int, ...] = (8, 16, 32)) -> nn.Sequential:
    """The paper's network of `depth` = 6n + 2 layers (section 4.2): float [B, 3, 32, 32] -> float logits [B, classes].

    *Ours, smaller:* half the widths, and the first convolution halves the side. Starts from torch's global generator.
    Raises ValueError for another depth.
    """
    n, rest = divmod(depth - 2, 6)
    if n < 1 or rest:
        raise ValueError(f"depth {depth} is not 6n + 2: choose 8, 14, 20, …")
    layers = [nn.Conv2d(3, widths[0], 3, 2, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    for stage, width in enumerate(widths):
        for block in range(n):
            first = stage > 0 and block == 0
            layers.append(CifarBlock(widths[stage - first], width, 2 if first else 1, residual))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes)]
    model = nn.Sequential(*layers)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # section 3.4
    return model


class ConvStage(nn.Module):
    """The first layers of a residual network, which make a grid of features: uint8 [B, 3, S, S] -> [B, C, S/16, S/16].

    One convolution, then a basic block for each of three `widths`, its channels; each of the four halves the side. Of
    four widths the first is that of the convolution and of a block that keeps the side: the body of a `StreetResNet`.
    Raises ValueError for another number of widths.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        if len(widths) not in (3, 4):
            raise ValueError(f"widths: expected those of three or four blocks, not {list(widths)}")
        first, self.frozen = widths[0], False
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        blocks = [BasicBlock(first, first, stride=5 - len(widths))]
        self.blocks = nn.Sequential(*blocks, *(BasicBlock(a, b, stride=2) for a, b in pairwise(widths)))

    def freeze(self) -> ConvStage:
        """Let trained convolutions stay as they are, also while the rest of a model learns."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> ConvStage:
        """As in torch, but frozen normalisations keep the means and variances that they were trained with."""
        return super().train(mode and not self.frozen)

    def start_from(self, network: StreetResNet) -> None:
        """Take the weights of a trained network of the same widths. Raises RuntimeError if the widths differ."""
        self.stem.load_state_dict(network.stem.state_dict())
        self.blocks.load_state_dict(network.stages.state_dict())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = (images.to(self.stem[0].weight.dtype) - 128) / 64  # [B, 3, S, S]
        return self.blocks(self.stem(x.contiguous(memory_format=torch.channels_last)))


class PlaceReader(nn.Module):
    """Tells what lies at each place of a picture: uint8 [B, 3, S, S] -> float logits [B, (S/16)², outputs], row by row.

    Args:
        outputs: how many signs there are, each of which holds at a place or not.
        channels: the widths of its `ConvStage`.
    """

    def __init__(self, outputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.stage = ConvStage(channels)
        self.head = nn.Conv2d(channels[-1], outputs, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(images)).flatten(2).transpose(1, 2)  # [B, outputs, s, s] -> [B, N, outputs]
