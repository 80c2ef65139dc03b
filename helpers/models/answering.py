"""What a model that writes thinks of each of several answers to a question."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from helpers.models.language import Cache
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer


@torch.inference_mode()
def answer_probabilities(
    model: nn.Module, tokenizer: StreetTokenizer, question: str, answers: Sequence[str], **seen: torch.Tensor
) -> dict[str, float]:
    """The probability that `model` writes exactly this after the question, for each of `answers`, the likeliest first.

    Each is the product of the probabilities of the answer's tokens and of the end token after it. What is missing to 1
    goes to all other texts. `seen` is what the model takes of one picture, tensors [1, …] as for `generate`.
    Raises ValueError without answers, and if the question leaves the model no room for them.
    """
    if not answers:
        raise ValueError("answers: none was given; name at least one")
    device, cache = next(model.parameters()).device, Cache()
    prompt = tokenizer.sequences([[question, SEPARATOR]], end=False).ids.to(device)  # [1, P]
    first = model(prompt, cache=cache, real=torch.ones_like(prompt, dtype=torch.bool), **seen)[:, -1:]  # [1, 1, V]
    rows = tokenizer.sequences([[answer] for answer in answers])
    ids, real = rows.ids[:, 1:].to(device), rows.real[:, 1:].to(device)  # [A, T]: answer and end, without the start
    everyone = torch.zeros(len(answers), dtype=torch.long, device=device)
    cache.select(everyone)
    seen = {name: tensor[everyone] for name, tensor in seen.items()}
    later = model(ids[:, :-1], cache=cache, real=real[:, :-1], **seen)  # [A, T - 1, V]
    log_p = torch.cat([first[everyone], later], 1).float().log_softmax(2)  # [A, T, V]
    of_token = log_p.gather(2, ids[..., None])[..., 0].masked_fill(~real, 0.0)  # [A, T]
    found = dict(zip(answers, of_token.sum(1).exp().tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
