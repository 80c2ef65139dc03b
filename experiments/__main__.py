"""Run, report and re-measure: `python -m experiments list | run NAME | report NAME | train MODEL | evaluate MODEL`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from importlib import import_module

from experiments.runner import Experiment, load_result, report, result_path, run
from experiments.street_clip import evaluate_street_clip, train_street_clip
from experiments.street_readers import RECIPES, evaluate, train
from helpers.street_models import STREET_MODELS

NAMES = ("depth", "vit_vs_cnn", "robustness")


def experiment(name: str) -> Experiment:
    """The experiment `name`, one of NAMES."""
    return import_module(f"experiments.{name}").EXPERIMENT


def _from(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return number


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says. What is asked for goes to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments, their hypotheses and verdicts")
    for command, help_ in (("run", "run what is missing, judge and store"), ("report", "tell a stored result")):
        sub = commands.add_parser(command, help=help_)
        sub.add_argument("name", choices=NAMES)
        sub.add_argument("--quick", action="store_true", help="a trial of the whole path in under a minute")
    sub = commands.add_parser("train", help="make a shipped network again, and its figures")
    sub.add_argument("model", choices=[*RECIPES, "street-clip"])
    sub.add_argument("--quick", action="store_true", help="a trial of the whole path in about a minute, below build/")
    sub = commands.add_parser("evaluate", help="measure a shipped network on scenes drawn afresh; prints JSON")
    sub.add_argument("model", choices=[*STREET_MODELS, "street-clip"])
    sub.add_argument("--test-seed", type=_from(0), required=True, help="any seed: it decides which scenes are drawn")
    sub.add_argument("--scenes", type=_from(1), default=1_000, help="scenes of each kind (default: 1000)")
    args = parser.parse_args(arguments)
    if args.command == "list":
        for name in NAMES:
            stored = result_path(name).exists()
            print(f"{name}: {load_result(name)['verdict']['verdict'] if stored else 'not run'}")
            print(f"    {experiment(name).hypothesis}")
    elif args.command == "run":
        print(report(run(experiment(args.name), args.quick)))
    elif args.command == "report":
        try:
            print(report(load_result(args.name, args.quick)))
        except FileNotFoundError as missing:
            sys.exit(str(missing))
    elif args.command == "train":
        train_street_clip(args.quick) if args.model == "street-clip" else train(args.model, args.quick)
    elif args.command == "evaluate":
        if args.model == "street-clip":
            found = evaluate_street_clip(args.test_seed, args.scenes)
        else:
            found = evaluate(args.model, args.test_seed, args.scenes)
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
