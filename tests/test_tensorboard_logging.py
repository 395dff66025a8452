"""What TensorBoard shows of a run, and how its program starts and ends."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from pmc2vec.commands import main
from tests.datasets import topic_articles, write_dataset
from tests.processes import first_line
from trainer.config import TrainConfig
from trainer.input_pipeline import open_dataset
from trainer.tensorboard_logging import (
    Text,
    TrainingCurve,
    corpus_tables,
    find_probe_words,
    hparams_session,
    hyperparameters,
    training_options,
    write_texts,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facts") / "dataset"
    return open_dataset(str(write_dataset(folder, topic_articles(4, sentences=4))))


def read(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return events


def told(folder, tag):
    """Returns what the HParams plugin reads from a tag of a folder."""
    return read(folder).SummaryMetadata(tag).plugin_data.content


def test_the_corpus_is_told_in_tables(dataset, tmp_path):
    write_texts(str(tmp_path), corpus_tables(dataset.manifest, dataset.vocabulary.words))
    events = read(tmp_path)
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
             for tag in events.Tags()["tensors"]}  # fmt: skip
    assert set(texts) == {
        "corpus/funnel", "corpus/licences", "corpus/vocabulary", "options/dataset", "projector",
    }  # fmt: skip
    assert all(events.summary_metadata[tag].summary_description for tag in texts)
    assert texts["corpus/licences"] == "| licence | articles |\n|---|---|\n| CC BY | 1 |"
    assert f"| words | {len(dataset.vocabulary)} |" in texts["corpus/vocabulary"]
    assert f"| most frequent | {dataset.vocabulary.words[0]} " in texts["corpus/vocabulary"]


def test_a_second_start_leaves_one_file(dataset, tmp_path):
    for text in ("first", "second"):
        write_texts(str(tmp_path), {"funnel": Text(text, "what it is")})
    (event,) = read(tmp_path).Tensors("funnel")
    assert event.tensor_proto.string_val == [b"second"]
    assert len(list(tmp_path.iterdir())) == 1


def test_hyperparameters_are_what_runs_may_differ_in(dataset, tmp_path):
    config = TrainConfig(dataset="d", workdir=tmp_path, vector_size=9).resolved(32)
    found = hyperparameters(config, dataset.manifest)
    assert (found["vector_size"], found["alpha"], found["architecture"]) == (9, 0.55, "skipgram")
    assert len(found) <= 10
    assert training_options(config).keys() > found.keys() & {"vector_size", "alpha", "seed"}
    assert not {"workdir", "dataset", "log_dir", "log_every"} & set(training_options(config))
    assert all(isinstance(value, bool | int | float | str) for value in found.values())


@pytest.mark.parametrize(
    ("ends", "status"), [(None, 1), (ValueError, 2), (SystemExit, 0)], ids=["well", "badly", "stop"]
)
def test_a_session_has_its_hyperparameters_and_says_how_it_ended(tmp_path, ends, status):
    def work():
        with hparams_session(
            str(tmp_path), {"window": 5, "noise": "unigram", "lower": True}, name="a/b",
            word_pairs=["men"],
        ):  # fmt: skip
            if ends:
                raise ends

    if ends:
        with pytest.raises(ends):
            work()
    else:
        work()
    start = metadata.parse_session_start_info_plugin_data(
        told(tmp_path, metadata.SESSION_START_INFO_TAG)
    )
    assert start.group_name == "a/b"
    assert start.hparams["window"].number_value == 5
    assert start.hparams["noise"].string_value == "unigram"
    assert start.hparams["lower"].bool_value
    experiment = metadata.parse_experiment_plugin_data(told(tmp_path, metadata.EXPERIMENT_TAG))
    assert [info.name for info in experiment.hparam_infos] == ["window", "noise", "lower"]
    names = [(info.name.group, info.name.tag) for info in experiment.metric_infos]
    assert names == [
        ("validation", "loss"), ("validation", "quality/accuracy"),
        ("validation", "quality/spearman/men"), ("", "loss"),
    ]  # fmt: skip
    end = metadata.parse_session_end_info_plugin_data(told(tmp_path, metadata.SESSION_END_INFO_TAG))
    assert end.status == status


def test_probe_words_may_be_drawn_named_or_none(dataset):
    vocabulary = dataset.vocabulary
    drawn = find_probe_words(("random:4:9", "the"), vocabulary, seed=1)
    assert len({*drawn} - {"the"} & {*vocabulary.words[:9]}) >= 3
    assert drawn == find_probe_words(("random:4:9", "the"), vocabulary, seed=1)
    assert find_probe_words(("none",), vocabulary, seed=1) == ()
    assert len(find_probe_words(("zebra",), vocabulary, seed=1)) == 8
    with pytest.raises(ValueError, match=r"random:9: must be random:N:M"):
        TrainConfig(dataset="d", workdir=Path("w"), probe_words=("random:9",))


# --- the program -------------------------------------------------------------------------------


def run(*words: str, cwd: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "pmc2vec", "tensorboard", *words]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_its_address_and_ends_when_asked_to(tmp_path, stop):
    write_texts(str(tmp_path / "run"), {"funnel": Text("text", "")})
    with run("--workdir", "run", "--port", "0", cwd=tmp_path) as process:
        line = first_line(process, process.stdout)
        process.send_signal(stop)
        assert process.communicate(timeout=60) == ("", "")
    assert re.fullmatch(r"run: http://localhost:\d+/ \(Ctrl-C ends it\)\n", line)
    assert process.returncode == 0


def test_where_there_is_nothing_to_see_it_says_so(tmp_path, capsys):
    for folder, says in (("no", "no such folder"), (".", "no TensorBoard files in it")):
        assert main.main(["tensorboard", "--workdir", str(tmp_path / folder)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"pmc2vec: error: {tmp_path / folder}: {says}; give --workdir what")


def test_logs_elsewhere_are_found_by_the_runs_options(tmp_path):
    from pmc2vec.commands.tensorboard import log_folder

    logs = tmp_path / "elsewhere"
    write_texts(str(logs), {"funnel": Text("text", "")})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"log_dir": str(logs)}))
    assert log_folder(tmp_path / "run") == str(logs)


def test_a_workdir_is_shown_by_its_name_and_a_folder_of_several_as_it_is(tmp_path):
    from pmc2vec.commands.tensorboard import named_run

    write_texts(str(tmp_path / "runs/one"), {"funnel": Text("text", "")})
    with named_run(str(tmp_path / "runs/one"), "one") as folder:
        assert [path.name for path in Path(folder).iterdir()] == ["one"]
        assert read(Path(folder) / "one").Tensors("funnel")
    assert not Path(folder).exists()
    with named_run(str(tmp_path / "runs"), "runs") as folder:
        assert folder == str(tmp_path / "runs")


def test_a_port_in_use_is_one_line(tmp_path):
    write_texts(str(tmp_path / "run"), {"funnel": Text("text", "")})
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        with run("--workdir", "run", "--port", str(port), cwd=tmp_path) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert re.fullmatch(rf"pmc2vec: error: .*{port}.*; give another --port or --host\n", err)


# --- points of the training curves ---------------------------------------------------------------

TOTALS = np.array([[4.0 + at, 2 + at % 3, at % 2] for at in range(23)])


def points(sizes, *, every, step):
    """The points of the first steps of TOTALS, given in parts; each step takes two seconds."""
    curve, begin, found = TrainingCurve(every=every, step=step), 0, []
    for size in sizes:
        found += curve.add(TOTALS[begin : begin + size], seconds=2.0 * size)
        begin += size
    return found


def test_a_point_is_the_mean_of_its_steps():
    first, second = points([23], every=10, step=4)
    assert (first.previous_step, first.step, first.seconds) == (4, 10, 12.0)
    loss, pairs, hits = TOTALS[:6].sum(0)
    assert (first.loss, first.accuracy) == (loss / pairs, hits / pairs)
    assert (second.previous_step, second.step, second.seconds) == (10, 20, 20.0)
    assert second.loss == TOTALS[6:16, 0].sum() / TOTALS[6:16, 1].sum()


@pytest.mark.parametrize("sizes", [[1] * 23, [6, 10, 7], [22, 1], [0, 23]])
def test_it_does_not_matter_how_many_come_together(sizes):
    for one, other in zip(
        points(sizes, every=10, step=4), points([23], every=10, step=4), strict=True
    ):
        assert one == pytest.approx(other)


def test_steps_without_pairs_are_a_point_too():
    (point,) = TrainingCurve(every=2, step=0).add(np.zeros([2, 3]), seconds=1.0)
    assert (point.loss, point.accuracy) == (0, 0)
