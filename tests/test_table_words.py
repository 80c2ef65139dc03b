"""Questions, captions and lessons of the table: each answer is checked against the scene by another reading of it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.worlds.table.captions import caption, facts, overlap, stacks
from helpers.worlds.table.drawing.render import render
from helpers.worlds.table.episode import task_at
from helpers.worlds.table.instructions import TASKS, WORDINGS, in_words, read
from helpers.worlds.table.lessons import (
    KINDS,
    LESSONS,
    PICTURES,
    SEEN,
    Lesson,
    Tables,
    answer_to,
    image_seed,
    lessons,
    load_table,
    moment,
    more_questions,
    more_tasks,
    needs_start,
    step_of,
    step_prompt,
    thought,
    thought_about,
)
from helpers.worlds.table.planner import next_step
from helpers.worlds.table.questions import QUESTION_KINDS, affordance, questions, success
from helpers.worlds.table.sample import HELD_OUT, scene_at, scenes
from helpers.worlds.table.scene import Scene, Thing, area_of
from helpers.worlds.table.skills import Refusal, Step, read_step, step_words, why_not
from tests import table_strategies

SCENE = Scene(
    (
        Thing("block", "red", 0.5, 0.5),
        Thing("block", "green", 0.5, 0.5, 0),
        Thing("bowl", "yellow", 0.17, 0.17),
        Thing("block", "orange", 0.17, 0.17, 2),
    )
)


def truth(scene: Scene, question: str) -> str:
    """The answer, from the table's towers written as lists: another way to the same facts."""
    towers = [(area, names) for area, names in stacks(scene).items()]
    area = {name: where for where, names in towers for name in names}
    xy = {f"{t.colour} {t.kind}": (t.x, t.y) for t in scene.things}
    below = {b: a for _, names in towers for a, b in pairwise(names)}
    above = {a: b for b, a in below.items()}
    names = re.findall(r"\w+ (?:block|bowl)(?!s)", question)
    match question.split()[:2]:
        case ["is", "there"]:
            return "yes" if names[0] in area else "no"
        case ["where", _]:
            return area[names[0]]
        case ["how", "many"] if "highest" in question:
            return str(max(sum(n.endswith("block") for n in names) for _, names in towers if names[0][-1] == "k"))
        case ["how", "many"]:
            return str(sum(name.endswith("block" if "blocks" in question else "bowl") for name in area))
        case ["what", "is"] if "under" in question:
            return f"the {below[names[0]]}" if names[0] in below else "the table"
        case ["what", "is"]:
            return f"the {above[names[0]]}" if names[0] in above else "nothing"
        case ["which", "is"]:
            return f"the {min(names, key=lambda name: xy[name][1])}"
    if "to the left or to the right" in question:
        return "left" if xy[names[0]][0] < xy[names[1]][0] else "right"
    return "yes" if below.get(names[0]) == names[1] else "no"


@settings(deadline=None, max_examples=80)
@given(table_strategies.scenes(duplicates=False), st.integers(0, 2**32))
def test_every_answer_is_true_and_among_the_options(scene: Scene, seed: int) -> None:
    for qa in questions(scene, seed):
        if qa.kind != "highest" or any(names[0].endswith("block") for names in stacks(scene).values()):
            assert truth(scene, qa.question) == qa.answer, qa
        assert qa.answer in qa.options and len(set(qa.options)) == len(qa.options)


def test_the_other_reading_finds_a_wrong_answer() -> None:
    wrong = Scene((*SCENE.things[:2], SCENE.things[2], Thing("block", "orange", 0.83, 0.17)))
    asked = ["what is in the yellow bowl?", "where is the orange block?", "what is under the orange block?"]
    assert [truth(SCENE, q) for q in asked] == ["the orange block", "front left", "the yellow bowl"]
    assert [truth(wrong, q) for q in asked] == ["nothing", "front right", "the table"]


def test_each_kind_is_asked_and_the_question_alone_does_not_tell_the_answer() -> None:
    answers: dict[str, Counter] = defaultdict(Counter)
    for i, scene in enumerate(scenes("train", 500)):
        for qa in questions(scene, [0, i]):
            answers[qa.kind][qa.answer if qa.answer in qa.options[:2] else "other"] += 1
        answers["affordance"][affordance(scene, np.random.default_rng(i)).answer] += 1
    assert answers.keys() == {*QUESTION_KINDS, "affordance"}
    for kind in ("exists", "on", "side", "affordance"):
        assert max(answers[kind].values()) < 0.6 * answers[kind].total(), (kind, answers[kind])
    for kind in ("under", "above"):
        assert answers[kind]["nothing" if kind == "above" else "the table"] < 0.6 * answers[kind].total()


def test_things_that_look_the_same_are_not_asked_about_by_their_colour() -> None:
    twins = Scene((Thing("block", "red", 0.5, 0.5), Thing("block", "red", 0.17, 0.5)))
    for seed in range(20):
        assert {qa.kind for qa in questions(twins, seed)} <= {"exists", "count", "highest"}


def test_affordance_is_what_the_skills_say_and_no_training_question_has_a_held_out_pair() -> None:
    seen = Counter()
    for i, scene in enumerate(scenes("train", 200)):
        for held_out in (False, True):
            qa = affordance(scene, np.random.default_rng(i), held_out)
            step = read_step(scene, qa.question.removeprefix("is it possible to ").removesuffix(" here?"))
            assert qa.answer == ("yes" if why_not(scene, step) is None else "no")
            if isinstance(step.target, int):
                pair = scene.things[step.thing].colour, scene.things[step.target].colour
                seen[held_out] += pair in HELD_OUT
    assert seen[False] == 0 < seen[True]
    assert success(SCENE, Step("put", 1, 3), False).question == (
        "was put the green block on the orange block successful?"
    )


# Captions


def test_the_caption_says_everything_in_order() -> None:
    assert caption(SCENE) == (
        "a green block on a red block at the centre, an orange block in a yellow bowl at the front left"
    )


@settings(deadline=None, max_examples=80)
@given(table_strategies.scenes())
def test_a_caption_tells_each_thing_and_what_stands_on_what(scene: Scene) -> None:
    told = facts(caption(scene))
    stacked = sum(thing.on is not None for thing in scene.things)
    assert told.total() == len(scene.things) + stacked
    for thing in scene.things:
        assert told[f"{thing.colour} {thing.kind}", area_of(thing.x, thing.y)]
        if thing.on is not None:
            below = scene.things[thing.on]
            assert told[f"{thing.colour} {thing.kind}", f"{below.colour} {below.kind}"]


def test_what_is_wrong_in_a_caption_is_counted() -> None:
    right = caption(SCENE)
    assert overlap(right, right) == (6, 6, 6)
    assert overlap(right.replace("green", "pink"), right) == (4, 6, 6)  # the thing and what it stands on
    assert overlap(right.replace("centre", "back left"), right) == (4, 6, 6)
    assert overlap("a cat sat on a mat", right) == (0, 0, 6)
    assert overlap("", right) == (0, 0, 6)
    assert overlap(f"{right}, a red block at the centre", right) == (6, 7, 6)  # said twice is no double gain


# Lessons


def test_a_picture_has_its_lessons_whichever_are_asked_for_first() -> None:
    first = [lessons("train", 0, i) for i in (5, 4, 3)]
    assert first == [lessons("train", 0, i) for i in (5, 4, 3)]
    assert lessons("train", 1, 3) != first[2] != lessons("test", 0, 3)
    for i in range(90):
        found = lessons("train", 0, i)
        assert len(found) == LESSONS and {lesson.kind for lesson in found} <= set(KINDS)
        assert all(Lesson.from_json(lesson.to_json()) == lesson for lesson in found)
        for lesson in found:
            assert lesson.pictures[-1] == 0 and min(lesson.pictures) >= -(i % PICTURES)


def test_the_next_step_is_the_oracles_and_swapping_shows_the_start() -> None:
    swaps = 0
    for i in range(150):
        episode, role = divmod(i, PICTURES)
        at, lesson = moment("train", 0, episode), lessons("train", 0, i)[0]
        assert at.task.instruction in lesson.prompt
        try:
            wanted = step_words(at.scenes[role], next_step(at.scenes[role], at.task.goal))
        except Refusal as reason:
            wanted = str(reason)
        assert step_of(lesson.answer) == wanted
        assert lesson.pictures == ((-role, 0) if needs_start(at.task.kind) else (0,))
        swaps += needs_start(at.task.kind)
    assert swaps > 5


def fact_of(scene: Scene, look: str) -> bool:
    """Whether a part of a thought is true of the table, by another reading of it."""
    asked, told = look.split(": ")
    names = {scene.name(i): i for i in range(len(scene.things))}
    if asked in names:
        return told == area_of(scene.things[names[asked]].x, scene.things[names[asked]].y)
    word, _, rest = asked.partition(" ")
    if word == "at":
        (base, *_) = [i for i in names.values() if scene.things[i].on is None and scene.area(i) == rest] or [None]
        return told == ("nothing" if base is None else scene.name(base))
    if word == "on":
        above = [name for name, i in names.items() if scene.things[i].on == names[rest]]
        return told == (above[0] if above else "nothing")
    below = scene.things[names[rest]].on
    return word == "under" and told == ("table" if below is None else scene.name(below))


def test_a_thought_is_true_and_leads_to_the_step() -> None:
    kinds = Counter()
    for i in range(300):
        task = task_at("train", i)
        told = thought(task.scene, task.goal, task.kind)
        *looked, step = told.split("; ")
        if task.kind not in SEEN:
            meant = looked.pop(0)
            assert meant == in_words(task.scene, task.goal) and meant.count(", ") == len(task.goal) - 1
        assert step == step_of(told) == step_words(task.scene, next_step(task.scene, task.goal))
        assert looked and len(set(looked)) == len(looked)
        assert all(fact_of(task.scene, look) for look in looked), (looked, task.scene)
        if step.endswith("aside"):  # what is put aside was named before
            assert any(look.endswith(step[8:-6]) or step[8:-6] in look for look in looked)
        kinds[task.kind] += 1
    assert len(kinds) == len(TASKS)
    assert thought_about(SCENE, "fly to the moon") == step_of("i do not understand") == "i do not understand"
    assert thought_about(
        SCENE, "clear the red block"
    ) == "nothing on red block; on red block: green block; on green block: nothing; " + ("put the green block aside")


def test_success_is_seen_between_two_pictures() -> None:
    answers = Counter()
    for i in range(2, 300, 3):
        lesson, at = lessons("train", 0, i)[-1], moment("train", 0, i // 3)
        assert lesson.kind == "success" and lesson.pictures == (-1, 0)
        same = at.scenes[1] == at.scenes[2]
        assert lesson.answer == ("yes" if at.succeeded else "no") and not (same and at.succeeded)
        answers[lesson.answer] += 1
    assert min(answers.values()) > 30


def test_more_lessons_of_a_table_are_true_and_differ_from_time_to_time() -> None:
    rng, seen_kinds = np.random.default_rng(4), Counter()
    for i in range(40):
        scene = scene_at("train", i)
        asked = more_questions(scene, rng, 4)
        answers = {qa.question: qa.answer for k in range(60) for qa in questions(scene, k)}
        assert 1 <= len(asked) <= 4 and len({lesson.prompt for lesson in asked}) == len(asked)
        known = [lesson for lesson in asked if lesson.prompt in answers]
        assert known and all(lesson.answer == answers[lesson.prompt] for lesson in known)
        possible, *tasks = more_tasks(scene, rng, 2)
        assert possible.kind == "affordance" and len(tasks) <= 4
        for lesson in tasks:
            if lesson.kind == "meaning":
                text = lesson.prompt.removeprefix("human: ").removesuffix(". what is wanted?")
                assert lesson.answer == in_words(scene, read(scene, text)[1])
                continue
            text = lesson.prompt.removeprefix("human: ").removesuffix(". robot: ")
            assert step_of(lesson.answer) == answer_to(scene, text) and lesson.pictures == (0,)
            seen_kinds[read_kind(scene, text)] += 1
    assert "swap" not in seen_kinds and len(seen_kinds) == len(TASKS) - 1  # swapping needs two pictures
    again = [more_questions(scene_at("train", 3), np.random.default_rng(k), 4) for k in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def read_kind(scene: Scene, text: str) -> str | None:
    """The kind of an instruction that can be carried out."""
    try:
        return read(scene, text)[0]
    except Refusal:
        return next(kind for kind in TASKS if any(_like(text, w) for w in WORDINGS[kind].usual))


def _like(text: str, wording: str) -> bool:
    return bool(re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(wording)), text))


def test_history_is_told_and_cut() -> None:
    assert step_prompt("clear the red block", []) == "human: clear the red block. robot: "
    assert step_prompt("x", ["a", "b", "c"]) == "human: x. robot: b; c;"


def test_some_lessons_say_why_something_cannot_be_done() -> None:
    refusals = Counter()
    for i in range(1, 400, 3):
        lesson, scene = lessons("train", 0, i)[-1], moment("train", 0, i // 3).scenes[1]
        try:
            read_step(scene, step_of(lesson.answer))
        except Refusal:
            refusals[re.sub(r"\w+ (block|bowl)", "thing", lesson.answer)] += 1
    assert {"i do not understand", "there is no thing", "thing cannot be moved"} <= refusals.keys()
    assert answer_to(SCENE, "put the red block on the moon") == "i do not understand"
    assert answer_to(SCENE, "clear the red block") == "put the green block aside"
    with pytest.raises(Refusal):
        read(SCENE, "put the red block on the moon")


def test_no_lesson_of_training_puts_a_held_out_pair_together() -> None:
    """Neither in a goal, nor in a step, nor in a question; where both are only on the table is another matter."""
    pairs = re.compile(r"(\w+) (?:block|bowl) (?:on|in|onto|into|on top of) (?:the|a|an) (\w+) (?:block|bowl)")
    rng = np.random.default_rng(0)
    for i in range(450):
        more = more_questions(scene_at("train", i), rng, 9) + more_tasks(scene_at("train", i), rng, 4)
        for lesson in lessons("train", 0, i) + more:
            found = pairs.findall(f"{lesson.prompt} | {lesson.answer}")
            assert not set(found) & set(HELD_OUT), lesson
    found = [lesson for i in range(60) for lesson in lessons("composition", 0, i)]
    assert any(set(pairs.findall(lesson.answer)) & set(HELD_OUT) for lesson in found)


def test_pictures_are_kept_with_their_lessons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    table = load_table("train", 9, size=32, progress=False)
    again = load_table("train", 9, size=32, progress=False)
    assert table.images.equal(again.images) and table.images.shape == (9, 3, 32, 32)
    assert again.captions == [[lesson.to_json() for lesson in lessons("train", 0, i)] for i in range(9)]
    for i in (0, 4, 8):
        picture = render(moment("train", 0, i // 3).scenes[i % 3], 32, image_seed("train", 0, i))
        assert np.array_equal(table.images[i].numpy().transpose(1, 2, 0), picture)
    assert table.labels["things"].tolist() == [len(scene.things) - 1 for scene in table.scenes]


def test_wrong_arguments_are_named() -> None:
    for arguments, message in {("dev", 3): "split: 'dev'", ("train", 0): "n: 0", ("train", 3, 8): "size: 8"}.items():
        with pytest.raises(ValueError, match=message):
            Tables(*arguments)
    assert scene_at("train", 0) != Tables("train", 3).scene(0)


# The words' pieces


def test_the_stored_vocabulary_is_made_by_its_command() -> None:
    from helpers.worlds.table.sentences import VOCABULARY
    from tools.make_street_tokenizer import vocabulary
    from tools.make_table_tokenizer import SIZE, corpus

    assert vocabulary(corpus(), SIZE) == VOCABULARY.read_text(encoding="utf-8")


def test_words_of_the_table_are_single_pieces_and_come_back() -> None:
    from helpers.worlds.table.sentences import table_tokenizer

    tokenizer = table_tokenizer()
    for i in range(30):
        for lesson in lessons("test", 3, i):
            for text in (lesson.prompt, lesson.answer):
                ids = tokenizer.encode(text)
                assert tokenizer.decode(ids) == text.lower()
                assert len(ids) <= 1.15 * len(re.findall(r"\w+|[^\w\s]", text)) + 1, text
