"""The language of each text, by CLD3, as LAION-5B told it: English, another, or none that is sure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from helpers.laion.steps import with_columns

if TYPE_CHECKING:
    import pyarrow as pa


@cache
def _identifier() -> Any:
    import gcld3

    return gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=1_000)


def language_of(text: str) -> tuple[str, bool]:
    """The most likely language of `text`, as a code such as "en" ("und" for none), and whether CLD3 calls it sure."""
    found = _identifier().FindLanguage(text=text)
    return found.language, bool(found.is_reliable)


def language_step(table: pa.Table, languages: tuple[str, ...] = ()) -> pa.Table:
    """Add `language` and `language_sure`; drop texts in other languages than `languages`, if any are named."""
    found = [language_of(text) for text in table["alt"].to_pylist()]
    reasons = [f"language {code}" if languages and code not in languages else None for code, _ in found]
    codes, sure = [code for code, _ in found], [reliable for _, reliable in found]
    return with_columns(table, language=codes, language_sure=sure, drop=reasons)
