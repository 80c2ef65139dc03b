"""The Vision Transformer (Dosovitskiy et al. 2021), by torchvision's names, so that its weights load."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from helpers.models.layers import Block


class Encoder(nn.Module):
    """Learned positions, the blocks, a last normalisation. float [B, T, D] -> [B, T, D]."""

    def __init__(self, tokens: int, layers: int, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, tokens, width).normal_(std=0.02))
        self.layers = nn.Sequential()
        for i in range(layers):
            self.layers.add_module(f"encoder_layer_{i}", Block(width, heads, mlp, eps=1e-6))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ln(self.layers(x + self.pos_embedding))


class VisionTransformer(nn.Module):
    """An image as a sequence of patches, read by a Transformer; section 3.1 of the paper.

    Args:
        image: side of the square picture, in pixels.
        patch: side of a patch, in pixels; a divisor of `image`.
        width: numbers per token, D.
        layers, heads, mlp: blocks, heads in each, hidden units of each perceptron.
        classes: the number of classes of each head; torchvision's model has one, named "head".
        channels: of the picture.

    Raises ValueError if `patch` does not divide `image`, or `heads` not `width`.
    """

    def __init__(
        self,
        image: int,
        patch: int,
        width: int,
        layers: int,
        heads: int,
        mlp: int,
        classes: Mapping[str, int],
        channels: int = 3,
    ) -> None:
        super().__init__()
        if patch < 1 or image % patch:
            raise ValueError(f"a picture of {image} px cannot be cut into patches of {patch} px: choose a divisor")
        self.shape = (channels, image, image)
        self.conv_proj = nn.Conv2d(channels, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder = Encoder(1 + (image // patch) ** 2, layers, width, heads, mlp)
        self.heads = nn.ModuleDict({label: nn.Linear(width, n) for label, n in classes.items()})

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Patches as tokens, the class token before them, no positions yet: [B, C, S, S] -> [B, 1 + N, D].

        Raises ValueError for a picture of another shape.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != self.shape:
            channels, side, _ = self.shape
            tokens = self.encoder.pos_embedding.shape[1]
            raise ValueError(
                f"expected pictures [B, {channels}, {side}, {side}], which give the {tokens} tokens "
                f"that this model has positions for, not {list(images.shape)}: resize or crop them"
            )
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)  # [B, D, s, s] -> [B, N, D], row by row
        return torch.cat([self.class_token.expand(len(images), -1, -1), patches], dim=1)  # [B, 1 + N, D]

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """What class token and patches hold in the end, for a decoder to look at: [B, C, S, S] -> [B, 1 + N, D]."""
        return self.encoder(self.embed(images))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """float [B, C, S, S] -> {label: float logits [B, classes]}, all read off the class token."""
        cls = self.tokens(images)[:, 0]  # [B, 1 + N, D] -> [B, D]
        return {label: head(cls) for label, head in self.heads.items()}


class StreetViT(VisionTransformer):
    """A small Vision Transformer that names the labels of a street scene of 96 px: 36 patches of 16·16·3 = 768 numbers.

    `forward` takes uint8 [B, 3, 96, 96], 0 to 255, and gives {label: float logits [B, classes]}. Raises ValueError for
    another dtype or shape.
    """

    def __init__(self, classes: Mapping[str, int], width: int = 160, layers: int = 6, heads: int = 5) -> None:
        super().__init__(96, 16, width, layers, heads, 4 * width, classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        if images.dtype != torch.uint8:
            raise ValueError(f"expected uint8 [B, 3, 96, 96], 0 to 255, not {images.dtype} {list(images.shape)}")
        return super().embed((images.float() - 128) / 64)
