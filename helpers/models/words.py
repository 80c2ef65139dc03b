"""Words for photographs: a small text encoder, and two ways from a classifier's answer to any label.

ConSE (Norouzi et al. 2014, section 3) needs no training: what a classifier sees in a photograph is the mean of the
vectors of its class names, weighted by its probabilities, and the label with the nearest vector is the answer.

DeViSE (Frome et al. 2013, section 3) learns a map from pictures into a space of word vectors. Here the map goes the
other way, as the classifier's 512 numbers are all that a photograph needs: from a text's vector to the row of weights
that a classifier would have for it. The map is fitted on the classes that it knows and used for any other label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn

WEIGHTS = "words/encoder.safetensors"
PIECES = "words/pieces.txt"
GROUP = 64  # neighbouring weights of a row that share a scale and an offset
HEADS = 12
LENGTH = 64  # pieces a text is cut to
WIDTH = 384  # numbers in a text's vector


class WordEmbedding(nn.Module):
    """A text encoder: pieces of words, factorised embeddings (Lan et al. 2020), Transformer layers, the mean.

    The shipped one is cut from all-MiniLM-L6-v2 (tools.make_words): parts of that model, rounded, none trained anew.
    """

    def __init__(self, pieces: Sequence[str], rank: int, layers: int) -> None:
        """pieces: the vocabulary in the order of the ids; rank: numbers a piece; layers: Transformer layers."""
        super().__init__()
        self.tokenizer = piece_tokenizer(pieces)
        self.pieces = nn.Embedding(len(pieces), rank)
        self.widen = nn.Linear(rank, WIDTH, bias=False)
        self.position = nn.Embedding(LENGTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        layer = (WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", 1e-12)  # no dropout
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(*layer, batch_first=True) for _ in range(layers))

    @classmethod
    def from_packed(cls, pieces: Sequence[str], stored: Mapping[str, torch.Tensor]) -> WordEmbedding:
        """The encoder from its vocabulary and what tools.make_words stored: float16, or a matrix as `pack` gives it."""
        state = {n: tensor.float() for n, tensor in stored.items() if not n.endswith((".codes", ".step", ".low"))}
        for name in {name.removesuffix(".codes") for name in stored if name.endswith(".codes")}:
            state[name] = unpack(*(stored[f"{name}.{part}"] for part in ("codes", "step", "low")))
        layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
        with torch.device("meta"):  # no random start, so the global generator is not touched
            words = cls(pieces, state["pieces.weight"].shape[1], layers)
        words.load_state_dict(state, strict=True, assign=True)
        return words

    def forward(self, ids: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Turn ids, int64 [n, t], into unit vectors, float32 [n, 384]; `real`, bool [n, t], is false on padding."""
        x = self.norm(self.widen(self.pieces(ids)) + self.position.weight[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~real)
        return nn.functional.normalize((x * real[..., None]).sum(1), dim=1)

    def encode(self, texts: Sequence[str], batch: int = 64) -> torch.Tensor:
        """Return float32 [n, 384], one vector of length 1 for each of n texts.

        Letters that no piece has count as unknown. A text of more than 64 pieces is cut. Raises ValueError if `texts`
        is one string, is empty, or if a text is no string or holds nothing but blanks.
        """
        if isinstance(texts, str) or not len(texts):
            raise ValueError("encode needs a list of texts, at least one: put even a single text in brackets.")
        for i, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"Text {i} is {text!r}, and encode needs words: leave it out or write what it means.")
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))  # texts of like length share a batch
        vectors = torch.empty(len(ids), WIDTH)
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                chosen = order[start : start + batch]
                vectors[chosen] = self(*padded([ids[i] for i in chosen]))
        return vectors


def piece_tokenizer(pieces: Sequence[str]) -> Tokenizer:
    """BERT's tokenizer (Devlin et al. 2019) with a vocabulary of our own: lower case, no accents, WordPiece."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.enable_truncation(LENGTH)
    return tokenizer


def padded(ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Put id lists of unequal length into int64 [n, t], and bool [n, t] that is false where a list has ended."""
    real = torch.arange(max(map(len, ids))) < torch.tensor([[len(row)] for row in ids])
    table = torch.zeros(real.shape, dtype=torch.int64)
    table[real] = torch.tensor([i for row in ids for i in row])
    return table, real


def pack(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """Round float [r, c] to 16 levels for every 64 neighbours of a row; c is a multiple of 64.

    Returns codes, uint8 [r, c/2] with two of 4 bits in a byte, and float16 [r, c/64] `step` and `low`, so that
    weight ≈ low + step · code. Of eight ranges, from all of a group's values to 0.6 of them, the one with the smallest
    squared error is taken.
    """
    groups = weight.detach().float().unflatten(1, (-1, GROUP))
    best = None
    for part in (1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6):
        low, high = (part * groups.amin(2)).half(), part * groups.amax(2)
        step = ((high - low.float()) / 15).clamp_min(1e-6).half()
        codes = ((groups - low.float()[..., None]) / step.float()[..., None]).round().clamp(0, 15)
        error = (codes * step.float()[..., None] + low.float()[..., None] - groups).square().sum(2)
        if best is None:
            best = [codes, step, low, error]
        else:
            better = error < best[3]
            for kept, new in zip(best, (codes, step, low, error), strict=True):
                kept[better] = new[better]
    codes = best[0].to(torch.uint8).flatten(1)
    return {"codes": codes[:, ::2] | codes[:, 1::2] << 4, "step": best[1], "low": best[2]}


def unpack(codes: torch.Tensor, step: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Return the float32 [r, c] that `pack` rounded to."""
    levels = torch.stack([codes & 15, codes >> 4], dim=2).flatten(1).unflatten(1, (-1, GROUP))
    return (low.float()[..., None] + step.float()[..., None] * levels).flatten(1)


class Classifier(Protocol):
    """SqueezeNet 1.1 with its preprocessing, as `helpers.weights.pretrained.load("squeezenet1_1")` gives it."""

    model: nn.Module
    preprocess: Callable[[np.ndarray], torch.Tensor]


def class_rows(classifier: Classifier) -> torch.Tensor:
    """Return float32 [1000, 512]: the weights of SqueezeNet's 1000 answers, minus their mean, each of length 1."""
    rows = classifier.model.classifier[1].weight.detach().flatten(1)
    return nn.functional.normalize(rows - rows.mean(0), dim=1)


def photo_features(classifier: Classifier, picture: np.ndarray) -> torch.Tensor:
    """Return float32 [512], what SqueezeNet 1.1 sees in uint8 [H, W, 3] just before its last layer, over all places.

    Raises ValueError if `picture` is not of that form.
    """
    with torch.inference_mode():
        return classifier.model.features(classifier.preprocess(picture)).mean((2, 3))[0]


def conse(probabilities: torch.Tensor, vectors: torch.Tensor, top: int = 10) -> torch.Tensor:
    """The mean of the vectors of the `top` most probable classes, weighted by their probabilities, of length 1.

    probabilities: float [..., n], of n classes, none negative; they need not add up to 1, so that classes may be left
    out of both arguments. vectors: float [n, d], one for the name of each class. Returns float [..., d]. Source:
    Norouzi et al. 2014, section 3; its 1/Z is left out, as only the direction counts. Raises ValueError if the numbers
    of classes differ or if `top` is not in 1..n.
    """
    if vectors.ndim != 2 or probabilities.shape[-1:] != vectors.shape[:1]:
        raise ValueError(
            f"conse needs probabilities [..., n] and vectors [n, d] with the same n, not {list(probabilities.shape)} "
            f"and {list(vectors.shape)}: give the vector of each class's name."
        )
    if not 1 <= top <= len(vectors):
        raise ValueError(f"conse needs top in 1..{len(vectors)}, the number of classes, not {top}.")
    p, classes = probabilities.topk(top)  # [..., top] each
    return nn.functional.normalize(torch.einsum("...t,...td->...d", p, vectors[classes]), dim=-1)


@dataclass(frozen=True, eq=False)
class LinearMap:
    """y = (x − x_mean) · weight + y_mean."""

    weight: torch.Tensor  # [d, k]
    x_mean: torch.Tensor  # [d]
    y_mean: torch.Tensor  # [k]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map float32 [n, d] to float32 [n, k]."""
        return (x - self.x_mean) @ self.weight + self.y_mean


def ridge(x: torch.Tensor, y: torch.Tensor, strength: float) -> LinearMap:
    """Fit y ≈ map(x) by least squares with a penalty on the weights (Hoerl and Kennard 1970).

    The map minimises ‖y − map(x)‖² + strength · ‖weight‖²; the means carry no penalty.
    x: float [n, d]; y: float [n, k]; strength: above 0. Raises ValueError on other shapes or another strength.
    """
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise ValueError(
            f"ridge needs x [n, d] and y [n, k] with the same n, not {list(x.shape)} and {list(y.shape)}: "
            "give one row of each for every example."
        )
    if not strength > 0:
        raise ValueError(f"ridge needs a strength above 0, not {strength}: try 1.")
    x_mean, y_mean = x.double().mean(0), y.double().mean(0)
    centred = x.double() - x_mean
    gram = centred.T @ centred + strength * torch.eye(x.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, centred.T @ (y.double() - y_mean))
    return LinearMap(weight.float(), x_mean.float(), y_mean.float())


def label_scores(features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return float32 [n]: the cosine, in −1..1, between a photograph's features [512] and each label's row [n, 512]."""
    return nn.functional.normalize(rows, dim=1) @ nn.functional.normalize(features, dim=0)
