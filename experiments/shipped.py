"""What a shipped model is, and how one is trained, measured and stored, always in the same way."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from experiments.runner import Figures, environment
from helpers.files import BUILD, DATA, code_digest, whole, write_json
from helpers.training.fit import Recipe, fit
from helpers.training.statistics import interval
from helpers.worlds.drawn import Drawn
from helpers.worlds.streets import load_street

TEST_SEED, TEST_SCENES = 1, 2_000
RANDOM_SHIFTS, DRAWS, DRAWN_SCENES = ("v2", "rendition", "objectnet"), 8, 500


@dataclass(frozen=True)
class ShippedModel:
    """A model whose weights lie in data/weights, and all that makes and measures them again.

    Args:
        name: of the model and of its files; a module of `experiments` lists it in MODELS.
        recipe: how it is trained; its `steps` are counted from `epochs`, `scenes` and `batch`.
        scenes, epochs, batch: how many training scenes, how often each is seen, and how many in a step.
        build: (seed) -> the model, untrained.
        batches: (scenes, batch, recipe) -> what `fit` takes.
        loss: (model, *batch) -> a mean loss.
        measure: (model, scenes, seed) -> its figures on scenes drawn afresh with the seed; None if it is not shipped.
        named: (model) -> a function that says of pictures, for each label, which the model names rightly; None for a
            model that does not name labels, which is then not tried under the shifts.
        facts: what else its JSON file tells, such as its configuration.
        after_step: as for `fit`.
        finish: (model, quick, folder) -> None, in place of storing and measuring the weights.
        tested: on how many scenes, or episodes, it is measured for its page.
        trial: how many scenes a quick trial trains on.
    """

    name: str
    recipe: Recipe
    scenes: int
    epochs: int
    batch: int
    build: Callable[[int], nn.Module]
    batches: Callable[[int, int, Recipe], Callable[[int], Iterable[tuple[torch.Tensor, ...]]]]
    loss: Callable[..., torch.Tensor]
    measure: Callable[[nn.Module, int, int], Figures] | None = None
    named: Callable[[nn.Module], Callable[[Drawn], dict[str, torch.Tensor]]] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    after_step: Callable[[int, nn.Module], None] | None = None
    finish: Callable[[nn.Module, bool, Path], None] | None = None
    tested: int = TEST_SCENES
    trial: int = 1_024

    @property
    def whole_recipe(self) -> Recipe:
        """The recipe with the number of its steps."""
        return replace(self.recipe, steps=self.epochs * (self.scenes // self.batch))


def train(shipped: ShippedModel, quick: bool = False) -> None:
    """Train the model, measure it and store both; with `quick` a trial of the whole path, below build/.

    A training that was stopped goes on at its checkpoint, if the code that it depends on is still the same.
    """
    scratch, target = BUILD / ("quick" if quick else "training") / shipped.name, DATA
    if quick:
        shipped, target = replace(shipped, scenes=shipped.trial, epochs=2), scratch
        shutil.rmtree(scratch, ignore_errors=True)
    recipe, code = shipped.whole_recipe, code_digest(shipped.loss.__module__)
    checkpoint = scratch / f"{code}.checkpoint"  # a new name for new code, so that none is mixed up
    model = shipped.build(recipe.seed)
    run = fit(
        model,
        shipped.batches(shipped.scenes, shipped.batch, recipe),
        shipped.loss,
        recipe,
        checkpoint=checkpoint,
        key=code,
        after_step=shipped.after_step,
        progress=False,
        told=lambda figures: print(f"{shipped.name}: {figures} of {recipe.steps}", file=sys.stderr, flush=True),
    )
    if shipped.finish:
        shipped.finish(model, quick, target)
    else:
        weights = target / "weights" / f"{shipped.name}.safetensors"
        with whole(weights) as temporary:
            state = {key: value.contiguous() for key, value in model.state_dict().items()}
            save_file(state, temporary, metadata={"model": shipped.name})
        facts = {"model": shipped.name, **shipped.facts, "steps": recipe.steps, "seconds": round(run.seconds)}
        facts["recipe"] = asdict(recipe) | {
            "scenes": shipped.scenes,
            "epochs": shipped.epochs,
            "batch": shipped.batch,
            "split": "train",
        }
        facts |= {"code": code, "environment": environment() | {"threads": torch.get_num_threads()}}
        few = min(200, shipped.trial // 8), 50
        facts |= measured(shipped, model, *(few if quick else (shipped.tested, DRAWN_SCENES)))
        write_json(weights.with_suffix(".json"), facts)
        if not quick:
            print("now: python -m tools.make_manifest", file=sys.stderr)
    checkpoint.unlink(missing_ok=True)  # what is stored is no longer to be gone on with


def measured(shipped: ShippedModel, model: nn.Module, scenes: int, drawn: int) -> Figures:
    """What the model's page tells of it: its figures on `scenes` scenes, and the vehicle over draws of each shift."""
    figures = {"test_seed": TEST_SEED, "figures": shipped.measure(model, scenes, TEST_SEED)}
    return figures | ({"draws": over_draws(shipped.named(model), drawn)} if shipped.named else {})


def over_draws(named: Callable[[Drawn], dict[str, torch.Tensor]], scenes: int) -> Figures:
    """The share of vehicles named rightly under each shift whose recipe is random, in each of DRAWS draws of it.

    The mean and its 95 % interval are over the draws: an interval over the scenes of one draw says nothing of the next.
    """
    figures = {}
    for shift in RANDOM_SHIFTS:
        right = [
            named(load_street("test", scenes, seed=seed, shift=shift, cache=False, progress=False, captions=0))[
                "vehicle"
            ]
            for seed in range(TEST_SEED, TEST_SEED + DRAWS)
        ]
        accuracies = [round(of_draw.float().mean().item(), 4) for of_draw in right]
        figures[shift] = interval(accuracies) | {"draws": accuracies, "scenes": scenes}
    return figures


def measure_again(shipped: ShippedModel, model: nn.Module) -> None:
    """Put new figures into the shipped model's page, after the scenes or the adversarial list were changed."""
    page = DATA / "weights" / f"{shipped.name}.json"
    facts = json.loads(page.read_text(encoding="utf-8"))
    write_json(page, facts | measured(shipped, model, shipped.tested, DRAWN_SCENES))
    print("now: python -m tools.make_manifest", file=sys.stderr)


def evaluate(shipped: ShippedModel, model: nn.Module, test_seed: int, scenes: int) -> Figures:
    """Measure `model` again, on scenes drawn afresh with `test_seed`."""
    figures = shipped.measure(model, scenes, test_seed)
    return {"model": shipped.name, "test_seed": test_seed, "scenes": scenes, "figures": figures}
