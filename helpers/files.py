"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
