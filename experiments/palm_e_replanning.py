"""Does a robot recover because it looks again? (Driess et al. 2023, sections 5 and 6: failures and disturbances)

The shipped model acts on the same episodes in two ways: closed loop, where it looks before each step, and open loop,
where it looks once and writes the whole plan. If looking again is what recovers, closed loop must be ahead where skills
slip and blocks are moved, and hardly ahead where nothing goes wrong; a blind robot in the closed loop tells what the
instruction alone is worth. *The paper:* this is shown in videos, and not counted.

It needs the weights of palm-e. *The pilot, before the run:* 32 episodes of each arm with seed 1000, about two minutes;
closed loop must reach half of its goals where nothing goes wrong, the blind robot must not, and open loop must fail at
times where something does. `judge` asks the same again.
"""

from __future__ import annotations

from experiments.runner import Experiment, Figures, Settings, together
from helpers.models.robot import Robot, play
from helpers.training.statistics import interval
from helpers.weights.pretrained import load
from helpers.worlds.table.env import TableEnv
from helpers.worlds.table.sentences import table_tokenizer

SIZE, TOGETHER = 96, 32
# {what goes wrong: (the share of steps that slip, disturbances in an episode)}
WORLDS = {"nothing": (0.0, 0), "slips": (0.1, 0), "disturbance": (0.0, 1), "both": (0.1, 1)}
ROUGH = ("slips", "disturbance", "both")
BLIND = "closed, blind, nothing"
FLOOR, CEILING = 0.5, 0.99


def robot(blind: bool) -> Robot:
    """The shipped robot. Raises WeightsError if its weights cannot be had."""
    return Robot(load("palm-e").model, table_tokenizer(), blind=blind)


def prepare(settings: list[Settings]) -> None:
    """Ask for the weights once, before any run, so that whoever lacks them is told so at once."""
    robot(blind=False)


def run(settings: Settings, seed: int) -> Figures:
    """Let the robot act on episodes that depend on the seed alone, so that the arms meet the same ones."""
    acting, n, won, steps = robot(settings["blind"]), settings["episodes"], 0, 0
    for first in range(0, n, TOGETHER):
        numbers = range(first, min(first + TOGETHER, n))
        envs = [TableEnv(SIZE, "test", slips=settings["slips"], disturbances=settings["disturbances"]) for _ in numbers]
        played = play(acting, envs, [1_000_003 * (seed + 1) + i for i in numbers], settings["closed"])
        won += sum(episode.success for episode in played)
        steps += sum(len(episode.told) for episode in played)
    return {"success": won / n, "steps": steps / n}


def _lead(figures: dict[str, list[Figures]], world: str) -> list[float]:
    """How many points closed loop is ahead of open loop, seed by seed."""
    pairs = zip(figures[f"closed, {world}"], figures[f"open, {world}"], strict=True)
    return [100 * (closed["success"] - opened["success"]) for closed, opened in pairs]


def _mean(runs: list[Figures]) -> float:
    return sum(one["success"] for one in runs) / len(runs)


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """For each way in which something goes wrong how much the lead grows, by the rule, and one verdict for all."""
    calm = _lead(figures, "nothing")
    says = _mean(figures["closed, nothing"]) >= FLOOR and _mean(figures[BLIND]) < FLOOR
    found: Figures = {}
    for world in ROUGH:
        lead = _lead(figures, world)
        gain = interval([rough - still for rough, still in zip(lead, calm, strict=True)])
        low, high = gain["interval"]
        if not says or _mean(figures[f"open, {world}"]) > CEILING:
            verdict = "undecided"
        else:
            verdict = "confirmed" if low > 0 else "refuted" if high <= 0 else "undecided"
        found[world] = {"verdict": verdict, "lead": interval(lead), "gain": gain}
    verdict = together(one["verdict"] for one in found.values())
    return {"verdict": verdict, "lead where nothing goes wrong": interval(calm), **found}


_ARM = {"episodes": 48, "blind": False}

EXPERIMENT = Experiment(
    name="palm_e_replanning",
    hypothesis="A robot that looks before each step is ahead of one that plans once by more where skills slip, where a "
    "block is moved, and where both happen, than where nothing goes wrong.",
    arms={
        f"{loop}, {world}": _ARM | {"closed": loop == "closed", "slips": slips, "disturbances": disturbances}
        for world, (slips, disturbances) in WORLDS.items()
        for loop in ("open", "closed")
    }
    | {BLIND: _ARM | {"closed": True, "blind": True, "slips": 0.0, "disturbances": 0}},
    seeds=tuple(range(60, 68)),
    metric="The share of 48 episodes of the test split whose goal is reached, the same episodes for all arms of a "
    "seed; closed less open loop, in points, and by how much this lead is larger where something goes wrong than where "
    "nothing does, seed by seed.",
    rule="With a 95 % interval (Student's t) over the seeds the claim is confirmed for slips of 10 %, for one "
    "disturbance an episode, and for both, if the lead grows by an amount wholly above 0, refuted if by one wholly at "
    "or below 0, and undecided otherwise; also undecided if closed loop reaches less than half of its goals where "
    "nothing goes wrong, if a blind robot reaches half of them, or if open loop reaches more than 99 % where something "
    "does. The whole is confirmed if all three are, and refuted if one is.",
    run=run,
    judge=judge,
    quick={"episodes": 2},
    prepare=prepare,
    data=("weights/palm-e.safetensors", "tokenizer/table.json"),
)
