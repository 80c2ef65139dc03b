"""Pictures with sentences in tar files, read by several processes: the format of the library webdataset.

A shard holds of each pair a picture KEY.png and a list of sentences KEY.json. In each epoch the shards are put in an
order drawn from seed and epoch and dealt out, one to each loader of each process in turn. All processes must take the
same number of steps, or they would wait for one another for ever: so the one with the fewest full batches decides, and
the rest is left out of that epoch.
"""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset as wds
from PIL import Image
from torch.utils.data import DataLoader

from helpers.files import whole
from helpers.worlds.drawn import Drawn


def write_shards(shards: Sequence[str], pictures: Drawn) -> None:
    """Spread `pictures` and their captions over `shards`. Raises FileExistsError rather than replace one."""
    for shard in shards:
        if Path(shard).exists():
            raise FileExistsError(f"{shard} exists already: delete it, or give the shards another name")
    if len(pictures) < len(shards):
        raise ValueError(f"--make-shards: {len(pictures)} scenes do not fill {len(shards)} shards")
    for shard, rows in zip(shards, torch.arange(len(pictures)).tensor_split(len(shards)), strict=True):
        # One moment for all files, so that the same scenes make the same bytes.
        with whole(Path(shard)) as temporary, wds.TarWriter(str(temporary), mtime=0) as tar:
            for i in rows.tolist():
                picture = pictures.images[i].permute(1, 2, 0).numpy()
                tar.write({"__key__": f"{i:08d}", "png": picture, "json": pictures.captions[i]})


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
