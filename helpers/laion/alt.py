"""Which pictures have a text that is long enough (LAION-5B: at least 5 characters)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.laion.steps import with_columns

if TYPE_CHECKING:
    import pyarrow as pa


def alt_step(table: pa.Table, least: int = 5) -> pa.Table:
    """Drop pictures whose `alt` is missing or shorter than `least` characters."""
    reasons = []
    for alt in table["alt"].to_pylist():
        reasons.append("no alt text" if not alt else f"under {least} characters" if len(alt) < least else None)
    return with_columns(table, drop=reasons)
