"""How well each picture and its text fit together, by the street world's CLIP, and which pairs fit too badly.

LAION-5B kept pairs whose cosine was at least 0.28 (English texts) or 0.26 (others, by a multilingual CLIP). A cosine
means something for one model only: the threshold for `street-clip` is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from helpers.laion.steps import with_columns
from helpers.worlds.photographs import centre_square

if TYPE_CHECKING:
    import pyarrow as pa

    from helpers.weights.pretrained import Pretrained

BATCH = 100  # pictures and texts at a time


@cache
def clip() -> Pretrained:
    """The CLIP that filters, loaded once in each process."""
    from helpers.weights.pretrained import load

    return load("street-clip")


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread in this block, as each of several workers should.

    The number of threads can change the last digits of a sum, and so the bytes of what is written.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def image_features(pictures: list[np.ndarray]) -> np.ndarray:
    """CLIP's features of length 1, float32 [n, D], of the centre squares of pictures uint8 [H, W, 3]."""
    import torch

    from helpers.models.clip import encode_images

    model = clip().model
    side, width = model.visual.image_size[0], model.text_projection.shape[1]
    found = np.empty((len(pictures), width), np.float32)
    with one_thread():
        for start in range(0, len(pictures), BATCH):
            squares = np.stack([centre_square(picture, side) for picture in pictures[start : start + BATCH]])
            images = torch.from_numpy(squares).permute(0, 3, 1, 2).contiguous()  # [n, 3, side, side]
            found[start : start + BATCH] = encode_images(model, images).numpy()
    return found


def text_features(texts: list[str]) -> np.ndarray:
    """CLIP's features of length 1, float32 [n, D], of texts; what is longer than the model's context is cut off."""
    import torch

    from helpers.models import clip as functions

    loaded = clip()
    found = np.empty((len(texts), loaded.model.text_projection.shape[1]), np.float32)
    with one_thread(), torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            ids = loaded.tokenizer(texts[start : start + BATCH])
            found[start : start + BATCH] = functions.text_features(loaded.model, ids).cpu().numpy()
    return found


def similarity_step(
    table: pa.Table,
    images: np.ndarray,
    texts: Callable[[list[str]], np.ndarray] = text_features,
    threshold: float = 0.3,
) -> pa.Table:
    """Add `similarity`, the cosine of each picture and its text; drop pairs below `threshold`.

    images: the pictures' features of length 1, float [n, D]. texts: a function that gives the texts' features.
    """
    if table.num_rows != len(images):
        raise ValueError(f"images: {len(images)} rows of features for {table.num_rows} pictures")
    found = texts(table["alt"].to_pylist()) if len(images) else images
    cosines = (images * found).sum(1)
    return with_columns(
        table,
        similarity=cosines.astype(np.float32).tolist(),
        drop=[None if cosine >= threshold else "unlike its text" for cosine in cosines.tolist()],
    )
