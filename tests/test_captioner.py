"""A newcomer's captioning model: what the course has makes one in few lines, which learns and decodes with beams."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from helpers.models.language import Generated, LanguageModel, generate, next_token_loss
from helpers.models.vit import StreetViT
from helpers.training.fit import Recipe, Shuffled, fit, seeded
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import Answer, StreetTokenizer

# The model, from here ...


class Captioner(nn.Module):
    """A Vision Transformer's patch tokens, to which each block of a language model attends."""

    def __init__(self, vocabulary: int, width: int = 48) -> None:
        super().__init__()
        self.eye = StreetViT({}, width=width, layers=1, heads=4)
        self.decoder = LanguageModel(vocabulary, 32, width, layers=1, heads=4, context_width=width)

    def look(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 [B, 3, 96, 96] -> float [B, 37, width]."""
        return self.eye.tokens(images)


def loss(model: Captioner, images: torch.Tensor, ids: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return next_token_loss(model.decoder(ids, context=model.look(images)), ids, target)


@dataclass(frozen=True)
class Told:
    texts: list[str]
    written: Generated


def describe(model: Captioner, images: torch.Tensor, tokenizer: StreetTokenizer, beams: int) -> Told:
    prompt = tokenizer.sequences([[]] * len(images), end=False).ids  # <sot> alone
    with torch.inference_mode():
        written = generate(model.decoder, prompt, 12, end=tokenizer.eot_id, beams=beams, context=model.look(images))
    return Told([tokenizer.decode(ids) for ids in written.ids], written)


def train(images: torch.Tensor, texts: list[str], tokenizer: StreetTokenizer, steps: int) -> tuple[Captioner, list]:
    sequences = tokenizer.sequences([[Answer(text)] for text in texts])
    model = seeded(lambda: Captioner(tokenizer.vocab_size), 0)
    batches = Shuffled((images, sequences.ids, sequences.target), batch=16)
    return model, fit(model, batches, loss, Recipe(steps, 3e-3), progress=False).losses


# ... to here.


def test_a_captioner_learns_from_pictures_and_decodes_with_beams() -> None:
    tokenizer = StreetTokenizer()
    street = load_street("train", 64, captions=0, progress=False)
    texts = [f"a {scene.main.colour} {scene.main.kind} by {scene.sky}" for scene in street.scenes]
    model, losses = train(street.images, texts, tokenizer, steps=150)
    assert losses[0] > 4 and sum(losses[-10:]) / 10 < 1.2, losses[-1]
    told = describe(model, street.images[:16], tokenizer, beams=4)
    assert all(text.startswith("a ") and " by " in text for text in told.texts)
    sky = [text.split(" by ")[-1] == scene.sky for text, scene in zip(told.texts, street.scenes, strict=False)]
    assert sum(sky) >= 12  # of 16; always the most frequent one would be right in about 6
    greedy = describe(model, street.images[:16], tokenizer, beams=1)
    assert (
        told.written.log_probabilities.sum(1) >= greedy.written.log_probabilities.sum(1) - 1e-4
    ).float().mean() > 0.8
    swapped = describe(model, street.images[:16].flip(0), tokenizer, beams=4)
    assert swapped.texts[::-1] == told.texts and swapped.texts != told.texts  # it looks at the picture
