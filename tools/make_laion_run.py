"""Make data/laion/run.json: `python -m tools.make_laion_run`, a larger run of the pipeline for notebook 12 to look at.

It builds a miniature web, crawls and filters it, and keeps the report of every step, the seconds of each round, and of
each pair that reached the filter its cosine and the truth about it. On two cores that were busy with much else it took
half an hour.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from helpers.cores import available_cores
from helpers.files import DATA, ROOT, whole
from helpers.laion.download import Gateway
from helpers.laion.jobs import Settings
from helpers.laion.pipeline import run
from helpers.laion.truth import scored, with_truth
from helpers.worlds.web.build import Web, build
from helpers.worlds.web.server import ADDRESS, serve

KEPT = (
    "kind",
    "fits",
    "written_in",
    "language",
    "content",
    "vehicle",
    "age",
    "new_pair",
    "change",
    "watermark",
    "unsafe",
)


def columns(pairs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """The pairs as columns: cosines to three decimals, all else as [its values, the number of each pair's value]."""
    told: dict[str, list[Any]] = {"similarity": [round(pair["similarity"], 3) for pair in pairs]}
    for name in KEPT:
        values = sorted({pair[name] for pair in pairs}, key=str)
        told[name] = [values, [values.index(pair[name]) for pair in pairs]]
    return told


def larger_run(folder: Path, pages: int, seed: int) -> dict[str, Any]:
    """What data/laion/run.json holds, of a web of so many pages made below `folder`."""
    start = time.perf_counter()
    web = Web(folder / "web") if (folder / "web").exists() else build(folder / "web", pages, seed)
    seconds, rounds = {"build": round(time.perf_counter() - start, 1)}, {}

    def told(name: str, done: int, jobs: int) -> None:
        rounds.setdefault(name, time.perf_counter())
        print(f"{name}: {done} of {jobs}", file=sys.stderr, flush=True)

    with serve(web) as server:
        report = run(web.wats, folder / "data", Gateway(ADDRESS, server.port), Settings(), told=told)
    ends = [*rounds.values(), time.perf_counter()]
    seconds |= {name: round(ends[i + 1] - begin, 1) for i, (name, begin) in enumerate(rounds.items())}
    pairs = with_truth(web, scored(folder / "data")[0])
    facts = {"web": web.facts, "threshold": Settings().threshold, "cores": available_cores(), "seconds": seconds}
    return facts | {"report": report, "pairs": columns(pairs)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=DATA, help="folder to write laion/ into (default: data)")
    parser.add_argument("--pages", type=int, default=1_500, help="pages of the web (default: 1500)")
    parser.add_argument("--seed", type=int, default=12, help="of the web (default: 12)")
    options = parser.parse_args(arguments)
    folder = ROOT / "build" / "laion-run"
    shutil.rmtree(folder, ignore_errors=True)
    found = larger_run(folder, options.pages, options.seed)
    with whole(options.target / "laion" / "run.json") as temporary:
        temporary.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    print(json.dumps(found["seconds"]))
    print("now: python -m tools.make_manifest", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
