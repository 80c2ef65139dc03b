"""Depth by hand: a slider through the networks of the stored experiment `depth`."""

from __future__ import annotations

import math
from typing import Any

from IPython.display import HTML

from helpers.page.explorers.figure import explorer


def depth_explorer(
    result: dict[str, Any],
    alt: str = "Plain and residual networks of one depth: the training loss of each seed, and the norm of the gradient "
    "of each layer, with sliders for the depth and for the step",
) -> HTML:
    """Return the interactive figure for the stored result of the experiment `depth`, as `load_result` gives it."""
    runs = [
        {
            "kind": "residual" if run["settings"]["residual"] else "plain",
            "depth": run["settings"]["depth"],
            "loss": run["figures"]["loss"],
            "curve": run["figures"]["curve"],
            "norms": run["figures"]["gradient norms"],
        }
        for run in result["runs"]
    ]
    norms = [norm for run in runs for layers in run["norms"].values() for norm in layers]
    data = {
        "runs": runs,
        "moments": sorted(map(int, runs[0]["norms"])),
        "steps": result["runs"][0]["settings"]["steps"],
        "guess": math.log(7),  # seven kinds of vehicle
        "top": 1.05 * max(loss for run in runs for loss in run["curve"]),
        "range": [min(norms) / 1.3, max(norms) * 1.3],
    }
    return explorer("depth", data, alt)
