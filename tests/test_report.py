"""trainer.report and trainer.history: what a training says of itself."""

import re

import numpy as np
import pytest

from pmc2vec.dataset.manifest import Manifest, VocabularyFile
from pmc2vec.dataset.records import RecordShape
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.history import (
    EpochRecord,
    History,
    Stretch,
    longer_plan_line,
    overfitting_line,
    read_history,
    write_history,
)
from trainer.report import ReportFacts, gap_sentence, report
from trainer.word_map import MAP_SIZE, map_picture, readable_labels


def record(epoch, loss, validation_loss, **options):
    return EpochRecord(epoch, 100 * epoch, 9.0, loss, 0.5, validation_loss, 0.4, **options)


def history(*losses):
    return History(epochs=tuple(record(n, *pair) for n, pair in enumerate(losses, 1)))


def stretch(first_step, steps):
    return Stretch(first_step, steps // 100, steps, 0.4, 0.05, 0.1)


@pytest.fixture
def facts(tmp_path):
    rng = np.random.default_rng(1)
    words = [f"<word{chr(97 + n % 26)}{'x' * (n // 26)}" for n in range(60)]
    vectors = Vectors([word.strip("<1234567890") for word in words], rng.normal(size=(60, 4)))
    epochs = (
        record(1, 3.0, 2.9, spearman={"men": 0.4}, neighbours={"a<b": [("cough", 0.5)]}),
        record(2, 2.0, 2.5, spearman={"men": 0.5}, neighbours={"a<b": [("chill", 0.6)]}),
    )
    manifest = Manifest(
        shape=RecordShape(length=8, block=4, block_negatives=2, window=3, negative=5),
        shards=(), vocabulary=VocabularyFile("v", 60, "", 9, 0, 0), funnel={"articles_kept": 1234},
        licences={"CC BY": 7}, config={}, inputs=(), code_version="0",
    )  # fmt: skip
    return ReportFacts(
        tmp_path / "<run>", {"loss": "2.0"}, {"alpha": 0.3}, History((), epochs), manifest, vectors
    )


def test_the_report_is_one_file_that_fetches_nothing(facts):
    page = report(facts)
    assert not re.search(r"src=|href=|url\(|<script|@import|https?://", page)
    assert "<h1>Training &lt;run&gt;</h1>" in page
    for text in ("1,234", "CC BY", "--alpha", "0.3", "cough", "chill", "a&lt;b", "memory at most"):
        assert text in page
    assert page.count("<svg") == 4  # Three charts and the map.
    assert page.count("<circle") > 20


def test_a_report_of_no_epoch_and_two_words_is_a_page_too(facts):
    few = Vectors(["a", "b"], np.eye(2, dtype=np.float32))
    page = report(ReportFacts(facts.workdir, {}, {}, History(), facts.manifest, few))
    assert "There are too few words for a map." in page
    assert "No epoch was finished." in page


def test_the_map_is_a_picture_too(facts):
    width, height = MAP_SIZE
    picture = map_picture(facts.vectors)
    assert (picture.shape, picture.dtype) == ((height, width, 4), np.uint8)
    assert (picture[..., 0] < 100).sum() > 1000  # Dark letters on white.
    assert map_picture(Vectors(["a", "b"], np.eye(2, dtype=np.float32))) is None


def test_labels_do_not_cover_each_other():
    places = np.array([[10.0, 10.0], [14.0, 12.0], [10.0, 40.0], [200.0, 10.0]])
    labels = readable_labels(["one", "two", "three", "four"], places, 3)
    assert [word for word, _, _ in labels] == ["one", "three", "four"]


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ([(3.0, None)], "There is no validation loss"),
        ([(3.0, 2.9), (2.0, 2.5)], "ends 0.500 above training loss. Some of what was learnt"),
        ([(3.0, 2.4), (2.0, 2.5)], "lowest after epoch 1 and rose since"),
        ([(3.0, 2.9), (2.6, 2.5)], "ends 0.100 below training loss. Nothing was learnt by heart"),
    ],
)
def test_the_gap_is_explained_in_a_sentence(losses, sentence):
    assert sentence in gap_sentence(history(*losses).epochs)


def test_a_validation_loss_that_rises_is_warned_of():
    assert overfitting_line(history((3.0, 2.5), (2.0, 2.4))) is None
    assert overfitting_line(history((3.0, 2.5), (2.0, 2.51))) is None
    assert overfitting_line(history((2.0, 2.5), (2.1, 2.7))) is None
    line = overfitting_line(history((3.0, 2.5), (2.0, 2.7)))
    assert line.startswith("validation loss rises (2.5000 after epoch 1, now 2.7000) while")


def test_more_epochs_later_are_not_the_same_and_both_plans_stay():
    first = History().with_stretch(stretch(0, 200))
    again = first.with_stretch(stretch(120, 200))
    assert again == first
    longer = first.with_stretch(stretch(200, 400))
    assert longer_plan_line(first) is None
    assert longer_plan_line(longer).startswith("400 steps where 200 were planned: the learning")


def test_a_history_survives_its_file_and_forgets_what_came_after_a_checkpoint(tmp_path):
    whole = History(
        (stretch(0, 200), stretch(200, 400)),
        (record(1, 3.0, None, neighbours={"a": [["b", 0.5]]}), record(2, 2.0, 2.5)),
    )
    write_history(tmp_path, whole)
    assert read_history(tmp_path) == whole
    assert read_history(tmp_path).until(150) == History(whole.stretches[:1], whole.epochs[:1])
    assert read_history(tmp_path).until(0) == History(whole.stretches[:1], ())
    (tmp_path / "history.json").write_text("{")
    assert read_history(tmp_path) == History()
