"""The one tokenizer of all street-world models: byte-level pieces of lower-cased text, called like open_clip's.

The vocabulary lies in data/tokenizer/street.json and is made by `python -m tools.make_street_tokenizer`. As every byte
is a piece, any text can be spelled; words of the street world are mostly one piece each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer

from helpers.files import DATA

VOCABULARY = DATA / "tokenizer" / "street.json"

# Ids 0 to 4. <sep> parts a question from its answer; <img> marks the place of a picture in a sentence.
SPECIALS = ("<pad>", "<sot>", "<mask>", "<sep>", "<img>")
# The last id of all: open_clip takes the text's feature at the place of the highest id.
EOT = "<eot>"


class Mark(NamedTuple):
    """A special token in a sequence, `n` times."""

    token: str
    n: int = 1


SEPARATOR = Mark("<sep>")


def picture(n: int) -> Mark:
    """The places of a picture of `n` tokens."""
    return Mark("<img>", n)


class Answer(str):
    """A part of a sequence that the model is to predict."""


@dataclass(frozen=True)
class Sequences:
    """Texts with marked places, one a row."""

    ids: torch.Tensor  # int64 [B, T]
    real: torch.Tensor  # bool [B, T], False on padding
    pictures: torch.Tensor  # bool [B, T], where pictures go
    target: torch.Tensor  # bool [B, T], what is to be predicted: answers, with the end token after them


class StreetTokenizer:
    """Texts to ids and back; `tokenizer(texts)` gives what an open_clip text tower takes.

    Attributes: `vocab_size`, `context_length` and the ids `pad_id` (0), `sot_id`, `mask_id`, `sep_id`, `img_id` and
    `eot_id` (the highest). Raises FileNotFoundError if the vocabulary is missing, ValueError if it is not one.
    """

    def __init__(self, context_length: int = 32, path: Path = VOCABULARY) -> None:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise FileNotFoundError(
                f"the vocabulary {path} is missing: restore it, or make it with `python -m tools.make_street_tokenizer`"
            ) from None
        try:
            self._pieces = Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is not a vocabulary of the `tokenizers` library: {error}") from None
        self._pieces.encode_special_tokens = True  # "<eot>" typed by a user is five letters and signs, not the end
        self.context_length = context_length
        self.vocab_size = self._pieces.get_vocab_size()
        ids = {token: self._pieces.token_to_id(token) for token in (*SPECIALS, EOT)}
        if list(ids.values()) != [*range(len(SPECIALS)), self.vocab_size - 1]:
            raise ValueError(f"{path}: the special tokens have ids {ids}; expected the first ones, the last for {EOT}")
        self.pad_id, self.sot_id, self.mask_id, self.sep_id, self.img_id, self.eot_id = ids.values()

    def normalise(self, text: str) -> str:
        """`text` as the pieces spell it: in lower case, otherwise unchanged. `decode(encode(text))` gives this."""
        return self._pieces.normalizer.normalize_str(text)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, without <sot> and <eot>; as many as it takes, none for the empty text."""
        return self._encode([text])[0]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids` (a list or a 1-D tensor); special ids, padding among them, are left out."""
        ids = ids.tolist() if isinstance(ids, torch.Tensor) else list(ids)
        first, last = len(SPECIALS), self.eot_id
        text = self._pieces.decode([i for i in ids if first <= i < last], skip_special_tokens=False)
        return text.removeprefix(" ")

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> torch.LongTensor:
        """Texts as ids, int64 [len(texts), context_length]: <sot>, the text, <eot>, then padding with 0.

        A text that is too long is cut, and keeps its <eot>. Raises ValueError if `context_length` is below 2.
        """
        length = self.context_length if context_length is None else context_length
        if length < 2:
            raise ValueError(f"context_length: {length!r} leaves no room for <sot> and <eot>; use 2 or more")
        rows = self._encode([texts] if isinstance(texts, str) else list(texts))
        ids = torch.full((len(rows), length), self.pad_id, dtype=torch.long)
        for out, row in zip(ids, rows, strict=True):
            row = [self.sot_id, *row[: length - 2], self.eot_id]
            out[: len(row)] = torch.tensor(row)
        return ids

    def sequences(
        self, rows: Sequence[Sequence[str | Mark]], end: bool = True, left: bool = False, length: int | None = None
    ) -> Sequences:
        """Rows of parts, each a text, an `Answer` or a `Mark`, as one batch: <sot>, the parts, and <eot> if `end`.

        Padding stands behind the texts, or before them if `left`, as generating asks for. `length` is the number of
        tokens of every row (default: that of the longest). Raises ValueError if a row is longer, and for a mark that
        is no special token.
        """
        known = {token: i for i, token in enumerate(SPECIALS)}
        ids, targets = [], []
        for row in rows:
            own, target = [self.sot_id], [False]
            for part in row:
                if isinstance(part, Mark):
                    if part.token not in known:
                        raise ValueError(f"mark: {part.token!r} is not one of {', '.join(known)}")
                    pieces = [known[part.token]] * part.n
                else:
                    pieces = self.encode(part)
                own += pieces
                target += [isinstance(part, Answer)] * len(pieces)
            ids.append(own + [self.eot_id] * end)
            targets.append(target + [bool(row) and isinstance(row[-1], Answer)] * end)
        longest = max(map(len, ids))
        if length is not None and longest > length:
            raise ValueError(f"length: a row has {longest} tokens, more than {length}; shorten it")
        padding = [[False] * ((length or longest) - len(row)) for row in ids]

        def table(values: list[list], dtype: torch.dtype) -> torch.Tensor:
            both = zip(padding, values, strict=True)
            return torch.tensor([pad + row if left else row + pad for pad, row in both], dtype=dtype)

        table_of_ids = table(ids, torch.long)  # padding has id 0
        real = table([[True] * len(row) for row in ids], torch.bool)
        return Sequences(table_of_ids, real, table_of_ids == self.img_id, table(targets, torch.bool))

    def _encode(self, texts: list[str]) -> list[list[int]]:
        # A word has a space before it wherever it stands, so that the first one is no special case.
        try:
            rows = self._pieces.encode_batch_fast([" " + text for text in texts], add_special_tokens=False)
        except TypeError:
            raise TypeError("texts: expected a string or strings of valid Unicode characters") from None
        return [row.ids if text else [] for row, text in zip(rows, texts, strict=True)]
