"""From scenes to pictures: any world's pictures, drawn on all cores and kept on disk.

A world is a small dataclass that says which pictures are meant (see `World`). `load` gives them with all that is known
of them. The workers are fresh Python processes that run this module: unlike `multiprocessing` they never import the
program that asked for the pictures, so they start in a fraction of a second, need no `if __name__ == "__main__"`, and
work alike from a notebook, a script and on every system.

The cache folder is `.cache/pictures` in the repository, or `pictures` in the folder that the environment variable
COURSE_CACHE names. It may be deleted at any time. When it holds more than COURSE_CACHE_GB gigabytes (default: 4), what
was not read for the longest time goes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from helpers.cores import available_cores
from helpers.files import ROOT, code_digest

if TYPE_CHECKING:
    import torch

CHUNK = 16  # pictures that a worker hands over at once
_LEFT_BEHIND = 3600  # seconds after which a file that nobody finished is swept out


class CacheError(OSError):
    """The cache folder cannot be used; the message names the folder and the remedy."""


class World(Protocol):
    """Which pictures to draw. An implementation is a frozen dataclass of a module, whose fields JSON can hold."""

    n: int  # how many
    size: int  # their side in pixels
    name: str  # a word for the progress bar and the file's name
    classes: Mapping[str, Sequence[Any]]  # the classes of each label, in the order of their numbers
    data: Sequence[str]  # files below data/ that decide what is drawn

    def scene(self, i: int) -> Any:
        """Scene number `i`."""

    def draw(self, i: int, scene: Any) -> np.ndarray:
        """Its picture, uint8 [size, size, 3]."""

    def labels(self, scene: Any) -> Mapping[str, int]:
        """For each label of `classes` the number of the scene's class, 0 to 255."""

    def words(self, i: int, scene: Any) -> list[str]:
        """True sentences about it, the same number for each scene."""


class Scenes(Sequence):
    """The scenes of a world, made when asked for: `scenes[3]`, `scenes[:10]`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __len__(self) -> int:
        return self._world.n

    def __getitem__(self, i: int | slice) -> Any:
        numbers = range(len(self))[i]
        return tuple(map(self._world.scene, numbers)) if isinstance(i, slice) else self._world.scene(numbers)


@dataclass(frozen=True, eq=False)
class Drawn:
    """`n` pictures with all that is known of them, as arrays."""

    images: torch.Tensor  # uint8 [n, 3, size, size], red, green, blue
    labels: dict[str, torch.Tensor]  # for each label int64 [n], the number of the class
    captions: list[list[str]]  # for each picture the same number of true sentences
    scenes: Sequence[Any]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"{len(self):,} pictures of {self.images.shape[-1]} px"


class Chunk(NamedTuple):
    """Consecutive pictures with their labels and words."""

    images: np.ndarray  # uint8 [k, 3, size, size]
    labels: np.ndarray  # uint8 [k, labels]
    captions: list[list[str]]


def load(world: World, cache: bool = True, progress: bool = True, workers: int | None = None) -> Drawn:
    """The pictures of `world`, from the cache if they are there and whole, else drawn and kept.

    They are drawn by `workers` processes (default: one for each core that this process may use), with a progress bar
    if `progress`. The images are mapped from the file, so they take memory only as they are read; writing to them
    changes the memory, never the file. With `cache` false nothing is read from or written to disk.

    Raises ValueError for `workers` below 1, CacheError if the cache folder is full or cannot be written.
    """
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ValueError(f"workers: {workers!r} is not a whole number from 1")
    drawn = _watched(world, workers or available_cores(), progress)
    if not cache:
        return _in_memory(world, drawn)
    path = cache_folder() / f"{world.name}-{world.n}x{world.size}-{key(world)}.drawn"
    pictures = _read(path, world)
    if pictures is None:
        _write(path, world, drawn)
        pictures = _read(path, world)
        if pictures is None:
            raise CacheError(f"{path} was written and came back damaged; check the disk, or use cache=False")
    return pictures


# Drawing.


def chunk(world: World, start: int) -> Chunk:
    """The pictures from number `start` on, at most CHUNK of them."""
    numbers = range(start, min(start + CHUNK, world.n))
    scenes = [world.scene(i) for i in numbers]
    images = np.empty((len(numbers), 3, world.size, world.size), np.uint8)
    for out, i, scene in zip(images, numbers, scenes, strict=True):
        out[:] = world.draw(i, scene).transpose(2, 0, 1)  # [size, size, 3] -> [3, size, size]
    facts = [world.labels(scene) for scene in scenes]
    labels = np.array([[of_scene[label] for label in world.classes] for of_scene in facts], np.uint8)
    return Chunk(images, labels, [world.words(i, scene) for i, scene in zip(numbers, scenes, strict=True)])


def chunks(world: World, workers: int) -> Iterator[Chunk]:
    """All chunks of `world` in order, drawn by `workers` processes, or in this one if `workers` is 1.

    Raises RuntimeError with the worker's last words if one dies.
    """
    starts = range(0, world.n, CHUNK)
    workers = min(workers, len(starts))
    if workers <= 1:
        yield from (chunk(world, start) for start in starts)
        return
    # Worker w draws every chunk whose number leaves the remainder w. A worker that is ahead waits at its full pipe, so
    # that few pictures are in memory at a time. What it says goes to a file: a pipe that nobody reads would fill up.
    kind = type(world)
    command = [sys.executable, "-m", __name__, kind.__module__, kind.__qualname__, json.dumps(asdict(world))]
    pool: list[subprocess.Popen] = []
    with contextlib.ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile()) for _ in range(workers)]
        try:
            for w in range(workers):
                numbers = [str(workers), str(w)]
                pool.append(subprocess.Popen([*command, *numbers], cwd=ROOT, stdout=subprocess.PIPE, stderr=said[w]))
            for number in range(len(starts)):
                worker = number % workers
                try:
                    drawn = pickle.load(pool[worker].stdout)
                except (EOFError, pickle.UnpicklingError):
                    code = pool[worker].wait()
                    said[worker].seek(0)
                    words = said[worker].read().decode(errors="replace").strip().splitlines() or ["no message"]
                    raise RuntimeError(f"a process that draws scenes stopped ({code}): {words[-1]}") from None
                yield Chunk(*drawn)
        finally:
            for process in pool:
                process.kill()
                process.communicate()


def _work(module: str, kind: str, world: str, workers: str, remainder: str) -> None:
    world = getattr(import_module(module), kind)(**json.loads(world))
    for start in range(int(remainder) * CHUNK, world.n, int(workers) * CHUNK):
        pickle.dump(tuple(chunk(world, start)), sys.stdout.buffer, protocol=5)
        sys.stdout.buffer.flush()


def _watched(world: World, workers: int, progress: bool) -> Iterator[Chunk]:
    from tqdm.auto import tqdm  # not in the workers, which start in half the time without it

    with tqdm(total=world.n, desc=f"drawing {world.name}", unit="scene", disable=not progress, leave=False) as bar:
        for drawn in chunks(world, workers):
            yield drawn
            bar.update(len(drawn.images))


def _assemble(world: World, images: np.ndarray, labels: np.ndarray, captions: list[list[str]]) -> Drawn:
    import torch  # not in the workers

    columns = torch.from_numpy(labels).long().unbind(1)
    return Drawn(torch.from_numpy(images), dict(zip(world.classes, columns, strict=True)), captions, Scenes(world))


def _in_memory(world: World, drawn: Iterator[Chunk]) -> Drawn:
    images = np.empty((world.n, 3, world.size, world.size), np.uint8)
    labels, captions = [], []
    for part in drawn:
        start = len(captions)
        images[start : start + len(part.images)] = part.images
        labels.append(part.labels)
        captions += part.captions
    return _assemble(world, images, np.concatenate(labels), captions)


# The cache. A file holds the images and the labels as .npy, the captions as JSON, and at its end the CRC-32 of all.


def cache_folder() -> Path:
    """Where drawn pictures are kept."""
    return Path(os.environ.get("COURSE_CACHE") or ROOT / ".cache") / "pictures"


def key(world: World) -> str:
    """Sixteen digits that change with the world's fields, the code that draws it and the libraries under that."""
    code = code_digest(type(world).__module__, data=tuple(world.data))
    told = json.dumps([type(world).__qualname__, asdict(world), code, version("numpy"), version("pillow")])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _write(path: Path, world: World, drawn: Iterator[Chunk]) -> None:
    """Draw the pictures into a file of another name, and give it its name when it is whole."""
    temporary = None
    try:
        _make_room(path.parent, world.n * 3 * world.size**2)
        handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            crc = 0

            def put(data: bytes) -> None:
                nonlocal crc
                file.write(data)
                crc = zlib.crc32(data, crc)

            header = io.BytesIO()
            shape = (world.n, 3, world.size, world.size)
            np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
            put(header.getvalue())
            labels, captions = [], []
            for part in drawn:
                put(part.images.tobytes())
                labels.append(part.labels)
                captions += part.captions
            array = io.BytesIO()
            np.save(array, np.concatenate(labels))
            put(array.getvalue())
            put(json.dumps(captions).encode())
            file.write(crc.to_bytes(4, "little"))
        try:
            os.replace(temporary, path)
        except PermissionError:  # Windows, if another process has built the same file and reads it
            if _read(path, world) is None:
                raise
    except OSError as error:
        raise _unusable(path.parent, error) from error
    finally:
        drawn.close()
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def _make_room(folder: Path, size: int) -> None:
    """Make the cache folder, sweep out what killed processes left, and see that `size` bytes have room.

    If the folder would hold more than its limit, the files that were read the longest ago go first. Another process
    may do the same at the same time, so a file may be gone between any two lines.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n")
    kept = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if path.suffix == ".tmp" and time.time() - status.st_mtime > _LEFT_BEHIND:
                path.unlink()
            elif path.suffix == ".drawn":
                kept.append((status.st_mtime, status.st_size, path))
    free = _limit() - size
    for _, taken, path in sorted(kept, reverse=True):  # the latest first: they stay
        free -= taken
        if free < 0:
            with contextlib.suppress(OSError):  # gone already, or read by another process of Windows
                path.unlink()
    if shutil.disk_usage(folder).free < 1.05 * size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _limit() -> float:
    """How many bytes the cache folder may hold."""
    told = os.environ.get("COURSE_CACHE_GB") or "4"
    try:
        return float(told) * 1e9
    except ValueError:
        raise CacheError(f"COURSE_CACHE_GB: {told!r} is not a number of gigabytes, such as 4") from None


def _read(path: Path, world: World) -> Drawn | None:
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
        with contextlib.suppress(OSError):
            os.utime(path)  # read just now: the last to be forgotten
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(path.parent, error) from error
    return _assemble(world, images, labels, captions)


def _unusable(folder: Path, error: OSError) -> CacheError:
    return CacheError(
        f"the cache folder {folder} cannot be used ({error.strerror or error}): make room in it, name another one in "
        "the environment variable COURSE_CACHE, or use cache=False"
    )


if __name__ == "__main__":
    _work(*sys.argv[1:])
