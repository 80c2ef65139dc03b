"""The street models' weights for a page: numbers as text in a script that lies beside the page.

A page that is opened from a file may not read other files, but it may run scripts that lie beside it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import torch

from helpers.files import DATA
from helpers.weights.pretrained import load
from helpers.weights.store import load_result, load_state, shipped

MODELS = ("street-clip", "street-vit")


def pack(numbers: np.ndarray) -> str:
    """Numbers as 32-bit floats without their lowest byte, in base64: right to 1 in 100,000, a quarter shorter."""
    bits = np.ascontiguousarray(numbers, dtype="<f4").view("<u4").ravel() + np.uint32(0x80)  # rounded, not cut
    return base64.b64encode(bits.astype("<u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()).decode()


def model_script(name: str) -> str:
    """The script that brings the weights of a model, one of MODELS, into a page: `courseWeights[name]`.

    Raises ValueError for another name.
    """
    if name not in MODELS:
        raise ValueError(f"{name!r} does not run in a page; the models that do are {', '.join(MODELS)}")
    state = load_state(shipped(f"weights/{name}.safetensors"))
    numbers = torch.cat([tensor.flatten() for tensor in state.values()]).numpy()
    stored = {
        "tensors": [[key, tensor.numel()] for key, tensor in state.items()],
        "numbers": pack(numbers),
    }
    return f"(globalThis.courseWeights ??= {{}})[{json.dumps(name)}] = {json.dumps(stored)};\n"


def clip_settings() -> dict[str, Any]:
    """What the page must know of `street-clip` beside its weights: sizes, statistics, pieces of its tokenizer."""
    clip = load("street-clip")
    model, visual = clip.model, clip.model.visual
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    vocabulary = json.loads((DATA / "tokenizer" / "street.json").read_text(encoding="utf-8"))["model"]
    return {
        "image": {
            "side": visual.image_size[0],
            "patch": visual.patch_size[0],
            "mean": [255 * v for v in OPENAI_DATASET_MEAN],
            "std": [255 * v for v in OPENAI_DATASET_STD],
            "layers": len(visual.transformer.resblocks),
            "heads": visual.transformer.resblocks[0].attn.num_heads,
            "activation": "gelu",
        },
        "text": {
            "layers": len(model.transformer.resblocks),
            "heads": model.transformer.resblocks[0].attn.num_heads,
            "activation": "gelu",
        },
        "tokenizer": {
            "sot": clip.tokenizer.sot_id,
            "eot": clip.tokenizer.eot_id,
            "length": clip.tokenizer.context_length,
            "pieces": sorted(vocabulary["vocab"], key=vocabulary["vocab"].get),
            "merges": vocabulary["merges"],
        },
        "scale": float(model.logit_scale.exp()),
    }


def vit_settings() -> dict[str, Any]:
    """What the page must know of `street-vit` beside its weights: sizes, statistics, the names of its heads."""
    model = load("street-vit").model
    return {
        "side": model.shape[1],
        "patch": model.conv_proj.kernel_size[0],
        "mean": [128, 128, 128],
        "std": [64, 64, 64],
        "layers": len(model.encoder.layers),
        "heads": model.encoder.layers[0].self_attention.heads,
        "labels": list(load_result("street-vit")["labels"]),
    }
