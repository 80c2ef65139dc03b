"""The networks that read a street scene, by the name of their architecture, which their configuration holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from helpers.models.resnet import StreetResNet
from helpers.models.vit import StreetViT

ARCHITECTURES = {"StreetResNet": StreetResNet, "StreetViT": StreetViT}


def build_street_model(labels: Mapping[str, int], configuration: Mapping[str, Any]) -> nn.Module:
    """A network with one head for each of `labels` {label: classes}, untrained.

    `configuration` names one of ARCHITECTURES as "architecture"; the rest are its arguments.
    It takes uint8 [B, 3, 96, 96] and gives {label: float logits [B, classes]}. Raises ValueError for another
    architecture.
    """
    arguments = dict(configuration)
    name = arguments.pop("architecture", None)
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture: {name!r} is not one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name](labels, **arguments)
