"""Train a CLIP on shards of pictures with sentences, in one process or in many; a run that was stopped goes on.

    python -m experiments.train_clip --shards 'FOLDER/street-{000..007}.tar' --make-shards 24000
    torchrun --nproc-per-node 2 -m experiments.train_clip --shards 'FOLDER/street-{000..007}.tar' --folder RUN

Without `torchrun` it is one process. Processes talk by gloo on CPUs and by NCCL on GPUs, one GPU each; the environment
variable COURSE_DEVICE=cpu leaves the GPUs alone. Every machine must find the shards under the same names; the folder of
the run is read and written by the first process only. It holds `log.jsonl`, `checkpoint.pt` and at the end
`model.safetensors`, which `build_clip` of helpers.models.clip takes.

A shard is a tar file in the format of the library webdataset: of each pair a picture KEY.png and a list of sentences
KEY.json. In each epoch the shards are put in an order drawn from seed and epoch and dealt out, one to each loader of
each process in turn. All processes must take the same number of steps, or they would wait for one another for ever: so
the one with the fewest full batches decides, and the rest is left out of that epoch. The log says how many pairs.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import webdataset as wds
from filelock import FileLock, Timeout
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from helpers.models.clip import CONFIGURATION, build_clip, image_features, text_features
from helpers.training.device import pick_device
from helpers.files import whole
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import StreetTokenizer

LARGEST_SCALE = 100  # of the logits (Radford et al. 2021, section 2.5)


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


def write_shards(shards: Sequence[str], scenes: int, seed: int = 0) -> None:
    """Spread the first `scenes` of the training split over `shards`. Raises FileExistsError rather than replace one."""
    for shard in shards:
        if Path(shard).exists():
            raise FileExistsError(f"{shard} exists already: delete it, or give the shards another name")
    if scenes < len(shards):
        raise ValueError(f"--make-shards: {scenes} scenes do not fill {len(shards)} shards")
    street = load_street("train", scenes, seed=seed)
    for shard, rows in zip(shards, torch.arange(scenes).tensor_split(len(shards)), strict=True):
        # One moment for all files, so that the same scenes make the same bytes.
        with whole(Path(shard)) as temporary, wds.TarWriter(str(temporary), mtime=0) as tar:
            for i in rows.tolist():
                picture = street.images[i].permute(1, 2, 0).numpy()
                tar.write({"__key__": f"{i:08d}", "png": picture, "json": street.captions[i]})


def count(shard: str) -> int:
    """The number of pictures in a shard. Raises ValueError, or FileNotFoundError, if it is damaged or missing."""
    remedy = "write it anew (--make-shards), or correct --shards"
    try:
        with open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            pictures = sum(name.endswith(".png") for name in tar.getnames())
            file.seek(tar.offset)
            # tarfile takes a broken header for the end; the true end is two blocks of zeros.
            if file.read(1024) != bytes(1024):
                raise tarfile.ReadError(f"it breaks off at byte {tar.offset:,}")
    except FileNotFoundError:
        raise FileNotFoundError(f"the shard {shard} is missing: {remedy}") from None
    except tarfile.TarError as error:
        raise ValueError(f"the shard {shard} is damaged ({error}): {remedy}") from None
    return pictures


def dealt(shards: Sequence[str], seed: int, epoch: int) -> list[str]:
    """The shards in the order of an epoch."""
    return random.Random(f"{seed} {epoch}").sample(shards, len(shards))


def steps_of(counts: Sequence[int], batch: int, world: int, loaders: int) -> int:
    """The steps of an epoch whose shards hold `counts`: what the process with the fewest full batches can do."""
    full = [sum(counts[loader :: world * loaders]) // batch for loader in range(world * loaders)]
    return min(sum(full[rank::world]) for rank in range(world))


def _pair(sample: dict[str, Any], side: int, seed: int, epoch: int) -> tuple[torch.Tensor, str]:
    """A sample as (picture uint8 [3, side, side], one of its sentences, drawn for this epoch)."""
    try:
        # torchvision's decode_png is not used: a damaged file ended it, and Python with it, by a segmentation fault.
        rgb = np.array(Image.open(io.BytesIO(sample["png"])).convert("RGB"))
        picture = torch.from_numpy(rgb).permute(2, 0, 1).contiguous()
        if picture.shape != (3, side, side):
            raise ValueError(f"the picture is {list(picture.shape)}, the model needs {[3, side, side]}")
        sentence = random.Random(f"{seed} {epoch} {sample['__key__']}").choice(json.loads(sample["json"]))
        if not isinstance(sentence, str):
            raise ValueError(f"{sentence!r} is no sentence")
    except Exception as error:
        raise ValueError(
            f"the shard {sample['__url__']} is damaged: the pair {sample['__key__']} cannot be read "
            f"({type(error).__name__}: {error}); write it anew (--make-shards)"
        ) from None
    return picture, sentence


def _batch(pairs: list[tuple[torch.Tensor, str]]) -> tuple[torch.Tensor, list[str]]:
    pictures, sentences = zip(*pairs, strict=True)
    return torch.stack(pictures), list(sentences)


def batches(
    shards: Sequence[str], side: int, batch: int, seed: int, epoch: int, workers: int = 0, buffer: int = 1_000
) -> Iterator[tuple[torch.Tensor, list[str]]]:
    """This process's batches of an epoch, always the same ones: (pictures uint8 [batch, 3, side, side], sentences).

    Samples are mixed within the last `buffer` read. With `workers` the pairs are read by that many other processes.
    """
    pipeline = wds.DataPipeline(
        wds.SimpleShardList(dealt(shards, seed, epoch)),
        wds.split_by_node,
        wds.split_by_worker,
        wds.tarfile_to_samples(),
        wds.shuffle(buffer, initial=buffer, rng=random.Random(f"{seed} {epoch}")),
        wds.map(partial(_pair, side=side, seed=seed, epoch=epoch)),
        wds.batched(batch, collation_fn=_batch, partial=False),
    )
    # A generator of its own: the loader would draw from the global one.
    return iter(DataLoader(pipeline, batch_size=None, num_workers=workers, generator=torch.Generator()))


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def read_checkpoint(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """What `path` holds, or None if there is no such file. Raises ValueError if it is damaged or of other settings."""
    remedy = "choose another folder with --folder, or move it away to start anew"
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():  # torch does not compare the checksums
                raise zipfile.BadZipFile("a checksum is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["settings"]
    except FileNotFoundError:
        if (path.parent / "model.safetensors").exists():
            raise FileExistsError(f"{path.parent} holds a model.safetensors of another run: {remedy}") from None
        return None
    except Exception as error:  # torch raises whatever its reader meets
        reason = str(error).split("\n")[0]
        raise ValueError(f"the checkpoint {path} is damaged ({type(error).__name__}: {reason}): {remedy}") from None
    for name in found | settings:
        if found.get(name) != settings.get(name):
            raise ValueError(
                f"the checkpoint {path} was made with {name} = {found.get(name)!r}, not {settings.get(name)!r}: "
                f"go on with its settings, {remedy}"
            )
    return state


def _model(path: Path, seed: int) -> nn.Module:
    from open_clip.model import CLIP, VisionTransformer

    try:
        if path.is_file():
            json.loads(path.read_text(encoding="utf-8"))  # open_clip would stumble over it in every later call
        model = build_clip(path, seed)
    except FileNotFoundError:
        raise
    except Exception as error:  # open_clip raises whatever the wrong key leads to
        raise ValueError(f"{path} is not a model configuration of open_clip ({error})") from None
    if type(model) is not CLIP or type(model.visual) is not VisionTransformer:
        raise ValueError(f"{path}: expected a CLIP with a vision transformer and a plain text tower")
    return model


def _prepare(args: argparse.Namespace, shards: list[str], world: int) -> tuple[dict, list[int], int, dict | None]:
    """Settings, steps of each epoch, number of pairs, and the checkpoint if there is one."""
    counts = {shard: count(shard) for shard in shards}
    if args.batch % world:
        raise ValueError(f"--batch: {args.batch} pairs cannot be shared by {world} processes; give a multiple")
    names = ("epochs", "batch", "rate", "weight_decay", "warm_up", "seed", "workers", "buffer")
    settings = {name: getattr(args, name) for name in names}
    settings["configuration"] = json.loads(args.configuration.read_text(encoding="utf-8"))
    settings["shards"] = {
        str(i): f"{Path(shard).name} of {pictures} pictures, {Path(shard).stat().st_size} bytes"
        for i, (shard, pictures) in enumerate(counts.items())
    }
    settings = dict(_flat(settings | {"processes": world}))
    plan = []
    for epoch in range(args.epochs):
        held = [counts[shard] for shard in dealt(shards, args.seed, epoch)]
        plan.append(steps_of(held, args.batch // world, world, max(1, args.workers)))
    if min(plan) == 0:
        raise ValueError(
            f"--shards: {len(shards)} shards of {sum(counts.values())} pictures do not give each of {world} "
            f"processes a full batch of {args.batch // world}: make more shards, or lower --batch or --workers"
        )
    return settings, plan, sum(counts.values()), read_checkpoint(args.folder / "checkpoint.pt", settings)


def _resume_log(path: Path, step: int) -> None:
    """Leave of the log what was written up to `step`; what came after is done again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    with whole(path) as temporary:
        # A line that was cut short by a kill has no end.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        temporary.write_text("".join(kept), encoding="utf-8")


def train(args: argparse.Namespace, shards: list[str], rank: int, world: int, device: torch.device) -> None:
    """Train as the command line `args` says, or go on with it, and write the model."""
    model = _model(args.configuration, args.seed).to(device)
    # The first process finds out for all, so that they agree on where to begin. If it fails, torchrun ends the others.
    known = [_prepare(args, shards, world) if rank == 0 else None]
    if dist.is_initialized():
        dist.broadcast_object_list(known)
    settings, plan, pairs, state = known[0]
    tokenizer = StreetTokenizer(model.context_length)
    if tokenizer.vocab_size > model.vocab_size:
        raise ValueError(f"{args.configuration}: vocab_size is {model.vocab_size}, not {tokenizer.vocab_size} or more")
    towers = Towers(model)
    if dist.is_initialized():
        towers = DistributedDataParallel(towers, forward_sync_buffers=False)
    # Only matrices decay: the others (gains, biases, the scale) hold a size that means something.
    decaying = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decaying, "weight_decay": args.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, args.rate, betas=(0.9, 0.98), eps=1e-6)  # Radford et al. 2021, table 18
    total = sum(plan)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / max(1, args.warm_up)) * (1 + math.cos(math.pi * step / total)) / 2,
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    first, done = (state["epoch"], state["done"]) if state else (0, 0)
    step = sum(plan[:first]) + done
    if state:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    if rank == 0:
        for name in ("log.jsonl", "checkpoint.pt", "model.safetensors"):
            for left in args.folder.glob(f"{name}.*.tmp"):  # by processes that were killed
                left.unlink()
        _resume_log(args.folder / "log.jsonl", step)
        print(f"from step {step} to {total}, on {world} × {device.type}", file=sys.stderr)
    loss_of, side, batch = gathered_loss(rank, world), model.visual.image_size[0], args.batch // world
    start, since = time.perf_counter(), step
    for epoch in range(first, args.epochs):
        loader = batches(shards, side, batch, args.seed, epoch, args.workers, args.buffer)
        for images, sentences in islice(loader, done, plan[epoch]):
            loss = loss_of(*towers(images.to(device), tokenizer(sentences).to(device)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, math.log(LARGEST_SCALE))
            step, done = step + 1, done + 1
            ended = done == plan[epoch]
            telling = step % args.log_every == 0 or ended
            keeping = step % args.checkpoint_every == 0 or step == total
            if not (telling or keeping):
                continue
            mean = loss.detach() / world
            if dist.is_initialized():
                dist.all_reduce(mean)
            if not mean.isfinite():
                raise ValueError(f"the loss is {mean.item()} at step {step}: lower --rate and start in another folder")
            if telling and rank == 0:
                speed = (step - since) * args.batch / (time.perf_counter() - start)
                told = {"step": step, "epoch": epoch, "loss": mean.item(), "scale": model.logit_scale.exp().item()}
                told |= {"pairs_per_second": round(speed, 1)}
                if ended:
                    told |= {"seen": done * args.batch, "left_out": pairs - done * args.batch}
                with open(args.folder / "log.jsonl", "a", encoding="utf-8") as log:
                    log.write(json.dumps(told) + "\n")
                start, since = time.perf_counter(), step
            if keeping and rank == 0:
                place = {"epoch": epoch + 1, "done": 0} if ended else {"epoch": epoch, "done": done}
                kept = {name: part.state_dict() for name, part in parts.items()}
                with whole(args.folder / "checkpoint.pt") as temporary:
                    torch.save(kept | place | {"settings": settings}, temporary)
        if done < plan[epoch]:
            raise ValueError(f"the shards gave {done} batches in epoch {epoch}, not {plan[epoch]}: they were changed")
        done = 0
    if rank == 0:
        weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
        with whole(args.folder / "model.safetensors") as temporary:
            save_file(weights, temporary)


def _from(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return number


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says."""
    told = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m experiments.train_clip", description=__doc__, formatter_class=told)
    parser.add_argument("--shards", required=True, help="tar files, such as 'FOLDER/street-{000..007}.tar'")
    parser.add_argument("--make-shards", type=_from(1), metavar="SCENES", help="write the shards, and nothing else")
    parser.add_argument("--folder", type=Path, help="the folder of the run, made if it is missing")
    parser.add_argument("--configuration", type=Path, default=CONFIGURATION, help="the model, as open_clip's JSON")
    parser.add_argument("--epochs", type=_from(1), default=4)
    parser.add_argument("--batch", type=_from(2), default=256, help="pairs of a step, of all processes together")
    parser.add_argument("--rate", type=float, default=1e-3, help="the highest learning rate (default: 1e-3)")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--warm-up", type=_from(0), default=100, help="steps until the rate is highest (default: 100)")
    parser.add_argument("--seed", type=_from(0), default=0)
    parser.add_argument("--workers", type=_from(0), default=0, help="loaders of each process (default: itself)")
    parser.add_argument("--buffer", type=_from(1), default=1_000, help="pairs that are mixed (default: 1000)")
    parser.add_argument("--log-every", type=_from(1), default=10, metavar="STEPS")
    parser.add_argument("--checkpoint-every", type=_from(1), default=100, metavar="STEPS")
    args = parser.parse_args(arguments)
    shards = wds.shardlists.expand_urls(args.shards)
    if args.make_shards is None and args.folder is None:
        parser.error("--folder RUN is missing: where the log, the checkpoint and the model go")
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    try:
        if args.make_shards:
            return write_shards(shards, args.make_shards, args.seed)
        device = pick_device(None if torch.cuda.is_available() else "cpu")
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            if device.index >= torch.cuda.device_count():
                raise ValueError(f"{torch.cuda.device_count()} GPUs are too few: lower --nproc-per-node")
            torch.cuda.set_device(device)
        with FileLock(args.folder / "lock", timeout=0) if rank == 0 else nullcontext():
            if "RANK" in os.environ:
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            train(args, shards, rank, world, device)
            if dist.is_initialized():
                dist.destroy_process_group()
    except Timeout:
        sys.exit(f"train_clip: {args.folder} is in use by another run: choose another folder with --folder")
    except (OSError, ValueError) as error:
        sys.exit(f"train_clip: {error}")


if __name__ == "__main__":
    main()
