"""Notebook 09: who may look at whom in a prefix language model, and how it writes (Wang et al. 2022, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from helpers.models.language import Cache, generate
from helpers.models.layers import causal_mask, prefix_mask
from helpers.page.exercises import Task


def _prefix_mask(prefix: int, length: int) -> torch.Tensor:
    """The course's mask of one sequence, bool [T, T]: True where the row's token may look at the column's."""
    return prefix_mask(torch.tensor([prefix]), length)[0, 0]


def _rows(prefix: int, length: int) -> torch.Tensor:
    return (torch.arange(length) < prefix)[:, None].expand(length, length)


PREFIX_MASK = Task(
    right=_prefix_mask,
    inputs=((3, 5), (0, 4), (2, 2), (4, 9)),
    mistakes={
        "it is causal everywhere: inside the prefix each token may look at every other": lambda p, n: causal_mask(n),
        "everything may look at everything: after the prefix no token may look at a later one": lambda p, n: torch.ones(
            n, n, dtype=torch.bool
        ),
        "rows and columns are exchanged: the row is the token that looks, the column the one it looks at": (
            lambda p, n: _prefix_mask(p, n).T
        ),
        "True and False are exchanged: True means that the row may look at the column": (
            lambda p, n: ~_prefix_mask(p, n)
        ),
        "the prefix is one token too long": lambda p, n: _prefix_mask(min(p + 1, n), n),
        "the prefix is one token too short": lambda p, n: _prefix_mask(max(p - 1, 0), n),
        "the prefix looks at the text that is to be written: its rows end where it ends": (
            lambda p, n: causal_mask(n) | _rows(p, n)
        ),
        "the text after the prefix does not look at the prefix": lambda p, n: (
            _prefix_mask(p, n) & (_rows(p, n) | ~_rows(p, n).T)
        ),
        "the text after the prefix does not look at itself": lambda p, n: (
            _prefix_mask(p, n) & (_rows(p, n) | _rows(p, n).T)
        ),
    },
)


class _Toy:
    """Scores that depend on every token so far, as those of a language model do."""

    def __init__(self, table: torch.Tensor) -> None:
        self.table = table  # float [V, V]

    def scores(self, ids: list[int]) -> torch.Tensor:
        """The scores of each next token after `ids`, float [V]; later tokens weigh more, and none weighs nothing."""
        weights = 0.8 ** torch.arange(len(ids) - 1, -1, -1)
        return (weights[:, None] * self.table[ids]).sum(0)


class _Told(nn.Module):
    """Any function that gives scores after a list of ids, called as `generate` calls a model."""

    def __init__(self, scores: Callable[[list[int]], torch.Tensor]) -> None:
        super().__init__()
        self.scores, self.read = scores, []

    def forward(self, ids: torch.Tensor, real: torch.Tensor, cache: Cache) -> torch.Tensor:
        cache.real = real if cache.real is None else torch.cat([cache.real, real], 1)
        self.read += ids[0].tolist()
        return self.scores(list(self.read))[None, None]  # of the last place, which is all that is asked for


def _library(scores: Callable[[list[int]], torch.Tensor], begin: list[int], end: int, steps: int) -> list[int]:
    """What the course's `generate` writes greedily, with the end token left off."""
    written = generate(_Told(scores), torch.tensor([begin]), steps, end=end).ids[0].tolist()
    return written[: written.index(end)] if end in written else written


def _loop(
    pick: Callable[[torch.Tensor], torch.Tensor] = torch.argmax,
    seen: slice = slice(None),
    keep_end: bool = False,
    stops: bool = True,
    keep_prompt: bool = False,
) -> Callable[..., list[int]]:
    """A greedy loop that picks otherwise, reads less, or stops elsewhere."""

    def write(scores: Callable[[list[int]], torch.Tensor], begin: list[int], end: int, steps: int) -> list[int]:
        ids = list(begin)
        for _ in range(steps):
            token = int(pick(scores(ids[seen])))
            if token == end and stops and not keep_end:
                break
            ids.append(token)
            if token == end and stops:
                break
        return ids if keep_prompt else ids[len(begin) :]

    return write


def _told_to_write(
    written: Callable[..., list[int]], seed: int, begin: list[int], end: int, steps: int
) -> list[int] | None:
    """What `written` gives for a toy model of 12 tokens."""
    toy = _Toy(torch.randn(12, 12, generator=torch.Generator().manual_seed(seed)))
    return written(toy.scores, begin, end, steps)


GREEDY = Task(
    right=_library,
    inputs=((18, [2, 5], 0, 20), (22, [2, 5], 0, 30), (17, [2, 5], 0, 20), (12, [2, 5], 3, 6)),
    apply=_told_to_write,
    mistakes={
        "the least probable token is taken": _loop(pick=torch.argmin),
        "only the last token is read: the model must be given all tokens so far": _loop(seen=slice(-1, None)),
        "it does not stop at the end token": _loop(stops=False),
        "the end token is part of what it gives: leave it off": _loop(keep_end=True),
        "the prompt is part of what it gives: only what was written is wanted": _loop(keep_prompt=True),
    },
)
