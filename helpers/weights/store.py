"""The files below data/: which there are and what their sha256 is (manifest.json), read only after a check.

Nothing is read with pickle rights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from helpers.files import DATA, ROOT

MANIFEST = "manifest.json"


class WeightsError(RuntimeError):
    """Weights that cannot be had; the message is one sentence with the file, the reason and the remedy."""


def manifest() -> dict[str, dict[str, Any]]:
    """Return {file below data/: {"sha256", "bytes", "origin", "licence", "made_by"}}, as data/manifest.json has it."""
    return json.loads((DATA / MANIFEST).read_text(encoding="utf-8"))


def shipped(file: str) -> Path:
    """Return the path of a file below data/ (such as "weights/squeezenet1_1.safetensors") after checking its sha256.

    Raises WeightsError if data/manifest.json does not list it, or if it is missing, unreadable or damaged.
    """
    row = manifest().get(file)
    if row is None:
        raise WeightsError(
            f"data/{file} is not listed in data/{MANIFEST}: add its row and run `python -m tools.make_manifest`, or "
            "correct the name."
        )
    verify(DATA / file, row["sha256"], f"bring it back with `git checkout -- data/{file}`")
    return DATA / file


def load_result(name: str) -> dict[str, Any]:
    """Return the stored figures of an experiment ("depth") or of a shipped model of the street world ("street-vit").

    Raises FileNotFoundError, with the remedy, if there are none, WeightsError if a shipped model's are damaged.
    """
    path = DATA / "results" / f"{name}.json"
    if not path.is_file():
        if not (DATA / "weights" / f"{name}.json").is_file():
            raise FileNotFoundError(
                f"there are no stored figures of {name!r}: `python -m experiments run {name}` makes an experiment's, "
                f"`python -m experiments train {name}` a shipped model's"
            )
        path = shipped(f"weights/{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def load_state(
    path: str | os.PathLike[str], sha256: str | None = None, remedy: str = "get it again"
) -> Mapping[str, torch.Tensor]:
    """Read {name: tensor} on the CPU from a .safetensors file or a torch file; never with pickle rights.

    sha256: the expected hash or its first 8 or more hex digits, checked before the file is parsed.
    Raises WeightsError if the file is absent, unreadable, truncated, has another hash or holds more than tensors.
    """
    path = Path(path)
    verify(path, sha256, remedy)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # truncated and foreign files make the two parsers raise a dozen types
        raise WeightsError(
            f"{path.name} in {place(path)} is damaged or is not a file of tensors ({one_line(error)}): {remedy}."
        ) from error
    if not (isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())):
        raise WeightsError(f"{path.name} in {place(path)} holds something other than named tensors: {remedy}.")
    return state  # as it is: torchvision's MNASNet reads its version from an attribute of the dictionary


def verify(path: Path, sha256: str | None, remedy: str) -> None:
    """Raise WeightsError, which names `remedy`, unless `path` can be read and has this sha256.

    sha256: the hash, its first 8 or more hex digits, or None if it is not known; ValueError if it is no hash.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{8,64}", sha256):
        raise ValueError(f"A sha256 is 8 to 64 hex digits in small letters, not {sha256!r}.")
    try:
        with path.open("rb") as file:
            found = sha256 and hashlib.file_digest(file, "sha256").hexdigest()[: len(sha256)]
    except FileNotFoundError:
        raise WeightsError(f"{path.name} is not in {place(path)}: {remedy}.") from None
    except OSError as error:
        raise WeightsError(f"{path.name} in {place(path)} cannot be read ({error.strerror}): {remedy}.") from error
    if found != sha256:
        raise WeightsError(f"{path.name} in {place(path)} is damaged (sha256 {found}, expected {sha256}): {remedy}.")


def one_line(error: Exception) -> str:
    """Return the first line of an error's text, without a final stop, or its type's name where it has none."""
    return str(error).strip().partition("\n")[0].rstrip(".: ") or type(error).__name__


def place(path: Path) -> str:
    """Name the folder of `path` without the account's name in it."""
    folder = path.parent.absolute()
    if folder.is_relative_to(ROOT):
        return folder.relative_to(ROOT).as_posix()
    return f"~/{folder.relative_to(Path.home()).as_posix()}" if folder.is_relative_to(Path.home()) else str(folder)
