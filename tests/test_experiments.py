"""The frame of the experiments: nothing run twice, nothing half-written, no verdict but by the rule that was stored."""

from __future__ import annotations

import json
import math
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments import __main__ as command_line
from experiments import depth, registry, runner
from experiments.runner import Experiment, report, result_path, run
from helpers.files import ROOT, code_digest, whole
from helpers.models.resnet import CifarBlock, cifar_network
from helpers.training.fit import Diverged
from helpers.training.statistics import interval
from helpers.weights.store import WeightsError

NAMES = registry.all_experiments()
# Written down and tested, but not run yet: `python -m experiments run NAME` stores the result, and then the name goes.
NOT_RUN = {
    "few_pairs",
    "palm_e_forgetting",
    "palm_e_replanning",
    "palm_e_transfer",
    "prefix_lm",
    "vilbert_pretraining",
}


def load_result(name: str, quick: bool = False) -> dict:
    return json.loads(result_path(name, quick).read_text(encoding="utf-8"))


def toy_run(settings: dict, seed: int) -> dict:
    """The loss is lowest at rate 2."""
    return {"loss": abs(settings["rate"] - 2) + settings["more"] + seed / 10}


TOY = Experiment(
    name="toy",
    hypothesis="b is worse than a",
    arms={"a": {"more": 0}, "b": {"more": 1}},
    seeds=(0, 1, 2),
    metric="loss",
    rule="confirmed if b's mean is above a's",
    run=toy_run,
    judge=lambda figures: {"verdict": "confirmed" if figures["b"][0]["loss"] > figures["a"][0]["loss"] else "refuted"},
    quick={"more": 5},
    grid={"rate": (1, 2, 4)},
    tuned_by="loss",
)


class AtOnce:
    """A pool that runs what it is given in this process, where a test can count and break."""

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, function: object, *args: object) -> object:
        from concurrent.futures import Future

        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **options: object) -> None:
        pass


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The runs that the toy was asked for; the module's `fails` makes runs fail, its `code` stands for its code."""
    made: list[tuple] = []
    module = types.ModuleType("experiments.toy")
    module.fails, module.code = set(), "first"

    def counted(settings: dict, seed: int) -> dict:
        if seed in module.fails:
            raise RuntimeError("no more power")
        made.append((settings["more"], settings["rate"], seed))
        return toy_run(settings, seed)

    module.EXPERIMENT = replace(TOY, run=counted)
    monkeypatch.setitem(sys.modules, "experiments.toy", module)
    monkeypatch.setattr(runner, "ProcessPoolExecutor", AtOnce)
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")
    monkeypatch.setattr(runner, "DATA", tmp_path / "data")
    monkeypatch.setattr(runner, "code_digest", lambda name, data: module.code)
    return made


def test_each_arm_gets_its_best_rate_and_every_seed(calls: list) -> None:
    result = run(TOY)
    assert {(one["arm"], one["seed"]) for one in result["runs"]} == {(arm, seed) for arm in "ab" for seed in range(3)}
    assert {one["settings"]["rate"] for one in result["runs"]} == {2}
    assert len(calls) == 6 + 6, "two arms by three rates, then two arms by three seeds"
    assert result["verdict"] == {"verdict": "confirmed"}
    assert load_result("toy") == result
    for sentence in (TOY.hypothesis, TOY.rule, TOY.metric):
        assert sentence in report(result)


def test_what_is_done_is_not_done_again(calls: list) -> None:
    sys.modules["experiments.toy"].fails = {2}
    with pytest.raises(RuntimeError, match="no more power"):
        run(TOY)
    assert not result_path("toy").exists(), "half an experiment has no result"
    before = len(calls)
    sys.modules["experiments.toy"].fails = set()
    run(TOY)
    assert len(calls) - before == 2, "only the two runs with seed 2 were missing"
    run(TOY)
    assert len(calls) - before == 2
    run(replace(TOY, arms={"a": {"more": 0}, "b": {"more": 3}}))
    assert len(calls) - before == 2 + 6, "other settings are another run"
    sys.modules["experiments.toy"].code = "second"
    run(TOY)
    assert len(calls) - before == 2 + 6 + 12, "other code makes other runs"
    assert load_result("toy")["code"] == "second"


def test_arms_that_are_tuned_alike_share_the_trial(calls: list) -> None:
    run(replace(TOY, tuned=lambda settings: settings | {"more": 0}))
    assert len(calls) == 3 + 6


def test_a_run_that_diverged_is_not_chosen(calls: list) -> None:
    def broken(settings: dict, seed: int) -> dict:
        if settings["rate"] == 1:
            raise Diverged("the loss is nan in step 3")
        return {"loss": settings["rate"]}

    sys.modules["experiments.toy"].EXPERIMENT = replace(TOY, run=broken)
    assert {one["settings"]["rate"] for one in run(TOY)["runs"]} == {2}


def test_a_run_that_diverged_is_told_and_later_runs_go_on(calls: list) -> None:
    def broken(settings: dict, seed: int) -> dict:
        if seed == 1 and settings["more"]:
            raise Diverged("the loss is nan in step 3")
        return toy_run(settings, seed)

    sys.modules["experiments.toy"].EXPERIMENT = replace(TOY, run=broken)
    for _ in range(2):
        result = run(TOY)
        assert result["verdict"] == {"verdict": "undecided", "diverged": ["b, seed 1: the loss is nan in step 3"]}
        told = report(result)
        assert "b, 3 seeds, 1 of them diverged: loss" in told and "a, 3 seeds: loss" in told
    json.loads(result_path("toy").read_text(), parse_constant=pytest.fail)


def test_quick_leaves_the_stored_result_alone(calls: list) -> None:
    with pytest.raises(SystemExit, match="python -m experiments run toy"):
        command_line.stored(result_path("toy"), "toy", quick=False)
    assert run(TOY, quick=True)["verdict"] == {"verdict": "none, a quick trial"}
    before = len(calls)
    run(TOY, quick=True)
    assert len(calls) == 2 * before, "a trial tries the code as it is now"
    assert not result_path("toy").exists()
    assert "QUICK TRIAL" in report(load_result("toy", quick=True))
    assert {one["settings"]["more"] for one in load_result("toy", quick=True)["runs"]} == {5}


def test_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2
    assert found["interval"] == pytest.approx([2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)], abs=1e-3)
    with pytest.raises(ValueError, match="two seeds"):
        interval([1.0])
    for bad in (math.nan, math.inf):
        assert all(math.isnan(x) for x in interval([1.0, bad, 2.0])["interval"])


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    with pytest.raises(RuntimeError), whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with whole(path) as temporary:
        temporary.write_text("one")
    with pytest.raises(RuntimeError), whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def flat(found: object, path: str = "") -> dict[str, object]:
    """What is nested in `found`, each leaf under its path."""
    if not isinstance(found, dict | list):
        return {path: found}
    items = found.items() if isinstance(found, dict) else enumerate(found)
    return {key: leaf for name, value in items for key, leaf in flat(value, f"{path}/{name}").items()}


def test_an_experiment_without_a_result_is_named_as_such() -> None:
    assert {name for name in NAMES if not result_path(name).exists()} == NOT_RUN


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_RUN])
def test_a_stored_result_was_judged_by_the_rule_in_the_code(name: str) -> None:
    experiment = NAMES[name]
    assert experiment.name == name
    result = load_result(name)
    assert not result["quick"]
    for key in ("hypothesis", "metric", "rule"):
        assert result[key] == getattr(experiment, key), f"{key} was changed after the run: run it again"
    figures = {arm: [one["figures"] for one in result["runs"] if one["arm"] == arm] for arm in experiment.arms}
    assert all(len(of_arm) == len(experiment.seeds) for of_arm in figures.values())
    # The last digits of a least-squares fit are the machine's own.
    assert flat(experiment.judge(figures)) == pytest.approx(flat(result["verdict"]))
    for one in result["runs"]:
        assert one["settings"].items() >= experiment.arms[one["arm"]].items()


def test_the_command_line_lists_and_refuses(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    command_line.main(["list"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES) and len(NAMES) >= 3
    with pytest.raises(SystemExit):
        command_line.main(["run", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "does"), [("run", "run"), ("train", "train")])
def test_weights_that_are_not_there_end_the_command_with_a_sentence(
    command: str, does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise WeightsError("'street-text' has not been trained yet: train it")

    monkeypatch.setattr(command_line, does, lacking)
    name = {"run": next(iter(NAMES)), "train": "street-visualgpt"}[command]
    with pytest.raises(SystemExit, match="'street-text' has not been trained yet: train it"):
        command_line.main([command, name])


def verdicts(plain: list[float], residual: list[float]) -> list[str]:
    """The verdicts of `depth`, plain, residual and both, if 20 layers have these losses and 8 layers have 0.2."""
    figures = {f"{kind}-8": [{"loss": 0.2}] * 3 for kind in ("plain", "residual")}
    figures |= {"plain-20": [{"loss": x} for x in plain], "residual-20": [{"loss": x} for x in residual]}
    verdict = depth.judge(figures)
    return [verdict["plain"]["verdict"], verdict["residual"]["verdict"], verdict["verdict"]]


def test_depth_is_judged_by_its_rule() -> None:
    worse, as_good, better, wide = [0.5, 0.6, 0.7], [0.19, 0.2, 0.21], [0.1, 0.12, 0.14], [0.1, 0.3, 0.5]
    assert verdicts(worse, as_good) == ["confirmed", "confirmed", "confirmed"]
    assert verdicts(worse, worse) == ["confirmed", "refuted", "refuted"]
    assert verdicts(better, better)[0] == "refuted"
    assert verdicts(wide, as_good)[0] == "undecided"
    assert verdicts(worse, wide) == ["confirmed", "undecided", "undecided"]


def test_depth_says_nothing_if_an_arm_has_learned_nothing() -> None:
    # Guessing costs ln 7 = 1.95. A loss that is no better than half of it tells of the training, not of the depth.
    assert verdicts([1.0, 1.1, 0.95], [0.2, 0.2, 0.2])[2] == "undecided"
    assert verdicts([0.9, 0.91, 0.92], [0.2, 0.2, 0.2])[2] == "confirmed"


@pytest.mark.parametrize("layers", [8, 20, 56])
def test_depth_counts_layers_as_the_paper_and_shortcuts_are_free(layers: int) -> None:
    plain, residual = (cifar_network(layers, residual, 7) for residual in (False, True))
    weights = [m for m in residual.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weights) == layers
    assert [p.shape for p in plain.parameters()] == [p.shape for p in residual.parameters()]


def test_depth_shortcut_is_option_a() -> None:
    block = CifarBlock(2, 4, 2, residual=True).eval()
    torch.nn.init.zeros_(block.conv2.weight)  # the residual is zero, and only the shortcut is left
    x = torch.rand(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    y = block(x)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()
    block.residual = False
    assert not block(x).any()


def test_depth_refuses_other_depths() -> None:
    with pytest.raises(ValueError, match="depth 9 is not 6n"):
        cifar_network(9, True, 7)


def test_results_are_plain_json() -> None:
    for path in (ROOT / "data" / "results").glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_the_digest_changes_with_what_code_does_and_with_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "helpers" / "sub").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    one, two, other = (tmp_path / "helpers" / name for name in ("one.py", "two.py", "other.py"))
    data = tmp_path / "data" / "list.json"
    one.write_text("from helpers import two\n\ndef f():\n    return two.g()\n")
    two.write_text("import math\n\ndef g():\n    return 1\n")
    other.write_text("x = 1\n")
    data.write_text("[1]")
    digest = [code_digest("helpers.one", data=("list.json",), root=tmp_path)]

    def changed(path: Path, text: str) -> bool:
        path.write_text(text)
        digest.append(code_digest("helpers.one", data=("list.json",), root=tmp_path))
        return digest[-1] != digest[-2]

    assert not changed(
        two, '"""Says what it does."""\nimport math\n\n\ndef g():\n    """One."""\n    return 1  # one\n'
    )
    assert not changed(other, "x = 2\n")
    assert changed(two, "import math\n\ndef g():\n    return 2\n")
    assert changed(one, "def f():\n    from helpers import two, other\n    return two.g()\n"), (
        "also a late import counts"
    )
    assert changed(other, "x = 3\n")
    assert changed(data, "[2]")
    with pytest.raises(FileNotFoundError, match=r"helpers\.none"):
        code_digest("helpers.none", root=tmp_path)
