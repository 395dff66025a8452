"""Pictures of words: what is on them, and that the same command draws the same."""

import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pmc2vec.commands.plot import TITLES, main, place_labels, project, words_to_draw
from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors

WORDS = ["melanoma", "lymphoma", "glioma", "insulin", "glucagon", "$x_1$ <b>", "β-catenin"]
ROWS = [[5, 0.1, 0], [6, 0.4, 0], [5, 0.2, 1], [0, 3, 0], [0.1, 4, 0.3], [1, 1, 6], [2, 1, 5]]


@pytest.fixture
def run(tmp_path) -> str:
    Vectors(WORDS, np.array(ROWS, np.float32)).save(tmp_path)
    return str(tmp_path)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_an_svg_holds_every_word_as_text_and_is_the_same_again(run, tmp_path, method, capsys):
    paths = [tmp_path / name for name in ("one.svg", "two.svg")]
    for path in paths:
        assert main([*WORDS, "--vectors", run, "--output", str(path), "--method", method]) == 0
    assert capsys.readouterr().out == f"{paths[0]}\n{paths[1]}\n"
    assert paths[0].read_bytes() == paths[1].read_bytes()
    root = ET.fromstring(paths[0].read_text(encoding="utf-8"))
    texts = {text.text.strip() for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert set(WORDS) <= texts
    assert f"7 words, {TITLES[method]} of unit vectors" in texts


def test_a_png_is_a_picture(run, tmp_path):
    path = tmp_path / "new" / "words.png"
    options = ["melanoma", "insulin", "--neighbours", "2", "--vectors", run, "--output", str(path)]
    assert main(options) == 0
    with Image.open(path) as picture:
        assert picture.size == (1500, 1200)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_neighbours_are_shown_once_after_the_words_asked_for(run):
    vectors = Vectors.load(run)
    assert list(words_to_draw(vectors, ["melanoma", "lymphoma"], 0)) == ["melanoma", "lymphoma"]
    assert list(words_to_draw(vectors, ["melanoma", "insulin"], 2).items()) == [
        ("melanoma", "melanoma"), ("insulin", "insulin"), ("lymphoma", "melanoma"),
        ("glioma", "melanoma"), ("glucagon", "insulin"), ("β-catenin", "insulin"),
    ]  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 100.0, 500.0]))
def test_labels_overlap_neither_each_other_nor_a_point(seed, width):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(30, 2)) * width
    sizes = np.stack([rng.uniform(20, 120, 30), np.full(30, 14.0)], axis=1)
    centres = place_labels(points, sizes)
    apart = np.abs(centres[:, None] - centres) >= (sizes[:, None] + sizes) / 2 - 1e-9
    assert (apart.any(axis=2) | np.eye(30, dtype=bool)).all()
    assert (np.abs(centres[:, None] - points) >= sizes[:, None] / 2).any(axis=2).all()


def test_neighbours_have_the_colour_of_their_word(run, tmp_path):
    path = tmp_path / "words.svg"
    words = ["melanoma", "insulin", "--neighbours", "1", "--vectors", run, "--output", str(path)]
    assert main(words) == 0
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    colours = {
        text.text.strip(): re.search("#[0-9a-f]{6}", text.get("style"))[0]
        for text in root.iter("{http://www.w3.org/2000/svg}text")
        if text.text.strip() in WORDS
    }
    assert colours["melanoma"] == colours["lymphoma"]
    assert colours["insulin"] == colours["glucagon"]
    assert colours["melanoma"] != colours["insulin"]


def test_pca_puts_what_is_alike_together():
    places = project(np.array(ROWS, np.float32), "pca")
    spread = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert spread[0, 1] < 0.2 * spread[0, 3]  # melanoma, lymphoma; melanoma, insulin
    assert spread[3, 4] < 0.2 * spread[0, 3]
    # Two directions of four points on a plane keep every distance.
    plane = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], np.float32)
    kept = project(plane, "pca")
    assert np.linalg.norm(kept[0] - kept[1]) == pytest.approx(2**0.5)
    assert np.linalg.norm(kept[0] - kept[2]) == pytest.approx(2)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["melanoma", "insulin"], "needs three words or more"),
        ([*WORDS, "--output", "words.jpg"], "name a picture, .png or .svg"),
        ([*WORDS, "--neighbours", "-1"], "--neighbours -1: must be at least 0"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(run, capsys, words, complaint):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--vectors", run])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_an_unknown_word_is_told_and_nothing_drawn(run, tmp_path):
    with pytest.raises(UserError, match="did you mean melanoma"):
        main(["melanomma", *WORDS, "--vectors", run, "--output", str(tmp_path / "no.png")])
    assert not (tmp_path / "no.png").exists()


def test_without_matplotlib_one_line_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError) as caught:
        main([*WORDS, "--vectors", run, "--output", str(tmp_path / "no.png")])
    assert re.fullmatch(
        r"pmc2vec plot needs matplotlib, which is not installed: pip install 'pmc2vec\[plot\]'",
        str(caught.value),
    )
