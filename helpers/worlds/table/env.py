"""The table as a `gymnasium` environment: the robot is told something, looks, acts, and looks again.

Skills fail at a set rate, and now and then something happens that the robot did not do.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from helpers.worlds.table.disturbances import disturb
from helpers.worlds.table.drawing.render import SIZES, render
from helpers.worlds.table.episode import Task, sample_task
from helpers.worlds.table.instructions import reached
from helpers.worlds.table.planner import plan
from helpers.worlds.table.scene import AREAS, MAX_THINGS, SIDES, Scene
from helpers.worlds.table.skills import ASIDE, DONE, SKILLS, Refusal, Step, attempt, step_words, why_not
from helpers.worlds.table.state import FEATURES, state_vector

TARGETS: tuple[int | str, ...] = (*range(MAX_THINGS), *AREAS, ASIDE, *SIDES)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 ,:.?!"


class TableEnv(gym.Env):
    """A robot at a table.

    An observation has the picture "image", uint8 [size, size, 3], the "state", float32 [8, 14] (see `state_vector`),
    and the "instruction". An action is three whole numbers: one of SKILLS, the thing that is moved, and one of TARGETS;
    `action` makes one of a Step. What is not possible changes nothing. The episode ends with the action "done", with
    the reward 1 if the goal is reached and 0 if not, or is cut off after `longest` steps. The info tells the step in
    words, why it was refused, if it was, and whether it succeeded and the goal is reached.

    Args:
        size: of the pictures, in pixels.
        split: of the tasks, as in `sample_task`; so are `kind` and `held_out_wording`.
        slips: the share of possible steps that fail.
        disturbances: how often something happens in an episode, at moments that fall within the oracle's plan.
        longest: the most steps of an episode.
        render_mode: "rgb_array" or None.

    Raises ValueError, naming the argument, if a value is out of range.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012 (gymnasium's own name and form)

    def __init__(
        self,
        size: int = 96,
        split: str = "train",
        kind: str | None = None,
        slips: float = 0.1,
        disturbances: int = 1,
        longest: int = 20,
        render_mode: str | None = None,
        held_out_wording: bool = False,
    ) -> None:
        if type(size) is not int or not SIZES[0] <= size <= SIZES[1]:
            raise ValueError(f"size: {size!r} is not a whole number of pixels from {SIZES[0]} to {SIZES[1]}")
        if not 0 <= slips <= 1:
            raise ValueError(f"slips: {slips!r} is not a share from 0 to 1")
        if type(disturbances) is not int or disturbances < 0:
            raise ValueError(f"disturbances: {disturbances!r} is not a whole number from 0")
        if type(longest) is not int or longest < 1:
            raise ValueError(f"longest: {longest!r} is not a whole number from 1")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: {render_mode!r} is not rgb_array or None")
        self.size, self.split, self.kind, self.slips = size, split, kind, slips
        self.held_out_wording = held_out_wording
        self.disturbances, self.longest, self.render_mode = disturbances, longest, render_mode
        self.action_space = gym.spaces.MultiDiscrete([len(SKILLS), MAX_THINGS, len(TARGETS)])
        self.observation_space = gym.spaces.Dict(
            image=gym.spaces.Box(0, 255, (size, size, 3), np.uint8),
            state=gym.spaces.Box(-1, 1, (MAX_THINGS, FEATURES), np.float32),
            instruction=gym.spaces.Text(200, charset=LETTERS),
        )
        self.task: Task | None = None
        self._drawn: tuple | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin an episode with a new task, or with the Task in `options` {"task": …}."""
        super().reset(seed=seed)
        rng = self.np_random
        self.task = (options or {}).get("task")
        if self.task is None:
            self.task = sample_task(rng, self.split, self.kind, self.held_out_wording)
        self.scene: Scene = self.task.scene
        self.image_seed, self.taken = int(rng.integers(2**31)), 0
        try:
            length = len(plan(self.scene, self.task.goal, rng)) - 1
        except Refusal:
            length = 1
        self._moments = sorted(rng.integers(1, max(length, 2), self.disturbances).tolist())
        return self._observation(), {"kind": self.task.kind, "reached": reached(self.scene, self.task.goal)}

    def action(self, step: Step) -> np.ndarray:
        """The action that a Step is: int64 [3]."""
        if step == DONE:
            return np.array([SKILLS.index("done"), 0, 0])
        return np.array([SKILLS.index(step.skill), step.thing, TARGETS.index(step.target)])

    def meant(self, action: np.ndarray) -> Step | None:
        """The Step that an action is; None if it names things that are not there, or a target of another skill."""
        skill, thing, target = SKILLS[int(action[0])], int(action[1]), TARGETS[int(action[2])]
        n = len(self.scene.things)
        if skill == "done":
            return DONE
        fits = target in SIDES if skill == "push" else target not in SIDES
        return Step(skill, thing, target) if thing < n and fits and not (type(target) is int and target >= n) else None

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Do what the action says, as far as it can be done; then perhaps something else happens."""
        if self.task is None:
            raise RuntimeError("the episode has not begun: call reset first")
        step = self.meant(action)
        refused = "there is no such thing or place" if step is None else why_not(self.scene, step)
        words, succeeded = "" if step is None else step_words(self.scene, step), False
        if refused is None:
            self.scene, succeeded = attempt(self.scene, step, self.np_random, self.slips)
        self.taken += 1
        disturbed = False
        while step != DONE and self._moments and self._moments[0] <= self.taken:
            self._moments.pop(0)
            before, self.scene = self.scene, disturb(self.scene, self.np_random)
            disturbed = disturbed or before != self.scene
        terminated = step == DONE
        truncated = not terminated and self.taken >= self.longest
        success = reached(self.scene, self.task.goal)
        told = {"step": words, "refused": refused, "succeeded": succeeded, "disturbed": disturbed, "reached": success}
        return self._observation(), float(terminated and success), terminated, truncated, told

    def render(self) -> np.ndarray | None:
        """The table as it is now, in the mode "rgb_array"."""
        return self.picture() if self.render_mode and self.task else None

    def picture(self) -> np.ndarray:
        """The table as it is now: uint8 [size, size, 3]. The same picture is not drawn twice in a row."""
        if self._drawn is None or self._drawn[0] != (self.scene, self.image_seed):
            self._drawn = (self.scene, self.image_seed), render(self.scene, self.size, self.image_seed)
        return self._drawn[1].copy()

    def _observation(self) -> dict[str, Any]:
        return {
            "image": self.picture(),
            "state": state_vector(self.scene),
            "instruction": self.task.instruction,
        }


gym.register("Table-v0", entry_point=TableEnv)
