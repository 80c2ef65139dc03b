"""Multi-head attention (Vaswani et al. 2017), by the names and the mathematics of `torch.nn.MultiheadAttention`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class MultiHeadAttention(nn.Module):
    """Every query gathers values, weighted by how well their keys fit: softmax(q kᵀ / √d) v, section 3.2.

    The parameters are those of `torch.nn.MultiheadAttention(width, heads, batch_first=True)`, so a state dict of
    either loads into the other.

    Args:
        width: numbers per token, D; a multiple of `heads`.
        heads: how many heads, each of D / heads numbers.

    Raises ValueError if `heads` does not divide `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"width {width} cannot be shared among {heads} heads: choose a multiple of the heads")
        self.width, self.heads = width, heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))  # queries, keys, values: [3D, D]
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def _check(self, x: torch.Tensor, context: torch.Tensor | None, mask: torch.Tensor | None) -> None:
        for name, tokens in (("x", x), ("context", context)):
            if tokens is not None and (tokens.ndim != 3 or tokens.shape[2] != self.width):
                raise ValueError(f"{name}: expected [B, T, {self.width}], not {list(tokens.shape)}")
        keys = x if context is None else context
        if len(keys) != len(x):
            raise ValueError(f"context: expected the {len(x)} sequences of x, not {len(keys)}, in {list(keys.shape)}")
        if mask is not None:
            scores = (len(x), self.heads, x.shape[1], keys.shape[1])
            fits = mask.ndim <= 4 and all(m in (1, n) for m, n in zip(mask.shape[::-1], scores[::-1], strict=False))
            # A float mask would be added to the scores without a word, and an int mask cannot be inverted.
            if mask.dtype != torch.bool or not fits:
                raise ValueError(
                    f"mask: expected bool that broadcasts to [B, h, T, S] = {list(scores)}, "
                    f"not {mask.dtype} {list(mask.shape)}"
                )

    def _split(self, x: torch.Tensor, context: torch.Tensor | None) -> list[torch.Tensor]:
        """Queries, keys and values, each float [B, h, T, D/h]."""
        if context is None:
            parts = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=2)  # 3 × [B, T, D]
        else:
            weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
            parts = [F.linear(t, w, b) for t, w, b in zip((x, context, context), weights, biases, strict=True)]
        return [t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in parts]  # [B, T, D] -> [B, h, T, D/h]

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """float [B, T, D] -> [B, T, D]: each token of `x` attends to those of `context` [B, S, D] (default: of `x`).

        `mask` is bool, broadcast to [B, h, T, S], True where attention is allowed; each token must be
        allowed one at least. Raises ValueError for other shapes, and for a mask that is not bool.
        """
        self._check(x, context, mask)
        q, k, v = self._split(x, context)
        gathered = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # [B, h, T, D/h]
        return self.out_proj(gathered.transpose(1, 2).flatten(2))  # [B, h, T, D/h] -> [B, T, D]

    def weights(
        self, x: torch.Tensor, context: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The attention weights themselves, float [B, h, T, S]; each row sums to 1. Arguments as in `forward`."""
        self._check(x, context, mask)
        q, k, _ = self._split(x, context)
        scores = q @ k.transpose(2, 3) / (self.width // self.heads) ** 0.5  # [B, h, T, S]
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(3)
