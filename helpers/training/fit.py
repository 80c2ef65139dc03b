"""The one training loop: `fit` trains any model on any batches by any loss, on any device, alone or with others.

It serves the notebooks, the experiments, the shipped models and, under `torchrun`, several processes, whose gradients
it averages. A run with a checkpoint goes on where it was stopped.
"""

from __future__ import annotations

import math
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from helpers.files import whole
from helpers.training.device import pick_device

Batch = tuple[torch.Tensor, ...]


class Diverged(ArithmeticError):
    """The loss is no longer a number; the message says at which step, and what to change."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Args:
        steps: how many batches.
        rate: the highest learning rate. It rises linearly over the share `warm_up` of the steps, and then falls along
            a cosine to 0, or stays ("constant"), or stays until three quarters of the steps are done and is then
            divided by ten ("tenth").
        weight_decay: for matrices and convolutions; biases, norms' gains, embeddings and scalars are spared.
        betas: AdamW's; of "sgd" the first is the momentum, which never changes.
        clip: the largest norm of all gradients together; 0 for none.
        ema: how much of the running mean of the weights stays at each step, such as 0.99, the mean being what is given
            in the end; 0 for none.
        seed: of the model and of the batches, where they are drawn.
    """

    steps: int
    rate: float
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    warm_up: float = 0.1
    schedule: Literal["cosine", "tenth", "constant"] = "cosine"
    clip: float = 1.0
    ema: float = 0.0
    seed: int = 0

    def scale(self, step: int) -> float:
        """What the highest rate is multiplied by in step `step`, counted from 0."""
        rising = math.ceil(self.warm_up * self.steps)
        if step < rising:
            return (step + 1) / rising
        if self.schedule != "cosine":
            return 0.1 if self.schedule == "tenth" and step >= 0.75 * self.steps else 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, self.steps - rising)))


@dataclass
class Run:
    """What came of a training: the loss of each step made now, where it began, and how long all of it took."""

    losses: list[float] = field(default_factory=list)
    first: int = 0
    seconds: float = 0.0
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Shuffled:
    """Batches of rows of `tensors`, all of equal length, in a new order in each epoch; a last, smaller one is left out.

    Step k is the same whenever it is asked for, so a run can go on at it. `change`, if given, makes of (the rows'
    tensors, a generator that belongs to the step, the step) what the step is trained on.
    """

    tensors: Batch
    batch: int
    seed: int = 0
    change: Callable[[Batch, torch.Generator, int], Batch] | None = None

    @property
    def epoch(self) -> int:
        """Steps in an epoch. Raises ValueError if there are fewer rows than a batch has."""
        steps = len(self.tensors[0]) // self.batch
        if not steps:
            raise ValueError(f"batch: {self.batch} rows are more than the {len(self.tensors[0])} that there are")
        return steps

    def __call__(self, first: int = 0) -> Iterator[Batch]:
        """All batches from step `first` on, without end."""
        epoch, k = divmod(first, self.epoch)
        while True:
            generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
            order = torch.randperm(len(self.tensors[0]), generator=generator).split(self.batch)
            for rows in order[k : self.epoch]:
                batch = tuple(tensor[rows] for tensor in self.tensors)
                step = epoch * self.epoch + k
                own = torch.Generator().manual_seed(1_000_000 * (self.seed + 1) + step)
                yield self.change(batch, own, step) if self.change else batch
                k += 1
            epoch, k = epoch + 1, 0


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What `build` makes if torch's global generator starts at `seed`; the generator is put back after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters in two groups for an optimizer: matrices and convolutions, which decay, and all others."""
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups[p.ndim >= 2 and id(p) not in tables and not name.endswith(("embedding", "token"))].append(p)
    return [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]


def fit(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    loss: Callable[..., torch.Tensor],
    recipe: Recipe,
    *,
    device: torch.device | None = None,
    checkpoint: Path | None = None,
    key: str | Mapping[str, Any] = "",
    every: int = 200,
    after_step: Callable[[int, nn.Module], None] | None = None,
    progress: bool = True,
    told: Callable[[dict[str, float]], None] | None = None,
) -> Run:
    """Train `model` in place; in the end it is in evaluation mode, and on the device where it was.

    Args:
        batches: called with the number of the first step, gives the batches from that step on.
        loss: (model, *batch) -> the mean loss of the batch. On CUDA it is computed in bfloat16 where torch thinks it
            safe.
        device: where to compute (default: the one of `pick_device`). Batches are brought there.
        checkpoint: a file to keep the state in, after each `every` steps and at the end, and to go on from.
        key: what else, beyond the recipe, decides what comes out, such as a digest of the code; or several such, named.
        after_step: (number of steps done, model) -> None, after each step.
        progress: whether a bar shows the loss and the samples a second.
        told: called with the figures of the last `every` steps: step, loss, samples a second.

    Raises Diverged if the loss is infinite or not a number, ValueError if the checkpoint is of another recipe or key or
    is damaged, or if the batches end too early.
    """
    device = device or pick_device()
    run, settings = Run(device=str(device)), asdict(recipe) | (dict(key) if isinstance(key, Mapping) else {"key": key})
    home = next(model.parameters()).device
    model.to(device).train()
    if recipe.optimizer == "sgd":
        groups = parameter_groups(model, recipe.weight_decay)
        optimizer = torch.optim.SGD(groups, recipe.rate, momentum=recipe.betas[0])
    else:
        groups = parameter_groups(model, recipe.weight_decay)
        optimizer = torch.optim.AdamW(groups, recipe.rate, betas=recipe.betas, fused=device.type in ("cpu", "cuda"))
    mean = None
    if recipe.ema:
        ema = torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema)
        mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=ema, use_buffers=True)
    parts = {"model": model, "optimizer": optimizer} | ({"mean": mean} if mean else {})
    many, rank = dist.is_initialized(), dist.get_rank() if dist.is_initialized() else 0
    world = dist.get_world_size() if many else 1
    # The first process reads for all: the others may be on machines that do not have the file.
    state = read_checkpoint(checkpoint, settings) if checkpoint and rank == 0 and checkpoint.exists() else None
    if many:
        box = [state]
        dist.broadcast_object_list(box)
        (state,) = box
    if state:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        run.first, run.seconds = state["step"], state["seconds"]
        if rank == 0:
            ended = "was finished before" if run.first == recipe.steps else f"goes on after step {run.first}"
            print(f"{checkpoint.name} {ended}", file=sys.stderr)
    net = DistributedDataParallel(model, forward_sync_buffers=False) if many else model
    cast = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    source = iter(batches(run.first)) if run.first < recipe.steps else iter(())
    start, since, recent, samples, before = time.perf_counter(), time.perf_counter(), 0.0, 0, run.seconds
    with _bar(recipe.steps, run.first, progress and rank == 0) as bar:
        for step in range(run.first, recipe.steps):
            batch = next(source, None)
            if batch is None:
                raise ValueError(f"the batches ended after {step} of {recipe.steps} steps: give more, or fewer steps")
            batch = tuple(tensor.to(device, non_blocking=True) for tensor in batch)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * recipe.scale(step)
            with cast:
                value = loss(net, *batch)
            now = value.detach().clone()
            if many:
                dist.all_reduce(now)
                now /= world
            now = now.item()
            if not math.isfinite(now):
                raise Diverged(
                    f"the loss is {now} in step {step + 1}: lower the rate, which is {recipe.rate:g} at most"
                )
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            if mean:
                mean.update_parameters(model)
            run.losses.append(now)
            recent, samples = recent + now, samples + world * len(batch[0])
            if after_step:
                after_step(step + 1, model)
            bar.update()
            bar.set_postfix_str(f"loss {now:.3f}", refresh=False)
            ended = step + 1 == recipe.steps
            if (step + 1) % every == 0 or ended:
                passed = time.perf_counter() - since
                bar.set_postfix_str(f"loss {now:.3f}, {samples / passed:.0f} samples/s")
                run.seconds = before + time.perf_counter() - start
                n = min(len(run.losses), (step + 1) % every or every)
                if rank == 0:
                    if told:
                        told({"step": step + 1, "loss": recent / n, "samples_per_second": round(samples / passed, 1)})
                    if checkpoint:
                        kept = {name: part.state_dict() for name, part in parts.items()}
                        write_checkpoint(checkpoint, settings, kept | {"step": step + 1, "seconds": run.seconds})
                since, recent, samples = time.perf_counter(), 0.0, 0
    if mean:
        model.load_state_dict(mean.module.state_dict())
    model.to(home).eval()
    return run


def write_checkpoint(path: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Keep `state` in the file `path`, whole or not at all."""
    with whole(path) as temporary:
        torch.save(state | {"settings": settings}, temporary)


def read_checkpoint(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What `write_checkpoint` kept. Raises ValueError if it is damaged or was made with other settings."""
    remedy = "move it away to start anew"
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():  # torch does not compare the checksums
                raise zipfile.BadZipFile("a checksum is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["settings"]
    except Exception as error:  # torch raises whatever its reader meets
        reason = str(error).split("\n")[0]
        raise ValueError(f"the checkpoint {path} is damaged ({type(error).__name__}: {reason}): {remedy}") from None
    for name in found | settings:
        if _plain(found.get(name)) != _plain(settings.get(name)):
            raise ValueError(
                f"the checkpoint {path} was made with {name} = {found.get(name)!r}, not {settings.get(name)!r}: "
                f"go on with its settings, or {remedy}"
            )
    return state


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _bar(steps: int, first: int, shown: bool) -> Any:
    from tqdm import tqdm  # plain text: what it leaves in a notebook's outputs can be taken out again

    return tqdm(total=steps, initial=first, desc="training", unit="step", disable=not shown, leave=False)
