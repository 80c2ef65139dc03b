"""The 1000 classes of ImageNet-1k (Russakovsky et al. 2015), the input that SqueezeNet was trained on, its answer."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from helpers.worlds.photographs import centre_square


@cache
def classes() -> tuple[str, ...]:
    """Return the 1000 class names in the order of a network's outputs, which is that of their WordNet ids."""
    from torchvision.models import AlexNet_Weights  # half a second or more, so only when names are asked for

    return tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])


@cache
def descriptions() -> tuple[str, ...]:
    """Return "names: definition" of the 1000 classes, from WordNet (Miller 1995) as the timm package has it.

    The order is that of `classes`; the text lies in the installed package, so no network is used.
    """
    from timm.data import ImageNetInfo  # a second or more

    return tuple(ImageNetInfo("imagenet-1k").label_descriptions(detailed=True))


def caffe_preprocess(picture: np.ndarray) -> torch.Tensor:
    """Turn uint8 [H, W, 3] into the shipped SqueezeNet's input, float32 [1, 3, 227, 227].

    The largest centred square is resized to 227x227; its values stay in 0..255, the channels are put in the order blue,
    green, red, and (104, 117, 123) is subtracted, as in the Caffe training of SqueezeNet 1.1.
    """
    rgb = torch.from_numpy(centre_square(picture, 227)).permute(2, 0, 1).float()
    return (rgb.flip(0) - torch.tensor([104.0, 117.0, 123.0])[:, None, None])[None]


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
