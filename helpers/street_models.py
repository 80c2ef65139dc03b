"""The shipped networks that read a street scene, by name: `load_street_model("street-vit")`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import nn

from helpers.resnet import StreetResNet
from helpers.vit import StreetViT
from helpers.weights import load_state, shipped

ARCHITECTURES = {"StreetResNet": StreetResNet, "StreetViT": StreetViT}
STREET_MODELS = ("street-resnet", "street-vit")


def build_street_model(labels: Mapping[str, int], configuration: Mapping[str, Any]) -> nn.Module:
    """A network with one head for each of `labels` {label: classes}, untrained.

    `configuration` names one of ARCHITECTURES as "architecture"; the rest are its arguments.
    """
    arguments = dict(configuration)
    return ARCHITECTURES[arguments.pop("architecture")](labels, **arguments)


def load_street_model(name: str) -> nn.Module:
    """The shipped network `name`, one of STREET_MODELS, in evaluation mode.

    It takes uint8 [B, 3, 96, 96] and gives {label: float logits [B, classes]}. Raises ValueError for another name.
    """
    if name not in STREET_MODELS:
        raise ValueError(f"model: {name!r} is not one of {', '.join(STREET_MODELS)}")
    facts = json.loads(shipped(f"weights/{name}.json").read_text(encoding="utf-8"))
    model = build_street_model(facts["labels"], facts["configuration"])
    model.load_state_dict(load_state(shipped(f"weights/{name}.safetensors")))
    return model.eval()
