"""The one door to models with weights: `load("street-clip")`, `load("alexnet")`, `load("ViT-B-32/openai")`.

Ours lie in data/; published ones are read from the cache of their library, or downloaded if that is asked for. Every
file is checked against a sha256 before it is used.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import torch
from PIL import Image

from helpers.files import whole
from helpers.weights.store import WeightsError, load_result, load_state, one_line, place, shipped, verify
from helpers.worlds.photographs import check_picture

TIMEOUT = 20.0  # seconds without a byte after which torchvision's server counts as stalled


@dataclass(frozen=True, eq=False, repr=False)
class Pretrained:
    """A model ready for use; printing it says which weights it has and why."""

    name: str
    tier: Literal["shipped", "real"]
    why: str
    model: torch.nn.Module  # in eval mode; its parameters need no gradient
    preprocess: Callable[[np.ndarray], torch.Tensor] | None = None  # uint8 [H, W, 3] -> the model's input [1, 3, h, w]
    classes: tuple[str, ...] | None = None  # of a classifier, in the order of its logits
    tokenizer: Callable[[str | list[str]], torch.Tensor] | None = None  # a CLIP's: n texts -> int64 [n, context_length]

    def __repr__(self) -> str:
        return f"{self.tier} weights: {self.name}, because {self.why}"


def load(name: str, *, download: bool = False, cache: Path | None = None) -> Pretrained:
    """Return the model `name` with its weights.

    name: one of
      - ours: "squeezenet1_1" (ImageNet), "street-clip", "street-resnet", "street-vit", "street-eye" and "table-eye"
        (what lies where), "street-text" (a decoder of text alone), "street-simvlm", "street-visualgpt",
        "street-vilbert" (which reads regions), "palm-e" (the robot), "words" (that of `helpers.models.words`);
      - a classifier of torchvision, such as "alexnet" or "vit_b_16";
      - a CLIP of open_clip with a tag of `open_clip.list_pretrained()`, such as "ViT-B-32/openai", or without one: then
        its first tag that begins with laion2b_s is meant, or else its first.

    Published weights are used if their file is in `cache` (default: the torch hub's, which follows TORCH_HOME, or the
    model hub's, which follows HF_HOME) and intact, or after a download if `download` is true; it is never made unasked.
    If they cannot be had, for whatever reason, "squeezenet1_1" stands in for a classifier and "street-clip" for a CLIP,
    and `tier` and `why` say so. A CLIP's activation is the one that its weights were trained with: QuickGELU for
    OpenAI's, also without "-quickgelu" in the name.
    Raises ValueError for an unknown name or a model that needs more than its weights, WeightsError if a shipped file is
    missing or damaged, and for a model of ours that is UNTRAINED.
    """
    if name in UNTRAINED:
        raise WeightsError(
            f"{name!r} has not been trained yet: `python -m experiments train {name}` makes its weights, in one to two "
            "hours on two cores."
        )
    if name in OURS:
        return _ours(name, "it was asked for by name")
    from torchvision import models  # a second or more, so only when a network is wanted

    classifier = name in models.list_models(module=models)
    try:
        return (_torchvision if classifier else _open_clip)(name, download, cache)
    except WeightsError as error:
        return _ours("squeezenet1_1" if classifier else "street-clip", str(error))


def _ours(name: str, why: str) -> Pretrained:
    with torch.random.fork_rng(devices=[]):  # the weights replace a random start
        parts = {"name": name} | OURS[name](name)
    parts["model"].eval().requires_grad_(False)
    return Pretrained(tier="shipped", why=why, **parts)


def _squeezenet(name: str) -> dict[str, Any]:
    from torchvision.models import squeezenet1_1

    from helpers.worlds.imagenet import caffe_preprocess, classes

    model = squeezenet1_1(weights=None)
    model.load_state_dict(load_state(shipped(f"weights/{name}.safetensors")))
    return {"name": "SqueezeNet 1.1", "model": model, "preprocess": caffe_preprocess, "classes": classes()}


def _street_clip(name: str) -> dict[str, Any]:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from helpers.models.clip import build_clip
    from helpers.worlds.tokenizer import StreetTokenizer

    model = build_clip(shipped(f"models/{name}.json"))
    model.load_state_dict(load_state(shipped(f"weights/{name}.safetensors")))
    transform = image_transform_v2(PreprocessCfg(size=model.visual.image_size[0]), is_train=False)
    return {"model": model, "preprocess": _pictures(transform), "tokenizer": StreetTokenizer(model.context_length)}


def _street_reader(name: str) -> dict[str, Any]:
    from torchvision.transforms.v2 import CenterCrop, Compose, PILToTensor, Resize

    from helpers.models.readers import build_street_model

    facts = load_result(name)
    model = build_street_model(facts["labels"], facts["configuration"])
    model.load_state_dict(load_state(shipped(f"weights/{name}.safetensors")))
    return {"model": model, "preprocess": _pictures(Compose([Resize(96), CenterCrop(96), PILToTensor()]))}


def _street_language(name: str) -> dict[str, Any]:
    from torchvision.transforms.v2 import CenterCrop, Compose, PILToTensor, Resize

    from helpers.models.speakers import build_speaker
    from helpers.worlds.tokenizer import StreetTokenizer

    tokenizer = StreetTokenizer()
    model = build_speaker(tokenizer.vocab_size, load_result(name)["configuration"])
    model.load_state_dict(load_state(shipped(f"weights/{name}.safetensors")))
    parts = {"model": model, "tokenizer": tokenizer}
    if name != "street-text":
        parts["preprocess"] = _pictures(Compose([Resize(96), CenterCrop(96), PILToTensor()]))
    return parts


def _words(name: str) -> dict[str, Any]:
    from helpers.models.words import PIECES, WEIGHTS, WordEmbedding

    pieces = shipped(PIECES).read_text(encoding="utf-8").splitlines()
    return {"model": WordEmbedding.from_packed(pieces, load_state(shipped(WEIGHTS)))}


def _palm_e(name: str) -> dict[str, Any]:
    from torchvision.transforms.v2 import CenterCrop, Compose, PILToTensor, Resize

    from helpers.models.palm_e import build_palm_e
    from helpers.worlds.table.sentences import table_tokenizer

    configuration = load_result(name)["configuration"]
    model = build_palm_e(**configuration)
    model.load_state_dict(load_state(shipped(f"weights/{name}.safetensors")))
    side = configuration["image"]
    pictures = _pictures(Compose([Resize(side), CenterCrop(side), PILToTensor()]))
    return {"model": model, "preprocess": pictures, "tokenizer": table_tokenizer()}


def _eye(name: str) -> dict[str, Any]:
    from helpers.models.palm_e import TableEye
    from helpers.models.resnet import PlaceReader

    model = {"street-eye": PlaceReader, "table-eye": TableEye}[name](**load_result(name)["configuration"])
    model.load_state_dict(load_state(shipped(f"weights/{name}.safetensors")))
    return {"model": model}


OURS = {
    "squeezenet1_1": _squeezenet,
    "palm-e": _palm_e,
    "table-eye": _eye,
    "street-clip": _street_clip,
    "street-resnet": _street_reader,
    "street-vit": _street_reader,
    "street-eye": _eye,
    "street-text": _street_language,
    "street-simvlm": _street_language,
    "street-visualgpt": _street_language,
    "street-vilbert": _street_language,
    "words": _words,
}
# Ours whose weights are not in data/ yet. A name leaves this list in the change that adds them.
UNTRAINED: tuple[str, ...] = ()


def _pictures(transform: Callable[[Image.Image], torch.Tensor]) -> Callable[[np.ndarray], torch.Tensor]:
    def preprocess(picture: np.ndarray) -> torch.Tensor:
        check_picture(picture)
        return transform(Image.fromarray(picture))[None]

    return preprocess


def _torchvision(name: str, download: bool, cache: Path | None) -> Pretrained:
    from torchvision import models

    published = models.get_model_weights(name).DEFAULT
    file = Path(urlsplit(published.url).path).name
    path = Path(cache or Path(torch.hub.get_dir()) / "checkpoints") / file
    sha256 = re.search(r"-([0-9a-f]{8,64})\.", file).group(1)  # torch hub's rule: the name ends in the hash's start
    call = f"load({name!r}, download=True)"
    if not path.exists() and not download:
        size = f"{published.meta['_file_size'] * 2**20 / 1e6:.0f} MB"
        raise WeightsError(f"{file} is not in the torch cache and no download was asked for ({call} fetches {size})")
    try:
        state = load_state(path, sha256, f"{call} fetches it again")
    except WeightsError:
        if not download:
            raise
        fetch(published.url, path, sha256)
        state = load_state(path, sha256)
    # torchvision's builder knows what weights need: their picture size, `transform_input`, old names. But it would read
    # the file itself, with pickle rights and no look at the hash, so it gets a twin of the record with the tensors.
    record = object.__new__(type(published))
    record.__dict__.update(published.__dict__, get_state_dict=lambda **_: state)
    try:
        with torch.random.fork_rng(devices=[]):
            model = models.get_model(name, weights=record)
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{file} does not fit torchvision's {name}, whose names or shapes differ: update torchvision."
        ) from error
    model, preprocess = model.eval().requires_grad_(False), _pictures(published.transforms())
    why = f"{file} is in the torch cache and intact"
    return Pretrained(name, "real", why, model, preprocess, tuple(published.meta["categories"]))


def fetch(url: str, path: Path, sha256: str) -> None:
    """Download `url` to `path`, which is only replaced once the new file has the right hash; a broken one starts anew.

    sha256: the hash or its first 8 or more hex digits. Raises WeightsError, one sentence each: no network, an HTTP
    error, a stall, a broken connection, a wrong hash, no room, an unwritable folder.
    """
    from pooch import HTTPDownloader

    with _one_sentence(path.name, url, path), whole(path) as temporary:
        # pooch.retrieve would compare the whole sha256, of which torchvision publishes 8 digits.
        HTTPDownloader(progressbar=True, chunk_size=1 << 20, timeout=TIMEOUT)(url, str(temporary), None)
        verify(temporary, sha256, "it was thrown away; try again later or from another network")


@contextmanager
def _one_sentence(name: str, url: str, path: Path) -> Iterator[None]:
    """Turn what a download can raise, a dozen types of three libraries, into WeightsError."""
    host = urlsplit(url).hostname
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        line = one_line(error)
        if status is not None:
            remedy = "its address has changed: update torchvision or open_clip" if status == 404 else "try again later"
            reason = f"{host} answered {status}; {remedy}"
        elif isinstance(error, OSError) and error.strerror and not isinstance(error, ConnectionError | TimeoutError):
            reason = f"it cannot be written to {place(path)} ({error.strerror}); free some disk space or choose "
            reason += "another folder (TORCH_HOME, HF_HOME)"
        else:
            line = type(error).__name__ if "ConnectionPool(" in line else line  # urllib3 prints its objects
            reason = f"{host} cannot be reached or broke off ({line}); check the network and run this again"
        raise WeightsError(f"{name} could not be downloaded: {reason}.") from error


def _open_clip(name: str, download: bool, cache: Path | None) -> Pretrained:
    import open_clip
    from huggingface_hub import constants, try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME
    from open_clip.transform import PreprocessCfg, image_transform_v2

    model, tag, published = _published_clip(name)
    name = f"{model}/{tag}"
    repository, file = os.path.split(published["hf_hub"])
    file = str(Path(file).with_suffix(".safetensors")) if file else HF_SAFE_WEIGHTS_NAME
    cache = Path(cache or constants.HF_HUB_CACHE)
    found = try_to_load_from_cache(repository, file, cache_dir=cache)
    path = Path(found) if isinstance(found, str) else None
    call = f"load({name!r}, download=True)"
    if path is None and not download:
        raise WeightsError(
            f"{file} of {repository} is not in the hub's cache and no download was asked for "
            f"({call} fetches about {_clip_size(model) / 1e6:.0f} MB)"
        )
    try:
        if path:
            # The cache names the file that is linked to after its sha256; where there are no links, nothing tells it.
            linked = Path(os.readlink(path)).name if path.is_symlink() else ""
            verify(path, linked if re.fullmatch(r"[0-9a-f]{64}", linked) else None, f"{call} fetches it again")
    except WeightsError:
        if not download:
            raise
        path = _fetch_from_hub(repository, file, cache, damaged=True)
    path = path or _fetch_from_hub(repository, file, cache)
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
            f"{file} in {place(path)} does not fit open_clip's {model} or is damaged ({one_line(error)}): "
            f"delete it, then {call} fetches it again, or choose another tag."
        ) from error
    preprocess = _pictures(image_transform_v2(PreprocessCfg(**network.visual.preprocess_cfg), is_train=False))
    activation = ", with QuickGELU, as they were trained" if published.get("quick_gelu") else ""
    why = f"{file} of {repository} is in the hub's cache and intact{activation}"
    network = network.eval().requires_grad_(False)
    return Pretrained(name, "real", why, network, preprocess, tokenizer=open_clip.get_tokenizer(model))


def _published_clip(name: str) -> tuple[str, str, dict[str, Any]]:
    """Return model, tag and open_clip's record of the weights (repository, picture statistics, QuickGELU or not)."""
    import open_clip  # about four seconds, so only when a model is wanted
    from torchvision import models

    model, _, tag = name.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tags and not tag:
        tag = next((tag for tag in tags if tag.startswith("laion2b_s")), tags[0])
    published = open_clip.get_pretrained_cfg(model, tag)
    if not published:
        known = [*OURS, *models.list_models(module=models), *map("/".join, open_clip.list_pretrained())]
        near = difflib.get_close_matches(name, known, cutoff=0) if name else OURS
        raise ValueError(
            f"There is no model {name!r}: try {' or '.join(map(repr, near))}; "
            "torchvision.models.list_models() and open_clip.list_pretrained() name what is published."
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
    coca = "multimodal_cfg" in configuration
    kind = (open_clip.CoCa if coca else open_clip.CustomTextCLIP) if custom else open_clip.CLIP
    with torch.device("meta"):
        return 4 * sum(parameter.numel() for parameter in kind(**configuration).parameters())


def _fetch_from_hub(repository: str, file: str, cache: Path, damaged: bool = False) -> Path:
    """Bring a file from the model hub into its cache and return its path there; `damaged` says that a bad one is there.

    The hub's client (2.4) resumes within one call and renames only what is complete, but compares no more than the
    length. So the sha256 that the hub tells is asked for first and compared in the end.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url

    url = hf_hub_url(repository, file)
    with _one_sentence(f"{file} of {repository}", url, cache / file):
        told = get_hf_file_metadata(url, token=False, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        if not re.fullmatch(r"[0-9a-f]{64}", told.etag or ""):
            raise ConnectionError("it told no sha256 as a model hub does: perhaps a login page answers in its place")
        path = Path(hf_hub_download(repository, file, cache_dir=cache, token=False, force_download=damaged))
        try:
            verify(path, told.etag, "it came so and was thrown away; try again later or from another network")
        except WeightsError:
            blob = path.resolve()
            path.unlink()
            blob.unlink(missing_ok=True)
            raise
    return path
