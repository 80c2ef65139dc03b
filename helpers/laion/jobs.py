"""What decides what a run makes, and what one job of it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.files import whole, write_json
from helpers.laion.download import Gateway, Manners
from helpers.laion.optout import MEANS
from helpers.laion.steps import DROPPED, TYPES, Ledger


@dataclass(frozen=True)
class Settings:
    """What decides what comes out.

    Args:
        threshold: the least cosine of a picture and its text. In a trial with 83 true and 26 wrong English texts three
            in four of the true ones lay above 0.38, nine in ten of the wrong ones below 0.17.
        distance: perceptual hashes that differ in at most so many bits are those of one picture; -1: none is dropped.
        languages: those that are kept, () for all.
        honour: which refusals are honoured, of `optout.MEANS`.
        least_alt, least_bytes, least_side: characters, bytes and pixels below which a picture is dropped.
        part: pictures that one shard is made of, before CLIP drops some.
        manners: how hosts are asked.
    """

    threshold: float = 0.3
    distance: int = 6
    languages: tuple[str, ...] = ()
    honour: tuple[str, ...] = MEANS
    least_alt: int = 5
    least_bytes: int = 1_000
    least_side: int = 48
    part: int = 1_000
    manners: Manners = field(default_factory=Manners)

    def __post_init__(self) -> None:
        if unknown := set(self.honour) - set(MEANS):
            raise ValueError(f"honour: {', '.join(sorted(unknown))} is not among {', '.join(MEANS)}")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold!r} is not a cosine from -1 to 1")
        if not -1 <= self.distance <= 32:
            raise ValueError(f"distance: {self.distance!r} is not a number of bits from -1 to 32")
        if self.part < 1:
            raise ValueError(f"part: {self.part!r} is not a number of pictures from 1")


@dataclass(frozen=True)
class Job:
    """One piece of work of a round: its name, the folder of the run, and what it works on."""

    name: str
    out: Path
    settings: Settings
    given: Any = None
    gateway: Gateway | None = None

    @property
    def account(self) -> Path:
        """The JSON file that is there once the job is done."""
        return self.out / "accounts" / f"{self.name}.json"

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """A ledger whose dropped rows go to dropped/NAME.parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(n, pa.string() if n in ("step", "reason") else TYPES[n]) for n in _LOST])
        with (
            whole(self.out / "dropped" / f"{self.name}.parquet") as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            ledger = Ledger(lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema=schema)))
            yield ledger
            ledger.flush(ledger.dropped)

    def finish(self, ledger: Ledger, **facts: Any) -> dict[str, Any]:
        """Write the account, and return it."""
        account = {"counts": ledger.facts()} | facts
        write_json(self.account, account)
        return account


_LOST = ("step", "reason", *DROPPED)
