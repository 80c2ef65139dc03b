"""Is what a cell prints today what the notebook has stored? Words must be equal, and numbers within a tolerance.

A processor with other vector instructions adds in another order: the last digit of a sum may differ, and a zero may
come out as `-0.0`. What is compared, by `differences`, is therefore a text's numbers and not their digits:

* A number with a decimal point or an exponent may be off by RELATIVE of the stored value or by one unit in its last
  printed digit, whichever is more. So `-0.0` equals `0.0`, and `0.43` equals `0.44`.
* A whole number followed by % is a measured share, rounded: it may be off by one.
* Any other whole number (`4`, `60,965,224`, `[11, 2, 15]`) is a count, a size, a label or a place, which no processor
  changes: it must be equal.
* What lies between numbers must be equal, but for blanks: the sign of a zero takes one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from nbformat import NotebookNode

MARK = "NBVAL_CHECK_OUTPUT"
RELATIVE = 1e-3
# Not the digits of a name (uint8, squeezenet1_1) or of a version (3.11.2), and not the minus of a range (20-56).
NUMBER = re.compile(
    r"(?<![\w.])(?:(?<![)\]])[-+−])?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?(?!\d|\.\d)"
    r"|(?<![\w.])(?:(?<![)\]])[-+−])?\.\d+(?:[eE][-+]?\d+)?(?!\d|\.\d)"
)
NEVER_COMPARED = ("image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json")


def is_compared(cell: NotebookNode) -> bool:
    """Whether the cell is one whose output is compared with what is stored."""
    return cell.cell_type == "code" and MARK in cell.source


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def _unit(number: str) -> float:
    """One unit in the last printed digit; 0 for `1.`, which numpy and torch print for a whole 1.0."""
    digits, _, exponent = number.lower().partition("e")
    _, point, decimals = digits.partition(".")
    return 0.0 if point and not decimals else 10.0 ** (int(exponent or 0) - len(decimals))


def near(stored: str, new: str, share: bool = False) -> bool:
    """Whether two printed numbers are equal within the tolerance; `share` says that a % follows."""
    if not re.search(r"[.eE]", stored + new) and not share:
        return _value(stored) == _value(new)
    units = [unit for unit in map(_unit, (stored, new)) if unit]
    allowed = max(RELATIVE * abs(_value(stored)), min(units, default=0.0))
    return abs(_value(stored) - _value(new)) <= allowed * (1 + 1e-9)  # 0.44 - 0.43 is a little more than 0.01


def difference(stored: str, new: str) -> str | None:
    """The first line of a text that differs from the stored one, in words; None if none does."""
    lines, new_lines = stored.rstrip().split("\n"), new.rstrip().split("\n")
    for number, (old, fresh) in enumerate(zip(lines, new_lines, strict=False), start=1):
        if old != fresh and not _line_is_near(old, fresh):
            return f"line {number}: stored {old!r}, now {fresh!r}"
    if len(lines) != len(new_lines):
        return f"{len(lines)} lines are stored, now there are {len(new_lines)}"
    return None


def _line_is_near(stored: str, new: str) -> bool:
    # A number takes its blanks with it: with a minus or a digit more there is one less before it.
    words, new_words = ([text.split() for text in NUMBER.split(line)] for line in (stored, new))
    if words != new_words:
        return False
    follows = (after[:1] for after in words[1:])
    pairs = zip(NUMBER.findall(stored), NUMBER.findall(new), follows, strict=True)
    return all(near(old, fresh, share=bool(after) and after[0].startswith("%")) for old, fresh, after in pairs)


def _fields(outputs: Iterable[NotebookNode]) -> dict[str, list[str]]:
    """For each stream and each kind of data the texts that were put out; the order of different kinds is lost."""
    fields: dict[str, list[str]] = defaultdict(list)
    for output in outputs:
        if output.output_type == "stream":
            fields[output.name] = ["".join([*fields[output.name], output.text])]
        elif output.output_type == "error":
            fields["error"].append(f"{output.ename}: {output.evalue}")
        for kind, data in output.get("data", {}).items():
            if kind not in NEVER_COMPARED:
                fields[kind].append(str(data))
    return fields


def differences(stored: Iterable[NotebookNode], new: Iterable[NotebookNode]) -> list[str]:
    """What differs between the outputs that are stored for a cell and its new ones, one sentence each."""
    before, now = _fields(stored), _fields(new)
    found = [f"{kind}: is stored and now missing" for kind in before if kind not in now]
    found += [f"{kind}: is not stored: {now[kind][0][:200]!r}" for kind in now if kind not in before]
    for kind in before:
        texts, new_texts = before[kind], now.get(kind, before[kind])
        if len(texts) != len(new_texts):
            found.append(f"{kind}: {len(texts)} outputs are stored, now there are {len(new_texts)}")
        told = (difference(text, new_text) for text, new_text in zip(texts, new_texts, strict=False))
        found += [f"{kind}, {what}" for what in told if what]
    return found
