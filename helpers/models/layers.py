"""The layers that every Transformer of the course is made of: attention, its masks, and one pre-norm block.

Names and mathematics are those of `torch.nn.MultiheadAttention` and of torchvision's encoder, so that weights can be
exchanged with both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """softmax(q kᵀ / √d) v in each head (Vaswani et al. 2017, section 3.2): [B, T, D], 2 × [B, S, D] -> [B, T, D].

    `mask` broadcasts to [B, h, T, S]: bool, True where attention is allowed, or float, added to the scores.
    """
    query, key, value = (rearrange(x, "b t (h d) -> b h t d", h=heads) for x in (query, key, value))
    return rearrange(F.scaled_dot_product_attention(query, key, value, attn_mask=mask), "b h t d -> b t (h d)")


def project(
    layer: nn.Module, x: torch.Tensor, context: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries of `x` [B, T, D], keys and values of `context` [B, S, C] (default: of `x`): [B, T, D], 2 × [B, S, D].

    `layer` is a MultiHeadAttention or a `torch.nn.MultiheadAttention`.
    """
    if context is None:
        return F.linear(x, layer.in_proj_weight, layer.in_proj_bias).chunk(3, dim=2)
    (w_query, b_query), *of_context = _parts(layer)
    return F.linear(x, w_query, b_query), *(F.linear(context, weight, bias) for weight, bias in of_context)


def _parts(layer: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights and biases of queries, keys and values."""
    if layer.in_proj_weight is not None:
        weights = layer.in_proj_weight.chunk(3)
    else:
        weights = layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight
    return list(zip(weights, layer.in_proj_bias.chunk(3), strict=True))


class MultiHeadAttention(nn.Module):
    """Every query gathers values, weighted by how well their keys fit.

    The parameters are those of `torch.nn.MultiheadAttention(width, heads, batch_first=True)`, with `kdim` and `vdim`
    equal to `context_width` if one is given, so a state dict of either loads into the other.

    Args:
        width: numbers per token, D; a multiple of `heads`.
        heads: how many heads, each of D / heads numbers.
        context_width: numbers per token of the context, if they are others than `width`.

    Raises ValueError if `heads` does not divide `width`.
    """

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"width {width} cannot be shared among {heads} heads: choose a multiple of the heads")
        self.width, self.heads, self.context_width = width, heads, context_width or width
        if self.context_width == width:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))  # queries, keys, values: [3D, D]
            weights = [self.in_proj_weight]
        else:
            self.register_parameter("in_proj_weight", None)
            self.q_proj_weight = nn.Parameter(torch.empty(width, width))
            self.k_proj_weight = nn.Parameter(torch.empty(width, self.context_width))
            self.v_proj_weight = nn.Parameter(torch.empty(width, self.context_width))
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        for weight in weights:
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.out_proj.bias)

    def _check(self, x: torch.Tensor, context: torch.Tensor | None, mask: torch.Tensor | None, seen: int) -> None:
        if context is None and self.context_width != self.width:
            raise ValueError(f"context is missing: this layer attends to tokens of {self.context_width} numbers")
        for name, tokens, width in (("x", x, self.width), ("context", context, self.context_width)):
            if tokens is not None and (tokens.ndim != 3 or tokens.shape[2] != width):
                raise ValueError(f"{name}: expected [B, T, {width}], not {list(tokens.shape)}")
        keys = x if context is None else context
        if len(keys) != len(x):
            raise ValueError(f"context: expected the {len(x)} sequences of x, not {len(keys)}, in {list(keys.shape)}")
        if mask is not None:
            scores = (len(x), self.heads, x.shape[1], seen + keys.shape[1])
            fits = mask.ndim <= 4 and all(m in (1, n) for m, n in zip(mask.shape[::-1], scores[::-1], strict=False))
            # A float mask would be added to the scores without a word, and an int mask cannot be inverted.
            if mask.dtype != torch.bool or not fits:
                raise ValueError(
                    f"mask: expected bool that broadcasts to [B, h, T, S] = {list(scores)}, "
                    f"not {mask.dtype} {list(mask.shape)}"
                )

    def forward(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        cache: dict[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """float [B, T, D] -> [B, T, D]: each token of `x` attends to those of `context` [B, S, C] (default: of `x`).

        `mask` is bool, broadcast to [B, h, T, S], True where attention is allowed; each token must be allowed one at
        least. `cache` is a dictionary that keeps keys and values from call to call: without a context the new ones are
        put behind those of the tokens before (S counts both), with one they are computed once only.
        Raises ValueError for other shapes, and for a mask that is not bool.
        """
        before = cache.get("keys") if cache else None
        self._check(x, context, mask, before.shape[1] if context is None and before is not None else 0)
        if context is not None and before is not None:
            query, key, value = F.linear(x, *_parts(self)[0]), before, cache["values"]
        else:
            query, key, value = project(self, x, context)
            if before is not None:
                key, value = torch.cat([before, key], 1), torch.cat([cache["values"], value], 1)
        if cache is not None:
            cache.update(keys=key, values=value)
        return self.out_proj(attention(query, key, value, self.heads, mask))

    def weights(
        self, x: torch.Tensor, context: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The attention weights themselves, float [B, h, T, S]; each row sums to 1. Arguments as in `forward`."""
        self._check(x, context, mask, 0)
        query, key, _ = project(self, x, context)
        query, key = (rearrange(t, "b t (h d) -> b h t d", h=self.heads) for t in (query, key))
        scores = query @ key.transpose(2, 3) / (self.width // self.heads) ** 0.5  # [B, h, T, S]
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(3)


class Block(nn.Module):
    """Attention and a perceptron for each token, each after a normalisation and around a shortcut ("pre-norm").

    With `context_width` the block also attends to another sequence, between the two, as a Transformer's decoder does
    (Vaswani et al. 2017, section 3.1, with the normalisations of Xiong et al. 2020). The parameters have the names of
    torchvision's `EncoderBlock`.

    Args:
        width, heads: of the tokens, as in MultiHeadAttention.
        mlp: hidden units of the perceptron (default: 4 · width).
        context_width: numbers per token of the context; without it there is no cross-attention.
        fuse: how what is seen in the context joins the tokens: called with the tokens [B, T, D] and with what
            cross-attention gathered for them [B, T, D], it gives the new tokens (default: their sum, a shortcut).
        eps: what the normalisations add to a variance.
        activation: of the perceptron.
        dropout: the share of the perceptron's numbers that training leaves out.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp: int | None = None,
        context_width: int | None = None,
        eps: float = 1e-5,
        activation: nn.Module | None = None,
        dropout: float = 0.0,
        fuse: nn.Module | None = None,
    ) -> None:
        super().__init__()
        mlp = mlp or 4 * width
        self.ln_1 = nn.LayerNorm(width, eps)
        self.self_attention = MultiHeadAttention(width, heads)
        self.ln_cross = nn.LayerNorm(width, eps) if context_width else None
        self.cross_attention = MultiHeadAttention(width, heads, context_width) if context_width else None
        self.fuse = fuse if context_width else None
        self.ln_2 = nn.LayerNorm(width, eps)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp),
            activation or nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp, width),
            nn.Dropout(dropout),
        )

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
        context_mask: torch.Tensor | None = None,
        cache: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]] | None = None,
    ) -> torch.Tensor:
        """float [B, T, D] -> [B, T, D]; masks and the two caches (own tokens, context) as in MultiHeadAttention."""
        own, other = cache or (None, None)
        x = x + self.self_attention(self.ln_1(x), mask=mask, cache=own)
        if self.cross_attention:
            seen = self.cross_attention(self.ln_cross(x), context, context_mask, other)
            x = self.fuse(x, seen) if self.fuse else x + seen
        return x + self.mlp(self.ln_2(x))


def causal_mask(length: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """No token sees a later one: bool [T, T], True where row may look at column."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def prefix_mask(prefix: torch.Tensor, length: int) -> torch.Tensor:
    """The first `prefix` [B] tokens all see each other, the rest no later one: bool [B, 1, T, T] (a prefix LM)."""
    within = torch.arange(length, device=prefix.device) < prefix[:, None]  # [B, T]
    return (causal_mask(length, prefix.device) | within[:, None, :])[:, None]


def padding_mask(real: torch.Tensor) -> torch.Tensor:
    """Nobody looks at padding: bool [B, 1, 1, S] from bool [B, S], False on padding."""
    return real[:, None, None, :]
