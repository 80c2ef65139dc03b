"""Run claims, make models, crawl: `python -m experiments list | run | report | train | measure | evaluate | laion`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from torch import nn

from experiments import laion
from experiments.arguments import whole_number
from experiments.registry import all_experiments, all_models
from experiments.runner import Experiment, report, result_path, run
from experiments.shipped import evaluate, measure_again, train
from helpers.weights.pretrained import load
from helpers.weights.store import WeightsError


def state(experiment: Experiment) -> str:
    """The verdict of the stored result, and whether the code was changed since."""
    path = result_path(experiment.name)
    if not path.exists():
        return "not run"
    result = json.loads(path.read_text(encoding="utf-8"))
    changed = "" if result.get("code") == experiment.code else " (its code has changed since)"
    return result["verdict"]["verdict"] + changed


def stored(path: Path, name: str, quick: bool) -> dict:
    """A stored result. Ends the program with the remedy if there is none."""
    if not path.exists():
        command = f"python -m experiments run {name}" + (" --quick" if quick else "")
        sys.exit(f"the experiment {name!r} has no result yet: {command}")
    return json.loads(path.read_text(encoding="utf-8"))


def weighted(name: str) -> nn.Module:
    """The shipped model `name`. Ends the program with the reason and the remedy if its weights cannot be had."""
    try:
        return load(name).model
    except WeightsError as error:
        sys.exit(str(error))


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says. What is asked for goes to standard output, progress to standard error."""
    experiments, models = all_experiments(), all_models()
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments, their hypotheses and verdicts")
    for command, help_ in (("run", "run what is missing, judge and store"), ("report", "tell a stored result")):
        sub = commands.add_parser(command, help=help_)
        sub.add_argument("name", choices=experiments)
        sub.add_argument("--quick", action="store_true", help="a trial of the whole path in under a minute")
    sub = commands.add_parser("train", help="make a shipped network again, and its figures")
    sub.add_argument("model", choices=models)
    sub.add_argument("--quick", action="store_true", help="a trial of the whole path in about a minute, below build/")
    shipped = [name for name, model in models.items() if model.measure]
    sub = commands.add_parser("measure", help="put new figures into a shipped network's page")
    sub.add_argument("model", choices=shipped)
    sub = commands.add_parser("evaluate", help="measure a shipped network on scenes drawn afresh; prints JSON")
    sub.add_argument("model", choices=shipped)
    sub.add_argument("--test-seed", type=whole_number(0), required=True, help="any seed: it decides the scenes")
    scenes = "scenes of each kind, or a robot's episodes (default: 1000)"
    sub.add_argument("--scenes", "--episodes", type=whole_number(1), default=1_000, help=scenes)
    laion.add_commands(commands.add_parser("laion", help="LAION-5B in miniature: a web, its crawl, its data set"))
    args = parser.parse_args(arguments)
    if args.command == "laion":
        laion.main(args)
    elif args.command == "list":
        for name, experiment in experiments.items():
            print(f"{name}: {state(experiment)}\n    {experiment.hypothesis}")
    elif args.command == "run":
        try:
            print(report(run(experiments[args.name], args.quick)))
        except WeightsError as error:
            sys.exit(str(error))
    elif args.command == "report":
        print(report(stored(result_path(args.name, args.quick), args.name, args.quick)))
    elif args.command == "train":
        try:
            train(models[args.model], args.quick)
        except WeightsError as error:  # of a model that this one starts from
            sys.exit(str(error))
    elif args.command == "measure":
        measure_again(models[args.model], weighted(args.model))
    elif args.command == "evaluate":
        figures = evaluate(models[args.model], weighted(args.model), args.test_seed, args.scenes)
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
