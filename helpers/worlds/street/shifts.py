"""The shifts: the same scenes drawn otherwise, one for each column of the lecture's robustness table.

- "v2": the look's parameters (light, palette, camera, noise) drawn afresh, as ImageNet-V2 collected new pictures.
- "rendition": one of the hand-made styles, as in ImageNet-R.
- "sketch": lines only, so no colour can be seen, as in ImageNet-Sketch.
- "objectnet": the vehicles turned, near or far, and on a beach or a desk, as in ObjectNet.
- "adversarial": natural scenes that a reference network got wrong, a stored list, as in ImageNet-A.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from helpers.files import DATA, whole
from helpers.worlds.chance import pick
from helpers.worlds.street.scene import Scene, SceneError
from helpers.worlds.street.view import PLACES, STYLES, Look, View

SHIFTS = ("v2", "rendition", "sketch", "objectnet", "adversarial")
# A shift under which not all that the scene says can be seen, with the labels that still hold.
STILL_TRUE = {"objectnet": ("vehicle", "colour", "age")}
RENDITIONS = tuple(style for style in STYLES if style not in ("photo", "sketch"))

ADVERSARIAL = DATA / "street" / "adversarial.json"
ADVERSARIAL_SCHEMA = "street-adversarial/1"


def shift_args(shift: str | None, i: int, seed: int = 0) -> dict[str, Any]:
    """What `render` needs, beyond scene, size and seed, to draw picture `i` under `shift`; nothing for None.

    "v2" is one look for each `seed`; "rendition" is a style and "objectnet" one of 18 views for each (seed, i);
    "adversarial" changes the scenes and not the drawing. Raises ValueError for an unknown shift.
    """
    if shift is None or shift == "adversarial":
        return {}
    if shift not in SHIFTS:
        raise ValueError(f"shift: {shift!r} is not one of {', '.join(SHIFTS)}")
    if shift == "sketch":
        return {"style": "sketch"}
    if shift == "v2":
        return {"look": _look(seed)}
    rng = np.random.default_rng([SHIFTS.index(shift), seed, i])
    if shift == "rendition":
        return {"style": pick(rng, RENDITIONS)}
    return {"view": pick(rng, _views(seed))}


_look = lru_cache(8)(Look.draw)


@lru_cache(8)
def _views(seed: int, n: int = 18) -> tuple[View, ...]:
    """Odd viewpoints in odd places, all with the main vehicle in the picture.

    They are few, as `render` keeps what it has drawn for a view and draws the next picture from there much faster.
    """
    rng = np.random.default_rng([SHIFTS.index("objectnet"), seed])
    return tuple(
        View(
            rotation=round(pick(rng, (-1, 1)) * rng.uniform(15, 60), 1),
            zoom=round(rng.uniform(0.75, 1.15), 2),
            pan_x=round(rng.uniform(-0.08, 0.08), 3),
            pan_y=round(rng.uniform(0.05, 0.2), 3),
            horizon=round(rng.uniform(0.32, 0.53), 2),
            backdrop=PLACES[k % len(PLACES)],
        )
        for k in range(n)
    )


def write_adversarial(scenes: Sequence[tuple[Scene, int]], reference: str, path: Path = ADVERSARIAL) -> None:
    """Store scenes with the seeds that they were drawn with, and in words which network failed on them."""
    data = {
        "schema": ADVERSARIAL_SCHEMA,
        "reference": reference,
        "scenes": [{"scene": json.loads(scene.to_json()), "seed": int(seed)} for scene, seed in scenes],
    }
    with whole(path) as temporary:
        temporary.write_text(json.dumps(data) + "\n", encoding="utf-8")


def read_adversarial(path: Path = ADVERSARIAL) -> tuple[tuple[Scene, int], ...]:
    """The stored scenes with the seeds to draw them with.

    Raises FileNotFoundError if there is no list, ValueError if the file is another thing.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: the adversarial scenes are chosen by an experiment; restore the file, or run it"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); restore it") from None
    if not isinstance(data, dict) or data.get("schema") != ADVERSARIAL_SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{path}: schema {found!r} is not {ADVERSARIAL_SCHEMA}; restore the file of this version")
    try:
        return tuple((Scene.from_json(json.dumps(entry["scene"])), int(entry["seed"])) for entry in data["scenes"])
    except (SceneError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: a scene cannot be read ({error}); restore the file") from None
