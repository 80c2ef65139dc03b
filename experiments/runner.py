"""What an experiment is, and how one is run, resumed, judged and told.

An experiment is written down before it runs: its hypothesis, its arms (each a dictionary of settings), its seeds, its
metric and the rule that decides. Each run of one arm with one seed is kept in build/experiments/ as soon as it is
done, under a key of its settings and of the code and data that made it, so an experiment that was stopped goes on where
it was, and one whose code was changed begins anew. The whole is written to data/results/.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from helpers.cores import available_cores
from helpers.files import BUILD, DATA, code_digest, write_json
from helpers.training.device import pick_device
from helpers.training.fit import Diverged
from helpers.training.statistics import interval

TUNING_SEED = 1000  # no arm is judged with the seed with which its settings were chosen
Settings = dict[str, Any]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """One claim, put so that it can fail.

    Args:
        name: also the name of its module in `experiments`, which holds it as EXPERIMENT.
        hypothesis, metric, rule: sentences; the rule says which figures mean confirmed, refuted or undecided.
        arms: the settings of each arm. Dearer arms last: they are begun first, so that no core is idle at the end.
        seeds: each arm runs once with each.
        run: (settings, seed) -> figures, which JSON can hold. It may raise Diverged.
        judge: (figures of each arm in the order of the seeds) -> the verdict and the numbers that it rests on. With
            `--quick` it gets figures that mean nothing, and must not fail.
        quick: settings that replace those of every arm with `--quick`, where each arm runs with two seeds.
        grid: values of a setting among which each arm takes the one with the lowest figure `tuned_by`.
        tuned: the settings with which the grid is tried for an arm; arms for which they are equal share the trial.
        prepare: (settings of every run) -> None, called once before the runs, to draw data that they share.
        data: files below data/ that the runs read.
    """

    name: str
    hypothesis: str
    arms: Mapping[str, Settings]
    seeds: tuple[int, ...]
    metric: str
    rule: str
    run: Callable[[Settings, int], Figures]
    judge: Callable[[dict[str, list[Figures]]], Figures]
    quick: Settings
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tuned_by: str = ""
    tuned: Callable[[Settings], Settings] = dict
    prepare: Callable[[list[Settings]], None] = lambda settings: None
    data: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """What the runs are made by: a digest of the experiment's module, of all it imports, and of its data."""
        return code_digest(f"experiments.{self.name}", data=self.data)


def result_path(name: str, quick: bool = False) -> Path:
    """Where the result of the experiment `name` lies."""
    return BUILD / "quick" / f"{name}.json" if quick else DATA / "results" / f"{name}.json"


def environment() -> Figures:
    """On what the figures were made."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": str(pick_device()),
        "cores": available_cores(),
    }


def together(verdicts: Iterable[str]) -> str:
    """The verdict on a hypothesis of several claims: confirmed if all are, refuted if one is, else undecided."""
    verdicts = set(verdicts)
    return "refuted" if "refuted" in verdicts else "confirmed" if verdicts == {"confirmed"} else "undecided"


def _one_thread() -> None:
    # Networks as small as these gain little from a second thread; a second run at the same time gains all of it.
    torch.set_num_threads(1)


def _run(name: str, settings: Settings, seed: int, kept: Path) -> Figures:
    """One run, in a process of its own; returns it, as it is kept in the file `kept`.

    A run that diverged has the reason as "diverged", and no figures.
    """
    start = time.perf_counter()
    done: Figures = {"seed": seed, "settings": settings}
    try:
        done["figures"] = import_module(f"experiments.{name}").EXPERIMENT.run(settings, seed)
    except Diverged as reason:
        done |= {"figures": {}, "diverged": str(reason)}
    done["seconds"] = round(time.perf_counter() - start, 1)
    write_json(kept, done)
    return done


def _run_all(
    experiment: Experiment, tasks: Iterable[tuple[Settings, int]], workers: int, folder: Path
) -> list[Figures]:
    """The runs of `tasks`, in their order; only those are made that are not kept in `folder` already."""
    tasks, code, paths = list(tasks), experiment.code, []
    for settings, seed in tasks:
        told = json.dumps([settings, seed, code], sort_keys=True).encode()
        paths.append(folder / f"{hashlib.sha256(told).hexdigest()[:16]}.json")
    missing = {path: task for path, task in zip(paths, tasks, strict=True) if not path.exists()}
    if len(missing) < len(set(paths)):
        kept = len(set(paths)) - len(missing)
        print(f"{kept} runs were kept from before; delete {folder} to make them anew", file=sys.stderr)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        waiting = [
            pool.submit(_run, experiment.name, settings, seed, path)
            for path, (settings, seed) in reversed(missing.items())
        ]
        try:
            for number, future in enumerate(as_completed(waiting), start=1):
                run = future.result()
                told = ", ".join(f"{key} {value}" for key, value in run["settings"].items())
                end = "DIVERGED" if "diverged" in run else f"{run['seconds']:.0f} s"
                print(f"{number} of {len(missing)}: {told}, seed {run['seed']}, {end}", file=sys.stderr)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _choose(experiment: Experiment, arms: Mapping[str, Settings], workers: int, folder: Path) -> list[Figures]:
    """Try the grid for each arm with TUNING_SEED, and put the best value into the settings of `arms`."""
    (setting, values), *more = experiment.grid.items()
    if more:
        raise ValueError(f"{experiment.name}: the grid of {', '.join(experiment.grid)} has more than one setting")
    tasks = [(experiment.tuned(own) | {setting: value}, TUNING_SEED) for own in arms.values() for value in values]
    runs = _run_all(experiment, tasks, workers, folder)
    for number, own in enumerate(arms.values()):
        tried = runs[number * len(values) : (number + 1) * len(values)]
        # A run that diverged is no choice.
        best = min(tried, key=lambda run: run["figures"].get(experiment.tuned_by, math.inf))
        own[setting] = best["settings"][setting]
    unique = {json.dumps(run["settings"], sort_keys=True): run for run in runs}
    return list(unique.values())


def run(experiment: Experiment, quick: bool = False, workers: int | None = None) -> Figures:
    """Run what is missing of `experiment`, judge it, write the result and return it.

    Each of `workers` processes (default: one for each core) computes with one thread. Where a run diverged, the verdict
    is "undecided" and says which. Raises what else a run raises; the runs that were done are kept.
    """
    workers = workers or available_cores()
    folder = BUILD / ("quick" if quick else "experiments") / experiment.name
    if quick:
        shutil.rmtree(folder, ignore_errors=True)  # a trial of the code as it is now
    arms = {arm: own | (experiment.quick if quick else {}) for arm, own in experiment.arms.items()}
    seeds = experiment.seeds[:2] if quick else experiment.seeds
    start = time.perf_counter()
    experiment.prepare([*arms.values(), *(() if quick else map(experiment.tuned, arms.values()))])
    tuning = [] if quick or not experiment.grid else _choose(experiment, arms, workers, folder)
    if quick:
        for setting, values in experiment.grid.items():
            arms = {arm: own | {setting: values[0]} for arm, own in arms.items()}
    runs = _run_all(experiment, [(own, seed) for own in arms.values() for seed in seeds], workers, folder)
    for arm, first in zip(arms, range(0, len(runs), len(seeds)), strict=True):
        for one in runs[first : first + len(seeds)]:
            one["arm"] = arm
    diverged = [f"{one['arm']}, seed {one['seed']}: {one['diverged']}" for one in runs if "diverged" in one]
    if diverged:
        verdict = {"verdict": "undecided", "diverged": diverged}
    else:
        verdict = experiment.judge({arm: [one["figures"] for one in runs if one["arm"] == arm] for arm in arms})
    result = {
        "name": experiment.name,
        "hypothesis": experiment.hypothesis,
        "metric": experiment.metric,
        "rule": experiment.rule,
        "quick": quick,
        "verdict": verdict | ({"verdict": "none, a quick trial"} if quick else {}),
        "code": experiment.code,
        "environment": environment() | {"workers": workers},
        "seconds": {
            "of this call": round(time.perf_counter() - start),
            "of all runs": round(sum(one["seconds"] for one in [*tuning, *runs])),
        },
        "grid": {setting: list(values) for setting, values in experiment.grid.items()},
        "tuning": tuning,
        "runs": runs,
    }
    write_json(result_path(experiment.name, quick), result)
    return result


def report(result: Figures) -> str:
    """The result in words and numbers: the mean of each arm's plain figures over the seeds, with its 95 % interval."""
    lines = [f"{key}: {result[key]}" for key in ("name", "hypothesis", "metric", "rule")]
    if result["quick"]:
        lines.append("A QUICK TRIAL: its figures show that the code runs, and nothing else.")
    arms: dict[str, list[Figures]] = {}
    for one in result["runs"]:
        arms.setdefault(one["arm"], []).append(one)
    for arm, runs in arms.items():
        figures = [one["figures"] for one in runs if "diverged" not in one]
        told = []
        for key, value in figures[0].items() if len(figures) > 1 else ():
            if isinstance(value, int | float):
                mean = interval([one[key] for one in figures])
                low, high = mean["interval"]
                told.append(f"{key} {mean['mean']:.4g} ({low:.4g} to {high:.4g})")
        lost = f", {len(runs) - len(figures)} of them diverged" if len(figures) < len(runs) else ""
        lines.append(f"{arm}, {len(runs)} seeds{lost}: " + "; ".join(told))
    lines += [f"verdict: {json.dumps(result['verdict'])}", f"seconds: {result['seconds']}"]
    return "\n".join(lines)
