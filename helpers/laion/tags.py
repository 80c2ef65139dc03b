"""Tags, not removals: how likely a picture is unsafe or watermarked (here: a warning sign, an agency's name over it).

LAION-5B gave both as numbers and let its users decide. Its safety model, too, is a small head on CLIP's features, its
watermark detector a network of its own. Ours are both heads, made by `python -m tools.make_laion_tags`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from helpers.laion.similarity import one_thread
from helpers.laion.steps import with_columns

if TYPE_CHECKING:
    import pyarrow as pa

TAGS = ("unsafe", "watermark")
WEIGHTS = "weights/laion-tags.safetensors"
HIDDEN = 64


class TagHead(nn.Module):
    """Features float [B, D] of CLIP -> a logit for each of TAGS, [B, 2]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, HIDDEN)
        self.out = nn.Linear(HIDDEN, len(TAGS))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The logits."""
        # Features of length 1 have tiny components: brought to the scale that the layer is initialised for.
        return self.out(torch.relu(self.hidden(features * features.shape[1] ** 0.5)))


@cache
def _head() -> TagHead:
    from helpers.weights.store import load_state, shipped

    state = load_state(shipped(WEIGHTS))
    head = TagHead(state["hidden.weight"].shape[1])
    head.load_state_dict(state)
    return head.eval().requires_grad_(False)


def tag_step(table: pa.Table, images: np.ndarray) -> pa.Table:
    """Add `p_unsafe` and `p_watermark`, from 0 to 1, from the pictures' features float32 [n, D]; drop none."""
    with one_thread(), torch.inference_mode():
        p = torch.sigmoid(_head()(torch.from_numpy(images))).numpy()
    columns = {f"p_{tag}": p[:, i].tolist() for i, tag in enumerate(TAGS)}
    return with_columns(table, **columns, drop=[None] * table.num_rows)
