"""A CLIP that learns in a minute on two cores: a small ResNet for pictures, one Transformer block for words.

Radford et al. (2021, section 2.4) tried residual networks and Vision Transformers as image encoders. For a minute the
residual network is the better choice: it has neighbourhood built in, which patches must first learn.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from helpers.models.layers import Block, padding_mask
from helpers.models.resnet import SmallResNet

WIDTH = 64


class Words(nn.Module):
    """A text's feature: int64 [B, T] -> float [B, 64]. One block of attention, then the mean over the tokens.

    Args:
        vocabulary, length: how many ids there are, and the most tokens of a text.
    """

    def __init__(self, vocabulary: int, length: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Parameter(0.02 * torch.randn(length, WIDTH))
        self.block = Block(WIDTH, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids) + self.positions[: ids.shape[1]]  # [B, T, 64]
        x = self.block(x, padding_mask(ids != 0))
        kept = (ids != 0).to(x.dtype)[:, :, None]  # [B, T, 1]
        return (x * kept).sum(1) / kept.sum(1)


class SmallCLIP(nn.Module):
    """Both encoders, and what their cosines are multiplied by. Features have length 1."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.images, self.words = SmallResNet(WIDTH), Words(vocabulary)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [B, 3, S, S], S from 32 -> float [B, 64]."""
        return F.normalize(self.images((images.float() - 128) / 64), dim=1)

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        """int64 [B, T], padded with 0 -> float [B, 64]."""
        return F.normalize(self.words(ids), dim=1)
