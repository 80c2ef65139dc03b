"""Appendix B: the 95 % interval of a mean over seeds (Student 1908)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from scipy.stats import t as student_t

from helpers.page.exercises import Task
from helpers.training import statistics as course


def seeds_for(spread: float, half_width: float) -> int:
    """The smallest number of seeds whose 95 % interval reaches `half_width` to each side at most, if single runs have
    the standard deviation `spread`. Raises ValueError if 10,000 are too few."""
    for n in range(2, 10_000):
        if student_t.ppf(0.975, n - 1) * spread / n**0.5 <= half_width:
            return n
    raise ValueError(f"half_width: {half_width} is too small for a spread of {spread}; allow a wider interval")


def _right(values: Sequence[float]) -> tuple[float, float]:
    low, high = course.interval(values)["interval"]
    return low, high


def _wrong(
    values: Sequence[float], factor: float | None = None, spread: object = statistics.stdev, root: float = 0.5
) -> tuple:
    n, mean = len(values), statistics.fmean(values)
    half = (factor or student_t.ppf(0.975, n - 1)) * spread(values) / n**root
    return mean - half, mean + half


INTERVAL = Task(
    right=_right,
    inputs=(([4.0, 6.5, 3.0, 5.5],), ([0.1, -0.2, 0.4, 0.0, 0.3, -0.1, 0.2],), ([10.0, 11.0],)),
    mistakes={
        "the factor is 1.96 for any number of seeds: with few of them the interval must be wider": lambda values: (
            _wrong(values, 1.959964)
        ),
        "the factor leaves 5 % at each end: the interval covers 90 %": lambda values: _wrong(
            values, student_t.ppf(0.95, len(values) - 1)
        ),
        "the standard deviation is divided by n, not by n − 1: a sample spreads less than what it comes from": (
            lambda values: _wrong(values, spread=statistics.pstdev)
        ),
        "it is the spread of single runs, not of their mean: the root of n is missing": lambda values: _wrong(
            values, root=0.0
        ),
        "it is divided by n, not by the root of n": lambda values: _wrong(values, root=1.0),
    },
)
