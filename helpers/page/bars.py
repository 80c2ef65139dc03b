"""Bars of measured shares in per cent, each with its 95 % interval, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

Measured = Mapping[str, Any]  # "accuracy" or "value", from 0 to 1, and "interval", as stored with a shipped model


def per_cent(measured: Measured) -> float:
    """The share, from 0 to 100."""
    return 100 * measured.get("accuracy", measured.get("value"))


def with_interval(measured: Measured) -> str:
    """The share and its interval in words: "50 (45 to 55)"."""
    low, high = (100 * bound for bound in measured["interval"])
    return f"{per_cent(measured):.0f} ({low:.0f} to {high:.0f})"


def in_words(shown: Mapping[str, tuple[Measured, str]]) -> str:
    """What the bars of `share_bars` say, for their alternative text."""
    return "; ".join(f"{name} {per_cent(measured):.0f}" for name, (measured, _) in shown.items())


def share_bars(shown: Mapping[str, tuple[Measured, str]], title: str) -> Figure:
    """One bar for each name, of the share that was measured and in its colour; a thin line is the interval."""
    fig, ax = plt.subplots(figsize=(10.5, 0.55 * len(shown) + 1.1))
    for y, (measured, colour) in enumerate(shown.values()):
        ax.barh(y, per_cent(measured), color=colour)
        ax.hlines(y, *(100 * bound for bound in measured["interval"]), color="black", lw=2)
        ax.text(104, y, f"{per_cent(measured):.0f}", va="center", fontsize=14, weight="bold")
    ax.set(xlim=(0, 112), xticks=range(0, 101, 20), title=title)
    ax.set_yticks(range(len(shown)), list(shown), fontsize=13)
    ax.invert_yaxis()
    return fig
