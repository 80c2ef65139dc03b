"""PaLM-E (Driess et al. 2023): a decoder language model into whose sequence of embeddings observations are interleaved.

A sentence has places, marked by a special token, where the embeddings of pictures, of objects or of a state stand
instead of those of words. They take positions as words do, and the language model treats all alike (section 3). *Ours,
smaller:* a million parameters of language model instead of 8 to 540 billion, and encoders trained from the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from helpers.models.language import Cache, LanguageModel, generate, next_token_loss
from helpers.models.resnet import ConvStage
from helpers.models.vit import VisionTransformer

Observations = Sequence[torch.Tensor]  # what an encoder takes, each [K, …]: K observations in the order of the text


def interleave(words: torch.Tensor, places: torch.Tensor, observed: torch.Tensor) -> torch.Tensor:
    """Put the embeddings of what is observed at their places among those of the words: float [B, T, D].

    words: float [B, T, D]. places: bool [B, T], True where an embedding goes. observed: float [P, D], in the order of
    the places, row by row. Gradients reach both. Raises ValueError if there are not as many places as embeddings.
    """
    if places.shape != words.shape[:2] or places.dtype != torch.bool:
        raise ValueError(f"places: expected bool {list(words.shape[:2])}, not {places.dtype} {list(places.shape)}")
    n = int(places.sum())
    if observed.shape != (n, words.shape[2]):
        raise ValueError(
            f"observed: expected [{n}, {words.shape[2]}], an embedding for each of the {n} places, "
            f"not {list(observed.shape)}"
        )
    return words.masked_scatter(places[:, :, None], observed.to(words.dtype))  # [B, T, D]


class StateEncoder(nn.Module):
    """A perceptron that makes an embedding of each thing's state (section 4): float [K, 8, F] -> [K, 8, D]."""

    places = 8

    def __init__(self, width: int, features: int = 14, hidden: int = 256) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        return self.mlp(state)  # [K, 8, D]


class GridEncoder(nn.Module):
    """A Vision Transformer whose patch tokens are brought to the language model's width by one matrix (section 4).

    With `channels`, of the convolutions, it is the hybrid of Dosovitskiy et al. (2021, section 3.1): its patches are
    the places of a `ConvStage`, each of 16 px.

    uint8 [K, 3, S, S] -> float [K, N, D]. Raises ValueError for another dtype or shape.
    """

    def __init__(
        self,
        width: int,
        image: int = 96,
        patch: int = 16,
        size: int = 128,
        layers: int = 5,
        channels: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.stage = ConvStage(channels) if channels else None
        side = image // patch
        shape = (side, 1, size) if channels else (image, patch, size)
        of_patch = {"channels": channels[-1]} if channels else {}
        self.vit = VisionTransformer(*shape, layers, heads=4, mlp=4 * size, classes={}, **of_patch)
        if channels:  # as large as what the convolutions tell: places of usual size are hardly seen at first
            nn.init.normal_(self.vit.encoder.pos_embedding, std=0.5)
        self.project = nn.Linear(size, width)
        self.places = side**2

    def freeze(self) -> GridEncoder:
        """Let a trained encoder stay as it is, while a language model learns to read it."""
        if self.stage:
            self.stage.freeze()
        return self.requires_grad_(False)

    def patches(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [K, 3, S, S] -> float [K, N, size], without the class token."""
        if images.dtype != torch.uint8:
            raise ValueError(f"expected pictures uint8 [K, 3, S, S], 0 to 255, not {images.dtype} {list(images.shape)}")
        x = self.stage(images) if self.stage else (images.float() - 128) / 64
        return self.vit.tokens(x)[:, 1:]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.project(self.patches(images))  # [K, N, D]


class TableEye(nn.Module):
    """A grid encoder that is taught, before it meets a language model, to tell what lies at each of its places.

    uint8 [K, 3, S, S] -> float logits [K, N, outputs].
    """

    def __init__(self, width: int, outputs: int, **grid: Any) -> None:
        super().__init__()
        self.encoder = GridEncoder(width, **grid)
        self.head = nn.Linear(width, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(images))


class ObjectEncoder(nn.Module):
    """One embedding for each thing, from the patches that its mask covers: [K, 3, S, S] and [K, 8, N] -> [K, 8, D].

    *The paper:* the picture is masked before it is encoded (section 4). *Ours, smaller:* the picture is encoded once,
    and each mask, float [K, 8, N] with the share of every patch that belongs to the thing, gathers its tokens.
    A thing that is not there, or hidden, has the embedding of an empty mask.
    """

    places = 8

    def __init__(self, width: int, image: int = 96, patch: int = 16, size: int = 128, layers: int = 6) -> None:
        super().__init__()
        self.grid = GridEncoder(width, image, patch, size, layers)
        self.mlp = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, width))

    def forward(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        share = masks / masks.sum(2, keepdim=True).clamp(min=1e-6)  # [K, 8, N]
        return self.mlp(share @ self.grid.patches(images))  # [K, 8, N] · [K, N, size] -> [K, 8, D]


ENCODERS: Mapping[str, type[nn.Module]] = {"state": StateEncoder, "grid": GridEncoder, "objects": ObjectEncoder}


class PalmE(nn.Module):
    """A language model and an encoder whose embeddings it reads among its words.

    Args:
        language: the decoder; it may be pretrained, and is used as it is.
        encoder: called with the observations, it gives float [K, places, D], and tells its `places`.
    """

    def __init__(self, language: LanguageModel, encoder: nn.Module) -> None:
        super().__init__()
        self.language, self.encoder = language, encoder

    def embed(self, ids: torch.Tensor, places: torch.Tensor, observations: Observations) -> torch.Tensor:
        """The multimodal sentence: int64 [B, T], bool [B, T] and K observations -> float [B, T, D]."""
        observed = self.encoder(*observations).flatten(0, 1)  # [K, n, D] -> [K·n, D]
        return interleave(self.language.token_embedding(ids), places, observed)

    def forward(
        self,
        ids: torch.Tensor,
        places: torch.Tensor | None = None,
        observations: Observations = (),
        real: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Logits of each next token, float [B, T, vocabulary].

        ids: int64 [B, T]; what they are where `places`, bool [B, T], is True, does not matter. observations: what the
        encoder takes, in the order of the sentences; none if there are no places. real, cache: as in LanguageModel.
        """
        if not observations:
            return self.language(ids, real=real, cache=cache)
        return self.language(self.embed(ids, places, observations), real=real, cache=cache)

    def freeze_language(self) -> PalmE:
        """Let only the encoder learn: the observations become soft prompts of a fixed language model."""
        self.language.requires_grad_(False)
        return self


def answer_loss(
    model: PalmE,
    ids: torch.Tensor,
    real: torch.Tensor,
    places: torch.Tensor,
    target: torch.Tensor,
    *observations: torch.Tensor,
) -> torch.Tensor:
    """The mean of −ln p over the tokens of the answers alone; prompts and places are given (section 3)."""
    return next_token_loss(model(ids, places, observations, real), ids, target & ~places)


def shared_loss(
    model: PalmE,
    ids: torch.Tensor,
    real: torch.Tensor,
    places: torch.Tensor,
    target: torch.Tensor,
    of: torch.Tensor,
    observed: torch.Tensor,
) -> torch.Tensor:
    """Of each sentence's answers the mean of −ln p over their tokens: float [B]. Many are about the same pictures.

    The sentences begin alike, up to the last of their places. The beginning is read once for each of P observations,
    and the sentences go on from its keys and values. ids, real, places, target: as in `answer_loss`, padding behind the
    texts. of: int64 [B], the observation that each sentence is about. observed: float [P, n, D], what the encoder gave.
    """
    start = int(places[0].nonzero().max()) + 1
    words, where = (tensor[:1, :start].expand(len(observed), -1) for tensor in (ids, places))
    cache = Cache()
    model.language.read(interleave(model.language.token_embedding(words), where, observed.flatten(0, 1)), cache=cache)
    cache.select(of)
    logits = model.language(ids[:, start:], real=real[:, start:], cache=cache)[:, :-1]
    losses = F.cross_entropy(logits.transpose(1, 2), ids[:, start + 1 :], reduction="none")  # [B, T - start - 1]
    asked = target[:, start + 1 :]
    return (losses * asked).sum(1) / asked.sum(1)


class _Begun(nn.Module):
    """A PaLM-E that has been shown its observations, as `generate` calls a model: later tokens are words only."""

    def __init__(self, model: PalmE, places: torch.Tensor, observations: Observations) -> None:
        super().__init__()
        self.model, self.places, self.observations = model, places, observations

    def forward(self, ids: torch.Tensor, real: torch.Tensor, cache: Cache) -> torch.Tensor:
        shown = () if cache.blocks else self.observations
        return self.model(ids, self.places, shown, real, cache)


@dataclass(frozen=True)
class Written:
    """What a model answered: the ids up to the end token, and how probable it thought each answer."""

    ids: torch.Tensor  # int64 [B, n]
    probability: torch.Tensor  # float [B]


def answer(
    model: PalmE,
    ids: torch.Tensor,
    real: torch.Tensor,
    places: torch.Tensor,
    observations: Observations,
    steps: int,
    *,
    end: int,
    **how: Any,
) -> Written:
    """Let `model` answer sentences whose padding stands before them, with at most `steps` tokens.

    Arguments as in `PalmE.forward` and `generate`, whose `how` may ask for beams or for drawn answers.
    """
    found = generate(_Begun(model.eval(), places, observations), ids, steps, end=end, real=real, **how)
    return Written(found.ids, found.log_probabilities.sum(1).exp())


def build_palm_e(language: Mapping[str, int], encoder: str, **arguments: Any) -> PalmE:
    """A PaLM-E with a fresh language model of these arguments and one of ENCODERS, with its own arguments.

    Raises ValueError for an unknown encoder.
    """
    if encoder not in ENCODERS:
        raise ValueError(f"encoder: {encoder!r} is not one of {', '.join(ENCODERS)}")
    return PalmE(LanguageModel(**language), ENCODERS[encoder](language["width"], **arguments))


def answer_probability(
    model: PalmE,
    ids: torch.Tensor,
    real: torch.Tensor,
    places: torch.Tensor,
    target: torch.Tensor,
    *observations: torch.Tensor,
) -> torch.Tensor:
    """How probable the model thinks each sentence's answers: float [B]. Arguments as in `answer_loss`."""
    with torch.inference_mode():
        logits = model(ids, places, observations, real)[:, :-1]
        log_p = -F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")  # [B, T - 1]
        return (log_p * (target & ~places)[:, 1:]).sum(1).exp()
