"""Makes the README's pictures: TensorBoard on two runs over made-up articles, in a browser.

Run by `make pictures`; with a dataset that is there already, by

    python -m docs.pictures.make --dataset dataset
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmc2vec.cli import exit_codes, options
from pmc2vec.errors import UserError
from tests import chromium

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

PATIENCE = 120_000  # milliseconds
COLOURS = 96  # of a picture's palette, which keeps it small
HERE = Path(__file__).parent


@dataclass(frozen=True)
class PicturesConfig:
    """Options of the script."""

    dataset: Path | None = None
    """A dataset to train on; by default one of made-up articles."""
    output: Path = HERE
    """Folder for the pictures."""


def main(argv: Sequence[str] | None = None) -> int:
    """Makes every picture and prints their names and sizes."""
    config = options.parse(
        PicturesConfig, argv, prog="python -m docs.pictures.make", description="Make the pictures."
    )
    return exit_codes.run_program(lambda: make(config))


def make(config: PicturesConfig) -> int:
    """Trains two runs, shows them, and writes a picture of each dashboard.

    Raises:
        UserError: there is no browser.
    """
    path = chromium.find()
    if path is None:
        raise UserError("no chromium here: apt-get install chromium, or name it in CHROMIUM")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        dataset = config.dataset.resolve() if config.dataset else _made_up(work)
        for size in (32, 64):
            _run(work, "train", "--dataset", str(dataset), "--workdir", f"runs/size{size}",
                 "--vector_size", str(size), "--epochs", "5", "--log_every", "20",
                 "--validate_every", "100")  # fmt: skip
        for shown, scenes in SCENES.items():
            with _tensorboard(work, shown) as address:
                for name, scene in scenes.items():
                    with chromium.opened(path) as (page, _):
                        page.set_default_timeout(PATIENCE)
                        scene(page, address)
                        _write(page, config.output / f"{name}.png")
    return 0


def _made_up(work: Path) -> Path:
    _run(work, "sample", "--output", "bulk", "--articles", "1500")
    _run(work, "build", "--input", "bulk", "--output", "dataset",
         "--keywords", "cancer", "melanoma", "carcinoma")  # fmt: skip
    return work / "dataset"


def _run(work: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "pmc2vec", *words], cwd=work, check=True)


@contextmanager
def _tensorboard(work: Path, shown: str) -> Iterator[str]:
    command = [sys.executable, "-m", "pmc2vec", "tensorboard", "--workdir", shown, "--port", "0"]
    with subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            (address,) = re.findall(r"http\S+", process.stdout.readline())
            yield address
        finally:
            process.send_signal(signal.SIGINT)


def _write(page: Page, path: Path) -> None:
    from PIL import Image

    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size:,} bytes")


# --- what is to be seen ------------------------------------------------------------------------


def _scalars(page: Page, address: str) -> None:
    page.goto(f"{address}#timeseries")
    page.get_by_text("words_per_second").first.wait_for()
    page.get_by_role("button", name="Settings").first.click()
    page.get_by_role("combobox", name="Filter tags (regex)").fill("accuracy|loss|words")
    page.keyboard.press("Escape")  # The list of suggestions.
    _rest(page)


def _text(page: Page, address: str) -> None:
    page.goto(f"{address}#text&tagFilter=neighbours%7Cfunnel")
    page.get_by_text("melanoma").first.wait_for()
    _rest(page)


def _hparams(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 2100, "height": 640})
    page.goto(f"{address}#hparams")
    page.get_by_text("runs/size64").first.wait_for()
    _rest(page)


def _projector(page: Page, address: str) -> None:
    page.goto(f"{address}#projector")
    frame = page.frame_locator("iframe").frame_locator("iframe")
    frame.get_by_text("Points: ").first.wait_for()
    _rest(page)
    frame.locator(".search-by vz-projector-input input").fill("melanoma")
    frame.get_by_text("Nearest points in the original space").wait_for()
    _rest(page)


def _rest(page: Page) -> None:
    """Lets what moves come to rest."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(4000)


SCENES: dict[str, dict[str, Callable[[Page, str], None]]] = {
    "runs": {"scalars": _scalars, "hparams": _hparams},
    "runs/size64": {"text": _text, "projector": _projector},
}

if __name__ == "__main__":
    sys.exit(main())
