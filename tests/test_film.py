"""The film of an episode tells what happened, plays in a browser by mouse and by keyboard, and loads nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.models.robot import Episode, Observation, Said, play
from helpers.page.film import END, GOOD, SLIP, SURPRISE, film, films, shots
from helpers.worlds.table.env import TableEnv
from helpers.worlds.table.skills import DONE
from tests import browser
from tests.test_robot import Scripted, knowing
from tools.browser import watched_page

chromium = browser.chromium


class Unsure(Scripted):
    """A scripted robot that is less sure of what it has said before."""

    def answer(self, prompts, pictures, steps=8) -> list[Said]:
        said = super().answer(prompts, pictures, steps)
        return [
            replace(one, probability=0.9 if one.text not in prompt else 0.4)
            for one, prompt in zip(said, prompts, strict=True)
        ]


def played(seed: int, closed: bool = True, mind=knowing, **settings) -> Episode:
    env = TableEnv(32, **{"kind": "tower", "slips": 0.2} | settings)
    (episode,) = play(Unsure(mind), [env], [seed], closed)
    return episode


@pytest.fixture(scope="module")
def eventful() -> Episode:
    """A tower in whose course a step slips and a block is moved."""
    return played(0)


def test_each_step_is_told_with_what_came_of_it(eventful: Episode) -> None:
    told = shots(eventful)
    assert [shot.said for shot in told] == [told["step"] for told in eventful.told]
    assert {shot.kind for shot in told} == {GOOD, SLIP, SURPRISE, END}
    assert [shot.probability for shot in told] == [said.probability for said in eventful.said]
    assert told[-1].outcome == "the goal is reached" and told[-1].step == DONE
    for shot, before, after in zip(told, eventful.scenes, eventful.scenes[1:], strict=False):
        assert shot.scenes[0] == before and shot.scenes[2] == after


@pytest.mark.parametrize("seed", range(12))
def test_what_the_robot_did_is_told_apart_from_what_happened_then(seed: int) -> None:
    episode = played(seed, kind=None, disturbances=3, slips=0.3)
    for shot, told in zip(shots(episode), episode.told, strict=True):
        before, between, after = shot.scenes
        changed = [k for k, (old, new) in enumerate(zip(before.things, between.things, strict=True)) if old != new]
        assert changed in ([], [shot.step.thing]), "a step moves its own block alone"
        assert told["disturbed"] or between == after
        assert ("then" in shot.outcome) == told["disturbed"]
        if told["succeeded"] and shot.step != DONE:
            assert between != before and shot.outcome.startswith("it succeeds")


def test_answers_refusals_and_the_limit_are_told() -> None:
    end = shots(played(0, mind=lambda *_: "there is no <b>moon</b>"))[-1]
    assert (end.said, end.outcome, end.kind) == ("there is no <b>moon</b>", "this is no step: the robot stops", END)

    def stubborn(prompt: str, pictures: list[Observation]) -> str:
        scene = pictures[-1].scene
        lower = [i for i in scene.blocks() if scene.above(i) is not None]
        return f"put {scene.the((lower or scene.blocks())[0])} aside"

    told = shots(played(1, mind=stubborn, longest=3, slips=0, disturbances=0))
    assert len(told) == 3 and told[-1].outcome.endswith("no more steps are allowed")
    stacked = [shot for seed in range(8) for shot in shots(played(seed, mind=stubborn, longest=1, kind="unstack all"))]
    assert any(re.match(r"not possible: the \w+ block is on it", shot.outcome) for shot in stacked)
    early = shots(played(0, mind=lambda *_: "done"))
    assert len(early) == 1 and early[0].outcome == "but the goal is not reached"


def test_a_plan_written_at_once_has_one_probability() -> None:
    episode = played(0, closed=False, slips=0, disturbances=0)
    assert {shot.probability for shot in shots(episode)} == {None} and len(episode.told) > 2
    page = data(film(episode, size=32).data)
    assert page["plan"] == episode.said[0].probability
    with pytest.raises(ValueError, match="has no step yet"):
        film(Episode("wait", "tower"))


def data(text: str) -> dict:
    """What the script of a film is given."""
    return json.loads(text.rpartition("mount(element, ")[2].partition(");\n")[0])


def test_without_a_script_the_steps_stand_there_as_text(eventful: Episode) -> None:
    bare = film(replace(eventful, instruction="<script>alert(1)</script>"), size=32).data.partition("<script type")[0]
    assert bare.count("<li>") == len(eventful.told) and "<script>" not in bare
    assert re.search(r'<img alt="At the start: .{20,}" width="32"', bare)
    assert "it slips" in bare and "(90%)" in bare and "(40%)" in bare


def test_the_same_episode_gives_the_same_file(eventful: Episode) -> None:
    assert film(eventful, 3, 32).data == film(eventful, 3, 32).data != film(eventful, 4, 32).data


@pytest.fixture(scope="module")
def page(chromium, eventful: Episode, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("film") / "page.html"
    whole = film(played(0, closed=False, slips=0, disturbances=0), size=32).data
    one = film(eventful, size=64).data
    path.write_text(f"<!doctype html><meta charset='utf-8'>{one}{one}{whole}", encoding="utf-8")
    with watched_page(chromium) as (page, seen):
        page.goto(Path(path).as_uri())
        page.wait_for_function("[...document.querySelectorAll('.film[data-film]')].every(host => host.film)")
        yield page
        assert seen.errors == seen.failed == seen.outside == []


def test_the_film_plays_to_its_end_and_can_be_paused(page, eventful: Episode) -> None:
    host, steps = page.locator(".film[data-film]").nth(0), shots(eventful)
    assert host.locator("li .said:visible").count() == 1, "what is said later is not shown before"
    page.clock.install()
    host.locator(".play").click()
    page.clock.run_for(500)
    host.locator(".play").click()
    stopped = host.evaluate("el => el.film.state()")
    page.clock.run_for(5_000)
    assert host.evaluate("el => el.film.state()") == stopped and stopped["at"] >= 1 and not stopped["playing"]
    host.locator(".play").click()
    page.clock.run_for(60_000)
    end = host.evaluate("el => el.film.state()")
    assert end["step"] == len(steps) - 1 and not end["playing"]
    assert host.locator("li .outcome").all_inner_texts() == [shot.outcome for shot in steps]
    assert page.locator(".film[data-film]").nth(1).evaluate("el => el.film.state().at") == 0


def test_the_film_is_used_by_keyboard_and_says_what_is_seen(page, eventful: Episode) -> None:
    host = page.locator(".film[data-film]").nth(1)
    page.evaluate("window.turned = []; addEventListener('keydown', event => turned.push(event.key))")
    host.locator(".on").focus()
    for key in ("Enter", " "):
        page.keyboard.press(key)
    assert host.locator(".where").inner_text() == f"step 2 of {len(eventful.told)}"
    assert host.locator(".picture").get_attribute("alt").startswith("After step 2: ")
    host.locator(".slider").focus()
    page.keyboard.press("Home")
    assert host.locator(".picture").get_attribute("alt").startswith("At the start: ")
    page.keyboard.press("End")
    assert host.evaluate("el => el.film.state().step") == len(eventful.told) - 1
    assert page.evaluate("turned") == [], "no slide turns by a key that is the film's"
    host.locator(".play").press("ArrowRight")
    assert page.evaluate("turned") == ["ArrowRight"], "but it turns by one that is not"
    host.locator("li button").nth(0).focus()
    page.keyboard.press("Enter")
    assert host.evaluate("el => el.film.state().step") == 0
    assert page.locator(".film[data-film]").nth(2).locator("li .said:visible").count() > 1
    assert "whole plan" in page.locator(".film[data-film]").nth(2).locator(".told").inner_text()


def test_one_of_several_films_is_chosen_by_its_name(chromium, eventful: Episode, tmp_path: Path) -> None:
    calm = played(0, slips=0, disturbances=0)
    both = films({"a <slip>": (eventful, 0), "calm": (calm, 0)}, size=32).data
    assert both.count("a &lt;slip&gt;") == 1 and both == films({"a <slip>": (eventful, 0), "calm": (calm, 0)}, 32).data
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{both}", encoding="utf-8")
    with watched_page(chromium) as (page, seen):
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelector('.films').films")
        page.evaluate("window.turned = []; addEventListener('keydown', event => turned.push(event.key))")
        shown = page.locator(".film[data-film]:visible")
        assert shown.count() == 1 and shown.locator("li").count() == len(eventful.told)
        page.get_by_label("Show:").focus()
        page.keyboard.press("ArrowDown")
        assert page.get_by_label("Show:").input_value() == "calm"
        assert shown.count() == 1 and shown.locator("li").count() == len(calm.told) and page.evaluate("turned") == []
        assert seen.errors == seen.failed == seen.outside == []
    with pytest.raises(ValueError, match="one at least"):
        films({})
