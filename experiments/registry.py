"""Which experiments and shipped models there are: what the modules beside this one hold as EXPERIMENT or MODELS."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

import experiments
from experiments.runner import Experiment
from experiments.shipped import ShippedModel


@cache
def _modules() -> tuple[ModuleType, ...]:
    names = [module.name for module in pkgutil.iter_modules(experiments.__path__) if not module.name.startswith("_")]
    return tuple(import_module(f"experiments.{name}") for name in names)


def all_experiments() -> dict[str, Experiment]:
    """Every experiment by its name."""
    found = [module.EXPERIMENT for module in _modules() if hasattr(module, "EXPERIMENT")]
    return {experiment.name: experiment for experiment in found}


def all_models() -> dict[str, ShippedModel]:
    """Every model that `train` makes, by its name."""
    return {model.name: model for module in _modules() for model in getattr(module, "MODELS", ())}
