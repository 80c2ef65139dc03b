"""Pictures that were there before: the same bytes, and nearly the same look.

Two hashes of 64 bits that differ in at most 6 have at least one of 7 parts in common (the pigeonhole principle). So a
picture is compared only with those that share a part, and the work grows with the number of pictures, not its square.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from helpers.laion.steps import with_columns

if TYPE_CHECKING:
    import pyarrow as pa

BITS = 64
FLAT = 8  # a hash with fewer ones or zeros than this is that of a picture without a pattern, and says nothing


def hamming_distance(a: int, b: int) -> int:
    """In how many bits two whole numbers from 0 differ."""
    return (a ^ b).bit_count()


def exact_step(table: pa.Table) -> pa.Table:
    """Drop pictures whose bytes came before; `twin` is the key of the first one."""
    first: dict[str, str] = {}
    twins = []
    for key, digest in zip(table["key"].to_pylist(), table["sha256"].to_pylist(), strict=True):
        twins.append(first.get(digest))
        first.setdefault(digest, key)
    return with_columns(table, twin=twins, drop=["same bytes" if twin else None for twin in twins])


def parts(value: int, n: int) -> list[int]:
    """`value`, of BITS bits, cut into `n` parts of nearly equal length, each with its number in front."""
    edges = [BITS * i // n for i in range(n + 1)]
    return [(i << BITS) | ((value >> low) & ((1 << (high - low)) - 1)) for i, (low, high) in enumerate(pairwise(edges))]


def look_step(table: pa.Table, distance: int = 6) -> pa.Table:
    """Drop pictures whose perceptual hash differs from that of one kept before in at most `distance` bits.

    `twin` is the key of the nearest of those. With `distance` -1 none is dropped.
    """
    shelves: dict[int, list[tuple[int, str]]] = defaultdict(list)
    twins = []
    for key, value in zip(table["key"].to_pylist(), table["phash"].to_pylist(), strict=True):
        twin, best = None, distance + 1
        ones = value.bit_count()
        if distance >= 0 and min(ones, BITS - ones) >= FLAT:
            places = parts(value, distance + 1)
            for other, other_key in {pair for place in places for pair in shelves.get(place, ())}:
                apart = hamming_distance(value, other)
                if (apart, other_key) < (best, twin or ""):
                    twin, best = other_key, apart
            if twin is None:
                for place in places:
                    shelves[place].append((value, key))
        twins.append(twin)
    return with_columns(table, twin=twins, drop=["same look" if twin else None for twin in twins])
