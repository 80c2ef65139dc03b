"""The one door to weights: what ships in data/, what lies in a library's cache, and downloads that were asked for.

Nothing is read with pickle rights, everything is checked against a sha256 first, and a good file is only ever
replaced by another good file.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import hashlib
import http.client
import os
import re
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import torch
from filelock import FileLock, Timeout

from helpers.worlds.photographs import centre_square, check_picture

DATA = Path(__file__).resolve().parents[1] / "data"


class WeightsError(RuntimeError):
    """Weights that cannot be had; the message is one sentence with the file, the reason and the remedy."""


@dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    """An ImageNet classifier ready for use; printing it says which weights it has and why."""

    name: str
    tier: Literal["shipped", "real"]
    why: str
    model: torch.nn.Module  # in eval mode; float [N, 3, h, w] -> logits [N, 1000]
    preprocess: Callable[[np.ndarray], torch.Tensor]  # uint8 [H, W, 3] -> float32 [1, 3, h, w]
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.tier} weights: {self.name}, because {self.why}"


def load_classifier(name: str = "alexnet", *, download: bool = False, cache: Path | None = None) -> Classifier:
    """Return torchvision's classifier `name` with its published weights, or else the shipped SqueezeNet 1.1.

    The published weights are used if their file is in `cache` (default: the torch hub cache, which follows TORCH_HOME)
    and intact, or after a download if `download` is true; it is never made unasked. If they cannot be had, for
    whatever reason, the shipped network takes their place, and `tier` and `why` say so. "squeezenet1_1" names the
    shipped network itself.
    Raises ValueError for an unknown name, WeightsError if the shipped file is missing or damaged.
    """
    from torchvision import models  # a second or more, so only when a network is wanted

    if name == "squeezenet1_1":
        return _shipped_classifier("it was asked for by name")
    if name not in models.list_models(module=models):
        raise ValueError(f"torchvision has no classifier {name!r}: try 'alexnet', 'resnet50' or 'vit_b_16'.")
    published = models.get_model_weights(name).DEFAULT
    file = Path(urlsplit(published.url).path).name
    path = Path(cache or Path(torch.hub.get_dir()) / "checkpoints") / file
    prefix = re.search(r"-([0-9a-f]{8,64})\.", file).group(1)  # torch hub's rule: the name ends in the hash's start
    size = round(published.meta["_file_size"] * 2**20)
    if not os.path.exists(path) and not download:
        return _shipped_classifier(
            f"{file} is not in the torch cache and no download was asked for "
            f"(load_classifier({name!r}, download=True) fetches {size / 1e6:.0f} MB)"
        )
    try:
        if download:
            fetch(published.url, path, sha256=prefix, size=size)
        model = _fill(name, load_state(path, sha256=prefix))
    except WeightsError as error:
        return _shipped_classifier(f"the published {name} cannot be used: {error}")
    transform = published.transforms()

    def preprocess(picture: np.ndarray) -> torch.Tensor:
        check_picture(picture)
        return transform(torch.from_numpy(picture).permute(2, 0, 1))[None]

    return Classifier(
        name, "real", f"{file} is in the torch cache and intact", model, preprocess, tuple(published.meta["categories"])
    )


@dataclass(frozen=True, eq=False, repr=False)
class Clip:
    """A CLIP model ready for use; printing it says which weights it has and why."""

    name: str
    tier: Literal["shipped", "real"]
    why: str
    model: torch.nn.Module  # an open_clip model in eval mode, whose parameters need no gradient
    preprocess: Callable[[np.ndarray], torch.Tensor]  # uint8 [H, W, 3] -> float32 [1, 3, h, w]
    tokenizer: Callable[[str | list[str]], torch.Tensor]  # n texts -> int64 [n, context_length]

    def __repr__(self) -> str:
        return f"{self.tier} weights: {self.name}, because {self.why}"


def load_clip(name: str = "street-clip", *, download: bool = False, cache: Path | None = None) -> Clip:
    """Return open_clip's model `name` with its published weights, or else the shipped street-clip.

    name: a model and a tag of `open_clip.list_pretrained()`, such as "ViT-B-32/openai", or a model alone, which gets
    its first tag that begins with laion2b_s, or else its first. "street-clip" names the shipped model itself.
    The published weights are used if their safetensors file is in `cache` (default: the model hub's cache, which
    follows HF_HOME) and intact, or after a download if `download` is true; it is never made unasked. If they cannot be
    had, for whatever reason, the shipped model takes their place, and `tier` and `why` say so. The activation is
    always the one that the weights were trained with: QuickGELU for OpenAI's, also without "-quickgelu" in the name.
    Raises ValueError for an unknown name or a model that needs more than its weights, WeightsError if a shipped file
    is missing or damaged.
    """
    if name == "street-clip":
        return _shipped_clip("it was asked for by name")
    from huggingface_hub import constants, try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME

    model, tag, published = _published_clip(name)
    name = f"{model}/{tag}"
    repository, file = os.path.split(published["hf_hub"])
    file = str(Path(file).with_suffix(".safetensors")) if file else HF_SAFE_WEIGHTS_NAME
    cache = Path(cache or constants.HF_HUB_CACHE)
    found = try_to_load_from_cache(repository, file, cache_dir=cache)
    path = Path(found) if isinstance(found, str) else None
    call = f"load_clip({name!r}, download=True)"
    if path is None and not download:
        return _shipped_clip(
            f"{file} of {repository} is not in the hub's cache and no download was asked for "
            f"({call} fetches about {_clip_size(model) / 1e6:.0f} MB)"
        )
    try:
        try:
            network = path and _fill_clip(model, published, path, f"{call} fetches it again")
        except WeightsError:
            if not download:
                raise
            network = None
        if network is None:
            path = _fetch_from_hub(repository, file, cache, path)
            network = _fill_clip(model, published, path, "choose another tag")
    except WeightsError as error:
        return _shipped_clip(f"the published {name} cannot be used: {error}")
    from open_clip import get_tokenizer
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    transform = image_transform_v2(PreprocessCfg(**network.visual.preprocess_cfg), is_train=False)

    def preprocess(picture: np.ndarray) -> torch.Tensor:
        check_picture(picture)
        return transform(Image.fromarray(picture))[None]

    activation = ", with QuickGELU, as they were trained" if published.get("quick_gelu") else ""
    why = f"{file} of {repository} is in the hub's cache and intact{activation}"
    return Clip(name, "real", why, network, preprocess, get_tokenizer(model))


def caffe_preprocess(picture: np.ndarray) -> torch.Tensor:
    """Turn uint8 [H, W, 3] into the shipped network's input, float32 [1, 3, 227, 227].

    The largest centred square is resized to 227x227; its values stay in 0..255, the channels are put in the order blue,
    green, red, and (104, 117, 123) is subtracted, as in the Caffe training of SqueezeNet 1.1.
    """
    rgb = torch.from_numpy(centre_square(picture, 227)).permute(2, 0, 1).float()
    return (rgb.flip(0) - torch.tensor([104.0, 117.0, 123.0])[:, None, None])[None]


def _shipped_classifier(why: str) -> Classifier:
    from helpers.worlds.imagenet import classes

    model = _fill("squeezenet1_1", load_state(shipped("weights/squeezenet1_1.safetensors")))
    return Classifier("SqueezeNet 1.1", "shipped", why, model, caffe_preprocess, classes())


def _shipped_clip(why: str) -> Clip:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    from helpers.models.clip import street_clip
    from helpers.worlds.tokenizer import StreetTokenizer

    model = street_clip().requires_grad_(False)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))

    def preprocess(picture: np.ndarray) -> torch.Tensor:
        square = torch.from_numpy(centre_square(picture, model.visual.image_size[0]))
        return ((square.permute(2, 0, 1) / 255 - mean) / std)[None]

    return Clip("street-clip", "shipped", why, model, preprocess, StreetTokenizer(model.context_length))


def _published_clip(name: str) -> tuple[str, str, dict[str, Any]]:
    """Return model, tag and open_clip's record of the weights (repository, picture statistics, QuickGELU or not)."""
    import open_clip  # about four seconds, so only when a model is wanted

    model, _, tag = name.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tags and not tag:
        tag = next((tag for tag in tags if tag.startswith("laion2b_s")), tags[0])
    published = open_clip.get_pretrained_cfg(model, tag)
    if not published:
        known = ["street-clip", *(f"{model}/{tag}" for model, tag in open_clip.list_pretrained())]
        near = difflib.get_close_matches(name, known, cutoff=0) if name else known[:3]
        raise ValueError(
            f"There is no published model {name!r}: try {' or '.join(map(repr, near))}; "
            "open_clip.list_pretrained() names them all."
        )
    if "hf_tokenizer_name" in open_clip.get_model_config(model)["text_cfg"] or "siglip" in model.lower():
        raise ValueError(
            f"{name!r} cuts its texts with a tokenizer of its own that open_clip would have to download: "
            "choose a model with CLIP's tokenizer, such as 'ViT-B-32' or 'ViT-B-32/openai'."
        )
    return model, tag.lower().replace("-", "_"), published


def _clip_size(model: str) -> int:
    """Return the bytes that the parameters of open_clip's `model` take as float32."""
    import open_clip

    configuration = open_clip.get_model_config(model)
    custom = configuration.pop("custom_text", False)
    kind = open_clip.CLIP
    if custom:
        kind = open_clip.CoCa if "multimodal_cfg" in configuration else open_clip.CustomTextCLIP
    with torch.device("meta"):
        return 4 * sum(parameter.numel() for parameter in kind(**configuration).parameters())


def _fetch_from_hub(repository: str, file: str, cache: Path, stale: Path | None) -> Path:
    """Bring a file from the model hub into its cache and return its path there.

    The hub's client asks for the hash and lays out the cache; the bytes come by `fetch`, because the client neither
    keeps what an interrupted download has brought nor compares the hash (huggingface_hub 2.4).
    stale: what lies in the cache and cannot be used; if it stands for the same version, it goes when a good file is
    there.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import repo_folder_name

    url = hf_hub_url(repository, file)
    host = urlsplit(url).hostname
    try:
        found = get_hf_file_metadata(url, token=False, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "choose another tag, as other files are not read" if status == 404 else "try again later"
        raise WeightsError(f"{file} of {repository} could not be had: {host} answered {status}; {remedy}.") from error
    except Exception as error:  # the types of the client's HTTP library, which is not ours to name
        raise WeightsError(
            f"{file} of {repository} could not be had: {host} cannot be reached or does not answer ({_line(error)}); "
            "check the network connection and run this again."
        ) from error
    if not (found.commit_hash and found.size and re.fullmatch(r"[0-9a-f]{64}", found.etag or "")):
        raise WeightsError(
            f"{file} of {repository} could not be had: {host} told no version, size and sha256 as a model hub does "
            "(a login page or a proxy may answer in its place); try again later or from another network."
        )
    blob = cache / repo_folder_name(repo_id=repository, repo_type="model") / "blobs" / found.etag
    fetch(
        hf_hub_url(repository, file, revision=found.commit_hash),
        blob,
        sha256=found.etag,
        size=found.size,
        name=file,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    )
    try:
        if stale and stale.parent.name == found.commit_hash and not _matches(stale, found.etag):
            stale.unlink()
        path = Path(hf_hub_download(repository, file, cache_dir=cache, token=False))  # finds the bytes there
    except Exception as error:
        raise WeightsError(
            f"{file} was downloaded, but the hub's cache could not take it in ({_line(error)}): run this again."
        ) from error
    _verify(path, found.etag, "run this again")
    if not path.is_symlink():  # no links on this system: the cache holds a copy, and one is enough
        blob.unlink()
    return path


def _fill_clip(model: str, published: dict[str, Any], path: Path, remedy: str) -> torch.nn.Module:
    """Return open_clip's `model` with the weights in the hub's cache, once they are known to be intact."""
    import open_clip
    from safetensors import safe_open

    # The cache names the file that is linked to after its sha256. Where there are no links, nothing tells the hash,
    # but a safetensors file that was cut short is still seen.
    name = Path(os.readlink(path)).name if path.is_symlink() else ""
    _verify(path, name if re.fullmatch(r"[0-9a-f]{64}", name) else None, remedy)
    try:
        with safe_open(path, "pt"):  # reads the table of contents and compares it with the file's length
            pass
    except Exception as error:  # a type of the library's own, or OSError
        raise WeightsError(
            f"{path.name} in {_place(path)} is damaged or is no safetensors file ({_line(error)}): {remedy}."
        ) from error
    try:
        with torch.random.fork_rng(devices=[]):  # open_clip draws a random start from the global generator
            network = open_clip.create_model(
                model,
                pretrained=str(path),
                quick_gelu=published.get("quick_gelu", False),
                force_preprocess_cfg=published,
            )
    except Exception as error:  # what does not fit makes open_clip's conversions raise half a dozen types
        raise WeightsError(
            f"{path.name} in {_place(path)} does not fit open_clip's {model}, whose names or shapes differ "
            f"({_line(error)}): {remedy}."
        ) from error
    return network.eval().requires_grad_(False)


def _fill(name: str, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    from torchvision import models

    with torch.device("meta"):  # no random start, so the global generator is not touched
        model = models.get_model(name, weights=None)
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(
            f"The weights do not fit torchvision's {name}, whose names or shapes differ: update torchvision."
        ) from error
    return model.eval()


def manifest(folder: Path | None = None) -> dict[str, tuple[str, int]]:
    """Return {file: (sha256, bytes)} from the table in `folder`/README.md; the default folder is data/."""
    text = ((folder or DATA) / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \| ([\d,]+) \|", text, re.MULTILINE)
    return {file: (sha256, int(size.replace(",", ""))) for file, sha256, size in rows}


def shipped(file: str) -> Path:
    """Return the path of a file below data/ (such as "weights/squeezenet1_1.safetensors") after checking its sha256.

    Raises WeightsError if data/README.md does not list it, or if it is missing, unreadable or damaged.
    """
    listed = manifest()
    if file not in listed:
        raise WeightsError(f"data/{file} is not listed in data/README.md: add its row, or correct the name.")
    _verify(DATA / file, listed[file][0], f"bring it back with `git checkout -- data/{file}`")
    return DATA / file


def load_state(path: str | os.PathLike[str], *, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read {name: tensor} on the CPU from a .safetensors file or a torch file; never with pickle rights.

    sha256: the expected hash or its first 8 or more hex digits, checked before the file is parsed.
    Raises WeightsError if the file is absent, unreadable, truncated, has another hash or holds more than tensors.
    """
    path = Path(path)
    remedy = "get it again (for published weights, load_classifier with download=True does)"
    _verify(path, sha256, remedy)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # truncated and foreign files make the two parsers raise a dozen types
        raise WeightsError(
            f"{path.name} in {_place(path)} is damaged or is not a file of tensors ({_line(error)}): {remedy}."
        ) from error
    if not (isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())):
        raise WeightsError(f"{path.name} in {_place(path)} holds something other than named tensors: {remedy}.")
    return dict(state)


def fetch(
    url: str,
    path: str | os.PathLike[str],
    *,
    sha256: str,
    size: int | None = None,
    name: str | None = None,
    progress: bool = True,
    timeout: float = 20.0,
) -> Path:
    """Download `url` to `path` and return it; if a file with the right hash lies there already, only return it.

    The bytes go to a hidden file beside `path`, which takes its name once the hash is right; until then whatever lies
    at `path` stays. An interrupted download goes on where it stopped, if the server can do that (RFC 9110, section 14),
    and starts over if not, or if the joined file turns out wrong.

    sha256: the expected hash or its first 8 or more hex digits. size: the expected bytes, to one part in a thousand
    (publishers round; the hash decides). name: what the progress bar and the messages call the file, if not by its own
    name. timeout: seconds without a byte after which the server counts as stalled.
    Raises WeightsError, one sentence each: no network, an HTTP error, a stall, a broken connection, a wrong size or
    hash, no room, an unwritable folder, another process downloading the same file.
    """
    path = Path(path)
    name = name or path.name
    partial = path.with_name(f".{path.name}.part")
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        if _matches(path, sha256):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=0):
            try:
                if not _matches(path, sha256):  # another process may have finished it just now
                    _download(url, path, partial, name, sha256, size, progress, timeout)
            finally:
                with contextlib.suppress(OSError):  # Windows removes it by itself, and not while it is held
                    Path(lock.lock_file).unlink()
    except Timeout:
        raise WeightsError(
            f"{name} is being downloaded by another process: wait until it is done, then run this again."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            partial.unlink(missing_ok=True)
        raise WeightsError(f"{name} could not be downloaded: {_explain(error, url, path, timeout)}.") from error
    return path


def _download(
    url: str, path: Path, partial: Path, name: str, sha256: str, size: int | None, progress: bool, timeout: float
) -> None:
    resumed = _transfer(url, partial, name, size, progress, timeout)
    if resumed and not _matches(partial, sha256):
        partial.unlink()
        _transfer(url, partial, name, size, progress, timeout)
    if not _matches(partial, sha256):
        found = _hash(partial)[: len(sha256)]
        partial.unlink()
        raise WeightsError(
            f"{name} came from {urlsplit(url).hostname} with sha256 {found}, expected {sha256}: "
            "it was thrown away; try again later or from another network."
        )
    os.replace(partial, path)


def _transfer(url: str, partial: Path, name: str, size: int | None, progress: bool, timeout: float) -> bool:
    """Bring `partial` to its full length; return whether its first bytes may come from an earlier attempt."""
    from tqdm.auto import tqdm

    have = partial.stat().st_size if partial.exists() else 0
    resuming = have > 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if resuming else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and resuming:
            return True  # no byte is missing, or too many are there: the hash tells
        raise
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
        total = None if response.length is None else have + response.length
        slack = (size or 0) // 1000
        if size is not None and total is not None and abs(total - size) > slack:
            raise WeightsError(
                f"{name} has {total:,} bytes on {urlsplit(url).hostname}, expected {size:,}: nothing was downloaded; "
                "try again later or from another network."
            )
        if shutil.disk_usage(partial.parent).free < (total or size or 0) - have:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        limit = None if size is None else size + slack
        with (
            partial.open("ab" if have else "wb") as file,
            tqdm(desc=name, total=total or size, initial=have, unit="B", unit_scale=True, disable=not progress) as bar,
        ):
            while block := response.read1(1 << 20):
                have += len(block)
                if limit is not None and have > limit:
                    raise WeightsError(f"{name} is longer than the expected {size:,} bytes: try again later.")
                file.write(block)
                bar.update(len(block))
    if total is not None and have < total:
        raise ConnectionError(f"the connection broke after {have:,} of {total:,} bytes")
    return resuming


def _explain(error: Exception, url: str, path: Path, timeout: float) -> str:
    """Say in words, without the final stop, what went wrong and what to do."""
    host = urlsplit(url).hostname
    again = "run this again, and it goes on where it stopped"
    if isinstance(error, urllib.error.HTTPError):
        gone = error.code in {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE}
        remedy = "its address has changed, so update torchvision or open_clip" if gone else "try again later"
        return f"{host} answered {error.code} {error.reason}; {remedy}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        return f"the name {host} cannot be looked up; check the network connection and {again}"
    if isinstance(cause, TimeoutError):
        return f"{host} sent nothing for {timeout:g} s; {again}"
    if isinstance(error, (urllib.error.URLError, ConnectionError, http.client.HTTPException)):
        return f"{host} cannot be reached or broke off ({cause}); check the network connection and {again}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"there is no room for it in {_place(path)}; free some disk space and run this again"
    return f"it cannot be written to {_place(path)} ({error.strerror}); choose another folder (TORCH_HOME, HF_HOME)"


def _verify(path: Path, sha256: str | None, remedy: str) -> None:
    try:
        with path.open("rb"):
            intact = sha256 is None or _matches(path, sha256)
    except FileNotFoundError:
        raise WeightsError(f"{path.name} is not in {_place(path)}: {remedy}.") from None
    except OSError as error:
        raise WeightsError(f"{path.name} in {_place(path)} cannot be read ({error.strerror}): {remedy}.") from error
    if not intact:
        found = _hash(path)[: len(sha256)]
        raise WeightsError(f"{path.name} in {_place(path)} is damaged (sha256 {found}, expected {sha256}): {remedy}.")


def _matches(path: Path, sha256: str) -> bool:
    if not re.fullmatch(r"[0-9a-f]{8,64}", sha256):
        raise ValueError(f"A sha256 is 8 to 64 hex digits in small letters, not {sha256!r}.")
    return path.exists() and _hash(path).startswith(sha256)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(error: Exception) -> str:
    """Return the first line of an error's text, without a final stop, or its type's name where it has none."""
    return str(error).strip().partition("\n")[0].rstrip(".: ") or type(error).__name__


def _place(path: Path) -> str:
    """Name the folder of `path` without the account's name in it."""
    folder = path.parent.absolute()
    if folder.is_relative_to(DATA.parent):
        return folder.relative_to(DATA.parent).as_posix()
    return f"~/{folder.relative_to(Path.home()).as_posix()}" if folder.is_relative_to(Path.home()) else str(folder)
