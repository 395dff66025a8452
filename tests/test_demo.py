import subprocess
import sys

import pytest

from pmc2vec.commands.demo import DemoConfig, demo
from pmc2vec.errors import UserError


def test_the_demo_recovers_what_was_planted(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pmc2vec", "demo", "--output", str(tmp_path / "demo")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    printed = done.stdout
    for part in ("pmc2vec sample", "pmc2vec build", "pmc2vec train", "pmc2vec tensorboard"):
        assert part in printed
    assert printed.count(" yes") == 5
    rows = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "pyrexia" in rows["fever"]


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    from rich.console import Console

    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(UserError, match=r"holds thesis\.doc; give another --output"):
        demo(DemoConfig(output=tmp_path), Console())
    assert (tmp_path / "thesis.doc").exists()
