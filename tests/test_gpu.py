"""Every model computes on a graphics card: where there is none, on tensors that only say that they are on one."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call

from helpers.models import clip
from helpers.training.fit import seeded
from tools.gpu_check import CASES, Calling, Case, main


def on_a_card(case: Case, monkeypatch: pytest.MonkeyPatch, left_here: bool = False) -> torch.Tensor:
    """The output of a case whose parameters and inputs are fake tensors on "cuda"; `left_here` forgets the inputs."""
    model, inputs = case
    monkeypatch.setattr(clip, "_longest", lambda end: 32)  # a fake tensor has no values to measure
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:

        def there(tensor: torch.Tensor) -> torch.Tensor:
            return mode.from_tensor(tensor).detach().to("cuda")

        state = {name: there(t) for name, t in (*model.named_parameters(), *model.named_buffers())}
        given = [mode.from_tensor(x) if left_here else there(x) for x in inputs]
        return functional_call(model, state, tuple(given))


@pytest.mark.parametrize("name", CASES)
def test_every_model_computes_on_the_card(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = seeded(CASES[name], 0)
    assert on_a_card(case, monkeypatch).device.type == "cuda"
    with pytest.raises((RuntimeError, TypeError)):
        on_a_card(case, monkeypatch, left_here=True)


def test_a_model_that_makes_its_tensors_on_the_cpu_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return model(x) + torch.zeros(3)

    with pytest.raises(RuntimeError, match="device"):
        on_a_card((Calling(nn.Linear(2, 3), forgetful), (torch.zeros(1, 2),)), monkeypatch)


def test_without_a_card_the_check_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    assert main() == 1
    assert "no graphics card" in capsys.readouterr().out
