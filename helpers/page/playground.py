"""A table to play at: tell the robot something, let it take step after step, and disturb it on the way."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import ipywidgets
import numpy as np
from PIL import Image

from helpers.models.robot import Observation, Robot, Said
from helpers.worlds.table.captions import caption
from helpers.worlds.table.disturbances import disturb
from helpers.worlds.table.drawing.render import render
from helpers.worlds.table.instructions import reached, read
from helpers.worlds.table.lessons import needs_start, step_prompt
from helpers.worlds.table.scene import Scene
from helpers.worlds.table.skills import DONE, Refusal, attempt, read_step, why_not

SHOWN = 320  # pixels of the picture on the page
REMEMBERED = 8  # lines of what happened that stay on the page


class Table:
    """A robot at a table, without the page: what it was told, what it would do next, and what has happened.

    Attributes: `scene`; `refusal`, why the instruction cannot be carried out here, or None; `said`, what the robot says
    next, with its probability; `before`, what it would have said before the last disturbance, or None; `ended`, whether
    nothing more can be done with this instruction; `lines`, what has happened so far.

    Args:
        size: of the pictures that the robot looks at, in pixels.
        slips: the share of possible steps that fail.
        seed: of slips, disturbances, and of how the table looks.
    """

    def __init__(self, robot: Robot, scene: Scene, size: int = 96, slips: float = 0.1, seed: int = 0) -> None:
        self.robot, self.size, self.slips, self.image_seed = robot, size, slips, seed
        self._rng = np.random.default_rng(seed)
        self.lay(scene)

    def lay(self, scene: Scene) -> None:
        """Another table; the robot has been told nothing."""
        self.scene, self.instruction, self.kind, self.goal = scene, "", "", ()
        self.refusal, self.said, self.before = None, None, None
        self.ended, self.lines, self._history = True, [], []
        self._start = self._look()

    def tell(self, text: str) -> None:
        """Give the robot an instruction; it looks, and says its first step, or why there is none."""
        self.instruction = " ".join(text.encode("utf-8", "replace").decode().lower().split()).rstrip(".!?")
        self.lines, self._history, self.before, self.refusal = [], [], None, None
        self.kind, self.goal = "", ()
        self._start = self._look()
        try:
            self.kind, self.goal = read(self.scene, self.instruction)
        except Refusal as reason:
            self.refusal = str(reason)
        self.ended = self.refusal is not None
        self._ask()

    def step(self) -> None:
        """Carry out what the robot says, as far as that is possible; then it looks again."""
        if self.ended:
            return
        said, self.before = self.said, None
        try:
            step = read_step(self.scene, said.text)
        except Refusal:
            self.ended = True
            self.lines.append((said, "this is no step: the robot stops"))
            return
        if step == DONE:
            self.ended = True
            self.lines.append((said, "the goal is reached" if self.reached else "but the goal is not reached"))
            return
        refused = why_not(self.scene, step)
        self.scene, succeeded = attempt(self.scene, step, self._rng, self.slips)
        outcome = f"not possible: {refused}" if refused else "it succeeds" if succeeded else "it slips"
        self.lines.append((said, outcome))
        self._history.append(said.text)
        self._ask()

    def knock(self) -> None:
        """Take a block away, or let one fall; the robot looks again."""
        changed, self.scene = self.scene, disturb(self.scene, self._rng)
        moved = [i for i, (old, new) in enumerate(zip(changed.things, self.scene.things, strict=True)) if old != new]
        if not moved:
            return
        self.lines.append((None, f"you move {self.scene.the(moved[0])}"))
        if self.said is not None and self.refusal is None:
            self.before = self.said
            self.ended = False  # what was done may be undone
            self._ask()

    @property
    def reached(self) -> bool:
        """Whether the goal of the instruction holds."""
        return self.refusal is None and reached(self.scene, self.goal)

    def _look(self) -> Observation:
        return Observation(render(self.scene, self.size, self.image_seed), self.scene, self.image_seed)

    def _ask(self) -> None:
        shown = [self._start, self._look()] if needs_start(self.kind) else [self._look()]
        prompt = step_prompt(self.instruction, self._history)
        (self.said,) = self.robot.next_steps([prompt], [shown])


def playground(
    robot: Robot, scenes: Sequence[Scene], told: str = "", size: int = 96, slips: float = 0.1, seed: int = 0
) -> ipywidgets.Widget:
    """A field for an instruction, the table, and buttons: do the step, move a block away, another table.

    What the robot says next is shown at once, with its probability; an instruction that cannot be carried out is
    answered with the reason. `scenes` are the tables to choose from, the first of which is shown; `told` is what
    stands in the field; the other arguments are those of Table.
    """
    table, number = Table(robot, scenes[0], size, slips, seed), 0
    field = ipywidgets.Text(
        told, description="instruction", continuous_update=False, layout=ipywidgets.Layout(width="auto")
    )
    whole = ipywidgets.Layout(width="auto")  # or a slide's larger letters are cut off
    do = ipywidgets.Button(
        description="do this step", tooltip="carry out what the robot says", button_style="primary", layout=whole
    )
    knock = ipywidgets.Button(
        description="move a block away", tooltip="take a block off, or let one fall", layout=whole
    )
    other = ipywidgets.Button(description="another table", tooltip="lay the next table", layout=whole)
    picture, below = ipywidgets.HTML(), ipywidgets.HTML()

    def show() -> None:
        picture.value, below.value = _picture(table), _report(table)
        do.disabled = table.ended

    def tell(_: object = None) -> None:
        if field.value.strip():
            table.tell(field.value)
        else:
            table.lay(table.scene)
        show()

    def lay(_: object) -> None:
        nonlocal number
        number = (number + 1) % len(scenes)
        table.lay(scenes[number])
        tell()

    def press(action: str) -> None:
        getattr(table, action)()
        show()

    field.observe(tell, "value")
    do.on_click(lambda _: press("step"))
    knock.on_click(lambda _: press("knock"))
    other.on_click(lay)
    tell()
    beside = ipywidgets.Layout(flex="1 1 0%", min_width="0", max_width="50em", margin="0 0 0 1em", overflow="visible")
    right = ipywidgets.VBox([field, ipywidgets.HBox([do, knock, other]), below], layout=beside)
    return ipywidgets.HBox([picture, right])


def _picture(table: Table) -> str:
    kept = io.BytesIO()
    Image.fromarray(render(table.scene, SHOWN, table.image_seed)).save(kept, format="webp", quality=80)
    data = base64.b64encode(kept.getvalue()).decode()
    alt = escape(caption(table.scene))
    return f'<img alt="{alt}" width="{SHOWN}" height="{SHOWN}" src="data:image/webp;base64,{data}">'


def _report(table: Table) -> str:
    """HTML: what the robot says next, how sure it is, and what has happened."""
    lines = "".join(f"<li>{_said(said)}<b>{escape(outcome)}</b></li>" for said, outcome in table.lines[-REMEMBERED:])
    hidden = max(0, len(table.lines) - REMEMBERED)
    done = f'<ol start="{hidden + 1}">{lines}</ol>' if lines else ""
    if table.said is None:
        return f"<p>Type an instruction and press Enter.</p>{done}"
    if table.refusal is not None:
        return (
            f"<p>This cannot be done here: <b>{escape(table.refusal)}</b>.</p>"
            f"<p>The robot's own answer: {_bar(table.said)}</p>{done}"
        )
    if table.ended:
        return f"<p>The robot has stopped. Move a block away, or tell it something else.</p>{done}"
    changed = ""
    if table.before is not None:
        same = table.before.text == table.said.text
        changed = (
            "<p>It stays with its step.</p>"
            if same
            else f"<p>It plans anew: before, it said “{_text(table.before)}”.</p>"
        )
    thought = f"<p>It looked up: {escape(table.said.thought)}.</p>" if table.said.thought else ""
    return f"{changed}{thought}<p>The robot says next: {_bar(table.said)}</p>{done}"


def _text(said: Said) -> str:
    return escape(said.text) or "(nothing)"


def _said(said: Said | None) -> str:
    return "" if said is None else f"{_text(said)} ({said.probability:.0%}): "


def _bar(said: Said) -> str:
    return (
        f"<b>{_text(said)}</b> {said.probability:.0%}"
        '<span style="display:inline-block;width:8em;height:0.8em;background:#dddddd;margin-left:0.6em">'
        f'<span style="display:block;width:{100 * said.probability:.1f}%;height:100%;background:#0072B2"></span></span>'
    )
