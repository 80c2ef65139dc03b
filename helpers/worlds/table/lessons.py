"""What a robot learns from: pictures of episodes, with what is asked and what is to be answered, drawn and kept.

Three pictures come from each episode: its start, a later moment, and what the next step made of that. Each picture has
the same number of lessons about it, so that they are kept with it by `helpers.worlds.drawn`. Nothing here may import
torch, as every process that draws imports this module.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from helpers.worlds.chance import SPLITS, pick
from helpers.worlds.drawn import Drawn, load
from helpers.worlds.table.captions import caption
from helpers.worlds.table.disturbances import disturb
from helpers.worlds.table.drawing.render import SIZES, render
from helpers.worlds.table.episode import COMPOSED, Task, instruction, sample_task
from helpers.worlds.table.instructions import TASKS, WORDINGS, Goal, in_words, read, say
from helpers.worlds.table.planner import LONGEST, looks, next_step, plan
from helpers.worlds.table.questions import affordance, questions, success
from helpers.worlds.table.sample import HELD_OUT, generator
from helpers.worlds.table.scene import AREAS, COLOURS, MAX_THINGS, SIDES, Scene
from helpers.worlds.table.skills import DONE, Refusal, Step, attempt, step_words, why_not

KINDS = ("step", "plan", "question", "affordance", "success", "caption", "meaning")
PICTURES = 3  # of an episode: its start, a moment, and the moment after
LESSONS = 6  # of a picture
SLIPS, DISTURBED = 0.25, 0.15  # how often a step fails, and how often something else happens, while one learns
REMEMBERED = 2  # steps of the history that are told again
CAPTION = "describe the table."
SEEN = ("swap", "sort", "unstack all")  # the tasks of which a look at the table tells what is wanted
THEN = "; "  # between the steps of a plan, and the parts of a thought


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt with its answer. `pictures` says of which pictures it is, counted from the one that it is kept with: 0
    is that one, -1 the picture before it."""

    kind: str  # one of KINDS
    prompt: str
    answer: str
    pictures: tuple[int, ...] = (0,)

    def to_json(self) -> str:
        """The lesson as one line."""
        return json.dumps([self.kind, self.prompt, self.answer, self.pictures])

    @staticmethod
    def from_json(text: str) -> Lesson:
        """Read what `to_json` wrote."""
        kind, prompt, answer, pictures = json.loads(text)
        return Lesson(kind, prompt, answer, tuple(pictures))


def step_prompt(instruction: str, history: Sequence[str]) -> str:
    """What the robot is asked before each step: what it was told, and what it did last."""
    done = "; ".join(history[-REMEMBERED:])
    return f"human: {instruction}. robot: {done + ';' if done else ''}"


def plan_prompt(instruction: str) -> str:
    """What the robot is asked for a whole plan."""
    return f"human: {instruction}. all steps:"


def needs_start(task: str) -> bool:
    """Whether a task cannot be done without the picture of its start: who is to change places with whom, and where."""
    return task == "swap"


def answer_to(scene: Scene, instruction: str) -> str:
    """What the oracle says to an instruction at the start: the first step, or why it cannot be done."""
    try:
        return step_words(scene, next_step(scene, read(scene, instruction)[1]))
    except Refusal as reason:
        return str(reason)


def thought(scene: Scene, goal: Goal, task: str) -> str:
    """What is wanted, what the oracle looks up before the next step, and then the step, or why there is none.

    What is wanted by `task`, one of TASKS, is told if the words of the instruction tell it.
    """
    try:
        step = step_words(scene, next_step(scene, goal))
    except Refusal as reason:
        step = str(reason)
    meant = [in_words(scene, goal)] if task not in SEEN else []
    return THEN.join([*meant, *looks(scene, goal), step])


def thought_about(scene: Scene, instruction: str) -> str:
    """The same for an instruction in words, which may ask for what there is not."""
    try:
        task, goal = read(scene, instruction)
    except Refusal as reason:
        return str(reason)
    return thought(scene, goal, task)


def meaning_prompt(instruction: str) -> str:
    """What the robot is asked for the meaning of an instruction, for which it need not look."""
    return f"human: {instruction}. what is wanted?"


def step_of(text: str) -> str:
    """The step at the end of a thought."""
    return text.rpartition(THEN)[2]


@dataclass(frozen=True, slots=True)
class Moment:
    """Three tables of an episode, and what was done between the last two."""

    task: Task
    scenes: tuple[Scene, Scene, Scene]
    step: Step  # tried between the second and the third
    succeeded: bool
    history: tuple[str, ...]  # what was done up to the second


@lru_cache(8)
def moment(split: str, seed: int, episode: int) -> Moment:
    """Three tables of episode number `episode`, of which the second is taken at a random moment."""
    rng = generator(f"moment {split}", seed, episode)
    task = sample_task(rng, split)
    scene, history = task.scene, []
    for _ in range(int(rng.random() * min(LONGEST, 1 + len(plan(scene, task.goal, rng))))):
        try:
            step = next_step(scene, task.goal)
        except Refusal:
            break
        if step == DONE:
            break
        scene, _ = attempt(scene, step, rng, SLIPS)
        history.append(step_words(scene, step))
        if rng.random() < DISTURBED:
            scene = disturb(scene, rng)
    step = _tried(scene, task, rng)
    after, succeeded = attempt(scene, step, rng, 0.5)
    return Moment(task, (task.scene, scene, after), step, succeeded, tuple(history))


def _tried(scene: Scene, task: Task, rng: np.random.Generator) -> Step:
    """The oracle's step or, where it has none or for a change, another that is possible."""
    try:
        step = next_step(scene, task.goal)
    except Refusal:
        step = DONE
    if step != DONE:
        return step
    while True:
        i = pick(rng, scene.blocks())
        if scene.above(i) is None:
            target = pick(rng, ("aside", *AREAS))
            if why_not(scene, Step("put", i, target)) is None:
                return Step("put", i, target)


def lessons(split: str, seed: int, number: int) -> list[Lesson]:
    """The lessons of picture number `number`: LESSONS many."""
    episode, role = divmod(number, PICTURES)
    at = moment(split, seed, episode)
    rng = generator(f"lessons {split}", seed, number)
    scene, start = at.scenes[role], (-role, 0) if needs_start(at.task.kind) else (0,)
    history = [*at.history, step_words(at.scenes[1], at.step)] if role == 2 else list(at.history) if role else []
    found = [
        Lesson("step", step_prompt(at.task.instruction, history), thought(scene, at.task.goal, at.task.kind), start)
    ]
    asked = questions(scene, rng)
    order = rng.permutation(len(asked)).tolist()
    found += [Lesson("question", asked[k].question, asked[k].answer) for k in order[:2]]
    possible = affordance(scene, rng, held_out=split == "composition")
    found.append(Lesson("affordance", possible.question, possible.answer))
    found.append(Lesson("caption", CAPTION, caption(scene)))
    if role == 0:
        found.append(Lesson("plan", plan_prompt(at.task.instruction), _whole_plan(at.task)))
    elif role == 1:
        text = _impossible(scene, rng)
        found.append(Lesson("step", step_prompt(text, []), thought_about(scene, text)))
    else:
        asked_of = success(at.scenes[1], at.step, at.succeeded)
        found.append(Lesson("success", asked_of.question, asked_of.answer, (-1, 0)))
    return found


def more_questions(scene: Scene, rng: np.random.Generator, n: int) -> list[Lesson]:
    """At most `n` questions about a table, drawn afresh."""
    asked = questions(scene, rng)
    return [Lesson("question", asked[k].question, asked[k].answer) for k in rng.permutation(len(asked))[:n]]


def more_tasks(scene: Scene, rng: np.random.Generator, n: int) -> list[Lesson]:
    """Drawn afresh: whether something is possible on this table, and of at most `n` instructions what they mean, where
    their words tell it, and the first step. Instructions that put a colour on a colour come twice as often."""
    possible = affordance(scene, rng)
    found = [Lesson("affordance", possible.question, possible.answer)]
    kinds = [kind for kind in (*TASKS, *COMPOSED) if not needs_start(kind)]
    for _ in range(n):
        kind = pick(rng, kinds)
        if (text := instruction(scene, kind, rng)) is None:
            continue
        found.append(Lesson("step", step_prompt(text, []), thought_about(scene, text)))
        if kind not in SEEN:
            with suppress(Refusal):
                found.append(Lesson("meaning", meaning_prompt(text), in_words(scene, read(scene, text)[1])))
    return found


def _whole_plan(task: Task) -> str:
    scene, words = task.scene, []
    rng = np.random.default_rng(0)
    for step in plan(scene, task.goal, rng):
        words.append(step_words(scene, step))
    return THEN.join(words)


_IMPOSSIBLE = ("absent", "bowl", "itself", "nonsense", "any")


def _impossible(scene: Scene, rng: np.random.Generator) -> str:
    """An instruction that mostly cannot be carried out here."""
    kind = pick(rng, _IMPOSSIBLE)
    blocks = scene.blocks()
    a = pick(rng, blocks)
    absent = [c for c in COLOURS if not scene.called(c, "block")]
    bowls = [i for i in range(len(scene.things)) if i not in blocks]
    if kind == "absent" and absent:
        colours = [scene.things[a].colour, pick(rng, absent)]
        if rng.random() < 0.5:
            colours = colours[::-1]
        if tuple(colours) not in HELD_OUT:
            a, b = (f"the {colour} block" for colour in colours)
            return pick(rng, WORDINGS["stack"].usual).format(a=a, b=b)
        a = pick(rng, blocks)
    if kind == "bowl" and bowls:
        return say(scene, "move", {"a": pick(rng, bowls), "area": pick(rng, AREAS)}, rng)
    if kind == "itself":
        return say(scene, "stack", {"a": a, "b": a}, rng)
    if kind == "nonsense":
        words = [word for ws in WORDINGS.values() for text in ws.usual for word in text.split() if "{" not in word]
        return " ".join(pick(rng, words) for _ in range(2 + int(rng.random() * 4)))
    return say(scene, "push", {"a": a, "side": pick(rng, SIDES)}, rng)


@dataclass(frozen=True)
class Tables:
    """The first `n` pictures of a split's episodes, three of each, with LESSONS lessons for each as lines of JSON.

    Raises ValueError, naming the argument, if a value is out of range.
    """

    split: str
    n: int
    size: int = 96
    seed: int = 0
    data: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split: {self.split!r} is not one of {', '.join(SPLITS)}")
        for name, low, high in (("n", 1, 10**9), ("size", *SIZES), ("seed", 0, 10**9)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name}: {value!r} is not a whole number from {low} to {high}")

    @property
    def name(self) -> str:
        return f"table-{self.split}"

    @property
    def classes(self) -> Mapping[str, Sequence[int]]:
        return {"things": range(1, MAX_THINGS + 1)}

    def scene(self, i: int) -> Scene:
        return moment(self.split, self.seed, i // PICTURES).scenes[i % PICTURES]

    def draw(self, i: int, scene: Scene) -> np.ndarray:
        return render(scene, self.size, image_seed(self.split, self.seed, i))

    def labels(self, scene: Scene) -> Mapping[str, int]:
        return {"things": len(scene.things) - 1}

    def words(self, i: int, scene: Scene) -> list[str]:
        return [lesson.to_json() for lesson in lessons(self.split, self.seed, i)]


def image_seed(split: str, seed: int, i: int) -> int:
    """The seed that picture `i` is drawn with: an episode's pictures show the same table top in the same light."""
    return zlib.crc32(f"table {split} {seed} {i // PICTURES}".encode())


def load_table(split: str, n: int, size: int = 96, seed: int = 0, cache: bool = True, progress: bool = True) -> Drawn:
    """The first `n` pictures of `split` with their lessons; `cache` and `progress` as for `helpers.worlds.drawn.load`.

    `Drawn.captions` holds the lessons as lines for `Lesson.from_json`. Raises ValueError for an argument out of range,
    CacheError if the cache folder is full or cannot be written.
    """
    return load(Tables(split, n, size, seed), cache, progress)
