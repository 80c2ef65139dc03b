"""Lessons as multimodal sentences: text with places in it where the embeddings of pictures, slots or states go.

"Given <img> … <img>. human: clear the red block. robot: <sep> put the green block aside <sep>" (Driess et al. 2023,
section 3). A sentence may go on with another prompt and answer about the same pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from helpers.files import DATA
from helpers.worlds.table.scene import MAX_THINGS
from helpers.worlds.tokenizer import SEPARATOR, Answer, Mark, Sequences, StreetTokenizer, picture

VOCABULARY = DATA / "tokenizer" / "table.json"

Part = str | Mark


def table_tokenizer() -> StreetTokenizer:
    """The tokenizer of the models that read and write of tables and streets."""
    return StreetTokenizer(path=VOCABULARY)


def seen(pictures: int, places: int, objects: bool = False) -> list[Part]:
    """The beginning of a sentence that shows so many pictures, each of which takes `places` tokens.

    With `objects` the places of a picture are those of its things, each introduced by its number, so that prompts and
    answers can refer to it: "object 1 is <img>. object 2 is <img>." There are MAX_THINGS of them.
    """
    parts: list[Part] = ["given"]
    for i in range(pictures):
        parts += ["and then"] if i else []
        if objects:
            for number in range(1, MAX_THINGS + 1):
                parts += [f"object {number} is", picture(places // MAX_THINGS)]
        else:
            parts.append(picture(places))
    return parts if pictures else []


def turn(prompt: str, answer: str | None = None) -> list[Part]:
    """A prompt and, if it is known, its answer."""
    return [prompt, SEPARATOR] + ([Answer(answer), SEPARATOR] if answer is not None else [])


def sentences(
    tokenizer: StreetTokenizer, rows: Sequence[Sequence[Part]], left: bool = False, length: int | None = None
) -> Sequences:
    """Rows of parts as one batch; as `StreetTokenizer.sequences`, but the separator after an answer is to be predicted
    too: it ends the answer."""
    found = tokenizer.sequences(rows, end=False, left=left, length=length)
    target = found.target.clone()
    target[:, 1:] |= found.target[:, :-1] & (found.ids[:, 1:] == tokenizer.sep_id)
    return replace(found, target=target)
