"""The street world as data to train on: pictures, labels and captions, drawn on all cores and kept on disk.

The cache folder is `.cache/street` in the repository, or `street` in the folder that the environment variable
COURSE_CACHE names. It may be deleted at any time.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from helpers.street.build import ROOT, Chunk, Job, chunks
from helpers.street.sample import CLASSES
from helpers.street.scene import Scene
from helpers.street.shifts import ADVERSARIAL, STILL_TRUE


class CacheError(OSError):
    """The cache folder cannot be used; the message names the folder and the remedy."""


class Scenes(Sequence[Scene]):
    """The scenes of a set, drawn up when asked for: `scenes[3]`, `scenes[:10]`."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __len__(self) -> int:
        return self._job.n

    def __getitem__(self, i: int | slice) -> Scene | tuple[Scene, ...]:
        numbers = range(len(self))[i]
        return tuple(map(self._job.scene, numbers)) if isinstance(i, slice) else self._job.scene(numbers)


@dataclass(frozen=True, eq=False)
class StreetImages:
    """`n` pictures with all that is known of them, as arrays."""

    images: torch.Tensor  # uint8 [n, 3, size, size], red, green, blue
    labels: dict[str, torch.Tensor]  # for each label of CLASSES that holds: int64 [n], the number of the class
    captions: list[list[str]]  # for each picture the same number of true sentences
    scenes: Sequence[Scene]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"StreetImages({len(self):,} pictures of {self.images.shape[-1]} px)"


class StreetDataset(Dataset):
    """StreetImages as pairs for a DataLoader: (picture, target).

    `target` is one of the labels, giving the number of the class (int), or "captions", giving the list of sentences.
    The picture is uint8 [3, size, size], or what `transform` makes of it. Raises ValueError for an unknown target.
    """

    def __init__(
        self,
        street: StreetImages,
        target: str = "vehicle",
        transform: Callable[[torch.Tensor], Any] | None = None,
    ) -> None:
        if target not in (*street.labels, "captions"):
            raise ValueError(f"target: {target!r} is not one of {', '.join(street.labels)}, captions")
        self.street, self.transform = street, transform
        self.targets = street.captions if target == "captions" else street.labels[target].tolist()

    def __len__(self) -> int:
        return len(self.street)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        image = self.street.images[i]
        return self.transform(image) if self.transform else image, self.targets[i]


def load_street(
    split: str,
    n: int,
    size: int = 96,
    seed: int = 0,
    shift: str | None = None,
    cache: bool = True,
    progress: bool = True,
    workers: int | None = None,
    captions: int = 4,
) -> StreetImages:
    """The first `n` scenes of `split` as pictures of `size` px, under `shift` (one of SHIFTS) if one is named.

    Pictures come from the cache if they are there and whole. Otherwise they are drawn by `workers` processes (default:
    one for each core), with a progress bar if `progress`, and kept. The images are mapped from the file, so they take
    memory only as they are read; writing to them changes the memory, never the file. With `cache` false nothing is
    read from or written to disk. `captions` is the number of sentences for each picture. Under the shift "objectnet",
    where street, sky and trees are not in the picture, only the labels vehicle, colour and age are given, and no
    captions.

    Raises ValueError for an argument out of range, CacheError if the cache folder is full or cannot be written.
    """
    job = Job(split, n, size, seed, shift, captions)
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ValueError(f"workers: {workers!r} is not a whole number from 1")
    drawn = _watched(job, workers or _cores(), progress)
    if not cache:
        return _in_memory(job, drawn)
    path = _cache_folder() / f"{split}-{shift or 'plain'}-{n}x{size}-{_key(job)}.street"
    street = _read(path, job)
    if street is None:
        _write(path, job, drawn)
        street = _read(path, job)
        if street is None:
            raise CacheError(f"{path} was written and came back damaged; check the disk, or use cache=False")
    return street


def _watched(job: Job, workers: int, progress: bool) -> Iterator[Chunk]:
    with tqdm(total=job.n, desc=f"drawing {job.split}", unit="scene", disable=not progress, leave=False) as bar:
        for chunk in chunks(job, workers):
            yield chunk
            bar.update(len(chunk.images))


def _cores() -> int:
    # Only on Linux can a process be tied to some of the cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _assemble(job: Job, images: np.ndarray, labels: np.ndarray, captions: list[list[str]]) -> StreetImages:
    columns = dict(zip(CLASSES, torch.from_numpy(labels).long().unbind(1), strict=True))
    seen = {label: columns[label] for label in STILL_TRUE.get(job.shift, CLASSES)}
    return StreetImages(torch.from_numpy(images), seen, captions, Scenes(job))


def _in_memory(job: Job, drawn: Iterator[Chunk]) -> StreetImages:
    images = np.empty((job.n, 3, job.size, job.size), np.uint8)
    labels, captions = [], []
    for chunk in drawn:
        start = len(captions)
        images[start : start + len(chunk.images)] = chunk.images
        labels.append(chunk.labels)
        captions += chunk.captions
    return _assemble(job, images, np.concatenate(labels), captions)


# The cache. A file holds the images and the labels as .npy, the captions as JSON, and at its end the CRC-32 of all.


def _cache_folder() -> Path:
    return Path(os.environ.get("COURSE_CACHE") or ROOT / ".cache") / "street"


def _key(job: Job) -> str:
    """Sixteen digits that change with the job, with the code that draws it and with the libraries under that."""
    parts = [repr(astuple(job)).encode(), version("numpy").encode(), version("pillow").encode()]
    parts += [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    if job.shift == "adversarial":
        parts.append(ADVERSARIAL.read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _write(path: Path, job: Job, drawn: Iterator[Chunk]) -> None:
    """Draw the pictures into a file of another name, and give it its name when it is whole."""
    temporary = None
    try:
        _prepare(path.parent, job.n * 3 * job.size**2)
        handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            crc = 0

            def put(data: bytes) -> None:
                nonlocal crc
                file.write(data)
                crc = zlib.crc32(data, crc)

            header = io.BytesIO()
            shape = (job.n, 3, job.size, job.size)
            np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
            put(header.getvalue())
            labels, captions = [], []
            for chunk in drawn:
                put(chunk.images.tobytes())
                labels.append(chunk.labels)
                captions += chunk.captions
            array = io.BytesIO()
            np.save(array, np.concatenate(labels))
            put(array.getvalue())
            put(json.dumps(captions).encode())
            file.write(crc.to_bytes(4, "little"))
        try:
            os.replace(temporary, path)
        except PermissionError:  # Windows, if another process has built the same file and reads it
            if _read(path, job) is None:
                raise
    except OSError as error:
        raise _unusable(path.parent, error) from error
    finally:
        drawn.close()
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _prepare(folder: Path, size: int) -> None:
    """Make the cache folder, sweep out what killed processes left, and see that `size` bytes have room."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n")
    for left in folder.glob("*.tmp"):
        if time.time() - left.stat().st_mtime > 3600:
            left.unlink(missing_ok=True)
    if shutil.disk_usage(folder).free < 1.05 * size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(path: Path, job: Job) -> StreetImages | None:
    """The pictures in the file `path`; None if it is missing, cut short or damaged."""
    try:
        with open(path, "rb") as file:
            end = os.fstat(file.fileno()).st_size - 4
            crc = 0
            while (left := end - file.tell()) > 0:
                crc = zlib.crc32(file.read(min(left, 1 << 20)), crc)
            if end < 0 or int.from_bytes(file.read(4), "little") != crc:
                return None
            file.seek(0)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            images = np.memmap(file, dtype, "c", file.tell(), shape)
            file.seek(images.offset + images.nbytes)
            labels = np.load(file)
            captions = json.loads(file.read()[:-4])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(path.parent, error) from error
    return _assemble(job, images, labels, captions)


def _unusable(folder: Path, error: OSError) -> CacheError:
    return CacheError(
        f"the cache folder {folder} cannot be used ({error.strerror or error}): make room in it, name another one in "
        "the environment variable COURSE_CACHE, or use load_street(..., cache=False)"
    )
