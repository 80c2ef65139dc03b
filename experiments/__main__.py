"""Run, report and re-measure: `python -m experiments list | run NAME | report NAME`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from experiments.frame import Experiment, load_result, report, result_path, run

NAMES = ("depth",)


def experiment(name: str) -> Experiment:
    """The experiment `name`, one of NAMES."""
    return import_module(f"experiments.{name}").EXPERIMENT


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says. What is asked for goes to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments, their hypotheses and verdicts")
    for command, help_ in (("run", "run what is missing, judge and store"), ("report", "tell a stored result")):
        sub = commands.add_parser(command, help=help_)
        sub.add_argument("name", choices=NAMES)
        sub.add_argument("--quick", action="store_true", help="a trial of the whole path in under a minute")
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


if __name__ == "__main__":
    main()
