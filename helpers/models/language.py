"""A decoder language model (GPT-2, Radford et al. 2019) and three ways to let it write.

Given a `context`, such as the patch tokens of a picture, each block also attends to it. What `generate` asks of a model
is only that calling it gives logits and that it keeps keys and values in a `Cache`, so that models built from these
parts, also those that put a picture before the text, are decoded by the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from helpers.models.layers import Block, causal_mask, padding_mask
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

_NOT_ASKED = -100  # in place of the id of a token that does not count


@dataclass
class Cache:
    """Keys and values of all tokens that a model has read, so that each token is computed once only."""

    blocks: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = field(default_factory=list)
    real: torch.Tensor | None = None  # bool [B, S], False on padding

    def copy(self) -> Cache:
        """The same keys and values, to which others may be added without this cache's knowing."""
        return Cache([(dict(own), dict(context)) for own, context in self.blocks], self.real)

    def select(self, rows: torch.Tensor) -> None:
        """Keep the sequences `rows`, int64 [B']: a beam may go on twice, or not at all."""
        self.real = self.real[rows]
        for kept in (kept for block in self.blocks for kept in block):
            kept.update({name: tensor[rows] for name, tensor in kept.items()})


class LanguageModel(nn.Module):
    """Predicts each next token from those before it.

    Args:
        vocabulary: how many ids there are.
        length: the most tokens of a sequence, which have learned positions.
        width, layers, heads: of the blocks.
        context_width: numbers per token of the context; without it the model reads text only.
        dropout: the share of the perceptrons' numbers that training leaves out.
        fuse: makes for each block what joins the context to the tokens, as in `Block` (default: their sum).
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int,
        layers: int,
        heads: int,
        context_width: int | None = None,
        dropout: float = 0.0,
        fuse: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.position_embedding = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(
            Block(width, heads, context_width=context_width, dropout=dropout, fuse=fuse and fuse())
            for _ in range(layers)
        )
        self.ln_final = nn.LayerNorm(width)
        for embedding in (self.token_embedding, self.position_embedding):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(
        self,
        tokens: torch.Tensor,
        real: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
        context_mask: torch.Tensor | None = None,
        cache: Cache | None = None,
        first: int = 0,
    ) -> torch.Tensor:
        """Logits of each next token, float [B, T, vocabulary].

        tokens: int64 [B, T], or float [B, T, width] in place of their embeddings. real: bool [B, T], False on padding,
        which nobody sees and which takes no position. mask: bool that broadcasts to [B, 1, T, S], in place of the
        causal one, S being the tokens of the cache and these. context, context_mask: float [B, N, context_width], bool
        that broadcasts to [B, 1, T, N]. cache: where the tokens before are kept, and these will be. first: the position
        of the first token of the sequence. Raises ValueError if the sequence is longer than the model's positions.
        """
        return self.logits(self.read(tokens, real, mask, context, context_mask, cache, first))

    def start_from(self, given: Mapping[str, torch.Tensor]) -> None:
        """Take over the tensors of another decoder, by their names; what it does not have, stays.

        Raises ValueError for a tensor of another name or shape.
        """
        own = self.state_dict()
        if wrong := [name for name, value in given.items() if name not in own or own[name].shape != value.shape]:
            raise ValueError(f"pretrained: {', '.join(wrong[:3])} do not fit this decoder; give one of the same sizes")
        self.load_state_dict(own | dict(given))

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """What `read` gives, float [..., width], as logits of the next token, float [..., vocabulary]."""
        return x @ self.token_embedding.weight.T  # one matrix reads ids and writes them

    def read(
        self,
        tokens: torch.Tensor,
        real: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
        context_mask: torch.Tensor | None = None,
        cache: Cache | None = None,
        first: int = 0,
    ) -> torch.Tensor:
        """What the model holds of each token in the end, float [B, T, width]; arguments as in `forward`."""
        batch, length = tokens.shape[:2]
        real = torch.ones(batch, length, dtype=torch.bool, device=tokens.device) if real is None else real
        seen = real if cache is None or cache.real is None else torch.cat([cache.real, real], 1)  # [B, S]
        if first + seen.shape[1] > self.position_embedding.num_embeddings:
            raise ValueError(
                f"{first + seen.shape[1]} tokens are more than the {self.position_embedding.num_embeddings} that this "
                "model has positions for: shorten the text"
            )
        if mask is None:
            mask = causal_mask(seen.shape[1], tokens.device)[-length:]  # [T, S]
        own = torch.eye(seen.shape[1], dtype=torch.bool, device=tokens.device)[-length:]  # no row may be empty
        mask = mask & padding_mask(seen) | own  # [B, 1, T, S]
        x = tokens if tokens.is_floating_point() else self.token_embedding(tokens)  # [B, T, width]
        x = x + self.position_embedding(first + (seen.cumsum(1) - 1).clamp(0)[:, -length:])
        if cache is not None:
            cache.real = seen
            cache.blocks = cache.blocks or [({}, {}) for _ in self.blocks]
        for i, block in enumerate(self.blocks):
            x = block(x, mask, context, context_mask, cache and cache.blocks[i])
        return self.ln_final(x)


def next_token_loss(logits: torch.Tensor, ids: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
    """The mean of −ln p of each next token.

    logits: float [B, T, vocabulary], of which place t predicts ids[:, t + 1]. ids: int64 [B, T]. target: bool [B, T],
    the tokens that count (default: all), such as an answer without its question. If none counts, the loss is nan.
    """
    wanted = ids[:, 1:] if target is None else ids[:, 1:].masked_fill(~target[:, 1:], _NOT_ASKED)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), wanted.flatten(), ignore_index=_NOT_ASKED)


@dataclass(frozen=True)
class Generated:
    """What a model wrote: the ids of each sequence, and how probable it thought each one."""

    ids: torch.Tensor  # int64 [B, n], up to the end token and with it, then padding
    log_probabilities: torch.Tensor  # float [B, n], 0 on padding


@torch.inference_mode()
def generate(
    model: nn.Module,
    prompt: torch.Tensor,
    steps: int,
    *,
    end: int,
    pad: int = 0,
    real: torch.Tensor | None = None,
    beams: int = 1,
    length_penalty: float = 1.0,
    top_p: float | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    **inputs: torch.Tensor,
) -> Generated:
    """Let `model` write on, at most `steps` tokens, until each sequence has the token `end`.

    By default each token is the most probable one (greedy). With `beams` > 1 that many of the most probable sequences
    are kept at each step, and the one with the highest sum of ln p, divided by length^length_penalty, is given (beam
    search). With `top_p` the token is drawn, by `generator`, from the smallest set of tokens whose probabilities add up
    to it (nucleus sampling, Holtzman et al. 2020), after the logits were divided by `temperature`.

    model: called as model(ids, real=…, cache=…, **inputs), it gives logits [B, T, vocabulary] and uses the cache.
    prompt: int64 [B, T]. real: bool [B, T], False on padding, which stands before a text. inputs: tensors [B, …] that
    belong to the sequences, such as a context. Raises ValueError if two ways are mixed or a number is out of range.
    """
    if steps < 1 or beams < 1 or not temperature > 0 or not (top_p is None or 0 < top_p <= 1):
        raise ValueError("steps and beams begin at 1, temperature lies above 0, top_p above 0 and at most at 1")
    if beams > 1 and top_p is not None:
        raise ValueError("beams and top_p are two ways of decoding: give one of them")
    real = torch.ones_like(prompt, dtype=torch.bool) if real is None else real
    if not real[:, -1].all():
        raise ValueError("real: a sequence ends with padding; put the padding before the text")
    batch, device, cache = len(prompt), prompt.device, Cache()
    logits = model(prompt, real=real, cache=cache, **inputs)[:, -1]  # [B, V]
    rows = torch.arange(batch, device=device).repeat_interleave(beams)  # [B·K]
    cache.select(rows)
    logits, inputs = logits[rows], {name: tensor[rows] for name, tensor in inputs.items()}
    scores = torch.full((batch, beams), float("-inf"), device=device)
    scores[:, 0] = 0.0  # the beams are still equal, so only one may go on
    ids = torch.empty(batch * beams, 0, dtype=torch.long, device=device)
    told = torch.empty(batch * beams, 0, device=device)
    done = torch.zeros(batch * beams, dtype=torch.bool, device=device)
    for step in range(steps):
        log_p = logits.float().log_softmax(1)  # [B·K, V]
        log_p[done] = float("-inf")
        log_p[done, pad] = 0.0  # a finished text costs nothing more
        if top_p is None:
            total = (scores.flatten()[:, None] + log_p).view(batch, -1)  # [B, K·V]
            scores, best = total.topk(beams, dim=1)  # [B, K]
            parents = (rows.view(batch, beams)[:, :1] * beams + best // log_p.shape[1]).flatten()  # [B·K]
            tokens = (best % log_p.shape[1]).flatten()
        else:
            parents = torch.arange(batch, device=device)
            tokens = torch.where(done, pad, _nucleus(logits.float() / temperature, top_p, generator))
        ids = torch.cat([ids[parents], tokens[:, None]], 1)
        told = torch.cat([told[parents], log_p[parents, tokens][:, None]], 1)
        done = done[parents] | (tokens == end)
        if done.all() or step + 1 == steps:
            break
        cache.select(parents)
        inputs = {name: tensor[parents] for name, tensor in inputs.items()}
        logits = model(tokens[:, None], real=torch.ones_like(tokens[:, None], dtype=torch.bool), cache=cache, **inputs)
        logits = logits[:, -1]
    written = (ids == end).cumsum(1).sub((ids == end).long()) == 0  # [B·K, n], False after the end
    sums = (told.sum(1) / written.sum(1) ** length_penalty).view(batch, beams)
    best = torch.arange(batch, device=device) * beams + sums.argmax(1)
    return Generated(ids[best], told[best])


@dataclass(frozen=True)
class Written:
    """Texts, and how probable the model thought each of them: the product of its tokens' probabilities."""

    texts: list[str]
    probabilities: torch.Tensor  # float [B]


def write(model: nn.Module, tokenizer: StreetTokenizer, prompts: Sequence[str], steps: int = 40, **how: Any) -> Written:
    """What `model` writes after each prompt and the separator behind it; `how` is for `generate`."""
    begun = tokenizer.sequences([[prompt, SEPARATOR] for prompt in prompts], end=False, left=True)
    device = next(model.parameters()).device
    ids, real = begun.ids.to(device), begun.real.to(device)
    written = generate(model, ids, steps, end=tokenizer.eot_id, pad=tokenizer.pad_id, real=real, **how)
    return Written([tokenizer.decode(ids) for ids in written.ids], written.log_probabilities.sum(1).exp())


def _nucleus(logits: torch.Tensor, top_p: float, generator: torch.Generator | None) -> torch.Tensor:
    """A token for each row of logits [B, V], drawn from its nucleus: int64 [B]."""
    p, order = logits.softmax(1).sort(1, descending=True)
    p = p.masked_fill(p.cumsum(1) - p >= top_p, 0.0)  # the token that crosses top_p is in
    return order.gather(1, torch.multinomial(p, 1, generator=generator))[:, 0]
