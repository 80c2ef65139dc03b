"""The 1000 classes of ImageNet-1k (Russakovsky et al. 2015) and the naming of a network's answer."""

from __future__ import annotations

from functools import cache

import torch


@cache
def classes() -> tuple[str, ...]:
    """Return the 1000 class names in the order of a network's outputs, which is that of their WordNet ids."""
    from torchvision.models import AlexNet_Weights  # half a second or more, so only when names are asked for

    return tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])


def top_k(logits: torch.Tensor, k: int = 5) -> list[tuple[str, float]]:
    """Return the `k` most probable classes as (name, probability), most probable first.

    logits: float [1000] or [1, 1000], any finite range; the probabilities are their softmax, in [0, 1].
    Raises ValueError if the shape is another, a value is not finite, or k is not in 1..1000.
    """
    names = classes()
    if logits.shape not in {(len(names),), (1, len(names))}:
        raise ValueError(
            f"top_k needs the logits of one picture, shape [{len(names)}] or [1, {len(names)}], "
            f"not {list(logits.shape)}: pass one row of the network's output."
        )
    if not torch.isfinite(logits).all():
        raise ValueError("top_k needs finite logits, and some are NaN or infinite: check the picture and the weights.")
    if not 1 <= k <= len(names):
        raise ValueError(f"top_k needs k between 1 and {len(names)}, not {k}.")
    probabilities, indices = logits.detach().flatten().float().softmax(0).topk(k)
    return [(names[i], p) for i, p in zip(indices.tolist(), probabilities.tolist(), strict=True)]
