"""The CLIP of the street world: an open_clip model, and the quick way to its features equals the usual one."""

from __future__ import annotations

import json
import math
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.models.clip import (
    CONFIGURATION,
    MAX_LOG_SCALE,
    build_clip,
    clamp_scale,
    contrastive_loss,
    encode_images,
    image_features,
    image_tokens,
    text_features,
    zero_shot_classifier,
)
from helpers.worlds.street.prompts import street_prompts
from helpers.worlds.tokenizer import StreetTokenizer


@pytest.fixture(scope="module")
def model():
    return build_clip().eval()


def normalised(images: torch.Tensor) -> torch.Tensor:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return (images.float() / 255 - mean) / std


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 96, 96), generator=generator).to(torch.uint8)


def texts(lengths: list[int], seed: int = 0) -> torch.Tensor:
    """Ids of random pieces, so many between the start and the end token of each text."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros(len(lengths), 32, dtype=torch.long)
    for row, n in zip(ids, lengths, strict=True):
        row[0], row[1 : 1 + n], row[1 + n] = 1, torch.randint(5, 511, (n,), generator=generator), 511
    return ids


def test_pictures_get_the_features_of_open_clip(model) -> None:
    images = pictures(5)
    with torch.inference_mode():
        assert (
            image_features(model, images) - model.encode_image(normalised(images), normalize=True)
        ).abs().max() < 2e-6


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=90), seed=st.integers(0, 1000))
def test_texts_get_the_features_of_open_clip(model, lengths: list[int], seed: int) -> None:
    ids = texts(lengths, seed)
    with torch.inference_mode():
        assert (text_features(model, ids) - model.encode_text(ids, normalize=True)).abs().max() < 2e-6


def test_gradients_are_those_of_open_clip(model) -> None:
    images, ids = pictures(3), texts([1, 9, 30])
    pull = torch.randn(3, 128, generator=torch.Generator().manual_seed(1))

    def gradients(image: torch.Tensor, text: torch.Tensor) -> list[torch.Tensor]:
        total = (image * pull).sum() + (text * pull).sum()
        wanted = [p for name, p in model.named_parameters() if name != "logit_scale"]
        return list(torch.autograd.grad(total, wanted))

    ours = gradients(image_features(model, images), text_features(model, ids))
    usual = gradients(model.encode_image(normalised(images), normalize=True), model.encode_text(ids, normalize=True))
    for a, b in zip(ours, usual, strict=True):
        assert (a - b).abs().max() <= 1e-4 * b.abs().max() + 1e-7


def test_a_text_that_looks_ahead_and_a_forgotten_norm_are_noticed(model) -> None:
    images, ids, broken = pictures(2), texts([3, 12]), deepcopy(model)
    broken.attn_mask = torch.zeros_like(model.attn_mask)
    broken.visual.ln_pre = torch.nn.Identity()
    with torch.inference_mode():
        assert (text_features(broken, ids) - model.encode_text(ids, normalize=True)).abs().max() > 1e-3
        usual = model.encode_image(normalised(images), normalize=True)
        assert (image_features(broken, images) - usual).abs().max() > 1e-3


@pytest.mark.parametrize(
    "images", [pictures(1)[:, :2], pictures(1).float(), pictures(1)[..., :95], pictures(1)[0]], ids=str
)
def test_wrong_pictures_are_refused_with_their_shape(model, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images: .* is not uint8 \[B, 3, 96, 96\]"):
        image_features(model, images)


def test_a_text_that_is_too_long_is_refused(model) -> None:
    with pytest.raises(ValueError, match=r"ids: \[1, 33\]"):
        text_features(model, torch.ones(1, 33, dtype=torch.long))


def test_the_configuration_is_a_small_open_clip_model(model) -> None:
    import open_clip

    assert "street-clip" in open_clip.list_models()
    assert sum(p.numel() * p.element_size() for p in model.parameters()) <= 12e6
    assert isinstance(model, open_clip.model.CLIP)
    assert StreetTokenizer().vocab_size == model.vocab_size and StreetTokenizer().context_length == model.context_length


def test_building_is_seeded_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    a, b, c = build_clip(seed=3), build_clip(seed=3), build_clip(seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.visual.proj, c.visual.proj)
    with pytest.raises(FileNotFoundError, match="a model configuration of open_clip is expected"):
        build_clip(CONFIGURATION.with_name("nothing.json"))


def changed(**parts: dict) -> object:
    """An open_clip model like the street world's, some of whose settings are others."""
    import open_clip

    configuration = json.loads(CONFIGURATION.read_text(encoding="utf-8"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.CLIP(**{key: value | parts.get(key, {}) if isinstance(value, dict) else value
                                 for key, value in configuration.items()}).eval()  # fmt: skip


UNLIKE = {
    "mean of the patches": {"vision_cfg": {"pool_type": "avg"}},
    "LayerScale": {"vision_cfg": {"ls_init_value": 0.1}},
    "attentional pooling": {"vision_cfg": {"attentional_pool": True, "attn_pooler_heads": 4}},
    "patch dropout": {"vision_cfg": {"patch_dropout": 0.5}},
    "last token": {"text_cfg": {"pool_type": "last"}},
    "text that looks ahead": {"text_cfg": {"no_causal_mask": True}},
    "text LayerScale": {"text_cfg": {"ls_init_value": 0.1}},
    "query norm": {"vision_cfg": {"block_type": "custom", "qk_norm": True}},
    "a projection with a bias": {"text_cfg": {"proj_bias": True}},
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_a_model_that_is_computed_otherwise_is_refused(kind: str) -> None:
    model = changed(**UNLIKE[kind])
    for compute, inputs in ((image_features, pictures(1)), (image_tokens, pictures(1)), (text_features, texts([3]))):
        with pytest.raises(ValueError, match="use its own encode_image and encode_text"):
            compute(model, inputs)


def test_another_size_or_activation_is_computed_and_not_refused() -> None:
    model = changed(vision_cfg={"patch_size": 32, "layers": 1}, text_cfg={"layers": 1})
    with torch.inference_mode():
        usual = model.encode_image(normalised(pictures(2)), normalize=True)
        assert (image_features(model, pictures(2)) - usual).abs().max() < 2e-6


def test_patch_tokens_end_in_the_feature(model) -> None:
    images = pictures(3)
    with torch.inference_mode():
        tokens = image_tokens(model, images)
        assert tokens.shape == (3, 37, 128)
        feature = F.normalize(model.visual.ln_post(tokens[:, 0]) @ model.visual.proj, dim=-1)
        assert (feature - image_features(model, images)).abs().max() < 2e-6
        assert not torch.allclose(image_tokens(model, images, blocks=3), tokens)


# The loss


def unit(n: int, seed: int, d: int = 16) -> torch.Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 1000), scale=st.floats(0.5, 100))
def test_the_loss_is_open_clips(n: int, seed: int, scale: float) -> None:
    from open_clip import ClipLoss

    image, text = unit(n, seed), unit(n, seed + 1)
    ours, theirs = contrastive_loss(image, text, scale), ClipLoss()(image, text, torch.tensor(scale))
    assert torch.isclose(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_loss_of_one_direction_is_another_loss() -> None:
    image, text = unit(8, 0), unit(8, 1)
    rows_only = F.cross_entropy(10 * image @ text.T, torch.arange(8))
    assert (contrastive_loss(image, text, 10) - rows_only).abs() > 1e-3


def test_features_that_know_nothing_cost_the_log_of_the_batch() -> None:
    same = F.normalize(torch.ones(128, 4), dim=1)
    assert contrastive_loss(same, same, 14).item() == pytest.approx(math.log(128), abs=1e-5)
    assert contrastive_loss(same[:1], same[:1], 14).item() == 0


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        contrastive_loss(unit(3, 0), unit(4, 0), 1)


def test_the_scale_is_clamped_at_a_hundred() -> None:
    assert math.exp(MAX_LOG_SCALE) == pytest.approx(100)
    clip = build_clip()
    for start, end in ((9.0, math.log(100)), (-1.0, 0.0), (2.5, 2.5)):
        clip.logit_scale.data.fill_(start)
        clamp_scale(1, clip)
        assert clip.logit_scale.item() == pytest.approx(end)


# Zero-shot


def test_the_classifier_is_open_clips(model) -> None:
    from open_clip import build_zero_shot_classifier

    names, templates = ["red truck", "blue bus"], ["a {}", "a picture of a {}"]
    theirs = build_zero_shot_classifier(model, StreetTokenizer(), names, templates)  # [D, classes]
    ours = zero_shot_classifier(model, StreetTokenizer(), [[t.format(name) for t in templates] for name in names])
    assert (ours - theirs.T).abs().max() < 2e-6
    assert not torch.allclose(ours[0], ours[1])


def test_every_label_has_prompts_for_each_class() -> None:
    from helpers.worlds.street.sample import CLASSES

    for label, names in CLASSES.items():
        assert len(street_prompts(label)) == len(names)
    pairs = street_prompts("colour_vehicle")
    assert len(pairs) == 63 and all("red truck" in text for text in pairs[0])
    tokenizer = StreetTokenizer()
    for label in (*CLASSES, "colour_vehicle"):
        for text in (text for group in street_prompts(label) for text in group):
            assert len(tokenizer.encode(text)) <= 30, text  # none is cut
    with pytest.raises(ValueError, match="'wheels' is not one of"):
        street_prompts("wheels")
    with pytest.raises(ValueError, match="every class needs"):
        zero_shot_classifier(None, tokenizer, [["a car"], []])


def test_pictures_are_encoded_in_parts_as_in_one(model) -> None:
    images = pictures(7)
    assert (encode_images(model, images, batch=3) - image_features(model, images)).abs().max() < 1e-6
