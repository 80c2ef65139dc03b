"""Make data/tokenizer/table.json: the pieces of a model that reads and writes of tables and of streets.

python -m tools.make_table_tokenizer            # writes the file and prints its sha256
python -m tools.make_table_tokenizer --check    # exit status 1 if the stored file is another one
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from helpers.worlds.table.instructions import WORDINGS
from helpers.worlds.table.lessons import lessons
from helpers.worlds.table.sentences import VOCABULARY
from tools.make_street_tokenizer import corpus as street
from tools.make_street_tokenizer import vocabulary, write_or_check

SIZE = 704  # pieces in all: enough that nearly each word of both worlds is one
PICTURES, STREETS = 1_500, 600


def corpus() -> Iterator[str]:
    """What the model reads: lessons of the training tables, all wordings, and sentences about streets."""
    yield from street(STREETS)
    for i in range(PICTURES):
        for lesson in lessons("train", 0, i):
            yield lesson.prompt
            yield lesson.answer
    for wordings in WORDINGS.values():  # a word of a held-out wording is known, the wording is not
        for wording in (*wordings.usual, *wordings.held_out):
            yield from 20 * wording.replace("{", " ").replace("}", " ").split()
    yield from 50 * ["given object 1 is object 2 is object 3 is and then"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the stored file, write nothing")
    parser.add_argument("--out", type=Path, default=VOCABULARY)
    arguments = parser.parse_args()
    text = vocabulary(corpus(), SIZE).encode()
    write_or_check(text, arguments.out, arguments.check, "python -m tools.make_table_tokenizer")


if __name__ == "__main__":
    main()
