"""Bring data/manifest.json and the table of data/README.md up to date: `python -m tools.make_manifest`.

The sha256 and the bytes of every file below data/ are computed anew; what is told of it (origin, licence, made_by)
stays. A new file needs its row with these three first. The figures below results/ have no rows.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from helpers.files import DATA, whole, write_json

MANIFEST, README = "manifest.json", "README.md"
TOLD = ("origin", "licence", "made_by")
BEGIN, END = "<!-- made by python -m tools.make_manifest -->\n", "<!-- end of the table -->\n"
Rows = dict[str, dict[str, Any]]


def measured(rows: Rows, folder: Path = DATA) -> Rows:
    """`rows` with the true sha256 and bytes of their files below `folder`, in the order of their names.

    Raises ValueError if a file has no row, or a row no file, or does not tell where its file comes from.
    """
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    files = {file for file in files if file not in {MANIFEST, README} and not file.startswith("results/")}
    problems = [f"{file} has no row" for file in files - rows.keys()]
    problems += [f"{file} has a row and is not there" for file in rows.keys() - files]
    problems += [f"{file} does not tell its {key}" for file, row in rows.items() for key in TOLD if not row.get(key)]
    if problems:
        raise ValueError(f"data/{MANIFEST}: {'; '.join(sorted(problems))}")
    found = {file: (folder / file).read_bytes() for file in sorted(files)}
    return {
        file: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} | {key: rows[file][key] for key in TOLD}
        for file, data in found.items()
    }


def with_table(page: str, rows: Rows) -> str:
    """The text of data/README.md with the table of `rows` between its two marks; ValueError if the marks are lost."""
    lines = ["| File | sha256 | Bytes | Origin | Licence | Made by |", "|---|---|---|---|---|---|"]
    for file, row in rows.items():
        told = " | ".join(row[key] for key in TOLD)
        lines.append(f"| `{file}` | `{row['sha256']}` | {row['bytes']:,} | {told} |")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"data/{README} has lost the marks of its table: {BEGIN.strip()} and {END.strip()}")
    return "\n".join([before + begin, *lines, "", end + after])


def main(folder: Path = DATA) -> int:
    """Write both files and say what changed; return 1, with the reason, if a row is missing."""
    try:
        old = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        rows = measured(old, folder)
        page = with_table((folder / README).read_text(encoding="utf-8"), rows)
    except (OSError, ValueError, AttributeError) as error:
        print(error, file=sys.stderr)
        return 1
    write_json(folder / MANIFEST, rows)
    with whole(folder / README) as temporary:
        temporary.write_text(page, encoding="utf-8")
    changed = [file for file, row in rows.items() if row != old[file]]
    print(f"{len(rows)} files, changed: {', '.join(changed) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
