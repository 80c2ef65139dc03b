"""The table to play at: what is typed is answered, what is pressed is done, and the robot looks again after each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.models.robot import Said
from helpers.page.playground import Table, playground
from helpers.worlds.table.instructions import WORDINGS, read
from helpers.worlds.table.planner import next_step
from helpers.worlds.table.scene import Scene, Thing
from helpers.worlds.table.skills import Refusal, step_words
from tests.test_robot import Scripted, knowing

SCENE = Scene(
    (
        Thing("block", "red", 0.5, 0.5),
        Thing("block", "green", 0.17, 0.17),
        Thing("block", "blue", 0.83, 0.83),
        Thing("bowl", "white", 0.83, 0.17),
    )
)
TOWER = "build a tower: red, green, blue"


class Honest(Scripted):
    """The oracle's mind, which says why something cannot be done; a little less sure from step to step."""

    def answer(self, prompts, pictures, steps=8) -> list[Said]:
        try:
            said = super().answer(prompts, pictures, steps)
        except Refusal as reason:
            return [Said(str(reason), 0.8)]
        return [replace(one, probability=0.99 - 0.01 * len(self.asked)) for one in said]


def table(**settings) -> Table:
    return Table(Honest(knowing), SCENE, **{"size": 32, "slips": 0.0} | settings)


def test_the_robot_builds_what_it_is_told() -> None:
    at = table()
    at.tell("  Build a tower: red, green, blue. ")
    assert at.said.text == "put the green block on the red block" and at.refusal is None and not at.ended
    for _ in range(3):
        assert not at.reached or at.said.text == "done"
        at.step()
    assert at.reached and at.ended and [outcome for _, outcome in at.lines] == [
        "it succeeds", "it succeeds", "the goal is reached",
    ]  # fmt: skip
    at.step()
    assert len(at.lines) == 3, "who has stopped does nothing more"
    prompts = [prompt for prompt, _ in at.robot.asked]
    assert prompts[1].endswith("robot: put the green block on the red block;")


def test_a_block_that_is_moved_away_is_put_back() -> None:
    replanned = 0
    for seed in range(6):
        at = table(seed=seed)
        at.tell(TOWER)
        at.step()
        at.step()
        before = at.scene
        at.knock()
        assert at.scene != before and at.before.text == "done" and at.lines[-1][1].startswith("you move the ")
        replanned += at.said.text != at.before.text
        for _ in range(6):
            at.step()
        assert at.reached and at.ended
    assert replanned >= 2


def test_after_the_end_a_disturbance_lets_it_go_on() -> None:
    at = table(seed=1)
    at.tell("put the red block in the white bowl")
    at.step()
    at.step()
    assert at.ended
    for _ in range(20):
        at.knock()
        if not at.reached:
            break
    assert not at.ended and at.said.text != "done"


def test_a_swap_shows_the_start_too() -> None:
    at = table()
    at.tell("swap the red block and the green block")
    for _ in range(8):
        at.step()
    assert at.reached and {shown for _, shown in at.robot.asked} == {2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("put the purple block on the red block", "there is no purple block"),
        ("put the white bowl on the red block", "a bowl cannot be moved"),
        ("put the red block on the red block", "these are one and the same"),
        ("make me a sandwich", "i do not understand"),
        ("<img src=x onerror=alert(1)>", "i do not understand"),
        ("\ud800 \U0001f600", "i do not understand"),
        ("put the red block on " * 200, "i do not understand"),
        ("build a tower: red, red", "red is named twice"),
        ("...", "i do not understand"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_reason(text: str, reason: str) -> None:
    at = table()
    at.tell(text)
    assert at.refusal == reason and at.ended and not at.reached and at.scene == SCENE
    at.step()
    assert at.scene == SCENE and at.lines == []
    at.knock()
    assert at.said.text == reason, "a disturbance does not make an instruction out of it"
    at.tell(TOWER)
    assert not at.ended


def test_what_the_robot_says_may_be_wrong() -> None:
    for text, outcome in [
        ("put the red block on the moon", "this is no step: the robot stops"),
        ("done", "but the goal is not reached"),
        ("put the white bowl aside", "not possible: a bowl cannot be moved"),
    ]:
        at = Table(Scripted(lambda *_, text=text: text), SCENE, 32)
        at.tell(TOWER)
        at.step()
        assert at.lines[-1][1] == outcome and at.scene == SCENE
    slipping = table(slips=1.0)
    slipping.tell(TOWER)
    slipping.step()
    assert slipping.lines[-1][1] == "it slips" and not slipping.ended


def test_200_random_instructions_and_presses_leave_the_table_in_order() -> None:
    at, rng = table(slips=0.3), np.random.default_rng(5)
    words = sorted({word for wordings in WORDINGS.values() for text in wordings.usual for word in text.split()})
    named = {"a": "the red block", "b": "the white bowl", "area": "centre", "side": "left", "up": "red", "down": "red"}
    for _ in range(200):
        kind = rng.integers(4)
        if kind == 0:
            at.tell(" ".join(rng.choice(words, rng.integers(1, 9))).format_map(named))
        elif kind == 1:
            at.tell(TOWER if rng.random() < 0.5 else "clear the white bowl")
        else:
            at.knock() if kind == 2 else at.step()
        assert Scene.from_json(at.scene.to_json()) == at.scene
        assert sorted((t.kind, t.colour) for t in at.scene.things) == sorted((t.kind, t.colour) for t in SCENE.things)
        if at.refusal is None and at.goal and not at.ended:
            assert at.said.text == knowing_step(at)


def knowing_step(at: Table) -> str:
    """What the oracle would say now."""
    return step_words(at.scene, next_step(at.scene, read(at._start.scene, at.instruction)[1]))


# The page


def test_the_page_shows_what_the_table_knows() -> None:
    other = Scene(SCENE.things[:2])
    box = playground(Honest(knowing), [SCENE, other], TOWER, size=32, slips=0)
    picture, right = box.children
    field, (do, knock, lay), below = right.children[0], right.children[1].children, right.children[2]
    assert "put the green block on the red block</b> 98%" in below.value and 'alt="' in picture.value
    first = picture.value
    do.click()
    assert picture.value != first and "it succeeds" in below.value and not do.disabled
    knock.click()
    assert "you move the" in below.value and ("plans anew" in below.value or "stays with" in below.value)
    field.value = "put the <i> on it"
    assert "cannot be done here: <b>i do not understand" in below.value and do.disabled
    assert "<i>" not in below.value
    field.value = "   "
    assert "Type an instruction" in below.value and do.disabled
    field.value = TOWER
    lay.click()
    assert "there is no blue block" in below.value
    lay.click()
    for _ in range(4):
        do.click()
    assert "has stopped" in below.value and "the goal is reached" in below.value and do.disabled
