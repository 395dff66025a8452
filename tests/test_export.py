"""Every vector file format as its readers see it, and TensorBoard's projector itself."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pmc2vec.commands.export import main
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import word2vec
from pmc2vec.vectors.formats.projector import CENTRE
from pmc2vec.vectors.formats.vector_table import VectorTable
from pmc2vec.vectors.formats.workdir_files import write_vectors
from pmc2vec.vectors.keyed_vectors import Vectors

WORDS = ["the", '"fever"', "β"]
COUNTS = np.array([1000, 10, 1])
MATRIX = np.array([[0.1, -2.0], [1e-7, 16777216.0], [3.0, 123456789.0]], np.float32)


def read_word2vec_text(path):
    """A reader by hand: "V D", then a word and D numbers in each row."""
    header, *rows = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    count, size = map(int, header.split(" "))
    words, numbers = zip(*(row.split(" ", 1) for row in rows), strict=True)
    matrix = np.array([[float(number) for number in row.split(" ")] for row in numbers], np.float32)
    assert matrix.shape == (count, size)
    return list(words), matrix


def read_word2vec_binary(path):
    """A reader by hand, byte by byte as distance.c of word2vec reads."""
    data = path.read_bytes()
    at = data.index(b"\n") + 1
    count, size = map(int, data[: at - 1].split())
    words, rows = [], []
    for _ in range(count):
        word = bytearray()
        while data[at : at + 1] != b" ":
            if data[at : at + 1] != b"\n":
                word += data[at : at + 1]
            at += 1
        words.append(word.decode())
        rows.append(struct.unpack_from(f"<{size}f", data, at + 1))
        at += 1 + 4 * size
    assert data[at:] == b"\n"
    return words, np.array(rows, np.float32)


# --- what training leaves ----------------------------------------------------------------------


def test_vectors_and_metadata_stand_side_by_side(tmp_path):
    write_vectors(tmp_path, WORDS, COUNTS, MATRIX)
    assert (tmp_path / "vectors.tsv").read_text() == (
        "0.1\t-2\n"
        "1e-7\t16777216\n"
        "3\t123456790\n"
    )  # fmt: skip
    assert (tmp_path / "metadata.tsv").read_text(encoding="utf-8") == (
        "word\tcount\tlog10_count\n"
        "the\t1000\t3.0000\n"
        '"fever"\t10\t1.0000\n'
        "β\t1\t0.0000\n"
    )  # fmt: skip
    assert (tmp_path / "projector_config.pbtxt").read_text() == (
        "embeddings {\n"
        '  tensor_name: "vectors"\n'
        '  tensor_path: "projector_vectors.tsv"\n'
        '  metadata_path: "projector_metadata.tsv"\n'
        '  bookmarks_path: "projector_bookmarks.json"\n'
        "}\n"
    )
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), MATRIX)
    assert len(list(tmp_path.iterdir())) == 7


def test_without_counts_metadata_is_one_column_without_header(tmp_path):
    write_vectors(tmp_path, WORDS, None, MATRIX)
    assert (tmp_path / "metadata.tsv").read_text(encoding="utf-8") == 'the\n"fever"\nβ\n'


@given(arrays(np.float32, (4, 3), elements=st.floats(width=32, allow_nan=False)))
def test_text_gives_every_float_back_in_its_shortest_form(tmp_path_factory, matrix):
    folder = tmp_path_factory.mktemp("floats")
    path = folder / "vectors.txt"
    word2vec.write_text_vectors(path, VectorTable(list("abcd"), matrix))
    _, back = read_word2vec_text(path)
    np.testing.assert_array_equal(back.view(np.uint32), matrix.view(np.uint32))
    for text, number in zip(path.read_text().split()[3:6], matrix[0], strict=False):
        assert len(text) <= len(repr(float(number)))


def test_a_vector_that_is_not_finite_is_refused_before_anything_is_written(tmp_path):
    matrix = MATRIX.copy()
    matrix[1, 1] = np.nan
    with pytest.raises(UserError, match="the vector of '\"fever\"' is not finite"):
        write_vectors(tmp_path, WORDS, COUNTS, matrix)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["a\tb", "a\nb", "a\rb", ""])
def test_a_word_that_the_format_cannot_hold_leaves_the_old_files(tmp_path, word):
    write_vectors(tmp_path, WORDS, COUNTS, MATRIX)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"metadata.tsv: this format cannot hold the word"):
        write_vectors(tmp_path, ["the", word, "of"], COUNTS, MATRIX * 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_failure_while_writing_leaves_the_old_files(tmp_path):
    write_vectors(tmp_path, WORDS, COUNTS, MATRIX)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    surrogate = ["the", "\ud800", "of"]  # Cannot be encoded, which shows only in the middle.
    with pytest.raises(UnicodeEncodeError):
        write_vectors(tmp_path, surrogate, COUNTS, MATRIX * 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# --- the projector -----------------------------------------------------------------------------


def shown_rows(folder):
    """The words and the matrix that the projector is given."""
    header, *rows = (folder / "projector_metadata.tsv").read_text(encoding="utf-8").splitlines()
    assert header == "word\tcount\tlog10_count"
    words = [row.split("\t")[0] for row in rows]
    return words, np.loadtxt(folder / "projector_vectors.tsv", np.float32, delimiter="\t")


def test_the_projector_shows_the_most_frequent_words(tmp_path):
    words, counts = ["rare", "the", "of"], np.array([1, 100, 10])
    write_vectors(tmp_path, words, counts, MATRIX, projector_words=2, probe_words=["of", "rare"])
    assert shown_rows(tmp_path)[0] == ["the", "of", CENTRE]
    views = json.loads((tmp_path / "projector_bookmarks.json").read_text())
    assert [(view["label"], view["selectedPoints"]) for view in views] == [
        ("by frequency", []), ("of", [1]),
    ]  # fmt: skip
    # Equal counts stay in their order.
    write_vectors(tmp_path, ["b", "c", "a"], np.array([5, 7, 5]), MATRIX, projector_words=2)
    assert shown_rows(tmp_path)[0] == ["c", "b", CENTRE]


def test_spherized_points_have_the_cosines_of_the_vectors(tmp_path):
    """What the projector does to its points first, and what its neighbours are then."""
    rng = np.random.default_rng(1)
    matrix = (rng.normal(size=(40, 8)) + 1).astype(np.float32)
    words = [f"w{number}" for number in range(40)]
    write_vectors(tmp_path, words, np.arange(40, 0, -1), matrix)
    points = shown_rows(tmp_path)[1]
    points = points - points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    ours = Vectors(words, matrix)
    for place in range(40):
        cosines = dict(zip(words, (points @ points[place]).tolist(), strict=False))
        near = ours.most_similar(place, topn=5)
        assert [cosines[word] for word, _ in near] == pytest.approx([c for _, c in near], abs=1e-5)


def projector(logdir):
    """Returns a client of TensorBoard with its projector plugin on `logdir`."""
    from tensorboard.backend.application import TensorBoardWSGI
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from werkzeug.test import Client

    runs = EventMultiplexer()
    runs.AddRunsFromDirectory(str(logdir))
    runs.Reload()
    provider = MultiplexerDataProvider(runs, str(logdir))
    plugin = ProjectorPlugin(TBContext(logdir=str(logdir), data_provider=provider))
    return Client(TensorBoardWSGI([plugin]))


@pytest.mark.parametrize("rows", [5000, 2])
def test_tensorboard_serves_the_vectors_of_a_workdir(tmp_path, rows):
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    EventFileWriter(str(tmp_path)).close()
    write_vectors(tmp_path, WORDS, COUNTS, MATRIX, projector_words=rows)
    shown = min(rows, 3)

    client = projector(tmp_path)
    data = "/data/plugin/projector"
    assert json.loads(client.get(f"{data}/runs").data) == ["."]
    (table,) = json.loads(client.get(f"{data}/info?run=.").data)["embeddings"]
    assert (table["tensorName"], table["tensorShape"]) == ("vectors", [shown + 1, 2])
    tensor = client.get(f"{data}/tensor?run=.&name=vectors&num_rows=100000").data
    units = MATRIX[:shown] / np.linalg.norm(MATRIX[:shown], axis=1, keepdims=True)
    points = np.frombuffer(tensor, np.float32).reshape(-1, 2)
    np.testing.assert_allclose(points[:-1], units, rtol=1e-6)
    assert client.get(f"{data}/bookmarks?run=.&name=vectors").json[0]["label"] == "by frequency"
    metadata = client.get(f"{data}/metadata?run=.&name=vectors&num_rows=100000").data.decode()
    header, *rest = metadata.removesuffix("\n").split("\n")
    assert header.split("\t") == ["word", "count", "log10_count"]
    assert [row.split("\t")[0] for row in rest] == [*WORDS[:shown], CENTRE]


# --- pmc2vec export ----------------------------------------------------------------------------


def test_all_formats_at_once_are_what_their_readers_expect(tmp_path, capsys):
    write_vectors(tmp_path, WORDS, COUNTS, MATRIX)
    formats = ["word2vec", "word2vec_binary", "numpy", "tsv"]
    assert main(["--workdir", str(tmp_path), "--format", *formats]) == 0

    for words, matrix in (
        read_word2vec_text(tmp_path / "vectors.txt"),
        read_word2vec_binary(tmp_path / "vectors.bin"),
        (
            (tmp_path / "words.txt").read_text(encoding="utf-8").split("\n")[:-1],
            np.load(tmp_path / "vectors.npy"),
        ),
    ):
        assert words == WORDS
        assert matrix.dtype == np.float32
        np.testing.assert_array_equal(matrix, MATRIX)
    printed = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    names = (
        "vectors.txt vectors.bin vectors.npy words.txt "
        "vectors.tsv metadata.tsv vectors.npy projector_vectors.tsv projector_metadata.tsv "
        "projector_bookmarks.json projector_config.pbtxt"
    )
    assert printed == [str(tmp_path / name) for name in names.split()]


def test_the_default_format_is_word2vec_text(tmp_path):
    write_vectors(tmp_path, WORDS, COUNTS, MATRIX)
    assert main(["--workdir", str(tmp_path)]) == 0
    assert (tmp_path / "vectors.txt").read_text(encoding="utf-8").startswith("3 2\nthe 0.1 -2\n")


def test_a_word_with_a_space_fits_no_word2vec_format_but_numpy(tmp_path):
    write_vectors(tmp_path, ["the", "heart attack", "of"], COUNTS, MATRIX)
    for form, name in (("word2vec", "vectors.txt"), ("word2vec_binary", "vectors.bin")):
        with pytest.raises(UserError, match=f"{name}: .* cannot hold the word 'heart attack'"):
            main(["--workdir", str(tmp_path), "--format", form])
        assert not (tmp_path / name).exists()
    assert main(["--workdir", str(tmp_path), "--format", "numpy"]) == 0
    assert (tmp_path / "words.txt").read_text() == "the\nheart attack\nof\n"


def test_a_workdir_without_vectors_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"vectors.tsv: no such file; give a workdir that"):
        main(["--workdir", str(tmp_path)])


@pytest.mark.parametrize(
    ("format_options", "complaint"),
    [
        (["--format", "fastest"], "fastest"),
        (["--format"], "no format"),
        (["--keras_vocabulary", "own.txt"], "--keras_vocabulary is for --format keras"),
        (["--formats", "tsv"], "formats"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(tmp_path, capsys, format_options, complaint):
    with pytest.raises(SystemExit) as stop:
        main(["--workdir", str(tmp_path), *format_options])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pmc2vec export: error: ")
    assert complaint in line
