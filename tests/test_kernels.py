"""The named kernels: their values, their direction, and what a wrong name says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers.page.kernels import KERNELS, kernel


def respond(name: str, picture: np.ndarray) -> np.ndarray:
    tensor = torch.from_numpy(picture.astype(np.float32))[None, None]
    return F.conv2d(tensor, torch.from_numpy(kernel(name))[None, None])[0, 0].numpy()


def test_every_kernel_is_float32_3x3_and_read_only():
    assert len(KERNELS) == 9
    for name, weights in KERNELS.items():
        assert weights.shape == (3, 3) and weights.dtype == np.float32, name
        with pytest.raises(ValueError, match="read-only"):
            weights[0, 0] = 5
        mine = kernel(name)
        mine[0, 0] = 5  # a copy: the course's kernel stays
        assert not np.array_equal(mine, KERNELS[name])


def test_sums():
    """Weights that add up to 1 keep the brightness of a plain area; those that add up to 0 make it black."""
    ones = {"identity", "blur", "sharpen", "emboss"}
    assert {name: float(weights.sum()) for name, weights in KERNELS.items()} == {
        name: float(name in ones) for name in KERNELS
    }


def test_identity_returns_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (7, 9))
    assert np.array_equal(respond("identity", picture), picture[1:-1, 1:-1])


def test_blur_is_the_binomial_filter():
    assert np.array_equal(KERNELS["blur"], np.outer([1, 2, 1], [1, 2, 1]) / 16)


@pytest.mark.parametrize(
    ("name", "bright"),
    [
        ("sobel_top", np.s_[:3, :]),
        ("sobel_bottom", np.s_[3:, :]),
        ("sobel_left", np.s_[:, :3]),
        ("sobel_right", np.s_[:, 3:]),
    ],
)
def test_sobel_answers_to_its_bright_side(name, bright):
    picture = np.zeros((6, 6))
    picture[bright] = 1
    assert respond(name, picture).max() == 4 and respond(name, picture).min() == 0
    assert respond(name, 1 - picture).max() == 0, "the opposite edge must not answer"


def test_the_kernels_are_not_turned():
    """A true convolution, which turns the kernel by 180°, exchanges top and bottom: the direction is ours to keep."""
    assert np.array_equal(KERNELS["sobel_top"][::-1, ::-1], KERNELS["sobel_bottom"])
    assert np.array_equal(KERNELS["emboss"], [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])


def test_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match=r"no kernel named 'sobel'.*sobel_top.*sobel_right"):
        kernel("sobel")
