"""The table as a gymnasium environment."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.worlds.table.env import TARGETS, TableEnv
from helpers.worlds.table.episode import Task, task_at
from helpers.worlds.table.instructions import reached, read
from helpers.worlds.table.planner import next_step
from helpers.worlds.table.scene import Scene, Thing
from helpers.worlds.table.skills import DONE, Step, every_step


def test_gymnasium_has_no_complaint() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("Table-v0", size=32, render_mode="rgb_array").unwrapped, skip_render_check=False)


def test_the_check_finds_a_broken_environment() -> None:
    class Broken(TableEnv):
        def _observation(self) -> dict:
            return super()._observation() | {"state": np.zeros(3, np.float32)}

    with pytest.raises(AssertionError):
        check_env(Broken(size=32), skip_render_check=True)


def oracle(env: TableEnv) -> tuple[float, int]:
    """The reward that the oracle gets, and how many steps it took."""
    reward, ended = 0.0, False
    while not ended:
        step = next_step(env.scene, env.task.goal)
        _, reward, terminated, truncated, _ = env.step(env.action(step))
        ended = terminated or truncated
    return reward, env.taken


def test_the_oracle_reaches_nearly_every_goal_in_spite_of_slips_and_a_disturbance() -> None:
    env = TableEnv(size=32)
    rewards = [oracle(env)[0] for seed in range(24) if env.reset(seed=seed)]
    assert sum(rewards) >= 23


def test_the_same_seed_gives_the_same_episode_and_another_seed_another() -> None:
    def told(seed: int) -> list:
        env = TableEnv(size=32)
        env.reset(seed=seed)
        oracle(env)
        return [env.task.instruction, env.scene, env.taken]

    assert told(3) == told(3) != told(4)


def test_something_happens_as_often_as_is_set() -> None:
    for often in (0, 1, 2):
        env, found = TableEnv(size=32, slips=0, disturbances=often, kind="tower"), 0
        for seed in range(6):
            env.reset(seed=seed)
            ended = False
            while not ended:
                action = env.action(next_step(env.scene, env.task.goal))
                *_, terminated, truncated, info = env.step(action)
                found += info["disturbed"]
                ended = terminated or truncated
        assert found == 0 if often == 0 else 4 <= found <= 6 * often


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 3 * 8 * len(TARGETS) - 1), min_size=1, max_size=8))
def test_any_actions_keep_the_table_in_order(seed: int, numbers: list[int]) -> None:
    env = TableEnv(size=32, longest=100)
    env.reset(seed=seed)
    for number in numbers:
        action = np.array(np.unravel_index(number, env.action_space.nvec))
        before = env.scene
        observation, reward, terminated, _, info = env.step(action)
        assert observation in env.observation_space
        assert info["refused"] is None or info["disturbed"] or env.scene == before
        assert reward == float(terminated and reached(env.scene, env.task.goal))
        assert Scene.from_json(env.scene.to_json()) == env.scene


def test_each_step_is_an_action_and_back() -> None:
    env = TableEnv(size=32)
    env.reset(seed=1)
    for step in every_step(env.scene):
        assert env.action(step) in env.action_space and env.meant(env.action(step)) == step
    assert env.meant(np.array([0, 0, TARGETS.index("left")])) is None  # one does not put to the left
    assert env.meant(np.array([1, 0, TARGETS.index("aside")])) is None
    assert env.meant(np.array([0, 7, TARGETS.index("aside")])) in (None, Step("put", 7, "aside"))


def test_a_task_of_ones_own_is_played_and_ends_with_done() -> None:
    scene = Scene((Thing("block", "red", 0.5, 0.5), Thing("bowl", "blue", 0.17, 0.17)))
    kind, goal = read(scene, "put the red block in the blue bowl")
    env = TableEnv(size=32, slips=0, disturbances=0)
    observation, info = env.reset(
        seed=0, options={"task": Task(scene, kind, "put the red block in the blue bowl", goal)}
    )
    assert observation["instruction"] == "put the red block in the blue bowl" and not info["reached"]
    assert env.step(env.action(DONE))[1:4] == (0.0, True, False)  # too early
    env.reset(seed=0, options={"task": Task(scene, kind, "", goal)})
    _, reward, terminated, _, info = env.step(env.action(Step("put", 0, 1)))
    assert info["reached"] and not terminated and reward == 0.0
    assert env.step(env.action(DONE))[1:4] == (1.0, True, False)


def test_wrong_settings_are_named_and_an_episode_must_begin() -> None:
    for name, value in {
        "size": 4, "slips": 2, "disturbances": -1, "longest": 0, "render_mode": "human",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=name):
            TableEnv(**{name: value})
    with pytest.raises(RuntimeError, match="call reset first"):
        TableEnv(size=32).step(np.array([2, 0, 0]))
    assert TableEnv(size=32).render() is None
    assert task_at("train", 0).instruction
