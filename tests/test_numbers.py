"""Numbers for printing have no negative zero, in whatever kind they come."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.page.numbers import rounded


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (-0.04, "0.0"),
        (-0.06, "-0.1"),
        (7, "7"),
        (np.float32(-0.04), "0.0"),
        (np.array([-0.01, 24.42, -1.44]), "[ 0.  24.4 -1.4]"),
        (torch.tensor([-0.01, 24.5, -1.5]), "tensor([ 0.0000, 24.5000, -1.5000])"),
        (torch.tensor([-0.01, 1], dtype=torch.bfloat16), "tensor([0., 1.], dtype=torch.bfloat16)"),
    ],
)
def test_a_rounded_zero_has_no_sign(x: object, text: str) -> None:
    assert str(rounded(x)) == text
    assert type(rounded(x)) is type(x)


def test_the_number_of_decimals_can_be_chosen() -> None:
    assert rounded(-0.047, 2) == -0.05
    assert rounded(torch.tensor(1234.0), -2).item() == 1200
