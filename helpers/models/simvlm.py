"""SimVLM (Wang et al. 2022): one language model whose text begins after a picture, with a prefix that sees itself.

The picture's tokens come first and belong to the prefix, with as much of the text as is wanted: all of the prefix sees
all of it, and what follows sees only what stands before it (section 3.2). Caption and answer are the same task: a text
is written on after a prompt.

*Ours, smaller:* the paper has an encoder for the prefix and a decoder for the rest; here one stack of blocks does both,
under one mask. With `picture_sees_text` false the picture's tokens see one another only, so that a picture is read once
for all its texts; the rest of the mask stays. *Ours, other:* in place of relative positions in two dimensions each
token of the picture has a learned row and a learned column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from helpers.models.language import Cache, LanguageModel, next_token_loss
from helpers.models.layers import prefix_mask
from helpers.models.resnet import ConvStage

PATCH = 16  # pixels; the convolutions, too, make one token of so many


class LinearPatches(nn.Module):
    """A picture as tokens without convolutions, as in ViT: uint8 [B, 3, S, S] -> float [B, outputs, S/16, S/16]."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, outputs, PATCH, stride=PATCH)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.projection((images.to(self.projection.weight.dtype) - 128) / 64)


class SimVLM(nn.Module):
    """A prefix language model over a picture and a text.

    Args:
        vocabulary: how many ids there are.
        length: the most tokens of a text.
        width, layers, heads: of the blocks.
        image: what makes the picture's tokens: "convolution", three residual blocks (the paper), or "patches", one
            linear projection.
        side: of the pictures, in pixels; a multiple of 16.
        channels: of the three residual blocks.
        picture_sees_text: whether the picture's tokens see the text of the prefix, as in the paper.
        dropout: the share of the perceptrons' numbers that training leaves out.

    Raises ValueError for another `image`, and for a side that 16 does not divide.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int = 64,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        image: Literal["convolution", "patches"] = "convolution",
        side: int = 96,
        channels: Sequence[int] = (32, 64, 128),
        picture_sees_text: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if image not in ("convolution", "patches"):
            raise ValueError(f"image: {image!r} is not one of convolution, patches")
        if side < PATCH or side % PATCH:
            raise ValueError(f"side: a picture of {side} px is not cut into tokens of {PATCH} px: choose a multiple")
        self.side, self.picture_sees_text, places = side, picture_sees_text, side // PATCH
        self.tokens = places**2  # of a picture
        if image == "convolution":
            self.eye = nn.Sequential(ConvStage(channels), nn.Conv2d(channels[-1], width, 1))
        else:
            self.eye = LinearPatches(width)
        self.ln_eye = nn.LayerNorm(width)
        # As large as the tokens themselves, which a normalisation made: smaller ones are hardly seen at first.
        self.row_embedding = nn.Parameter(0.5 * torch.randn(places, 1, width))
        self.column_embedding = nn.Parameter(0.5 * torch.randn(1, places, width))
        self.decoder = LanguageModel(vocabulary, self.tokens + length, width, layers, heads, dropout=dropout)

    def start_from(self, pretrained: LanguageModel) -> None:
        """Take over the weights of a decoder that was taught on text alone; the picture's tokens stand before its own.

        Raises ValueError if its parts have other names or shapes.
        """
        given = pretrained.state_dict()
        places, name = self.decoder.position_embedding.weight.detach().clone(), "position_embedding.weight"
        places[self.tokens :][: len(given[name])] = given[name]
        self.decoder.start_from(given | {name: places})

    def look(self, images: torch.Tensor) -> torch.Tensor:
        """The picture's tokens, row by row: uint8 [B, 3, S, S], 0 to 255 -> float [B, (S/16)², width].

        Raises ValueError for another dtype or shape.
        """
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != (3, self.side, self.side):
            raise ValueError(
                f"images: expected uint8 [B, 3, {self.side}, {self.side}], not {images.dtype} {list(images.shape)}"
            )
        x = self.ln_eye(self.eye(images).permute(0, 2, 3, 1))  # [B, D, s, s] -> [B, s, s, D]
        return (x + self.row_embedding + self.column_embedding).flatten(1, 2)

    def forward(
        self,
        ids: torch.Tensor,
        images: torch.Tensor | None = None,
        prefix: torch.Tensor | None = None,
        real: torch.Tensor | None = None,
        cache: Cache | None = None,
        memory: Cache | None = None,
    ) -> torch.Tensor:
        """Logits of each next token of the text, float [B, T, vocabulary].

        ids: int64 [B, T]. images: uint8 [b, 3, S, S], or None for text alone; if they are fewer than the texts, each
        belongs to B / b texts that follow one another. prefix: int64 [B], how many tokens of the text, from its first,
        belong to the prefix beside the picture (default: none, and with a cache, where a prompt is written on, all of
        the first call). real: bool [B, T], False on padding. cache: as in LanguageModel; after the first call `images`
        are not looked at again. memory: what `remember` made of the pictures, in their place.
        Raises ValueError for a prefix longer than the text, and for pictures of another shape or number.
        """
        batch, length = ids.shape
        seeing = images is not None or memory is not None
        first = 0 if seeing else self.tokens  # the places of a text are the same with and without a picture
        if cache is not None and cache.real is not None:
            return self.decoder(ids, real, cache=cache, first=first)
        if prefix is None:
            prefix = torch.full((batch,), length if cache is not None else 0, device=ids.device)
        elif not 0 <= int(prefix.min()) <= int(prefix.max()) <= length:
            raise ValueError(f"prefix: from {prefix.min()} to {prefix.max()} are not lengths of a text of {length} ids")
        if not seeing:
            return self.decoder(ids, real, prefix_mask(prefix, length), cache=cache, first=first)
        pictures = len(images if memory is None else memory.real)
        if batch % pictures:
            raise ValueError(f"images: {batch} texts cannot be shared out among {pictures} pictures")
        owner = torch.arange(pictures, device=ids.device).repeat_interleave(batch // pictures)  # [B]
        before = self.tokens
        mask = prefix_mask(before + prefix, before + length)  # [B, 1, N + T, N + T]
        if not self.picture_sees_text:
            own = (self.remember(images) if memory is None else memory).copy()
            own.select(owner)
            cache = Cache() if cache is None else cache
            cache.blocks, cache.real = own.blocks, own.real
            return self.decoder(ids, real, mask[:, :, before:], cache=cache)
        x = torch.cat([self.look(images)[owner], self.decoder.token_embedding(ids)], 1)  # [B, N + T, D]
        if real is not None:
            real = torch.cat([real.new_ones(batch, before), real], 1)
        return self.decoder.logits(self.decoder.read(x, real, mask, cache=cache)[:, before:])

    def remember(self, images: torch.Tensor) -> Cache:
        """Keys and values of pictures whose tokens see no text, so that many texts may follow them: uint8 [b, 3, S, S].

        Raises ValueError if `picture_sees_text`, as the tokens then differ from text to text.
        """
        if self.picture_sees_text:
            raise ValueError("picture_sees_text: here a picture cannot be read before its text; give both to forward")
        memory, everything = Cache(), torch.ones(self.tokens, self.tokens, dtype=torch.bool, device=images.device)
        self.decoder.read(self.look(images), mask=everything, cache=memory)
        return memory


def prefix_lm_loss(
    logits: torch.Tensor, ids: torch.Tensor, prefix: torch.Tensor, real: torch.Tensor | None = None
) -> torch.Tensor:
    """The mean of −ln p of each token after the prefix (the paper, section 3.2).

    logits: float [B, T, vocabulary], of which place t predicts ids[:, t + 1]. ids: int64 [B, T]. prefix: int64 [B], how
    many of them each text begins with. real: bool [B, T], False on padding. If no token is left, the loss is nan.
    """
    after = torch.arange(ids.shape[1], device=ids.device) >= prefix[:, None]  # [B, T]
    return next_token_loss(logits, ids, after if real is None else after & real)


def sample_prefix(first: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A length of prefix for each text, uniform between `first` and the last that leaves a token to predict.

    first: int64 [B], the least length, such as 0 or that of a prompt. lengths: int64 [B], how many tokens each text
    has. Returns int64 [B]. (The paper, section 3.2: the picture always belongs to the prefix, some of the text may.)
    Raises ValueError if a text has no token after `first`.
    """
    if (first >= lengths).any():
        raise ValueError("first: a text has no token left to predict; give a longer text or a shorter prompt")
    return first + (torch.rand(len(first), generator=generator) * (lengths - first)).long()
