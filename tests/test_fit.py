"""The training loop: it learns, goes on where it was stopped, refuses old work, and says why it stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.training.fit import Diverged, Recipe, Shuffled, fit, parameter_groups, read_checkpoint, seeded

RECIPE = Recipe(steps=40, rate=0.02, weight_decay=0.1, seed=3)
X = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > X[:, 1]).long()


def model() -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(5, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 2)), 0)


def loss(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(net(x), y)


def train(net: nn.Module, recipe: Recipe = RECIPE, **more):
    return fit(net, Shuffled((X, Y), 16, recipe.seed), loss, recipe, progress=False, **more)


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_it_learns_and_leaves_the_model_ready_and_the_global_generator_alone() -> None:
    net, before = model(), torch.get_rng_state()
    run = train(net)
    assert len(run.losses) == 40 and run.seconds > 0
    assert sum(run.losses[-5:]) < 0.5 * sum(run.losses[:5])
    assert not net.training
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("more", [{}, {"ema": 0.9}, {"optimizer": "sgd", "schedule": "tenth", "warm_up": 0, "clip": 0}])
def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path: Path, more: dict) -> None:
    recipe, path = replace(RECIPE, **more), tmp_path / "run.checkpoint"

    def stop(step: int, net: nn.Module) -> None:
        if step == 25:
            raise KeyboardInterrupt

    whole, stopped, resumed = model(), model(), model()
    first = train(whole, recipe)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, recipe, checkpoint=path, every=10, after_step=stop)
    second = train(resumed, recipe, checkpoint=path, every=10)
    assert second.first == 20 and len(second.losses) == 20
    assert second.losses == first.losses[20:]
    assert torch.equal(weights(whole), weights(resumed))
    assert not torch.equal(weights(whole), weights(stopped))


def test_a_finished_run_is_given_back_and_not_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path, net, again = tmp_path / "run.checkpoint", model(), model()
    train(net, checkpoint=path)
    run = train(again, checkpoint=path)
    assert run.losses == [] and torch.equal(weights(net), weights(again))
    assert "was finished before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "key", "word"),
    [
        (replace(RECIPE, rate=0.01), "a", "rate = 0.02, not 0.01"),
        (replace(RECIPE, steps=41), "a", "steps = 40, not 41"),
        (RECIPE, "b", "key = 'a', not 'b'"),
        (RECIPE, {"batch": 3}, "batch = None, not 3|key = 'a', not None"),
    ],
)
def test_old_work_does_not_pass_for_new(tmp_path: Path, recipe: Recipe, key: str | dict, word: str) -> None:
    path = tmp_path / "run.checkpoint"
    train(model(), checkpoint=path, key="a")
    kept = path.read_bytes()
    with pytest.raises(ValueError, match=word):
        train(model(), recipe, checkpoint=path, key=key)
    assert path.read_bytes() == kept


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    train(model(), checkpoint=path)
    good = path.read_bytes()
    for bad in (good[: len(good) // 2], good.replace(good[5000:5004], bytes(4), 1), b"", b"nothing"):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"is damaged .*move it away"):
            read_checkpoint(path, {})
        assert path.read_bytes() == bad


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"

    def broken(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        broken.calls += 1
        return loss(net, x, y) * (float("nan") if broken.calls == 15 else 1)

    broken.calls = 0
    net = model()
    with pytest.raises(Diverged, match=r"the loss is nan in step 15: lower the rate, which is 0\.02 at most"):
        fit(net, Shuffled((X, Y), 16), broken, RECIPE, progress=False, checkpoint=path, every=10)
    assert torch.isfinite(weights(net)).all()
    assert torch.load(path, weights_only=True)["step"] == 10


def test_too_few_batches_are_named() -> None:
    with pytest.raises(ValueError, match="ended after 3 of 40 steps"):
        fit(model(), lambda first: iter([(X, Y)] * 3), loss, RECIPE, progress=False)
    with pytest.raises(ValueError, match="65 rows are more than the 64"):
        next(iter(Shuffled((X, Y), 65)(0)))


def test_only_matrices_decay() -> None:
    net = nn.ModuleDict({"embedding": nn.Embedding(3, 4), "body": model(), "conv": nn.Conv2d(1, 2, 3)})
    net.register_parameter("class_token", nn.Parameter(torch.zeros(1, 1, 4)))
    net.register_parameter("pos_embedding", nn.Parameter(torch.zeros(1, 9, 4)))
    net["conv"].bias.requires_grad_(False)
    names = {id(p): name for name, p in net.named_parameters()}
    decays, spared = ([names[id(p)] for p in group["params"]] for group in parameter_groups(net, 0.1))
    assert decays == ["body.0.weight", "body.3.weight", "conv.weight"]
    assert set(spared) == set(names.values()) - set(decays) - {"conv.bias"}


def test_momentum_stays_and_the_rate_rises_and_falls() -> None:
    recipe = Recipe(steps=100, rate=1.0, warm_up=0.1)
    scales = [recipe.scale(step) for step in range(100)]
    assert scales[:10] == [pytest.approx((k + 1) / 10) for k in range(10)]
    assert max(scales) == 1.0 and scales[-1] < 0.001 and scales[10:] == sorted(scales[10:], reverse=True)
    tenth = Recipe(steps=100, rate=1.0, warm_up=0, schedule="tenth")
    assert [tenth.scale(0), tenth.scale(74), tenth.scale(75)] == [1.0, 1.0, 0.1]
    assert {replace(tenth, schedule="constant").scale(step) for step in range(100)} == {1.0}


def test_the_loop_is_torchs_adamw_with_this_schedule() -> None:
    ours, plain = model(), model()
    recipe = replace(RECIPE, clip=0.0)
    train(ours, recipe)
    optimizer = torch.optim.AdamW(parameter_groups(plain, 0.1), lr=recipe.rate)
    for step, (x, y) in zip(range(40), Shuffled((X, Y), 16, recipe.seed)(0), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * recipe.scale(step)
        optimizer.zero_grad()
        loss(plain, x, y).backward()
        optimizer.step()
    assert (weights(ours) - weights(plain)).abs().max() < 1e-5
    clipped = model()
    train(clipped, replace(recipe, clip=0.01))
    assert (weights(ours) - weights(clipped)).abs().max() > 1e-3


def test_batches_are_the_same_whenever_they_are_asked_for() -> None:
    def change(parts, generator, step):
        return (*parts, torch.rand(1, generator=generator), torch.tensor([step]))

    batches = Shuffled((X, Y), 16, seed=1, change=change)
    all_of_them = [batch for batch, _ in zip(batches(0), range(11), strict=False)]
    for first in (1, 4, 7):
        for batch, expected in zip(batches(first), all_of_them[first:], strict=False):
            assert all(map(torch.equal, batch, expected))
    assert [int(batch[3]) for batch in all_of_them] == list(range(11))
    epoch = torch.cat([x for x, *_ in all_of_them[:4]])
    assert torch.equal(epoch.sort(0).values, X.sort(0).values)  # each row once
    assert not torch.equal(all_of_them[0][0], all_of_them[4][0])
