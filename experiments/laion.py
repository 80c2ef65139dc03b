"""The commands of LAION-5B in miniature: `python -m experiments laion build | run | report | search`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from experiments.arguments import whole_number
from helpers.cores import available_cores
from helpers.laion.engine import ENGINES
from helpers.laion.jobs import Settings
from helpers.laion.optout import MEANS
from helpers.laion.pipeline import run
from helpers.laion.report import report


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add `build`, `run`, `report` and `search` to the parser of `laion`."""
    commands = parser.add_subparsers(dest="laion_command", required=True)
    sub = commands.add_parser("build", help="make a miniature web in a folder")
    sub.add_argument("--pages", type=whole_number(1), default=200, help="pages of HTML (default: 200)")
    sub.add_argument("--seed", type=whole_number(0), default=0, help="decides everything on it (default: 0)")
    sub.add_argument("--size", type=whole_number(48), default=128, help="side of its pictures in pixels (default: 128)")
    sub.add_argument("--out", type=Path, required=True, metavar="WEB", help="a new folder")
    sub = commands.add_parser("run", help="serve the web on this machine and bring its pictures into a data set")
    sub.add_argument("--web", type=Path, required=True, metavar="WEB", help="a folder that `build` made")
    sub.add_argument("--out", type=Path, required=True, metavar="DATA", help="a new folder, or one to go on in")
    sub.add_argument("--engine", choices=ENGINES, default="processes", help="where it computes (default: processes)")
    sub.add_argument("--workers", type=whole_number(1), default=available_cores(), help="(default: one for each core)")
    sub.add_argument(
        "--threshold", type=float, default=Settings.threshold, help="least similarity (default: %(default)s)"
    )
    sub.add_argument("--honour", nargs="*", choices=MEANS, default=MEANS, help="refusals to honour (default: all)")
    sub.add_argument("--languages", nargs="*", default=(), help="languages to keep, such as en (default: all)")
    sub = commands.add_parser("report", help="print what each step did, as JSON")
    sub.add_argument("--out", type=Path, required=True, metavar="DATA")
    sub = commands.add_parser("search", help="print the pairs whose pictures are nearest to words, as JSON")
    sub.add_argument("--out", type=Path, required=True, metavar="DATA")
    sub.add_argument("-n", type=whole_number(1), default=5, help="how many (default: 5)")
    sub.add_argument("--picture", action="store_true", help="WORDS is the path of a picture: is it in there?")
    sub.add_argument("words", metavar="WORDS")


def main(args: argparse.Namespace) -> None:
    """Do what the command line says. What is asked for goes to standard output, progress to standard error.

    Ends the program with one sentence, the remedy in it, if a folder or an argument is not as it must be.
    """
    from filelock import Timeout

    try:
        {"build": _build, "run": _run, "report": _report, "search": _search}[args.laion_command](args)
    except Timeout:
        sys.exit(f"laion: another process is at work in {args.out}: wait for it, or choose another --out")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"laion: {error}")


def _build(args: argparse.Namespace) -> None:
    from helpers.worlds.web.build import build

    web = build(args.out, args.pages, args.seed, args.size)
    print(json.dumps(web.facts | {"links": web.truth.num_rows, "files": web.resources.num_rows}))


def _run(args: argparse.Namespace) -> None:
    from helpers.laion.download import Gateway
    from helpers.worlds.web.build import Web
    from helpers.worlds.web.server import ADDRESS, serve

    web = Web(args.web)
    settings = Settings(threshold=args.threshold, honour=tuple(args.honour), languages=tuple(args.languages))

    def told(name: str, done: int, jobs: int) -> None:
        print(f"{name}: {done} of {jobs}", file=sys.stderr, flush=True)

    with serve(web) as server:
        gateway = Gateway(ADDRESS, server.port)
        print(json.dumps(run(web.wats, args.out, gateway, settings, args.engine, args.workers, told), indent=1))


def _report(args: argparse.Namespace) -> None:
    print(json.dumps(report(args.out), indent=1))


def _search(args: argparse.Namespace) -> None:
    from helpers.laion.index import search
    from helpers.laion.similarity import image_features, text_features
    from helpers.worlds.photographs import read_picture

    (query,) = image_features([read_picture(args.words)]) if args.picture else text_features([args.words])
    print(json.dumps(search(args.out, query, args.n), indent=1, ensure_ascii=False))
