"""The street models' weights for a page: numbers as text in a script that lies beside the page.

A page that is opened from a file may not read other files, but it may run scripts that lie beside it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from helpers.files import DATA
from helpers.models.visualgpt import SRAU
from helpers.weights.pretrained import load
from helpers.weights.store import load_result, load_state, shipped
from helpers.worlds.street.questions import ANSWERS
from helpers.worlds.tokenizer import SPECIALS, StreetTokenizer

MODELS = ("street-clip", "street-simvlm", "street-vilbert", "street-visualgpt", "street-vit")


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
    return state_script(name, load_state(shipped(f"weights/{name}.safetensors")))


def state_script(name: str, state: Mapping[str, torch.Tensor]) -> str:
    """The same for any weights, which the page then takes for those of the model `name`."""
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
        "tokenizer": _tokenizer_settings(clip.tokenizer) | {"length": clip.tokenizer.context_length},
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


def visualgpt_settings() -> dict[str, Any]:
    """What the page must know of `street-visualgpt` beside its weights: sizes, its gates' threshold, the tokenizer.

    Raises ValueError if the model joins picture and words in another way than the page does.
    """
    shipped_model = load("street-visualgpt")
    model, decoder = shipped_model.model, shipped_model.model.decoder
    if any(type(block.fuse) is not SRAU for block in decoder.blocks):
        raise ValueError("street-visualgpt: the page computes the fusion 'srau' only")
    return _eye_settings(model.side, model.eye[0], decoder, shipped_model.tokenizer) | {
        "tau": decoder.blocks[0].fuse.tau
    }


def simvlm_settings() -> dict[str, Any]:
    """What the page must know of `street-simvlm` beside its weights: sizes, the tokenizer.

    Raises ValueError if its picture sees the text: the page reads a picture once for all texts.
    """
    shipped_model = load("street-simvlm")
    model, decoder = shipped_model.model, shipped_model.model.decoder
    if model.picture_sees_text or not hasattr(model.eye, "__getitem__"):
        raise ValueError("street-simvlm: the page computes a convolutional eye, whose tokens see no text, only")
    return _eye_settings(model.side, model.eye[0], decoder, shipped_model.tokenizer) | {
        "places": model.row_embedding.shape[0]
    }


def _eye_settings(side: int, convolutions: Any, decoder: Any, tokenizer: StreetTokenizer) -> dict[str, Any]:
    return {
        "side": side,
        "strides": [block.conv1.stride[0] for block in convolutions.blocks],
        "layers": len(decoder.blocks),
        "heads": decoder.blocks[0].self_attention.heads,
        "width": decoder.token_embedding.embedding_dim,
        "length": decoder.position_embedding.num_embeddings,
        "tokenizer": _tokenizer_settings(tokenizer),
    }


def vilbert_settings() -> dict[str, Any]:
    """What the page must know of `street-vilbert` beside its weights: sizes, the list of answers, the tokenizer."""
    shipped_model = load("street-vilbert")
    model = shipped_model.model
    return {
        "heads": model.co_layers[0].co_attention.heads,
        "textLayers": len(model.text_blocks),
        "coLayers": len(model.co_layers),
        "length": model.position_embedding.num_embeddings,
        "answers": list(ANSWERS),
        "tokenizer": _tokenizer_settings(shipped_model.tokenizer),
    }


def _tokenizer_settings(tokenizer: StreetTokenizer) -> dict[str, Any]:
    vocabulary = json.loads((DATA / "tokenizer" / "street.json").read_text(encoding="utf-8"))["model"]
    return {
        "sot": tokenizer.sot_id,
        "sep": tokenizer.sep_id,
        "eot": tokenizer.eot_id,
        "specials": len(SPECIALS),
        "pieces": sorted(vocabulary["vocab"], key=vocabulary["vocab"].get),
        "merges": vocabulary["merges"],
    }
