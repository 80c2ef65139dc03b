"""Answers with their probabilities, and the box that asks for them."""

from __future__ import annotations

import pytest
import torch

from helpers.models.answering import answer_probabilities
from helpers.models.speakers import build_speaker
from helpers.page.ask import answer_bars, ask_box
from helpers.training.fit import seeded
from helpers.worlds.street.questions import ANSWERS
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

TOKENIZER = StreetTokenizer()
SMALL = {"width": 32, "layers": 2, "heads": 2, "channels": [8, 8, 16]}
MODELS = {
    "SimVLM": {"architecture": "SimVLM", **SMALL},
    "SimVLM, read once": {"architecture": "SimVLM", "picture_sees_text": False, **SMALL},
    "VisualGPT": {"architecture": "VisualGPT", **SMALL},
}


def seeing(name: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """An untrained model whose probabilities are far from equal, and a picture as it takes one."""
    model = seeded(lambda: build_speaker(TOKENIZER.vocab_size, MODELS[name]), 0).eval()
    torch.nn.init.normal_(model.decoder.token_embedding.weight, std=0.3, generator=torch.Generator().manual_seed(1))
    images = torch.randint(256, (1, 3, 96, 96), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    return model, {"seen": model.look(images)} if name == "VisualGPT" else {"images": images}


@pytest.mark.parametrize("name", MODELS)
def test_a_probability_is_that_of_the_whole_text_written_token_by_token(name: str) -> None:
    model, seen = seeing(name)
    found = answer_probabilities(model, TOKENIZER, "what colour is the bus?", ANSWERS, **seen)
    assert list(found.values()) == sorted(found.values(), reverse=True) and set(found) == set(ANSWERS)
    assert 0 < sum(found.values()) <= 1
    prompt = TOKENIZER.sequences([["what colour is the bus?", SEPARATOR]], end=False).ids
    for answer in ("yes", "fire engine", "6"):
        ids, p = prompt, 1.0
        for token in [*TOKENIZER.encode(answer), TOKENIZER.eot_id]:
            how = {} if name == "VisualGPT" else {"prefix": torch.tensor([prompt.shape[1]])}
            with torch.no_grad():
                logits = model(ids, **how, **seen)[0, -1]
            p *= logits.softmax(0)[token].item()
            ids = torch.cat([ids, torch.tensor([[token]])], 1)
        assert found[answer] == pytest.approx(p, rel=1e-3)


def test_the_picture_counts() -> None:
    model, seen = seeing("SimVLM")
    other = {"images": 255 - seen["images"]}
    question = "is there a car?"
    assert answer_probabilities(model, TOKENIZER, question, ANSWERS, **seen) != answer_probabilities(
        model, TOKENIZER, question, ANSWERS, **other
    )


def test_without_answers_and_with_a_question_that_is_too_long_the_reason_is_told() -> None:
    model, seen = seeing("VisualGPT")
    with pytest.raises(ValueError, match="answers: none was given"):
        answer_probabilities(model, TOKENIZER, "is there a car?", [], **seen)
    with pytest.raises(ValueError, match="shorten the text"):
        answer_probabilities(model, TOKENIZER, "is there a car? " * 40, ANSWERS, **seen)


def test_a_box_answers_each_question_and_survives_bad_ones() -> None:
    asked = []

    def answer(question: str) -> dict[str, float]:
        asked.append(question)
        if len(question) > 40:
            raise ValueError("more tokens than <positions>")
        return {"red": 0.9, "blue": 0.06} if "truck" in question else {"no": 0.3, "yes": 0.3}

    box = ask_box(answer, "what colour is the truck?")
    field, below = box.children
    assert "answers <b>red</b>" in below.value and "90%" in below.value and "4%" in below.value
    field.value = "who wrote this?"
    assert "guessing" in below.value and "40%" in below.value
    field.value = "  "
    assert "Type a question" in below.value and asked == ["what colour is the truck?", "who wrote this?"]
    field.value = "x" * 50
    assert "cannot be asked" in below.value and "&lt;positions&gt;" in below.value


def test_what_is_shown_is_escaped() -> None:
    assert "<script>" not in answer_bars({"<script>": 1.0})
