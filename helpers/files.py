"""The repository's folders, files that are written whole or not at all, and a digest of the code that made them."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA, BUILD = ROOT / "data", ROOT / "build"
OURS = ("helpers", "experiments")  # the packages whose code a digest follows


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; it becomes `path` at the end, and is gone after an error.

    The folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that write the same file must not write into one another's.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def code_digest(*modules: str, data: tuple[str, ...] = (), root: Path = ROOT) -> str:
    """Sixteen hex digits that change with what `modules` do, with the modules of ours they import, and with `data`.

    Comments, docstrings and layout do not count. `modules` are dotted names below `root`, `data` are files below
    data/. What is kept on disk carries this digest in its key, so that old work is not taken for new.
    Raises FileNotFoundError if a module or a file is missing.
    """
    digest, seen, waiting = hashlib.sha256(), {}, list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            path = _source(name, root)
            if path is None:
                raise FileNotFoundError(f"module {name} is not below {root}")
            seen[name], imported = _meaning(path, path.stat().st_mtime_ns)
            waiting += [other for other in imported if _source(other, root)]
    for name in sorted(seen):
        digest.update(f"{name}\0{seen[name]}\0".encode())
    for file in data:
        digest.update((root / "data" / file).read_bytes())
    return digest.hexdigest()[:16]


def _source(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache
def _meaning(path: Path, modified: int) -> tuple[str, frozenset[str]]:
    """A module's code without comments and docstrings, and the names of ours that it may import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree), frozenset(name for name in imported if name.partition(".")[0] in OURS)
