"""The choice of device."""

from __future__ import annotations

import pytest
import torch

from helpers.training.device import pick_device


@pytest.fixture
def only_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.delenv("COURSE_DEVICE", raising=False)


def test_the_fastest_device_is_picked(only_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")
    monkeypatch.setenv("COURSE_DEVICE", "mps")
    assert pick_device() == torch.device("mps")
    assert pick_device("cpu") == torch.device("cpu")


def test_an_absent_device_is_refused(only_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="'cuda' is not available here: choose one of cpu"):
        pick_device("cuda")
    monkeypatch.setenv("COURSE_DEVICE", "tpu")
    with pytest.raises(ValueError, match="'tpu' is not available here"):
        pick_device()
