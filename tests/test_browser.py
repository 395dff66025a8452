"""TensorBoard as a person sees it: `pmc2vec tensorboard` on two runs, in a real browser."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pmc2vec.vectors.keyed_vectors import Vectors
from tests import chromium
from tests.datasets import topic_articles, write_dataset
from tests.processes import first_line
from trainer.config import TrainConfig
from trainer.task import train

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = chromium.find()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt-get install chromium"),
]

ROOT = Path(__file__).parent.parent
WORDS = 97
PATIENCE = 60_000  # milliseconds: pages that two busy cores draw


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of two workdirs."""
    folder = tmp_path_factory.mktemp("browser")
    dataset = write_dataset(folder / "dataset", topic_articles(16), validation_fraction=0.25)
    for size in (8, 12):
        train(
            TrainConfig(
                dataset=str(dataset), workdir=folder / "runs" / f"size{size}", vector_size=size,
                epochs=2, batch_size=256, log_every=5, probe_words=("a1", "b1"),
            )
        )  # fmt: skip
    return folder / "runs"


@pytest.fixture(scope="module")
def address(runs):
    """The address of a TensorBoard on two runs, which Ctrl-C ends cleanly."""
    command = [sys.executable, "-m", "pmc2vec", "tensorboard", "--port", "0", "--workdir", "runs"]
    with subprocess.Popen(
        command, cwd=runs.parent, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        line = first_line(process, process.stdout)
        yield re.fullmatch(r"runs: (http://localhost:\d+/) \(Ctrl-C ends it\)\n", line)[1]
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)
        assert (process.returncode, *said) == (0, "", "")


@pytest.fixture(scope="module")
def browser():
    with chromium.opened(BROWSER) as (page, strangers):
        yield page
        assert strangers == [], "nothing may be fetched from outside"


@pytest.fixture
def see(address, browser):
    """Opens a dashboard, and returns what waits for a text in it."""

    def open_dashboard(name):
        browser.goto("about:blank")
        browser.goto(f"{address}#{name}")

        def see_text(text, *, within=browser, exact=True):
            found = within.get_by_text(text, exact=exact).first
            playwright.expect(found).to_be_visible(timeout=PATIENCE)
            return found

        return see_text

    return open_dashboard


def test_the_curves_have_names(see):
    text = see("scalars")
    for name in ("loss", "quality", "speed"):  # Groups; the first is open.
        text(name)
    for run in ("size8", "size8/validation", "size12", "size12/validation"):
        text(run)


def test_the_curves_have_descriptions(see, browser):
    see("scalars")("loss")
    browser.locator("tf-scalar-card").filter(has_text="loss").first.locator(
        "tf-card-heading paper-icon-button, tf-card-heading iron-icon"
    ).first.click(timeout=PATIENCE)
    text = browser.get_by_text("Of the objective, mean per pair.").first
    playwright.expect(text).to_be_visible(timeout=PATIENCE)


def test_the_texts_tell_of_the_corpus_and_of_neighbours(see):
    text = see("text")
    for name in ("corpus/funnel", "corpus/licences", "corpus/vocabulary", "options", "projector"):
        text(name)
    text("neighbours")


def test_the_neighbours_of_each_epoch_are_a_table(see, browser):
    see("text&run=size8&tagFilter=neighbours")("neighbours")
    cells = browser.locator("tf-text-loader").filter(has_text="neighbours").locator("td")
    playwright.expect(cells.filter(has_text=re.compile(r"^b1$")).first).to_be_visible(
        timeout=PATIENCE
    )
    near = cells.filter(has_text=re.compile(r"^[a-d]\d+ [01]\.\d\d(, \w+ -?[01]\.\d\d){4}$")).first
    playwright.expect(near).to_be_visible(timeout=PATIENCE)


def test_the_norms_are_histograms(see):
    see("histograms")("vectors/norms")


def test_the_hyperparameters_compare_the_runs(see):
    text = see("hparams")
    for name in ("size8 (runs)", "size12 (runs)", "vector_size", "alpha"):
        text(name)
    text("validation loss")


def test_the_projector_holds_every_word_with_its_columns(see, browser, runs):
    see("projector")
    frame = browser.frame_locator("iframe").frame_locator("iframe")
    points = frame.get_by_text(f"Points: {WORDS + 1}").first
    playwright.expect(points).to_be_visible(timeout=PATIENCE)
    # A bookmark selects its word, and the neighbours are those of the command line.
    frame.locator('.state-radio paper-icon-button[data-index="1"]').click(timeout=PATIENCE)
    near = frame.locator("vz-projector-inspector-panel .nn-list .neighbor .label")
    playwright.expect(near.first).to_be_visible(timeout=PATIENCE)
    ours = [Vectors.load(run).most_similar("a1", topn=5) for run in runs.iterdir()]
    assert near.all_inner_texts()[:5] in [[word for word, _ in nearest] for nearest in ours]
    for column in ("word", "count", "log10_count"):
        item = frame.locator("paper-item").filter(has_text=re.compile(rf"^\s*{column}\s*$"))
        playwright.expect(item.first).to_be_attached(timeout=PATIENCE)
