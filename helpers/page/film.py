"""A film of the robot's episode: what it saw, what it said and how sure it was, and what came of it, step by step.

The film plays in JupyterLab, in slides and in an exported page, with neither a kernel nor a network; where scripts do
not run, the first picture and the list of the steps are shown.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from IPython.display import HTML
from PIL import Image

from helpers.models.robot import Episode
from helpers.worlds.fields import SceneError
from helpers.worlds.table.captions import caption
from helpers.worlds.table.drawing.render import render
from helpers.worlds.table.motion import motion
from helpers.worlds.table.scene import AREAS, Scene
from helpers.worlds.table.skills import DONE, Refusal, Step, apply, moved, read_step

_SCRIPT = Path(__file__).with_suffix(".js")
_QUALITY = 70  # of the pictures, as WebP
GOOD, SLIP, SURPRISE, END = "good", "slip", "surprise", "end"


@dataclass(frozen=True)
class Shot:
    """One step of an episode as it is told: what was said, how sure the robot was, and what came of it.

    `probability` is None for a step of a plan that was written as a whole. `scenes` are the table before the step,
    after it, and after what happened then without the robot.
    """

    said: str
    probability: float | None
    outcome: str
    kind: str  # GOOD, SLIP, SURPRISE or END
    step: Step
    scenes: tuple[Scene, Scene, Scene]
    thought: str = ""  # what the robot looked up before


def shots(episode: Episode) -> list[Shot]:
    """The steps of an episode, one for each time that the robot acted."""
    one_by_one = len(episode.said) == len(episode.told)
    found = []
    for k, told in enumerate(episode.told):
        before, after = episode.scenes[k : k + 2]
        step = _step(before, told["step"])
        between = _after_the_step(before, step, after, told)
        last = k == len(episode.told) - 1
        said = episode.refused if last and episode.refused is not None else told["step"]
        outcome, kind = _outcome(episode, told, step, (before, between, after), last)
        probability, thought = (episode.said[k].probability, episode.said[k].thought) if one_by_one else (None, "")
        found.append(Shot(said, probability, outcome, kind, step, (before, between, after), thought))
    return found


def _step(scene: Scene, words: str) -> Step:
    try:
        return read_step(scene, words)
    except Refusal:
        return DONE


def _after_the_step(before: Scene, step: Step, after: Scene, told: dict) -> Scene:
    """The table between the robot's step and what else happened: an episode keeps only what came of both."""
    if not told["disturbed"]:
        return after
    if told["refused"] is not None or step == DONE:
        return before
    i = step.thing
    new = after.things[i]
    others = any(old != now for k, (old, now) in enumerate(zip(before.things, after.things, strict=True)) if k != i)
    if others and (not told["succeeded"] or _is_where_it_was_put(after, step)):
        with suppress(SceneError):  # it may stand where another thing was, if it was moved once more
            return moved(before, i, new.x, new.y, new.on)
    return apply(before, step, np.random.default_rng(0)) if told["succeeded"] else before


def _is_where_it_was_put(scene: Scene, step: Step) -> bool:
    if isinstance(step.target, int):
        return scene.things[step.thing].on == step.target
    return step.target not in AREAS or scene.area(step.thing) == step.target


def _outcome(
    episode: Episode, told: dict, step: Step, scenes: tuple[Scene, Scene, Scene], last: bool
) -> tuple[str, str]:
    """What came of a step, in a sentence, and which kind of outcome that is."""
    before, between, after = scenes
    if last and episode.refused is not None:
        return "this is no step: the robot stops", END
    if step == DONE:
        return ("the goal is reached", END) if episode.success else ("but the goal is not reached", END)
    if told["refused"] is not None:
        text, kind = f"not possible: {told['refused']}", SLIP
    elif told["succeeded"]:
        text, kind = "it succeeds", GOOD
    else:
        stays = before.things[step.thing] == between.things[step.thing]
        text, kind = "it slips and stays where it was" if stays else "it slips and lands elsewhere", SLIP
    if told["disturbed"]:
        text, kind = f"{text}; {_surprise(between, after)}", SURPRISE
    return (f"{text}; no more steps are allowed" if last else text), kind


def _surprise(before: Scene, after: Scene) -> str:
    """What happened without the robot. A block may have fallen or been taken off a stack: that looks the same."""
    changed = [k for k, (old, new) in enumerate(zip(before.things, after.things, strict=True)) if old != new]
    if not changed:
        return "then a hand moves a block"
    k = changed[0]
    return f"then {after.the(k)} comes off its stack" if before.level(k) else f"then a hand moves {after.the(k)}"


def film(episode: Episode, image_seed: int = 0, size: int = 288, frames: int = 8) -> HTML:
    """An episode as a film with buttons: play, one step back, one step on, and a slider; all can be used by keyboard.

    Args:
        episode: what `play` gave; it has one step at least.
        image_seed: what the environment drew its pictures with, so that the film shows the same table top.
        size: of the pictures, in pixels.
        frames: about so many pictures for each step, 8 at least.
    """
    steps, pictures, data = shots(episode), [], []
    if not steps:
        raise ValueError("the episode has no step yet: let `play` run it to its end")
    for number, shot in enumerate(steps, start=1):
        first = len(pictures)
        for scene in _scenes(shot, frames):
            pictures.append(_webp(render(scene, size, image_seed)))
        data.append(
            {
                "said": shot.said,
                "thought": shot.thought,
                "probability": shot.probability,
                "outcome": shot.outcome,
                "kind": shot.kind,
                "first": first,
                "last": len(pictures) - 1,
                "alt": f"After step {number}: {caption(shot.scenes[2])}",
            }
        )
    start = f"At the start: {caption(episode.scenes[0])}"
    page = {"told": episode.instruction, "size": size, "start": start, "pictures": pictures, "steps": data}
    page["plan"] = episode.said[0].probability if data[0]["probability"] is None and episode.said else None
    text = json.dumps(page).replace("<", r"\u003c")  # no "</script>" may come out of what was said
    # The id follows from the content, so that running the notebook again changes nothing in the file.
    identity = hashlib.sha256(text.encode()).hexdigest()[:12]
    label = html.escape(f"Film of a robot at a table that is told: {episode.instruction}")
    lines = "".join(f"<li>{html.escape(_line(shot))}</li>" for shot in steps)
    script = _SCRIPT.read_text(encoding="utf-8")
    return HTML(
        f'<div class="film" data-film="{identity}" role="group" aria-label="{label}">'
        f"<p>“{html.escape(episode.instruction)}”</p>"
        f'<img alt="{html.escape(start)}" width="{size}" height="{size}" src="data:image/webp;base64,{pictures[0]}">'
        f"<ol>{lines}</ol></div>\n"
        f'<script type="module">\n{script}\n'
        # Two equal films share the id: each script mounts what is not mounted yet.
        f"for (const element of document.querySelectorAll('[data-film=\"{identity}\"]'))\n"
        f"  if (!element.film) mount(element, {text});\n</script>"
    )


def films(episodes: Mapping[str, tuple[Episode, int]], size: int = 288, frames: int = 8) -> HTML:
    """Several films under a list of their names, from which one is chosen.

    Args:
        episodes: for each name what `film` takes, the episode and the seed of its pictures; one at least.
        size, frames: as for `film`.

    Where scripts do not run, all are shown, one below the other, each with the list of its steps.
    """
    if not episodes:
        raise ValueError("episodes: expected one at least, with its name")
    parts = [
        f'<div class="choice"><p>{html.escape(name)}</p>\n{film(*one, size=size, frames=frames).data}</div>'
        for name, one in episodes.items()
    ]
    identity = hashlib.sha256("".join(parts).encode()).hexdigest()[:12]
    script = _SCRIPT.with_stem("films").read_text(encoding="utf-8")
    return HTML(
        f'<div class="films" data-films="{identity}">\n{"".join(parts)}</div>\n<script type="module">\n{script}\n'
        f"for (const element of document.querySelectorAll('[data-films=\"{identity}\"]'))\n"
        "  if (!element.films) choose(element);\n</script>"
    )


def _scenes(shot: Shot, frames: int) -> Iterator[Scene]:
    """What is drawn of a step: the gripper's way, and then what happened without it."""
    before, between, after = shot.scenes
    yield before
    if shot.step != DONE and not shot.outcome.startswith("not possible"):
        yield from motion(before, shot.step, between, frames)
    if after != between or shot.step == DONE:
        yield after


def _line(shot: Shot) -> str:
    sure = "" if shot.probability is None else f" ({shot.probability:.0%})"
    return f"{shot.said or '(nothing)'}{sure}: {shot.outcome}"


def _webp(picture: np.ndarray) -> str:
    kept = io.BytesIO()
    Image.fromarray(picture).save(kept, format="webp", quality=_QUALITY, method=4)
    return base64.b64encode(kept.getvalue()).decode()
