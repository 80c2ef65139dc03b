"""The models that join pictures and words, by the name of their architecture, which their configuration holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from helpers.models.language import LanguageModel
from helpers.models.simvlm import SimVLM
from helpers.models.vilbert import ViLBERT
from helpers.models.visualgpt import VisualGPT

ARCHITECTURES = {"LanguageModel": LanguageModel, "SimVLM": SimVLM, "VisualGPT": VisualGPT, "ViLBERT": ViLBERT}


def build_speaker(vocabulary: int, configuration: Mapping[str, Any]) -> nn.Module:
    """A model that knows `vocabulary` ids, untrained.

    `configuration` names one of ARCHITECTURES as "architecture"; the rest are its arguments. Raises ValueError for
    another architecture.
    """
    arguments = dict(configuration)
    name = arguments.pop("architecture", None)
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture: {name!r} is not one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name](vocabulary, **arguments)
