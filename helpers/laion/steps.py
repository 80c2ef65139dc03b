"""How a step is run: a pure function from table to table, with an account of what went in, came out and was dropped.

A step gets a table and returns one with the same rows in the same order and more columns: what it found out,
and `drop`, the reason why a row goes no further, null for those that stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Step = Callable[["pa.Table"], "pa.Table"]


@dataclass
class Count:
    """What one step did: `entered` = `left` + all that were `dropped`, by reason; `seconds` of wall time."""

    step: str
    unit: str  # what is counted: records, links or pictures
    entered: int = 0
    left: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, other: Count) -> None:
        """Take the account of another part of the work on the same step into this one."""
        self.entered, self.left = self.entered + other.entered, self.left + other.left
        self.seconds += other.seconds
        for reason, n in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + n

    def check(self) -> None:
        """Raise RuntimeError unless as many left or were dropped as entered."""
        if self.entered != self.left + sum(self.dropped.values()):
            raise RuntimeError(
                f"step {self.step!r}: {self.entered} {self.unit} entered, {self.left} left and "
                f"{sum(self.dropped.values())} were dropped: the counts do not add up"
            )


class Ledger:
    """The accounts of one job, and the rows that were dropped, each with its step and reason.

    flush: called with the dropped rows whenever there are `at_once` of them, and then they are forgotten, so that a
    long job does not fill the memory with them; without it all are kept in `dropped`.
    """

    def __init__(self, flush: Callable[[list[dict[str, Any]]], None] | None = None, at_once: int = 1_000) -> None:
        self.counts: dict[str, Count] = {}
        self.dropped: list[dict[str, Any]] = []
        self.flush, self.at_once = flush, at_once

    def count(self, step: str, unit: str, entered: int, dropped: dict[str, int], seconds: float = 0.0) -> None:
        """Note that of `entered` units all but those in `dropped` left."""
        found = Count(step, unit, entered, entered - sum(dropped.values()), dict(dropped), seconds)
        found.check()
        self.counts.setdefault(step, Count(step, unit)).add(found)

    def run(self, name: str, step: Step, table: pa.Table, unit: str = "pictures") -> pa.Table:
        """The rows of `table` that `step` lets pass, with its columns; what it dropped is counted and kept.

        Raises RuntimeError if the step lost or added rows.
        """
        start = time.perf_counter()
        marked = step(table)
        if marked.num_rows != table.num_rows:
            raise RuntimeError(f"step {name!r} made {marked.num_rows} rows of {table.num_rows}: it may only mark them")
        return self.take(name, marked, unit, time.perf_counter() - start)

    def take(self, name: str, marked: pa.Table, unit: str, seconds: float) -> pa.Table:
        """The rows of `marked` without a reason in `drop`; the others are counted and kept."""
        import pyarrow.compute as pc

        lost = marked.filter(pc.is_valid(marked["drop"]))
        reasons: dict[str, int] = {}
        for reason in lost["drop"].to_pylist():
            reasons[reason] = reasons.get(reason, 0) + 1
        self.count(name, unit, marked.num_rows, dict(sorted(reasons.items())), seconds)
        kept_columns = [c for c in DROPPED if c in lost.column_names]
        for row in lost.select([*kept_columns, "drop"]).to_pylist():
            self.dropped.append({"step": name, "reason": row.pop("drop"), **row})
        if self.flush and len(self.dropped) >= self.at_once:
            self.flush(self.dropped)
            self.dropped = []
        return marked.filter(pc.is_null(marked["drop"])).drop_columns("drop")

    def facts(self) -> list[dict[str, Any]]:
        """The accounts as JSON can hold them, in the order of the steps."""
        return [asdict(count) for count in self.counts.values()]


# Of a dropped row these columns are kept, as far as it has them: enough to look at what was lost.
DROPPED = ("page", "link", "url", "alt", "host", "offset", "length")


def with_columns(table: pa.Table, **columns: Sequence[Any] | pa.Array) -> pa.Table:
    """`table` with these columns added, or put in the place of those that it has under the same names."""
    import pyarrow as pa

    for name, values in columns.items():
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, TYPES[name])
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, array)
        else:
            table = table.append_column(name, array)
    return table


def total(accounts: Iterable[dict[str, Any]]) -> list[Count]:
    """The accounts of all jobs added up by step, in the order in which the steps first occur."""
    found: dict[str, Count] = {}
    for account in accounts:
        count = Count(**account)
        found.setdefault(count.step, Count(count.step, count.unit)).add(count)
    return list(found.values())


class _Types(dict):
    """The type of every column that a step adds."""

    def __missing__(self, name: str) -> Any:
        import pyarrow as pa

        kind = NAMES[name]
        return pa.list_(pa.string()) if kind == "list<string>" else pa.type_for_alias(kind)


NAMES = {
    "page": "string",
    "link": "int32",
    "url": "string",
    "host": "string",
    "alt": "string",
    "page_opt_out": "string",
    "language": "string",
    "language_sure": "bool",
    "offset": "int64",
    "length": "int64",
    "content_type": "string",
    "sha256": "string",
    "phash": "uint64",
    "width": "int32",
    "height": "int32",
    "format": "string",
    "licence": "string",
    "rights": "string",
    "no_training": "bool",
    "similarity": "float32",
    "p_unsafe": "float32",
    "p_watermark": "float32",
    "key": "string",
    "twin": "string",
    "drop": "string",
}
TYPES = _Types()


def empty(*names: str) -> pa.Table:
    """A table without rows that has these columns."""
    import pyarrow as pa

    return pa.table({name: pa.array([], TYPES[name]) for name in names})
