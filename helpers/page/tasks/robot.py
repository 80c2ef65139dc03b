"""Notebook 13: pictures among words, the control loop, and how success is counted (Driess et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from helpers.models.palm_e import interleave
from helpers.page.exercises import Task

Tensor = torch.Tensor


# The multimodal sentence (section 3)


def _each_row(words: Tensor, places: Tensor, observed: Tensor) -> Tensor:
    """Every row begins again with the first embedding."""
    found = words.clone()
    for row, at in zip(found, places, strict=True):
        row[at] = observed[: int(at.sum())]
    return found


def _at(order: Callable[[Tensor], Tensor], words: Tensor, places: Tensor, observed: Tensor) -> Tensor:
    """The embeddings at other places, or in another order: `order` makes (row, column) pairs [P, 2] of the places."""
    found = words.clone()
    rows, columns = order(places).T
    found[rows, columns] = observed
    return found


def _first_places(places: Tensor) -> Tensor:
    counts = places.sum(1, keepdim=True)
    return (torch.arange(places.shape[1]) < counts).nonzero()


def _column_by_column(places: Tensor) -> Tensor:
    return places.T.nonzero().flip(1)


def _sentence(rows: Sequence[str], width: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Words, places and embeddings for rows such as "w.oow", where each o is the place of an embedding."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.tensor([[sign == "o" for sign in row] for row in rows])
    words = torch.randn(*places.shape, width, generator=generator)
    return words, places, torch.randn(int(places.sum()), width, generator=generator)


INTERLEAVE = Task(
    right=interleave,
    # As many embeddings as fill the rows evenly, so that those who put them before the words get no other error.
    inputs=(
        _sentence(["wwoowwoow"], 4, 0),
        _sentence(["woowww", "wwwwoo", "wowwow"], 3, 1),
        _sentence(["wwowooow", "wwwwwwww"], 5, 2),
    ),
    mistakes={
        "the embeddings stand before the text: each belongs at its own place in it": (
            lambda w, p, o: torch.cat([o.unflatten(0, (len(w), -1)), w], 1)
        ),
        "the embeddings replace the first words of each row: the mask tells their places": partial(_at, _first_places),
        "the embeddings are added to what stood there: they take its place": (
            lambda w, p, o: w + interleave(torch.zeros_like(w), p, o)
        ),
        "each row begins again with the first embedding: the next row goes on where the last one ended": _each_row,
        "the places are filled column by column: read them as one reads, row by row": partial(_at, _column_by_column),
        "the embeddings come in reverse order": lambda w, p, o: interleave(w, p, o.flip(0)),
        "the same embedding stands at every place": lambda w, p, o: interleave(w, p, o[:1].expand_as(o)),
        "the places are right, but the words around them are lost": (
            lambda w, p, o: interleave(torch.zeros_like(w), p, o)
        ),
        "nothing has been put in: the words come back as they were": lambda w, p, o: w.clone(),
    },
)


# The control loop (section 5)

_CALLS = 80  # more than any loop that ends makes


class _NeverEnds(Exception):
    """The loop has been called so often that it does not end."""


class _Tower:
    """A toy of a table: a tower of so many blocks is to be built; some steps fail, and once a block falls.

    slips: the numbers of the steps, from 0, that change nothing. falls: after this step a block falls from the tower.
    """

    def __init__(self, blocks: int, slips: Sequence[int], falls: int | None) -> None:
        self.blocks, self.slips, self.falls = blocks, slips, falls
        self.height, self.acts, self.trace = 0, 0, []

    def _note(self, line: str) -> None:
        if len(self.trace) >= _CALLS:
            raise _NeverEnds
        self.trace.append(line)

    def look(self) -> str:
        self._note("look")
        return f"a tower of {self.height}"

    def ask(self, seen: object, history: object) -> str:
        told = "; ".join(map(str, history)) if isinstance(history, list | tuple) else repr(history)
        self._note(f"ask, seeing {seen}, after: {told}")
        height = int(str(seen).rpartition(" ")[2])
        return "done" if height >= self.blocks else f"put block {height + 1} on top"

    def act(self, step: object) -> None:
        self._note(f"act: {step}")
        if str(step).startswith("put") and self.acts not in self.slips:
            self.height += 1
        self.height -= self.acts == self.falls
        self.acts += 1


def _in_the_toy(
    written: Callable[..., object], blocks: int, slips: Sequence[int], falls: int | None, longest: int
) -> list[str] | None:
    """What the loop asked for and did on a toy table, and what it gave in the end; None if it did nothing at all."""
    tower = _Tower(blocks, slips, falls)
    try:
        given = written(tower.look, tower.ask, tower.act, longest)
    except _NeverEnds:
        return ["it never ends"]
    if (given is None or given is ...) and not tower.trace:
        return None
    steps = [f"gives: {step}" for step in given] if isinstance(given, list | tuple) else [f"gives {type(given)}"]
    return [*tower.trace, *steps]


def _loop(
    look_again: bool = True,
    ask_again: bool = True,
    history: Callable[[list[str]], list[str]] = list,
    does_done: bool = False,
    gives_done: bool = False,
    gives: bool = True,
    repeats: bool = True,
    stops: bool = True,
    limit: Callable[[int], float] = lambda longest: longest,
) -> Callable[..., list[str] | None]:
    """The control loop, or one that differs in what is told."""

    def run(look: Callable, ask: Callable, act: Callable, longest: int) -> list[str] | None:
        steps: list[str] = []
        seen = step = None
        while len(steps) < limit(longest):
            if look_again or seen is None:
                seen = look()
            if ask_again or step is None:
                step = ask(seen, history(steps))
            if (step == "done" and stops and not does_done) or (not repeats and step in steps):
                if gives_done:
                    steps.append(step)
                break
            act(step)
            steps.append(step)
            if step == "done" and stops:
                break
        return steps if gives else None

    return run


CONTROL_LOOP = Task(
    right=_loop(),
    inputs=((3, (), None, 20), (3, (1,), None, 20), (3, (), 1, 20), (4, (0, 2), 3, 20), (4, (1, 2), 2, 5)),
    apply=_in_the_toy,
    mistakes={
        "it never ends: there is a largest number of steps": _loop(limit=lambda longest: float("inf")),
        "it looks only once: after each step the table may be another": _loop(look_again=False),
        "it asks only once and repeats that step": _loop(ask_again=False),
        "it goes on after the robot has said that it is done": _loop(stops=False),
        "it carries out the word for the end as if that were a step": _loop(does_done=True),
        "the word for the end is among the steps that it gives: leave it off": _loop(gives_done=True),
        "the robot is not told what it has tried so far": _loop(history=lambda steps: []),
        "the robot is told its last step alone: give it all of them": _loop(history=lambda steps: steps[-1:]),
        "the robot is not told its last step: it hears of it one round too late": _loop(
            history=lambda steps: steps[:-1]
        ),
        "it gives up when a step comes again: what has failed may be tried once more": _loop(repeats=False),
        "it takes one step more than is allowed": _loop(limit=lambda longest: longest + 1),
        "it takes one step less than is allowed": _loop(limit=lambda longest: longest - 1),
        "it does everything right but gives nothing back": _loop(gives=False),
    },
)


# Success detection (section 6: "Was ⟨skill⟩ successful?")


def _f1(said: Tensor, true: Tensor) -> float:
    """The course's F1 score of the answer "yes", bool [n] twice."""
    right, errors = int((said & true).sum()), int((said ^ true).sum())
    return 2 * right / (2 * right + errors) if right else 0.0


def _of(score: Callable[[float, float], float], said: Tensor, true: Tensor) -> float:
    """A score of precision and recall, each 0 where it is a share of nothing."""
    right = int((said & true).sum())
    return score(right / max(int(said.sum()), 1), right / max(int(true.sum()), 1))


def _mean(weights: tuple[float, float]) -> Callable[[Tensor, Tensor], float]:
    """A weighted mean of precision and recall."""
    return partial(_of, lambda precision, recall: weights[0] * precision + weights[1] * recall)


def _without_guard(said: Tensor, true: Tensor) -> Tensor:
    right = (said & true).sum()
    precision, recall = right / said.sum(), right / true.sum()
    return 2 * precision * recall / (precision + recall)


def _answers(said: str, true: str) -> tuple[Tensor, Tensor]:
    """bool [n] twice of letters, y for yes."""
    return tuple(torch.tensor([letter == "y" for letter in word]) for word in (said, true))


SUCCESS_F1 = Task(
    right=_f1,
    inputs=(
        _answers("yyynnnnyny", "yynnnyyynn"),
        _answers("yyyyyyyn", "ynnnynnn"),
        _answers("nnnnyn", "ynynyy"),
        _answers("yyy", "yyy"),
        _answers("nnnn", "ynny"),
    ),
    mistakes={
        "it is the share of right answers: F1 leaves out a no that is right": (
            lambda said, true: (said == true).float().mean()
        ),
        "it is precision alone: it does not see the successes that were missed": _mean((1, 0)),
        "it is recall alone: it does not see the yes that was said too often": _mean((0, 1)),
        "it is the plain mean of precision and recall: F1 is their harmonic mean": _mean((0.5, 0.5)),
        "it is the product of precision and recall, without what that is divided by": partial(_of, lambda p, r: p * r),
        "it is half as large as it should be": lambda said, true: _f1(said, true) / 2,
        "it counts no as the answer that matters: a success is a yes": lambda said, true: _f1(~said, ~true),
        "where nobody says yes it is not a number: then it is 0": _without_guard,
        "every yes that was said wrongly, and every one that was missed, counts twice": (
            lambda said, true: float((said & true).sum() / max(int((said & true).sum() + (said ^ true).sum()), 1))
        ),
    },
)
