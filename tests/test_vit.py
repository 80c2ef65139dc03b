"""The Vision Transformer is torchvision's, weight for weight, and refuses pictures that do not fit it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer as LibraryViT

from helpers.models.vit import StreetViT, VisionTransformer


def pair() -> tuple[VisionTransformer, LibraryViT]:
    """Ours with the weights of a small model of the library, whose zeros are made random: a zero head hides all."""
    library = LibraryViT(32, 8, num_layers=2, num_heads=4, hidden_dim=16, mlp_dim=24, num_classes=5).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in library.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    ours = VisionTransformer(32, 8, width=16, layers=2, heads=4, mlp=24, classes={"head": 5}).eval()
    ours.load_state_dict(library.state_dict(), strict=True)
    return ours, library


def pictures(side: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))


def difference(ours: VisionTransformer, library: LibraryViT) -> float:
    with torch.no_grad():
        return (ours(pictures())["head"] - library(pictures())).abs().max().item()


def test_equals_the_librarys() -> None:
    ours, library = pair()
    assert library(pictures()).abs().max() > 0.1
    assert difference(ours, library) < 1e-5


def test_gradients_equal_the_librarys() -> None:
    ours, library = pair()
    ours(pictures())["head"].square().sum().backward()
    library(pictures()).square().sum().backward()
    theirs = dict(library.named_parameters())
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, theirs[name].grad, rtol=1e-3, atol=1e-3), name


def swap_norms(model: VisionTransformer) -> None:
    for block in model.encoder.layers:
        block.ln_1, block.ln_2 = block.ln_2, block.ln_1


BREAKS = {
    "another eps": lambda m: [setattr(n, "eps", 1e-2) for n in m.modules() if isinstance(n, nn.LayerNorm)],
    "tanh GELU": lambda m: [setattr(n, "approximate", "tanh") for n in m.modules() if isinstance(n, nn.GELU)],
    "no positions": lambda m: nn.init.zeros_(m.encoder.pos_embedding),
    "no class token": lambda m: nn.init.zeros_(m.class_token),
    "norms swapped": swap_norms,
    "one head": lambda m: [setattr(b.self_attention, "heads", 1) for b in m.encoder.layers],
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_one_is_found_out(fault: str) -> None:
    ours, library = pair()
    BREAKS[fault](ours)
    assert difference(ours, library) > 1e-5


def test_vit_b_16_has_the_same_names_and_shapes() -> None:
    import torchvision

    with torch.device("meta"):
        library = torchvision.models.vit_b_16()
        ours = VisionTransformer(224, 16, 768, 12, 12, 3072, {"head": 1000})
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in library.state_dict().items()}
    assert sum(p.numel() for p in ours.parameters()) == 86_567_656


def test_without_positions_the_order_of_patches_is_not_seen() -> None:
    ours, _ = pair()
    x = pictures()
    patches = x.unflatten(2, (4, 8)).unflatten(4, (4, 8))  # [B, 3, 4, 8, 4, 8]
    order = torch.randperm(4, generator=torch.Generator().manual_seed(2))
    shuffled = patches[:, :, order].flatten(4, 5).flatten(2, 3)  # rows of patches in another order: [B, 3, 32, 32]
    with torch.no_grad():
        assert not torch.allclose(ours(x)["head"], ours(shuffled)["head"], atol=1e-4)
        ours.encoder.pos_embedding.zero_()
        assert torch.allclose(ours(x)["head"], ours(shuffled)["head"], atol=1e-5)


@pytest.mark.parametrize(
    "images",
    [pictures(side=40), pictures(channels=1), pictures()[:, :, :24], pictures()[0]],
    ids=lambda x: str(x.shape),
)
def test_other_pictures_are_refused_with_their_shape(images: torch.Tensor) -> None:
    ours, _ = pair()
    with pytest.raises(ValueError, match=r"expected pictures \[B, 3, 32, 32\], which give the 17 tokens") as error:
        ours(images)
    assert str(list(images.shape)) in str(error.value)


@pytest.mark.parametrize(("patch", "heads", "told"), [(7, 4, "patches of 7 px"), (0, 4, "of 0 px"), (8, 3, "3 heads")])
def test_sizes_that_do_not_fit_are_refused(patch: int, heads: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        VisionTransformer(32, patch, 16, 1, heads, 24, {"head": 5})


def test_the_street_model_takes_bytes() -> None:
    model = StreetViT({"vehicle": 7, "sky": 4}, width=20, layers=1)
    images = torch.zeros(2, 3, 96, 96, dtype=torch.uint8)
    assert {k: v.shape for k, v in model(images).items()} == {"vehicle": (2, 7), "sky": (2, 4)}
    with pytest.raises(ValueError, match="uint8"):
        model(images.float())
