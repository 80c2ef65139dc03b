"""The control loop (Driess et al. 2023, section 5): look, say the next step, let a skill do it, look again.

A `Robot` reads and writes; a `TableEnv` is where it acts. `play` runs one episode for each of several environments at
once, closed loop or open loop, so that both are measured alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from helpers.models.palm_e import PalmE, answer
from helpers.worlds.table.drawing.render import masks
from helpers.worlds.table.env import TableEnv
from helpers.worlds.table.lessons import THEN, Lesson, needs_start, plan_prompt, step_of, step_prompt
from helpers.worlds.table.scene import MAX_THINGS, Scene
from helpers.worlds.table.sentences import seen, sentences, turn
from helpers.worlds.table.skills import DONE, Refusal, read_step
from helpers.worlds.table.state import state_vector
from helpers.worlds.tokenizer import StreetTokenizer

LONGEST_ANSWER = {"step": 120, "plan": 100, "caption": 90, "meaning": 40}  # tokens; every other answer is short
_SHORT = 8
LONGEST_PROMPT = 96  # tokens; twice as many as the longest instruction of the table world with its history has


@dataclass(frozen=True)
class Observation:
    """What the robot sees at a moment: a picture, uint8 [S, S, 3], and the table itself, for encoders of state and
    objects; `image_seed` is the one that the picture was drawn with."""

    image: np.ndarray
    scene: Scene
    image_seed: int = 0


@dataclass(frozen=True)
class Said:
    """A text of the robot, and how probable it thought it; of a step also what it looked up before."""

    text: str
    probability: float
    thought: str = ""


def patch_masks(scene: Scene, size: int, seed: int, patch: int) -> np.ndarray:
    """For each thing the share of every patch that it covers: float32 [8, N], zeros for things that are not there."""
    found, n = np.zeros((MAX_THINGS, (size // patch) ** 2), np.float32), size // patch
    shares = masks(scene, size, seed).reshape(len(scene.things), n, patch, n, patch).mean((2, 4))
    found[: len(shares)] = shares.reshape(len(shares), -1)
    return found


class Robot:
    """A PaLM-E with its tokenizer: it answers prompts about what it sees.

    Args:
        model: what reads and writes.
        tokenizer: of its words.
        encoder: which of ENCODERS the model has; it says what is shown to it.
        blind: show grey pictures and empty states instead: what can be known without looking?
    """

    def __init__(self, model: PalmE, tokenizer: StreetTokenizer, encoder: str = "grid", blind: bool = False) -> None:
        self.model, self.tokenizer, self.encoder, self.blind = model.eval(), tokenizer, encoder, blind

    def shown(self, observations: Sequence[Observation]) -> tuple[torch.Tensor, ...]:
        """What the model's encoder takes of these observations, in their order, on the model's device."""
        device = next(self.model.parameters()).device
        if not observations:
            return ()
        if self.encoder == "state":
            states = torch.from_numpy(np.stack([state_vector(o.scene) for o in observations]))
            return (states.to(device) * (not self.blind),)
        images = torch.from_numpy(np.stack([o.image for o in observations])).permute(0, 3, 1, 2).contiguous()
        parts = [torch.full_like(images, 128) if self.blind else images]
        if self.encoder == "objects":
            size, patches = images.shape[2], self.model.encoder.grid.places
            patch = size // round(patches**0.5)
            shares = np.stack([patch_masks(o.scene, size, o.image_seed, patch) for o in observations])
            parts.append(torch.from_numpy(shares) * (not self.blind))
        return tuple(part.to(device) for part in parts)

    def answer(
        self, prompts: Sequence[str], pictures: Sequence[Sequence[Observation]], steps: int = _SHORT
    ) -> list[Said]:
        """Answer each prompt, which is about its own pictures, with at most `steps` tokens.

        Of a prompt that is too long, as a person may type one, the beginning is read.
        """
        rows = [
            seen(len(of_one), self.model.encoder.places, self.encoder != "grid") + turn(self._cut(prompt))
            for prompt, of_one in zip(prompts, pictures, strict=True)
        ]
        batch = sentences(self.tokenizer, rows, left=True)
        device = next(self.model.parameters()).device
        written = answer(
            self.model,
            batch.ids.to(device),
            batch.real.to(device),
            batch.pictures.to(device),
            self.shown([o for of_one in pictures for o in of_one]),
            steps,
            end=self.tokenizer.sep_id,
        )
        probability = written.probability.tolist()
        return [Said(self.tokenizer.decode(ids), p) for ids, p in zip(written.ids, probability, strict=True)]

    def next_steps(self, prompts: Sequence[str], pictures: Sequence[Sequence[Observation]]) -> list[Said]:
        """The next step for each prompt of `step_prompt`, after what the robot looked up in its pictures."""
        said = self.answer(prompts, pictures, LONGEST_ANSWER["step"])
        return [Said(step_of(one.text), one.probability, one.text.rpartition(THEN)[0]) for one in said]

    def _cut(self, prompt: str) -> str:
        ids = self.tokenizer.encode(prompt)
        return prompt if len(ids) <= LONGEST_PROMPT else self.tokenizer.decode(ids[:LONGEST_PROMPT])

    def answer_lessons(self, lessons: Sequence[Lesson], pictures: Sequence[Sequence[Observation]]) -> list[Said]:
        """Answer the prompts of lessons of one kind."""
        steps = LONGEST_ANSWER.get(lessons[0].kind, _SHORT) if lessons else _SHORT
        return self.answer([lesson.prompt for lesson in lessons], pictures, steps)


@dataclass
class Episode:
    """What happened: everything the robot said, what the environment told of each step, and how it ended."""

    instruction: str
    kind: str
    said: list[Said] = field(default_factory=list)
    told: list[dict] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)  # before the first step and after each
    refused: str | None = None  # what the robot answered instead of a step
    success: bool = False  # the goal held at the end


def play(robot: Robot, envs: Sequence[TableEnv], seeds: Sequence[int], closed: bool = True) -> list[Episode]:
    """One episode in each environment, begun with its seed.

    Closed loop: before each step the robot looks and says the next one, until it says "done" or something that is no
    step, which is its answer. Open loop: it looks once, writes the whole plan, and carries it out without looking.
    """
    episodes, plans, starts = [], [], []
    for env, seed in zip(envs, seeds, strict=True):
        env.reset(seed=int(seed))
        episodes.append(Episode(env.task.instruction, env.task.kind, scenes=[env.scene]))
        starts.append(_look(env))
    if not closed:
        prompts = [plan_prompt(episode.instruction) for episode in episodes]
        shown = [[o, o] if needs_start(e.kind) else [o] for o, e in zip(starts, episodes, strict=True)]
        for episode, said in zip(episodes, robot.answer(prompts, shown, LONGEST_ANSWER["plan"]), strict=True):
            episode.said.append(said)
            plans.append(said.text.split(THEN))
    running = list(range(len(episodes)))
    while running:
        texts = _next_steps(robot, envs, episodes, starts, running) if closed else [_next(plans[i]) for i in running]
        ended = [i for i, text in zip(running, texts, strict=True) if _do(envs[i], episodes[i], text)]
        running = [i for i in running if i not in ended]
    return episodes


def _look(env: TableEnv) -> Observation:
    return Observation(env.picture(), env.scene, env.image_seed)


def _next(steps: list[str]) -> str:
    return steps.pop(0) if steps else "done"


def _next_steps(
    robot: Robot, envs: Sequence[TableEnv], episodes: list[Episode], starts: list[Observation], running: list[int]
) -> list[str]:
    """What the robot says in each of the running episodes, after it looked."""
    prompts, shown = [], []
    for i in running:
        now = _look(envs[i])
        prompts.append(step_prompt(episodes[i].instruction, [told["step"] for told in episodes[i].told]))
        shown.append([starts[i], now] if needs_start(episodes[i].kind) else [now])
    said = robot.next_steps(prompts, shown)
    for i, one in zip(running, said, strict=True):
        episodes[i].said.append(one)
    return [one.text for one in said]


def _do(env: TableEnv, episode: Episode, text: str) -> bool:
    """Carry out what was said; whether the episode has ended."""
    try:
        step = read_step(env.scene, text)
    except Refusal:
        episode.refused, step = text, DONE
    _, reward, terminated, truncated, told = env.step(env.action(step))
    episode.told.append(told)
    episode.scenes.append(env.scene)
    episode.success = bool(reward) and episode.refused is None
    return terminated or truncated
