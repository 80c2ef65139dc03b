"""The miniature web: the same from the same seed, with everything on it that it promises, and a truth that is true."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from helpers.laion.language import language_of
from helpers.laion.wat import pages as wat_pages
from helpers.worlds import drawn
from helpers.worlds.photographs import read_picture
from helpers.worlds.street.sample import HELD_OUT_VEHICLES, scene_at
from helpers.worlds.street.scene import AGES, COLOURS, KINDS, SKIES, WEATHERS
from helpers.worlds.web.archive import write_warc
from helpers.worlds.web.build import Web, WebScenes, build
from helpers.worlds.web.files import CHANGES, FORMATS, RIGHTS, changed, encoded, with_warning, with_watermark
from helpers.worlds.web.plan import FLAWS, HOSTILE, POLICIES, Plan, opt_outs, scene_number, sites
from helpers.worlds.web.server import ADDRESS, serve
from helpers.worlds.web.words import GRAMMARS, LANGUAGES, alt_of, sentence
from tests.laion_web import OPEN, HandMade, picture, pixels

# --- what stands on it -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def links() -> list:
    return [link for page in Plan(500, 3).pages() for link in page.links]


def test_the_plan_follows_from_the_seed_alone() -> None:
    first, again, other = (list(Plan(60, seed).pages()) for seed in (1, 1, 2))
    assert first == again != other
    assert list(Plan(40, 1).pages()) == first[:40], "a longer web begins as a shorter one"


@pytest.mark.parametrize(
    ("pages", "seed", "message"),
    [
        (0, 0, "pages: 0 is not a whole number from 1"),
        (1.5, 0, "pages: 1.5"),
        (1, -1, "seed: -1 is not a whole number"),
    ],
)
def test_a_plan_out_of_range_is_refused(pages: object, seed: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(pages, seed)


def test_everything_that_is_promised_is_there(links: list) -> None:
    pictures = [link.picture for link in links]
    assert {site.policy for site in sites(500, 3)} == set(POLICIES)
    assert {picture.behaviour for picture in pictures} == {"ok", "missing", *HOSTILE}
    assert {picture.change for picture in pictures} == {"", *CHANGES}
    assert {picture.rights for picture in pictures} == set(RIGHTS)
    assert {link.language for link in links} == set(LANGUAGES)
    assert {page.flaw for page in Plan(500, 3).pages()} == {"", *FLAWS}
    kinds = Counter(link.kind for link in links)
    assert set(kinds) == {"clean", "wrong", "partial", "file name", "advert", "empty"}
    assert 0.5 < kinds["clean"] / len(links) < 0.75
    assert any(p.watermark for p in pictures) and any(p.unsafe for p in pictures) and any(link.again for link in links)
    means = {means for link in links for means in link.opt_outs}
    assert means == {"robots", "noai page", "noimageai header", "tdm file", "tdm header", "file"}


def test_every_tenth_scene_is_a_pair_that_the_filter_never_saw_or_its_trees(links: list) -> None:
    new = [scene_number(i, 3) for i in range(9, 300, 10)]
    assert sum((scene.main.colour, scene.main.kind) in HELD_OUT_VEHICLES for scene in new) > 10
    old = [scene_number(i, 3) for i in range(0, 300, 10)]
    assert not any((scene.main.colour, scene.main.kind) in HELD_OUT_VEHICLES for scene in old)
    numbers = [link.picture.scene for link in links if link.picture.scene >= 0]
    assert set(range(max(numbers) + 1)) == set(numbers)


def test_copies_show_what_their_originals_show(links: list) -> None:
    originals = {link.picture.scene: link.picture for link in links if link.picture.change == ""}
    copies = [link.picture for link in links if link.picture.change]
    assert len(copies) > 50
    for copy in copies:
        original = originals[copy.scene]
        assert (copy.watermark, copy.unsafe) == (original.watermark, original.unsafe) and copy.path != original.path
        if copy.change == "exact":
            assert (copy.extension, copy.rights) == (original.extension, original.rights)


@pytest.mark.parametrize(
    ("policy", "page", "path", "rights", "expected"),
    [
        ("open", "open", "/pictures/a.jpg", "CC0", ()),
        ("robots all", "open", "/pictures/a.jpg", "", ("robots",)),
        ("robots pattern", "open", "/pictures/a.jpg", "", ()),
        ("robots pattern", "open", "/pictures/a.webp", "", ("robots",)),
        ("robots other bot", "noai page", "/private/a.jpg", "no training", ("noai page", "file")),
        ("tdm file", "robots all", "/pictures/a.jpg", "", ("tdm file",)),
    ],
)
def test_who_forbids_what(policy: str, page: str, path: str, rights: str, expected: tuple[str, ...]) -> None:
    by_policy = {site.policy: site for site in sites(500, 3)}
    assert opt_outs(by_policy[policy], by_policy[page], path, rights) == expected


# --- words -------------------------------------------------------------------------------------------------------


def _of(kind: str, colour: str, age: str, language: str) -> str:
    scene = scene_at("train", 0)
    return GRAMMARS[language].sentence(
        replace(scene, vehicles=(replace(scene.main, kind=kind, colour=colour, age=age),))
    )


@pytest.mark.parametrize(
    ("language", "kind", "words"),
    [
        ("de", "car", "ein altes grünes Auto"),
        ("de", "bus", "ein alter grüner Bus"),
        ("fr", "car", "une voiture verte ancienne"),
        ("fr", "truck", "un camion vert ancien"),
        ("es", "van", "una furgoneta verde antigua"),
        ("es", "car", "un coche verde antiguo"),
    ],
)
def test_endings_agree_with_the_noun(language: str, kind: str, words: str) -> None:
    assert _of(kind, "green", "vintage", language).startswith(words)


@pytest.mark.parametrize("language", GRAMMARS)
def test_each_grammar_says_everything_and_no_two_vehicles_alike(language: str) -> None:
    said = {_of(kind, colour, age, language) for kind, colour, age in product(KINDS, COLOURS, AGES)}
    assert len(said) == len(KINDS) * len(COLOURS) * len(AGES)
    assert len(set(GRAMMARS[language].skies.values())) == len(SKIES) == len(GRAMMARS[language].skies)
    assert set(GRAMMARS[language].weathers) == set(WEATHERS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_bad_texts_are_bad_and_good_ones_are_true(language: str) -> None:
    rng, kinds = np.random.default_rng(0), Counter()
    for i in range(120):
        scene = scene_at("train", i)
        good = alt_of(scene, language, rng, 0.0)
        assert good.kind == "clean" and good.text == good.true_caption
        bad = alt_of(scene, language, rng, 1.0)
        kinds[bad.kind] += 1
        assert bad.kind != "clean" and bad.true_caption
        if bad.kind == "wrong" and language != "en":
            assert scene.sky not in [sky for sky, words in GRAMMARS[language].skies.items() if words in bad.text]
            assert bad.text != GRAMMARS[language].sentence(scene)
    assert set(kinds) >= {"wrong", "partial", "file name", "empty"}


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="language: 'tlh' is not one of en, de, fr, es"):
        sentence(scene_at("train", 0), "tlh", np.random.default_rng(0))


# --- files -------------------------------------------------------------------------------------------------------


def test_changes_are_what_they_are_called() -> None:
    own = pixels(1)
    assert changed(own, "exact") is own and changed(own, "resized").shape == (72, 72, 3)
    assert np.array_equal(changed(own, "mirrored")[:, ::-1], own)
    assert np.array_equal(changed(own, "cropped"), own[6:90, 6:90])
    with pytest.raises(ValueError, match="change: 'turned' is not one of exact, "):
        changed(own, "turned")
    for marked in (with_watermark(own, "sample"), with_warning(own)):
        assert marked.shape == own.shape and 0.05 < (marked != own).any(2).mean() < 0.9


@pytest.mark.parametrize("extension", FORMATS)
def test_equal_pictures_make_equal_bytes_that_can_be_read(extension: str) -> None:
    data = encoded(pixels(1), extension, rights="CC0", holder="x")
    assert data == encoded(pixels(1), extension, rights="CC0", holder="x")
    assert data != encoded(pixels(1), extension) and read_picture(data).shape == (96, 96, 3)
    with pytest.raises(ValueError, match="not among"):
        encoded(pixels(1), extension, rights="mine")


# --- build and server --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    """A small web of real scenes; drawing them is most of this file's time."""
    return build(tmp_path_factory.mktemp("build") / "web", 12, 0, size=48, progress=False)


def digests(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_same_seed_builds_the_same_bytes(web: Web, tmp_path: Path) -> None:
    again = build(tmp_path / "again", 12, 0, size=48, progress=False)
    assert digests(again.folder) == digests(web.folder) and len(digests(web.folder)) == 6
    assert again.facts == {"format": "web/1", "pages": 12, "seed": 0, "size": 48, "sites": 24}


def test_the_archive_and_the_truth_tell_of_the_same_links(web: Web) -> None:
    whole_pages = {row["page"] for row in web.truth.to_pylist() if row["flaw"] in ("", "unclosed", "nested")}
    truth = {(r["page"], r["link"]): r for r in web.truth.to_pylist() if r["page"] in whole_pages}
    read = [row for table, _, _ in wat_pages(web.wats[0]) for row in table.to_pylist() if row["page"] in whole_pages]
    assert len(read) == len(truth) > 15
    for row in read:
        told = truth[row["page"], row["link"]]
        assert row["url"] == told["url"].replace("//elsewhere", "http://elsewhere")
        assert " ".join((told["alt"] or "").split()) == (row["alt"] or "")


def test_the_server_plays_the_files_of_the_web(web: Web) -> None:
    pack = (web.folder / "files.pack").read_bytes()
    with serve(web) as server:
        sent = 0
        for row in web.resources.to_pylist():
            if row["behaviour"] == "ok":
                request = urllib.request.Request(
                    f"http://{ADDRESS}:{server.port}{row['path']}", headers={"Host": row["host"]}
                )
                with urllib.request.urlopen(request, timeout=30) as answer:
                    assert answer.read() == pack[row["offset"] : row["offset"] + row["length"]]
                    assert answer.headers["Content-Type"].partition(";")[0] == row["type"].partition(";")[0]
                    assert json.loads(row["headers"]).items() <= dict(answer.headers).items()
                sent += 1
        assert sent > 20 and len(server.requests) == sent
        other = urllib.request.Request(f"http://{ADDRESS}:{server.port}/", headers={"Host": "elsewhere.example"})
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(other, timeout=30)


def test_pictures_show_their_scenes(web: Web) -> None:
    rows = {(row["host"], row["path"]): row for row in web.resources.to_pylist()}
    pack, checked = (web.folder / "files.pack").read_bytes(), 0
    for told in web.truth.to_pylist():
        plain = told["content"] == "street" and not (told["change"] or told["watermark"] or told["unsafe"])
        if plain and told["behaviour"] == "ok":
            host, _, path = told["url"].removeprefix("http://").partition("/")
            row = rows[host, f"/{path}"]
            shown = read_picture(pack[row["offset"] : row["offset"] + row["length"]]).astype(int)
            own = _drawn(web, told["scene"])
            assert np.abs(shown - own).mean() < 12 < np.abs(shown - own[:, ::-1]).mean()
            checked += 1
        if checked == 4:
            break
    assert checked == 4


def _drawn(web: Web, scene: int) -> np.ndarray:
    world = WebScenes(scene + 1, 48, web.facts["seed"])
    return world.draw(scene, world.scene(scene)).astype(int)


def test_a_build_that_is_stopped_leaves_no_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(drawn, "load", stop)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "web", 2, 0, size=48)
    with pytest.raises(FileNotFoundError, match="holds no web: make one with"):
        Web(tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_what_is_there_is_not_written_over(web: Web, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="is not an empty folder: name a new one"):
        build(web.folder, 2, 0, size=48)
    with pytest.raises(ValueError, match="size: 20 is not a whole number of pixels from 48"):
        build(tmp_path / "small", 2, 0, size=20)
    (tmp_path / "web.json").write_text('{"format": "web/0"}')
    with pytest.raises(ValueError, match="has the format 'web/0', not 'web/1'"):
        Web(tmp_path)


def test_an_archive_is_read_back_by_its_own_library(tmp_path: Path) -> None:
    from warcio.archiveiterator import ArchiveIterator

    pages = [(f"http://{OPEN}/{i}", {"Content-Type": "text/html"}, f"<p>{i}".encode()) for i in range(3)]
    write_warc(tmp_path / "a.warc.gz", pages)
    with (tmp_path / "a.warc.gz").open("rb") as file:
        read = [
            (record.rec_headers["WARC-Target-URI"], record.http_headers["Content-Type"], record.content_stream().read())
            for record in ArchiveIterator(file, check_digests="raise")
        ]
    assert read == [(url, headers["Content-Type"], body) for url, headers, body in pages]


def test_the_languages_are_those_that_the_pipeline_finds(links: list) -> None:
    said = [link for link in links if link.kind == "clean" and link.picture.content == "street"]
    right = sum(language_of(link.alt)[0] == link.language for link in said)
    assert right / len(said) > 0.85


def test_a_web_made_by_hand_is_served_like_a_built_one(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "web")
    url = made.file("/a.jpg", picture(1))
    made.page([(url, "a picture")])
    web = made.web()
    ((table, _, _),) = wat_pages(web.wats[0])
    assert table["url"].to_pylist() == [url] and io.BytesIO(picture(1)).read() == bytes(made.pack)
