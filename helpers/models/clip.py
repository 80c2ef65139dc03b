"""CLIP (Radford et al. 2021): an open_clip model, its features, its loss, its zero-shot classifier.

`image_features` and `text_features` compute what open_clip's `encode_image` and `encode_text` compute (section 2.4),
and leave out what the result does not depend on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from helpers.files import DATA
from helpers.models.layers import attention, project

if TYPE_CHECKING:
    from open_clip.model import CLIP
    from open_clip.transformer import ResidualAttentionBlock

CONFIGURATION = DATA / "models" / "street-clip.json"
MAX_LOG_SCALE = math.log(100)  # section 2.5: logits are never scaled by more than 100
Tokenizer = Callable[[list[str]], torch.Tensor]  # texts -> ids int64 [n, context_length]


def build_clip(configuration: Path = CONFIGURATION, seed: int = 0) -> CLIP:
    """The open_clip model of a configuration file, its weights drawn with `seed`, in training mode.

    The file's name without .json becomes a model name of open_clip, as "ViT-B-32" is one.
    Raises FileNotFoundError if there is no such file.
    """
    import open_clip  # about four seconds, so only when a model is wanted

    if not configuration.is_file():
        raise FileNotFoundError(f"{configuration} is missing: a model configuration of open_clip is expected there")
    open_clip.add_model_config(configuration)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # open_clip draws from the global generator, which is put back after
        # What open_clip.create_model does, without its warning that there are no weights.
        return open_clip.CLIP(**open_clip.get_model_config(configuration.stem))


def unsupported(model: nn.Module) -> str | None:
    """What of an open_clip model the functions below do not compute, in a few words; None if they compute all of it."""
    from open_clip.model import CLIP
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    if type(model) is not CLIP:
        return f"the class {type(model).__name__}"
    visual = model.visual
    if type(visual) is not VisionTransformer:
        return f"the image tower {type(visual).__name__}"
    if visual.attn_pool is not None or visual.pool_type != "tok":
        return "an image tower that pools other tokens than the class token"
    if not isinstance(visual.patch_dropout, nn.Identity):
        return "patches that are left out at random"
    if model.text_pool_type != "argmax" or model.attn_mask is None:
        return "a text tower that looks ahead, or pools other tokens than the end token"
    if not isinstance(model.text_projection, torch.Tensor):
        return "a text projection with a bias, or none"
    for block in (*visual.transformer.resblocks, *model.transformer.resblocks):
        if type(block) is not ResidualAttentionBlock or not isinstance(block.ls_1, nn.Identity):
            return "blocks with LayerScale or with other norms inside"
    return None


def _refuse_unsupported(model: CLIP) -> None:
    # Once for each model: the answer cannot change, and the modules would be walked in every step of training.
    if not getattr(model, "_is_supported", False):
        if reason := unsupported(model):
            raise ValueError(f"this model has {reason}: use its own encode_image and encode_text")
        model._is_supported = True


def _embedded(model: CLIP, images: torch.Tensor) -> torch.Tensor:
    """Class token and patches with their positions, before the first block: [B, 3, side, side] -> [B, 1 + N, width]."""
    _refuse_unsupported(model)
    visual = model.visual
    side, patch, width = visual.image_size[0], visual.patch_size[0], visual.conv1.out_channels
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1:] != (3, side, side):
        raise ValueError(
            f"images: {images.dtype} {list(images.shape)} is not uint8 [B, 3, {side}, {side}], as this model needs it"
        )
    mean, std = (images.new_tensor(v, dtype=torch.float32).view(3, 1, 1) for v in _statistics(visual))
    weight = visual.conv1.weight / (255 * std)  # [width, 3, patch, patch]
    bias = -(visual.conv1.weight * mean / std).sum((1, 2, 3))  # [width]
    patches = rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=patch, q=patch)  # [B, N, 3·patch²]
    x = F.linear(patches.float(), weight.view(width, -1), bias)  # [B, N, width]
    x = torch.cat([visual.class_embedding.expand(len(images), 1, -1), x], 1)  # [B, 1 + N, width]
    return visual.ln_pre(x + visual.positional_embedding)


def image_features(model: CLIP, images: torch.Tensor) -> torch.Tensor:
    """Features of length 1, float [B, embed_dim], of pictures uint8 [B, 3, side, side].

    Equal to `model.encode_image(x, normalize=True)` for the normalised pictures x. The normalisation is folded into
    the patch projection, and the last block computes the class token only, as no other token reaches the result.
    Raises ValueError for pictures of another shape or type, and for a model that is computed otherwise.
    """
    x = _embedded(model, images)
    *blocks, last = model.visual.transformer.resblocks
    for block in blocks:
        x = _block(block, x, x)
    token = _block(last, x[:, :1], x)[:, 0]  # [B, width]
    return F.normalize(model.visual.ln_post(token) @ model.visual.proj, dim=-1)


def image_tokens(model: CLIP, images: torch.Tensor, blocks: int | None = None) -> torch.Tensor:
    """What the class token and each patch hold after the first `blocks` blocks (default: all): [B, 1 + N, width].

    pictures: uint8 [B, 3, side, side]. A decoder looks at these tokens. Only the class token reaches CLIP's loss, so
    the patches' last tokens need not know much. Raises ValueError as `image_features` does.
    """
    x = _embedded(model, images)
    for block in model.visual.transformer.resblocks[:blocks]:
        x = _block(block, x, x)
    return x


def text_features(model: CLIP, ids: torch.Tensor) -> torch.Tensor:
    """Features of length 1, float [B, embed_dim], of texts int64 [B, context_length] with the end token's id highest.

    Equal to `model.encode_text(ids, normalize=True)`. What follows the texts is cut off, as no token looks ahead, and
    the last block computes the end token only. Raises ValueError for ids of another shape, and for a model that is
    computed otherwise.
    """
    _refuse_unsupported(model)
    if ids.ndim != 2 or ids.shape[1] > model.context_length:
        raise ValueError(f"ids: {list(ids.shape)} is not [B, up to {model.context_length}], as this model needs it")
    end = ids.argmax(1)  # [B], the place of the end token
    order = end.argsort(stable=True)
    # Texts of like length together, so that a short one is not computed at the length of the longest.
    features = torch.cat([_texts(model, ids[rows], end[rows]) for rows in order.split(64)])
    return features[order.argsort()]


def _texts(model: CLIP, ids: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Features of length 1 of texts int64 [B, n] whose end tokens are at `end` [B]."""
    length = _longest(end)
    x = model.token_embedding(ids[:, :length]) + model.positional_embedding[:length]  # [B, length, width]
    mask = model.attn_mask[:length, :length]  # [length, length], -inf where a token would look ahead
    *blocks, last = model.transformer.resblocks
    for block in blocks:
        x = _block(block, x, x, mask)
    ends = x[torch.arange(len(x), device=x.device), end][:, None]  # [B, 1, width]
    token = _block(last, ends, x, mask[end][:, None, None])[:, 0]  # [B, width]
    return F.normalize(model.ln_final(token) @ model.text_projection, dim=-1)


def _longest(end: torch.Tensor) -> int:
    return int(end.max()) + 1


def _statistics(visual: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    return (
        getattr(visual, "image_mean", None) or OPENAI_DATASET_MEAN,
        getattr(visual, "image_std", None) or OPENAI_DATASET_STD,
    )


def _block(
    block: ResidualAttentionBlock, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """What a block makes of the tokens x [B, m, width] of the sequences `context` [B, n, width]: [B, m, width].

    `mask` is added to the scores [B, heads, m, n]. `nn.MultiheadAttention` itself would compute every token's query.
    """
    attn, seen = block.attn, block.ln_1(context)
    query, key, value = project(attn, seen) if x is context else project(attn, block.ln_1(x), seen)
    x = x + attn.out_proj(attention(query, key, value, attn.num_heads, mask))
    return x + block.mlp(block.ln_2(x))


def contrastive_loss(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor | float) -> torch.Tensor:
    """The symmetric cross-entropy over the similarities of B pictures and B texts (figure 3 of the paper).

    image, text: features of length 1, float [B, D], row i of one belonging to row i of the other. scale: what the
    cosines are multiplied by. Raises ValueError if the shapes do not fit.
    """
    if image.ndim != 2 or image.shape != text.shape:
        raise ValueError(f"image {list(image.shape)} and text {list(text.shape)} are not both [B, D]")
    logits, own = scale * image @ text.T, torch.arange(len(image), device=image.device)  # [B, B], [B]
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def clamp_scale(step: int, model: CLIP) -> None:
    """Keep the scale of the logits between 1 and 100, after each step of training (section 2.5)."""
    with torch.no_grad():
        model.logit_scale.clamp_(0, MAX_LOG_SCALE)


def zero_shot_classifier(model: CLIP, tokenizer: Tokenizer, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
    """The rows of a classifier, float [classes, embed_dim], from the prompts of each class.

    A class is the mean of its prompts' features, brought back to length 1: an ensemble in the embedding space (Radford
    et al. 2021, section 3.1.4). Raises ValueError if a class has no prompt.
    """
    if not prompts or not all(prompts):
        raise ValueError("prompts: every class needs at least one sentence")
    device = model.logit_scale.device
    with torch.inference_mode():
        features = text_features(model, tokenizer([text for texts in prompts for text in texts]).to(device))  # [all, D]
        means = [group.mean(0) for group in features.split([len(texts) for texts in prompts])]  # classes x [D]
        return F.normalize(torch.stack(means), dim=-1).cpu()


def encode_images(model: CLIP, images: torch.Tensor, batch: int = 250) -> torch.Tensor:
    """Features of length 1, float [n, embed_dim] on the CPU, of many pictures uint8 [n, 3, side, side]."""
    device = model.logit_scale.device
    with torch.inference_mode():
        return torch.cat([image_features(model, part.to(device)).cpu() for part in images.split(batch)])
