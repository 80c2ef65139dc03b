"""Is this machine ready for the course? Each check says what it found and, if something is missing, how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from helpers.files import ROOT

NEEDED_MEMORY = 2 * 2**30  # bytes; the peak that every notebook keeps below


@dataclass(frozen=True)
class Check:
    """One line of the report: what was looked at, whether it is well, what was found, and the remedy if it is not."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.name:<13}{self.found}" + ("" if self.ok else f"\n  → {self.remedy}")


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Python is 3.11 or newer."""
    found = ".".join(map(str, version))
    return Check("Python", version >= (3, 11), found, "install Python 3.11 and start again with: python3 course.py lab")


def packages(requirements: str | None = None) -> Check:
    """Every package that requirements.txt pins is installed in that version. `requirements` is its text."""
    if requirements is None:
        requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wrong, pins = [], [line.split("#")[0].strip() for line in requirements.splitlines() if "==" in line.split("#")[0]]
    for pin in pins:
        name, wanted = pin.split("==")
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = "missing"
        # A CPU or CUDA build of torch calls itself 2.14.1+cpu.
        if installed.split("+")[0] != wanted:
            wrong.append(f"{name} {installed} instead of {wanted}")
    found = "; ".join(wrong) or f"all {len(pins)} in the tested versions"
    return Check("packages", not wrong, found, "close JupyterLab and start it with: python3 course.py lab")


def device() -> Check:
    """Which device torch computes on. A CPU is enough for everything in the course."""
    import torch

    from helpers.training.device import pick_device

    chosen = pick_device()
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"{torch.get_num_threads()} threads"
    return Check("device", True, f"{chosen} ({name}), torch {torch.__version__}")


def photographs() -> Check:
    """Every photograph of the course can be read."""
    from helpers.worlds.photographs import PHOTOS, PictureError, photo

    try:
        sizes = [photo(name).shape for name in PHOTOS]
    except PictureError as problem:
        return Check("photographs", False, str(problem), "pip install --force-reinstall scikit-image")
    return Check("photographs", True, f"{len(sizes)} can be read")


def weights() -> Check:
    """Every shipped file of `data/` is whole."""
    from helpers.weights.store import WeightsError, manifest, shipped

    try:
        files = [shipped(name) for name in manifest()]
    except WeightsError as problem:
        return Check("shipped data", False, str(problem), "git checkout -- data")
    return Check("shipped data", True, f"{len(files)} files, their sha256 is right")


def memory(free: int | None = None) -> Check:
    """At least 2 GiB of memory are free. `free` is in bytes; by default the system is asked."""
    if free is None:
        import psutil

        free = psutil.virtual_memory().available
    remedy = "close other programs, above all browsers and other notebooks' kernels"
    return Check("free memory", free >= NEEDED_MEMORY, f"{free / 2**30:.1f} GiB", remedy)


CHECKS: tuple[Callable[[], Check], ...] = (python, packages, device, photographs, weights, memory)


def report(checks: tuple[Callable[[], Check], ...] = CHECKS) -> str:
    """Run the checks and return one line for each, with a closing sentence."""
    results = [check() for check in checks]
    missing = [result.name for result in results if not result.ok]
    end = f"Mend first: {', '.join(missing)}." if missing else "Everything is here. No network is needed."
    return "\n".join([*map(str, results), end])
