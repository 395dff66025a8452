"""pmc2vec/cli/metrics.py: figures over HTTP, while a real build and a real training run."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pmc2vec import __version__
from pmc2vec.cli.metrics import (
    METRICS,
    STALLED_SECONDS,
    ProgressMetrics,
    family_usage,
    health_check,
    serve_metrics,
)
from pmc2vec.errors import UserError
from tests.bulk import write_bulk
from tests.datasets import topic_articles, write_dataset
from tests.processes import first_line

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "k8s/monitoring/dashboard.json"
ALERTS = ROOT / "k8s/monitoring/alerts.yaml"
WATCHED = ("--metrics_port=0", "--log_format=json")


class Clock:
    """Seconds that pass only when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def scraped(text: str) -> dict[str, float]:
    """Returns what Prometheus' own parser finds."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_are_told_as_prometheus_reads_them():
    figures = ProgressMetrics()
    figures.set_stage("read", "MB", 12, 40)
    figures.set(build_articles_read=120, build_articles_kept=31)
    with serve_metrics(0, figures) as port:
        status, text = get(port, "/metrics")
        found = scraped(text)
        assert status == 200
        assert found["pmc2vec_build_articles_read_total"] == 120
        assert (found["pmc2vec_stage_units_done"], found["pmc2vec_stage_units"]) == (12, 40)
        assert f'pmc2vec_build_info{{version="{__version__}"}} 1.0' in text
        assert found["pmc2vec_resident_memory_bytes"] > 1e6
        assert found["process_resident_memory_bytes"] > 1e6
        assert 'pmc2vec_stage_units_done{stage="read",unit="MB"} 12.0' in text
        figures.set(build_articles_read=130)
        assert scraped(get(port, "/metrics")[1])["pmc2vec_build_articles_read_total"] == 130
        assert get(port, "/elsewhere")[0] == 404


def test_it_is_well_while_something_moves():
    clock = Clock()
    figures = ProgressMetrics(clock)
    with serve_metrics(0, figures) as port:
        clock.now += STALLED_SECONDS
        assert get(port, "/healthz") == (200, "start: moved 900 s ago\n")
        assert get(port, "/healthz?after=899")[0] == 503
        clock.now += 1
        told = "start: nothing moved for 901 s, more than 900\n"
        assert get(port, "/healthz") == (503, told)
        figures.set_stage("train", "words", 10, None)
        assert get(port, "/healthz")[0] == 200
        clock.now += 2 * STALLED_SECONDS
        figures.set_stage("train", "words", 10, None)  # the same again is no progress
        figures.set(train_loss=2.0)
        clock.now += 2 * STALLED_SECONDS
        figures.set(train_loss=2.0)
        assert get(port, "/healthz")[0] == 503
        assert get(port, "/healthz?after=soon")[0] == 400


def test_a_figure_has_a_name_that_is_explained():
    with pytest.raises(KeyError, match="build_unheard_of"):
        ProgressMetrics().set(build_unheard_of=1)
    for name, (kind, text, exported) in METRICS.items():
        assert re.fullmatch(r"[a-z_]+", name)
        assert text.endswith(".")
        assert kind == "counter" or not exported.endswith("_total")


def metrics_with_all_values() -> ProgressMetrics:
    figures = ProgressMetrics()
    figures.set_stage("read", "MB", 12, 40)
    figures.set(**dict.fromkeys(METRICS, 1.0))
    return figures


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
def test_names_and_rules_are_as_prometheus_wants_them():
    with serve_metrics(0, metrics_with_all_values()) as port:
        text = get(port, "/metrics")[1]
    for command, stdin in ((["check", "metrics"], text), (["check", "rules", ALERTS], "")):
        run = subprocess.run(
            ["promtool", *command], input=stdin, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")


def test_dashboard_and_alerts_ask_for_metrics_that_there_are():
    with serve_metrics(0, metrics_with_all_values()) as port:
        names = set(scraped(get(port, "/metrics")[1])) | {"up"}
    board = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) >= 6
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"]
             for rule in group["rules"]]  # fmt: skip
    assert len(rules) == 3
    for expression in [*asked, *(rule["expr"] for rule in rules)]:
        used = set(re.findall(r"(?:pmc2vec|process)_\w+", expression))
        assert used
        assert used <= names


def test_memory_and_time_are_those_of_the_workers_too(tmp_path):
    for pid, parent, pages in ((7, 1, 100), (8, 7, 10), (9, 8, 5), (10, 1, 1000)):
        (tmp_path / str(pid)).mkdir()
        fields = ["S", str(parent), *["0"] * 9, "200", "100", "50", "50", *["0"] * 6, str(pages)]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (b) c) {' '.join(fields)} 0\n")
    memory, seconds = family_usage(7, tmp_path)
    assert memory == 115 * os.sysconf("SC_PAGE_SIZE")
    assert seconds == 3 * 400 / os.sysconf("SC_CLK_TCK")
    assert family_usage(1, tmp_path / "nowhere") == (0, 0.0)


def test_a_port_that_is_taken_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = f"^--metrics_port {port}: cannot be listened on"
        with pytest.raises(UserError, match=told), serve_metrics(port):
            pass


def test_without_a_port_nothing_listens():
    before = threading.active_count()
    with serve_metrics(None) as port:
        assert port is None
        assert threading.active_count() == before
    assert health_check(ProgressMetrics())[0] == 200


def scrape_until_it_ends(words: list[str]) -> tuple[list[dict[str, float]], list[int], list[dict]]:
    """Runs a command and asks it again and again how far it is, for as long as it runs.

    Returns:
        What /metrics said each time, the statuses of /healthz, and the JSON lines on stderr.
    """
    run = subprocess.Popen(
        [sys.executable, "-m", "pmc2vec", *words],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    found, statuses = [], []
    assert run.stderr is not None
    told = [json.loads(first_line(run, run.stderr))]
    port = int(re.fullmatch(r"http://localhost:(\d+)/metrics", told[0]["message"])[1])
    stderr = run.stderr
    rest = threading.Thread(target=lambda: told.extend(map(json.loads, stderr)))
    rest.start()
    while run.poll() is None:
        try:
            found.append(scraped(get(port, "/metrics")[1]))
            statuses.append(get(port, "/healthz")[0])
        except OSError:  # It ended meanwhile.
            break
        time.sleep(0.05)
    rest.join()
    assert run.wait(60) == 0
    return found, statuses, told


def test_a_build_tells_while_it_runs(tmp_path):
    bulk = write_bulk(tmp_path / "bulk", archives=2, articles=900)
    found, statuses, told = scrape_until_it_ends(
        ["build", "--input", bulk, "--output", str(tmp_path / "data"), "--num_shards=2", *WATCHED,
         "--", "--direct_num_workers=1"]
    )  # fmt: skip
    read = [figures.get("pmc2vec_build_articles_read_total", 0) for figures in found]
    assert read == sorted(read)
    # How often it is asked depends on the machine: the last numbers are those of its own lines.
    assert read[-1] in range(1801)
    assert {line["stage"] for line in told} == {"metrics", "read", "draw"}
    last = [line["figures"] for line in told if line["stage"] == "read"][-1]
    assert (last["build_articles_read"], last["build_articles_kept"]) == (1800, 1800)
    assert last["build_xml_bytes"] > last["build_input_bytes"] > 1e4
    assert set(statuses) == {200}


@pytest.mark.slow
def test_a_training_tells_while_it_runs(tmp_path):
    dataset = write_dataset(tmp_path / "data", topic_articles(40))
    found, statuses, told = scrape_until_it_ends(
        ["train", "--dataset", str(dataset), "--workdir", str(tmp_path / "run"), "--epochs=12",
         "--vector_size=8", "--batch_size=128", "--log_every=10", *WATCHED]
    )  # fmt: skip
    steps = [
        figures["pmc2vec_train_steps_total"]
        for figures in found
        if "pmc2vec_train_steps_total" in figures
    ]
    assert steps == sorted(steps)
    assert len(set(steps)) > 3
    last = found[-1]
    assert last["pmc2vec_train_epochs_total"] == 11
    assert last["pmc2vec_train_words_per_second"] > 100
    assert 0 < last["pmc2vec_train_loss"] < 5
    assert 0 < last["pmc2vec_validation_loss"] < 5
    assert last["pmc2vec_stage_done"] == last["pmc2vec_stage_total"]
    assert {line["stage"] for line in told} == {"metrics", "train"}
    assert any(line["message"].startswith("epoch 12 of 12") for line in told)
    figures = told[-1]["figures"]
    assert figures["done"] == figures["total"] == figures["train_words"]
    assert set(statuses) == {200}
