"""Make data/tokenizer/street.json: byte-level BPE of the street world's captions, questions and answers.

    python -m tools.make_street_tokenizer            # writes the file and prints its sha256
    python -m tools.make_street_tokenizer --check    # exit status 1 if the stored file is another one

The same sources give the same bytes on every run.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from helpers.files import whole
from helpers.worlds.street.captions import captions
from helpers.worlds.street.questions import ANSWERS, questions
from helpers.worlds.street.sample import scenes
from helpers.worlds.tokenizer import EOT, SPECIALS, VOCABULARY

SIZE = 512  # pieces in all: the special tokens, 217 bytes and the merges
# UTF-8 never has these bytes, and lower-cased text has no capital letters; all other bytes can be spelled.
# The library writes a printable byte, as all of these are, as the character with the same number.
_IMPOSSIBLE = {chr(byte) for byte in (0xC0, 0xC1, *range(0xF5, 0x100), *range(ord("A"), ord("Z") + 1))}
SCENES = 4000


def corpus(n: int = SCENES) -> Iterator[str]:
    """What the models read: captions and questions of `n` training scenes, and all answers."""
    yield from ANSWERS
    for i, scene in enumerate(scenes("train", n, seed=0)):
        yield from captions(scene, 4, [0, i])
        yield from (qa.question for qa in questions(scene, [0, i]))


def train(n: int = SCENES, size: int = SIZE) -> str:
    """The vocabulary of the street world as JSON text."""
    return vocabulary(corpus(n), size)


def vocabulary(texts: Iterable[str], size: int) -> str:
    """A vocabulary of `size` pieces, learned from `texts`, as JSON text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(set(pre_tokenizers.ByteLevel.alphabet()) - _IMPOSSIBLE),
        show_progress=False,
    )
    tokenizer.train_from_iterator((" " + text for text in texts), trainer)
    tokenizer.add_special_tokens([EOT])
    return tokenizer.to_str(pretty=True) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the stored file, write nothing")
    parser.add_argument("--out", type=Path, default=VOCABULARY)
    arguments = parser.parse_args()
    write_or_check(train().encode(), arguments.out, arguments.check, "python -m tools.make_street_tokenizer")


def write_or_check(text: bytes, out: Path, check: bool, command: str) -> None:
    """Write the vocabulary, or end the program if the stored one is another; `command` makes it."""
    if check:
        if not out.exists() or out.read_bytes() != text:
            raise SystemExit(f"{out} is not what the sources give; run {command}")
    else:
        with whole(out) as temporary:
            temporary.write_bytes(text)
    print(f"{out.name}: {len(text):,} bytes, sha256 {hashlib.sha256(text).hexdigest()}")


if __name__ == "__main__":
    main()
