"""Formats of other programs, read back by those programs; and pickles that want more."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gensim.models import FastText, KeyedVectors, Word2Vec
from pyarrow import parquet

import pmc2vec
from pmc2vec.commands.export import main
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import gensim
from pmc2vec.vectors.formats.tensorflow import embedding_table
from pmc2vec.vectors.formats.vector_table import VectorTable
from pmc2vec.vectors.formats.workdir_files import write_vectors
from pmc2vec.vectors.keyed_vectors import Vectors
from pmc2vec.vectors.optional_packages import import_optional
from tests.test_workdir_files import ODD_WORDS

ROOT = Path(__file__).parent.parent

# A space ends a word in most of them.
WORDS = [word for word in ODD_WORDS if " " not in word]
MATRIX = np.random.default_rng(3).standard_normal((len(WORDS), 4)).astype(np.float32)
COUNTS = np.arange(len(WORDS), 0, -1) * 10


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A workdir with every format beside its own files."""
    folder = tmp_path_factory.mktemp("run")
    write_vectors(folder, WORDS, COUNTS, MATRIX)
    formats = [
        "word2vec", "word2vec_binary", "glove", "gensim", "numpy", "parquet", "keras",
        "saved_model",
    ]  # fmt: skip
    assert main(["--workdir", str(folder), "--format", *formats]) == 0
    return folder


def test_nothing_temporary_is_left(exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        "embedding.keras", "glove.txt", "metadata.tsv", "projector_bookmarks.json",
        "projector_config.pbtxt", "projector_metadata.tsv", "projector_vectors.tsv", "saved_model",
        "vectors.bin", "vectors.kv", "vectors.npy", "vectors.parquet", "vectors.tsv",
        "vectors.txt", "words.txt",
    ]  # fmt: skip


# --- gensim ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vectors.txt", {}),
        ("vectors.bin", {"binary": True}),
        ("glove.txt", {"no_header": True}),
    ],
)
def test_gensim_reads_the_word2vec_formats(exported, name, options):
    theirs = KeyedVectors.load_word2vec_format(str(exported / name), **options)
    assert theirs.index_to_key == WORDS
    np.testing.assert_array_equal(theirs.vectors, MATRIX)


def test_gensim_loads_its_own_format_with_counts(exported):
    theirs = KeyedVectors.load(str(exported / "vectors.kv"))
    assert theirs.index_to_key == WORDS
    assert theirs.key_to_index["中文"] == WORDS.index("中文")
    assert theirs.get_vecattr("β-catenin", "count") == COUNTS[WORDS.index("β-catenin")]
    np.testing.assert_array_equal(theirs.vectors, MATRIX)
    near = theirs.most_similar("word", topn=3)
    ours = Vectors(WORDS, MATRIX).most_similar("word", topn=3)
    assert [word for word, _ in near] == [word for word, _ in ours]


def test_our_reader_of_that_format_gives_the_same(exported):
    vectors = Vectors.load(exported / "vectors.kv")
    assert (vectors.words, vectors.counts.tolist()) == (WORDS, COUNTS.tolist())
    np.testing.assert_array_equal(vectors.matrix, MATRIX)


def test_arrays_that_gensim_puts_beside_its_file_are_memory_mapped(tmp_path):
    theirs = KeyedVectors(4)
    theirs.add_vectors(WORDS, MATRIX)
    path = tmp_path / "large.kv"
    theirs.save(str(path), sep_limit=1)
    vectors = Vectors.load(path)
    assert isinstance(vectors.matrix, np.memmap)
    np.testing.assert_array_equal(vectors.matrix, MATRIX)
    (tmp_path / "large.kv.vectors.npy").unlink()
    with pytest.raises(UserError, match=r"large.kv.vectors.npy: no such file; it belongs to"):
        Vectors.load(path)


def test_vectors_that_gensim_trained_are_read(tmp_path):
    sentences = [["fever", "cough", "rash"], ["fever", "cough"]] * 5
    model = Word2Vec(sentences, vector_size=5, min_count=1, seed=1, workers=1)
    model.wv.save(str(tmp_path / "trained.kv"))
    vectors = Vectors.load(tmp_path / "trained.kv")
    assert vectors.words == model.wv.index_to_key
    assert vectors.counts.tolist() == [10, 10, 5]
    np.testing.assert_array_equal(vectors["rash"], model.wv["rash"])


class Command:
    """What a malicious file asks the one who unpickles it to run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_wants_to_run_something_is_refused_and_runs_nothing(tmp_path):
    path, witness = tmp_path / "evil.kv", tmp_path / "witness"
    path.write_bytes(pickle.dumps(Command(witness)))
    with pytest.raises(UserError, match=r"evil.kv: asks for pathlib.*nothing of it was run"):
        Vectors.load(path)
    assert not witness.exists()
    pickle.loads(path.read_bytes())  # The same pickle, were it run.
    assert witness.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "numpy.load", "gensim.utils.unpickle"])
def test_only_what_keyed_vectors_need_is_allowed(tmp_path, name):
    module, _, function = name.rpartition(".")
    path = tmp_path / "evil.kv"
    path.write_bytes(f"c{module}\n{function}\n(S'1'\ntR.".encode())
    with pytest.raises(UserError, match=f"asks for {name}, which no KeyedVectors needs"):
        Vectors.load(path)


def test_arrays_of_python_objects_are_refused(tmp_path):
    path = tmp_path / "objects.kv"
    theirs = KeyedVectors(1)
    theirs.add_vectors(["a"], np.ones((1, 1), np.float32))
    theirs.vectors = np.array([[{}]], object)
    theirs.save(str(path))
    with pytest.raises(UserError, match=r"objects.kv: .*an array of '\|O8'"):
        Vectors.load(path)


def test_other_models_and_damaged_files_are_told(tmp_path):
    words = [["fever", "cough"]] * 5
    for model in (Word2Vec, FastText):
        model(words, vector_size=2, min_count=1, workers=1).save(str(tmp_path / "whole.kv"))
        with pytest.raises(UserError, match=r"asks for gensim\.models"):
            Vectors.load(tmp_path / "whole.kv")
    for content in (b"", b"garbage", pickle.dumps([1, 2]), pickle.dumps({"a": 1})[:-3]):
        (tmp_path / "bad.kv").write_bytes(content)
        with pytest.raises(UserError, match=r"bad.kv: (not saved by gensim|holds no words|empty)"):
            Vectors.load(tmp_path / "bad.kv")


@pytest.mark.parametrize("form", ["gensim", "keras", "saved_model"])
def test_a_word_that_comes_twice_is_refused_where_it_cannot_be_held(tmp_path, form):
    (tmp_path / "twice.txt").write_text("3 1\na 1\nb 2\na 3\n")
    with pytest.raises(UserError, match="the word 'a' comes twice"):
        main(["--workdir", str(tmp_path / "twice.txt"), "--format", form])
    assert [path.name for path in tmp_path.iterdir()] == ["twice.txt"]


def test_without_gensim_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(UserError) as caught:
        gensim.write_gensim(tmp_path / "v.kv", VectorTable(["a"], np.ones((1, 1), np.float32)))
    assert str(caught.value) == (
        "--format gensim needs gensim, which is not installed: pip install 'pmc2vec[gensim]'"
    )


def test_a_package_that_lacks_a_package_of_its_own_is_a_fault(tmp_path, monkeypatch):
    (tmp_path / "half_a_package.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
        import_optional("half_a_package", extra="x", purpose="x")


# --- tables ------------------------------------------------------------------------------------


def test_pyarrow_reads_parquet(exported):
    table = parquet.read_table(exported / "vectors.parquet")
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("word", "string"),
        ("count", "int64"),
        ("vector", "fixed_size_list<element: float>[4]"),
    ]
    assert table["word"].to_pylist() == WORDS
    assert table["count"].to_pylist() == COUNTS.tolist()
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), MATRIX)


def test_pandas_reads_parquet_and_the_tables(exported):
    frame = pd.read_parquet(exported / "vectors.parquet")
    assert frame.word.tolist() == WORDS
    assert frame["count"].tolist() == COUNTS.tolist()
    np.testing.assert_array_equal(np.stack(frame.vector), MATRIX)
    table = pd.read_csv(exported / "vectors.tsv", sep="\t", header=None, dtype=np.float32)
    np.testing.assert_array_equal(table, MATRIX)


def test_numpy_reads_the_table_of_a_workdir(exported):
    table = np.loadtxt(exported / "vectors.tsv", np.float32, delimiter="\t")
    np.testing.assert_array_equal(table, MATRIX)
    np.testing.assert_array_equal(np.load(exported / "vectors.npy"), MATRIX)


# --- Keras -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


def test_keras_gives_each_word_its_vector(exported, keras):
    model = keras.models.load_model(exported / "embedding.keras")
    assert model.get_layer("words").get_vocabulary() == ["", "[UNK]", *WORDS]
    import tensorflow as tf

    rows = model(tf.constant([" ".join(WORDS), "word unknown word"])).numpy()  # [2, words, D]
    np.testing.assert_array_equal(rows[0], MATRIX)
    np.testing.assert_array_equal(rows[1, :2], [MATRIX[-1], np.zeros(4)])
    assert not rows[1, 3:].any()  # Padding.


def test_the_unknown_word_is_the_second_row_as_in_text_vectorization(tmp_path, keras):
    Vectors(["[UNK]", "fever"], np.array([[1, 2], [3, 4]], np.float32)).save(tmp_path)
    assert main(["--workdir", str(tmp_path), "--format", "keras"]) == 0
    model = keras.models.load_model(tmp_path / "embedding.keras")
    assert model.layers[0].get_vocabulary() == ["", "[UNK]", "fever"]
    assert model.layers[1].get_weights()[0].tolist() == [[0, 0], [1, 2], [3, 4]]


def test_a_mean_in_keras_does_not_count_words_without_a_vector(tmp_path, keras, capsys):
    import tensorflow as tf

    Vectors(["insulin", "fever"], np.float32([[1, 2], [3, 4]])).save(tmp_path)
    assert main(["--workdir", str(tmp_path), "--format", "keras"]) == 0
    assert "2 of 2 words have vectors; it needs TensorFlow\n" in capsys.readouterr().out
    model = keras.models.load_model(tmp_path / "embedding.keras")
    text = keras.Input(shape=(), dtype="string")
    mean = keras.Sequential([text, model, keras.layers.GlobalAveragePooling1D()])
    # No word has punctuation, so Keras may take it out of the text.
    texts = tf.constant(["Insulin, glucose. (fever)", "fever"])
    assert mean(texts).numpy().tolist() == [[2, 3], [3, 4]]


def test_text_for_words_with_punctuation_is_cut_by_our_tokenizer(tmp_path, keras, capsys):
    import tensorflow as tf

    Vectors(["il-2", "fever"], np.float32([[1, 2], [3, 4]])).save(tmp_path)
    assert main(["--workdir", str(tmp_path), "--format", "keras"]) == 0
    assert "and text from ' '.join(pmc2vec.tokenize(text))\n" in capsys.readouterr().out
    model = keras.models.load_model(tmp_path / "embedding.keras")
    text = " ".join(pmc2vec.tokenize("IL-2, (fever)."))
    assert model(tf.constant([text])).numpy()[0].tolist() == [[1, 2], [3, 4]]


def test_keras_takes_a_classifiers_own_vocabulary(tmp_path, keras):
    write_vectors(tmp_path, ["fever", "cough"], None, np.float32([[1, 2], [3, 4]]))
    vocabulary = tmp_path / "own.txt"
    vocabulary.write_text("\n[UNK]\nthe\ncough\nfever\n")
    options = ["--workdir", str(tmp_path), "--format", "keras"]
    assert main([*options, "--keras_vocabulary", str(vocabulary)]) == 0
    model = keras.models.load_model(tmp_path / "embedding.keras")
    assert model.get_layer("words").get_vocabulary() == ["", "[UNK]", "the", "cough", "fever"]
    import tensorflow as tf

    rows = model(tf.constant(["The COUGH fever"])).numpy()[0]
    assert rows.tolist() == [[0, 0], [3, 4], [1, 2]]
    # It goes on being trained where one wants it to.
    assert model.get_layer("embedding").trainable
    assert model.get_layer("embedding").compute_mask(np.array([[2, 0]])).numpy().tolist() == [
        [True, False]
    ]


def test_unknown_words_may_have_drawn_rows():
    table = VectorTable(["a", "b"], np.float32([[1, -1], [3, -3]]))
    zero, covered = embedding_table(table, ["x", "b"], random_unknown=False)
    assert (zero.tolist(), covered) == ([[0, 0], [0, 0], [0, 0], [3, -3]], 1)
    drawn, _ = embedding_table(table, ["x", "b"], random_unknown=True)
    assert drawn[0].tolist() == [0, 0]
    assert drawn[1].all()
    assert drawn[2].all()
    assert drawn[3].tolist() == [3, -3]
    again, _ = embedding_table(table, ["x", "b"], random_unknown=True)
    np.testing.assert_array_equal(drawn, again)
    many, _ = embedding_table(table, [f"x{n}" for n in range(5000)], random_unknown=True)
    assert many[1:].std() == pytest.approx(np.sqrt(5), rel=0.05)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("heart attack\n", "cannot hold the word 'heart attack'"),
        ("x\ny\n", "no word of the vocabulary has a vector"),
        ("a\na\n", "the word 'a' comes twice"),
        ("", "own.txt: empty"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused(tmp_path, vocabulary, message):
    (tmp_path / "v.txt").write_text("1 1\na 1\n")
    (tmp_path / "own.txt").write_text(vocabulary)
    options = ["--workdir", str(tmp_path / "v.txt"), "--format", "keras"]
    with pytest.raises(UserError, match=message):
        main([*options, "--keras_vocabulary", str(tmp_path / "own.txt")])


# --- TensorFlow --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(exported):
    import tensorflow as tf

    return tf.saved_model.load(str(exported / "saved_model" / "1"))


def test_a_saved_model_embeds_words(served):
    import tensorflow as tf

    for name in ("embed", "serving_default"):
        answer = served.signatures[name](words=tf.constant(["β-catenin", "unknown", *WORDS]))
        assert answer["known"].numpy().tolist() == [True, False, *[True] * len(WORDS)]
        np.testing.assert_array_equal(answer["vectors"][0], MATRIX[WORDS.index("β-catenin")])
        assert not answer["vectors"][1].numpy().any()
        np.testing.assert_array_equal(answer["vectors"][2:], MATRIX)


def test_a_saved_model_knows_neighbours(served):
    import tensorflow as tf

    answer = served.signatures["neighbours"](
        words=tf.constant(["word", "unknown", "中文"]), topn=tf.constant(3)
    )
    assert answer["known"].numpy().tolist() == [True, False, True]
    named = [[word.decode() for word in row] for row in answer["neighbours"].numpy()]
    vectors = Vectors(WORDS, MATRIX)
    for at, word in ((0, "word"), (2, "中文")):
        near = vectors.most_similar(word, topn=3)
        assert named[at] == [neighbour for neighbour, _ in near]
        assert answer["cosines"][at].numpy().tolist() == pytest.approx(
            [c for _, c in near], abs=1e-6
        )
    assert (named[1], answer["cosines"][1].numpy().tolist()) == (["", "", ""], [0, 0, 0])
    more = served.signatures["neighbours"](words=tf.constant(["word"]), topn=tf.constant(9999))
    assert more["neighbours"].shape == (1, len(WORDS) - 1)


def test_a_saved_model_takes_the_place_of_an_older_one(tmp_path):
    import tensorflow as tf

    path = tmp_path / "v.txt"
    for number in (1, 2):
        path.write_text(f"2 1\na {number}\nb -1\n")
        assert main(["--workdir", str(path), "--format", "saved_model"]) == 0
        model = tf.saved_model.load(str(tmp_path / "saved_model" / "1"))
        assert model.signatures["embed"](words=tf.constant(["a"]))["vectors"].numpy() == number
    assert [version.name for version in (tmp_path / "saved_model").iterdir()] == ["1"]


# --- pmc2vec export ----------------------------------------------------------------------------


def test_a_word_with_a_space_survives_or_is_refused(tmp_path):
    import tensorflow as tf

    words = ["heart attack", "the"]
    write_vectors(tmp_path, words, None, np.eye(2, dtype=np.float32))
    formats = ["tsv", "numpy", "parquet", "gensim", "saved_model"]
    assert main(["--workdir", str(tmp_path), "--format", *formats]) == 0
    for name in ("vectors.tsv", "vectors.npy", "vectors.parquet", "vectors.kv"):
        assert Vectors.load(tmp_path / name).words == words
    assert KeyedVectors.load(str(tmp_path / "vectors.kv")).index_to_key == words
    model = tf.saved_model.load(str(tmp_path / "saved_model" / "1"))
    embedded = model.signatures["embed"](words=tf.constant(["heart attack"]))["vectors"]
    assert embedded.numpy().tolist() == [[1, 0]]
    for form in ("word2vec", "word2vec_binary", "glove", "keras"):
        with pytest.raises(UserError, match="cannot hold the word 'heart attack'"):
            main(["--workdir", str(tmp_path), "--format", form])


def test_any_file_of_vectors_is_exported_to_another_folder(tmp_path, capsys):
    source = tmp_path / "glove.txt"
    source.write_text("the 1 2\nof 3 4\n")
    options = ["--workdir", str(source), "--format", "parquet", "--output", str(tmp_path / "new")]
    assert main(options) == 0
    path = tmp_path / "new" / "vectors.parquet"
    assert capsys.readouterr().out == f"{path}  {path.stat().st_size:,} bytes\n"
    assert Vectors.load(path).words == ["the", "of"]


def test_queries_and_plain_formats_load_no_tensorflow(exported, tmp_path):
    formats = ["numpy", "parquet", "word2vec", "glove"]
    program = (
        "import sys\nfrom pmc2vec.commands import evaluate, export, neighbours\n"
        f"export.main(['--workdir', {str(exported)!r}, '--output', {str(tmp_path)!r},\n"
        f" '--format', *{formats}])\n"
        f"neighbours.main(['word', '--vectors', {str(exported)!r}])\n"
        f"neighbours.main(['word', '--vectors', {str(exported / 'vectors.kv')!r}])\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'gensim', 'matplotlib', 'numba', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
