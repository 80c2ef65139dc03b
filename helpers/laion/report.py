"""What a run did: the accounts of all its jobs, added up by step and reconciled."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from helpers.laion.steps import total

STEPS = {  # every step in order, and what it counts
    "wat": "records",
    "alt": "links",
    "language": "links",
    "address": "links",
    "seen": "links",
    "robots": "links",
    "opt-out": "links",
    "download": "links",
    "picture": "pictures",
    "same bytes": "pictures",
    "same look": "pictures",
    "similarity": "pictures",
    "tags": "pictures",
}


def report(out: Path) -> dict[str, Any]:
    """What each step of the run in `out` did: {"steps": [{step, unit, in, out, dropped, seconds}], "kept", …}.

    The seconds are those of all workers together; a download's are those of all hosts, most of them spent waiting.
    Raises FileNotFoundError if there is no run, RuntimeError if the
    counts do not add up.
    """
    if not (out / "run.json").is_file():
        raise FileNotFoundError(f"{out} holds no run: start one with `python -m experiments laion run --out {out}`")
    accounts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / "accounts").glob("*.json"))]
    counts = {count.step: count for count in total(c for account in accounts for c in account["counts"])}
    steps = []
    for name in STEPS:
        if name in counts:
            counts[name].check()
            steps.append(
                {
                    "step": name,
                    "unit": counts[name].unit,
                    "in": counts[name].entered,
                    "out": counts[name].left,
                    "dropped": dict(sorted(counts[name].dropped.items())),
                    "seconds": round(counts[name].seconds, 3),
                }
            )
    finished = (out / "index.json").is_file()
    if finished:
        for before, after in pairwise(steps[1:]):
            if before["out"] != after["in"]:
                raise RuntimeError(
                    f"{before['out']} left the step {before['step']!r} and {after['in']} entered {after['step']!r}"
                )
    return {"finished": finished, "steps": steps, "kept": steps[-1]["out"] if finished and steps else None}


def losses(out: Path) -> list[dict[str, Any]]:
    """Every link and picture that the run in `out` dropped, with its step, its reason, and what was known of it."""
    import pyarrow.parquet as pq

    return [row for path in sorted((out / "dropped").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
