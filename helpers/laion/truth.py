"""What the pipeline is never shown: the truth about the pairs that reached its filter, by which it can be judged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.laion.rounds import picture_at
from helpers.laion.similarity import image_features, text_features
from helpers.worlds.web.plan import scene_number

if TYPE_CHECKING:
    from helpers.worlds.web.build import Web

TRUE_KINDS = ("clean", "partial")  # the kinds of alt text that say nothing false of their picture
_PLANNED = ("key", "page", "link", "url", "host", "alt", "language", "offset", "length", "phash", "licence", "rights")


def scored(out: Path) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Every pair of the run in `out` that reached the filter, with its cosine, and the pictures' features float [n, D].

    A pair is a dictionary of what the pipeline knows of it and its `similarity`; those that were dropped are there too.
    """
    import pyarrow.parquet as pq

    rows = [row for path in sorted((out / "plan").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    features = image_features([picture_at(out, row) for row in rows])
    cosines = (features * text_features([row["alt"] for row in rows])).sum(1)
    pairs = [{name: row[name] for name in _PLANNED} for row in rows]
    return [pair | {"similarity": float(cosine)} for pair, cosine in zip(pairs, cosines, strict=True)], features


def files_of(web: Web, urls: Iterable[str]) -> dict[str, bytes]:
    """The bytes that the server of `web` has for each of the addresses, as far as it has any; no request is made."""
    columns = [web.resources[name].to_pylist() for name in ("host", "path", "offset", "length")]
    places = {f"http://{host}{path}": place for host, path, *place in zip(*columns, strict=True)}
    with (web.folder / "files.pack").open("rb") as pack:
        found = {}
        for url in urls:
            if url in places:
                offset, length = places[url]
                pack.seek(offset)
                found[url] = pack.read(length)
    return found


def with_truth(web: Web, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`pairs`, of a run over `web`, each with the truth about it.

    `kind` says what the alt text is ("clean", "partial", "wrong", "file name", "advert", "empty"), `fits` whether it
    says nothing false, `written_in` its language; of a street scene also the main vehicle's `vehicle`, `colour` and
    `age`, and whether the scene holds a pair that CLIP's training never showed (`new_pair`): None for a photograph.
    """
    truth = {(row["page"], row["link"]): row for row in web.truth.to_pylist()}
    judged = []
    for pair in pairs:
        row = truth[pair["page"], pair["link"]]
        main = scene_number(row["scene"], web.facts["seed"]).main if row["scene"] >= 0 else None
        judged.append(
            pair
            | {"kind": row["kind"], "fits": row["kind"] in TRUE_KINDS, "written_in": row["language"]}
            | {name: row[name] for name in ("content", "photograph", "change", "watermark", "unsafe", "scene")}
            | {"vehicle": main and main.kind, "colour": main and main.colour, "age": main and main.age}
            | {"new_pair": row["scene"] % 10 == 9 if main else None}
        )
    return judged
