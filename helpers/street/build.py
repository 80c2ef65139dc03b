"""Drawing many scenes at once, on all cores.

The workers are fresh Python processes that run this module. Unlike `multiprocessing` they never import the program that
asked for the pictures, so they start in a fraction of a second, need no `if __name__ == "__main__"`, and work alike
from a notebook, a script and on every system. For that reason nothing here may import torch.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.street.captions import captions
from helpers.street.render import SIZES, render
from helpers.street.sample import CLASSES, SPLITS, scene_at
from helpers.street.scene import Scene
from helpers.street.shifts import STILL_TRUE, read_adversarial, shift_args

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 16  # pictures that a worker hands over at once


class Chunk(NamedTuple):
    """Consecutive pictures with their labels and words."""

    images: np.ndarray  # uint8 [k, 3, size, size]
    labels: np.ndarray  # uint8 [k, 6], the number of the class for each label in CLASSES
    captions: list[list[str]]


@dataclass(frozen=True)
class Job:
    """Which pictures to draw: the first `n` scenes of a split, under one shift or as they are.

    Raises ValueError, naming the argument, if a value is out of range.
    """

    split: str
    n: int
    size: int = 96
    seed: int = 0
    shift: str | None = None
    captions: int = 4

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split: {self.split!r} is not one of {', '.join(SPLITS)}")
        for name, low in (("n", 1), ("seed", 0), ("captions", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ValueError(f"{name}: {value!r} is not a whole number from {low}")
        if self.shift == "adversarial" and not (self.split == "test" and self.n <= len(self._stored)):
            raise ValueError(
                f"shift: 'adversarial' is a stored list of {len(self._stored)} test scenes; asked for {self.n} "
                f"of split {self.split!r}"
            )
        if type(self.size) is not int or not SIZES[0] <= self.size <= SIZES[1]:
            raise ValueError(f"size: {self.size!r} is not a whole number of pixels from {SIZES[0]} to {SIZES[1]}")
        shift_args(self.shift, 0, self.seed)  # refuses an unknown shift

    @cached_property
    def _stored(self) -> tuple[tuple[Scene, int], ...]:
        return read_adversarial()

    def scene(self, i: int) -> Scene:
        """Scene number `i`."""
        return self._stored[i][0] if self.shift == "adversarial" else scene_at(self.split, i, self.seed)

    def image_seed(self, i: int) -> int:
        """The seed that picture `i` is drawn with: light, noise and all that is not in the scene."""
        if self.shift == "adversarial":
            return self._stored[i][1]
        return zlib.crc32(f"{self.split} {self.seed} {i}".encode())

    def draw(self, i: int, scene: Scene | None = None) -> np.ndarray:
        """Picture number `i`, uint8 [size, size, 3]."""
        scene = scene or self.scene(i)
        return render(scene, self.size, self.image_seed(i), **shift_args(self.shift, i, self.seed))

    def chunk(self, start: int) -> Chunk:
        """The pictures from number `start` on, at most CHUNK of them."""
        numbers = range(start, min(start + CHUNK, self.n))
        scenes = [self.scene(i) for i in numbers]
        images = np.empty((len(numbers), 3, self.size, self.size), np.uint8)
        for out, i, scene in zip(images, numbers, scenes, strict=True):
            out[:] = self.draw(i, scene).transpose(2, 0, 1)
        labels = [[classes.index(scene.labels[label]) for label, classes in CLASSES.items()] for scene in scenes]
        n = 0 if self.shift in STILL_TRUE else self.captions
        words = [captions(scene, n, [self.seed, i]) for i, scene in zip(numbers, scenes, strict=True)]
        return Chunk(images, np.array(labels, np.uint8), words)


def chunks(job: Job, workers: int) -> Iterator[Chunk]:
    """All chunks of `job` in order, drawn by `workers` processes, or in this one if `workers` is 1.

    Raises RuntimeError with the worker's last words if one dies.
    """
    starts = range(0, job.n, CHUNK)
    workers = min(workers, len(starts))
    if workers <= 1:
        yield from map(job.chunk, starts)
        return
    # Worker w draws every chunk whose number leaves the remainder w. A worker that is ahead waits at its full pipe, so
    # that few pictures are in memory at a time.
    command = [sys.executable, "-m", "helpers.street.build", json.dumps(asdict(job)), str(workers)]
    pool: list[subprocess.Popen] = []
    try:
        for w in range(workers):
            pool.append(subprocess.Popen([*command, str(w)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        for number in range(len(starts)):
            worker = pool[number % workers]
            try:
                drawn = pickle.load(worker.stdout)
            except (EOFError, pickle.UnpicklingError):
                said = worker.stderr.read().decode(errors="replace").strip().splitlines() or ["no message"]
                raise RuntimeError(f"a process that draws scenes stopped ({worker.wait()}): {said[-1]}") from None
            yield Chunk(*drawn)
    finally:
        for worker in pool:
            worker.kill()
            worker.communicate()


def _work(job: str, workers: str, remainder: str) -> None:
    job = Job(**json.loads(job))
    for start in range(int(remainder) * CHUNK, job.n, int(workers) * CHUNK):
        pickle.dump(tuple(job.chunk(start)), sys.stdout.buffer, protocol=5)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _work(*sys.argv[1:])
