"""Train a CLIP on shards of pictures with sentences, in one process or in many; a run that was stopped goes on.

    python -m experiments.train_clip --shards 'FOLDER/street-{000..007}.tar' --make-shards 24000
    torchrun --nproc-per-node 2 -m experiments.train_clip --shards 'FOLDER/street-{000..007}.tar' --folder RUN

Without `torchrun` it is one process. Processes talk by gloo on CPUs and by NCCL on GPUs, one GPU each; the environment
variable COURSE_DEVICE=cpu leaves the GPUs alone. Every machine must find the shards under the same names; the folder of
the run is read and written by the first process only. It holds `log.jsonl`, `checkpoint.pt` while the run goes on, and
at the end `model.safetensors`, which `build_clip` of helpers.models.clip takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import webdataset as wds
from filelock import FileLock, Timeout
from safetensors.torch import save_file
from torch import nn

from experiments.arguments import whole_number
from helpers.files import whole
from helpers.models.clip import CONFIGURATION, build_clip, clamp_scale, image_features, text_features, unsupported
from helpers.training.device import pick_device
from helpers.training.fit import Batch, Diverged, Recipe, fit
from helpers.training.shards import batches, count, dealt, steps_of, write_shards
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import StreetTokenizer


class Towers(nn.Module):
    """Both towers in one forward pass: DistributedDataParallel averages the gradients of what its forward computes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features of pictures and of texts, both [B, embed_dim] of length 1, and the factor of the logits."""
        return image_features(self.model, images), text_features(self.model, ids), self.model.logit_scale.exp()


def gathered_loss(rank: int, world: int) -> nn.Module:
    """The loss of this process's pairs against the pairs of all processes, as (images, texts, scale) -> loss.

    Let l_r be the loss of process r: the mean over its b pairs, each among all W·b. The loss L of one process with all
    pairs is the mean over all W·b, so L = (1/W) Σ_r l_r. Features of process r stand in the loss of every process. With
    `gather_with_grad` the gathering passes the sum Σ_s ∂l_s/∂f back to the process that computed f. The gradient of
    process r is then Σ_s Σ_(f of r) ∂l_s/∂f ∂f/∂θ, and DistributedDataParallel's mean over r is (1/W) Σ_s ∂l_s/∂θ =
    ∂L/∂θ. The scale is not gathered: process r has ∂l_r/∂scale, and the mean is ∂L/∂scale again. Nothing is to be
    multiplied by W.
    """
    from open_clip import ClipLoss

    return ClipLoss(local_loss=True, gather_with_grad=True, rank=rank, world_size=world)


def build(path: Path, seed: int, vocabulary: int) -> nn.Module:
    """The model of a configuration file. Raises ValueError if it is another kind of model, or knows too few words."""
    try:
        if path.is_file():
            json.loads(path.read_text(encoding="utf-8"))  # open_clip would stumble over it in every later call
        model = build_clip(path, seed)
    except FileNotFoundError:
        raise
    except Exception as error:  # open_clip raises whatever the wrong key leads to
        raise ValueError(f"{path} is not a model configuration of open_clip ({error})") from None
    if reason := unsupported(model):
        raise ValueError(f"{path}: this model has {reason}, which is not trained here")
    if vocabulary > model.vocab_size:
        raise ValueError(f"{path}: vocab_size is {model.vocab_size}, not {vocabulary} or more")
    return model


def plan(args: argparse.Namespace, shards: Sequence[str], world: int) -> tuple[list[int], dict[str, Any]]:
    """The steps of each epoch, and what else, beyond the recipe, decides what comes out."""
    counts = {shard: count(shard) for shard in shards}
    if args.batch % world:
        raise ValueError(f"--batch: {args.batch} pairs cannot be shared by {world} processes; give a multiple")
    steps = []
    for epoch in range(args.epochs):
        held = [counts[shard] for shard in dealt(shards, args.seed, epoch)]
        steps.append(steps_of(held, args.batch // world, world, max(1, args.workers)))
    if min(steps) == 0:
        raise ValueError(
            f"--shards: {len(shards)} shards of {sum(counts.values())} pictures do not give each of {world} "
            f"processes a full batch of {args.batch // world}: make more shards, or lower --batch or --workers"
        )
    settings = {name: getattr(args, name) for name in ("batch", "workers", "buffer")} | {"processes": world}
    settings["configuration"] = args.configuration.read_text(encoding="utf-8")
    for i, (shard, pictures) in enumerate(counts.items()):
        settings[f"shard {i}"] = f"{Path(shard).name} of {pictures} pictures, {Path(shard).stat().st_size} bytes"
    return steps, settings


def train(args: argparse.Namespace, shards: list[str], rank: int, world: int, device: torch.device) -> None:
    """Train as the command line `args` says, or go on with it, and write the model."""
    tokenizer = StreetTokenizer()
    model = build(args.configuration, args.seed, tokenizer.vocab_size)
    tokenizer = StreetTokenizer(model.context_length)
    if rank == 0:
        if (args.folder / "model.safetensors").exists():
            raise FileExistsError(f"{args.folder} holds the model of a run that has ended: choose another --folder")
        for left in args.folder.glob("*.tmp"):  # by processes that were killed
            left.unlink()
    known = [plan(args, shards, world) if rank == 0 else None]  # the first process finds out for all
    if dist.is_initialized():
        dist.broadcast_object_list(known)
    steps, settings = known[0]
    side, batch, log = model.visual.image_size[0], args.batch // world, args.folder / "log.jsonl"

    def from_step(first: int) -> Iterator[Batch]:
        for epoch, n in enumerate(steps):
            done = min(first, n)
            first -= done
            if done < n:
                loader = batches(shards, side, batch, args.seed, epoch, args.workers, args.buffer)
                for images, sentences in islice(loader, done, n):
                    yield images, tokenizer(sentences)

    def told(figures: dict[str, float]) -> None:
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
        # What a killed run wrote after its last checkpoint is done again; a line that was cut short has no end.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < figures["step"]]
        with whole(log) as temporary:
            line = json.dumps(figures | {"scale": model.logit_scale.exp().item()}) + "\n"
            temporary.write_text("".join([*kept, line]), encoding="utf-8")

    loss = gathered_loss(rank, world)
    warm_up = min(1.0, args.warm_up / sum(steps))
    recipe = Recipe(sum(steps), args.rate, args.weight_decay, (0.9, 0.98), warm_up=warm_up, seed=args.seed)
    fit(
        Towers(model),
        from_step,
        lambda net, images, ids: loss(*net(images, ids)),
        recipe,
        device=device,
        checkpoint=args.folder / "checkpoint.pt",
        key=settings,
        every=args.every,
        after_step=lambda step, towers: clamp_scale(step, towers.model),
        told=told,
    )
    if rank == 0:
        weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        with whole(args.folder / "model.safetensors") as temporary:
            save_file(weights, temporary)
        (args.folder / "checkpoint.pt").unlink()


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m experiments.train_clip", description=__doc__, formatter_class=style
    )
    parser.add_argument("--shards", required=True, help="tar files, such as 'FOLDER/street-{000..007}.tar'")
    parser.add_argument("--make-shards", type=whole_number(1), metavar="SCENES", help="write them, and nothing else")
    parser.add_argument("--folder", type=Path, help="the folder of the run, made if it is missing")
    parser.add_argument("--configuration", type=Path, default=CONFIGURATION, help="the model, as open_clip's JSON")
    parser.add_argument("--epochs", type=whole_number(1), default=4)
    parser.add_argument("--batch", type=whole_number(2), default=256, help="pairs of a step, of all processes together")
    parser.add_argument("--rate", type=float, default=1e-3, help="the highest learning rate (default: 1e-3)")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--warm-up", type=whole_number(0), default=100, help="steps until the rate is highest")
    parser.add_argument("--seed", type=whole_number(0), default=0)
    parser.add_argument("--workers", type=whole_number(0), default=0, help="loaders of each process (default: itself)")
    parser.add_argument("--buffer", type=whole_number(1), default=1_000, help="pairs that are mixed (default: 1000)")
    parser.add_argument(
        "--every", type=whole_number(1), default=100, metavar="STEPS", help="between log and checkpoint"
    )
    args = parser.parse_args(arguments)
    shards = wds.shardlists.expand_urls(args.shards)
    if args.make_shards is None and args.folder is None:
        parser.error("--folder RUN is missing: where the log, the checkpoint and the model go")
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    try:
        if args.make_shards:
            return write_shards(shards, load_street("train", args.make_shards, seed=args.seed))
        device = pick_device(None if torch.cuda.is_available() else "cpu")
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            if device.index >= torch.cuda.device_count():
                raise ValueError(f"{torch.cuda.device_count()} GPUs are too few: lower --nproc-per-node")
            torch.cuda.set_device(device)
        args.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(args.folder / "lock", timeout=0) if rank == 0 else nullcontext():
            if "RANK" in os.environ:
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            train(args, shards, rank, world, device)
            if dist.is_initialized():
                dist.destroy_process_group()
    except Timeout:
        sys.exit(f"train_clip: {args.folder} is in use by another run: choose another folder with --folder")
    except (OSError, ValueError, Diverged) as error:
        sys.exit(f"train_clip: {error}")


if __name__ == "__main__":
    main()
