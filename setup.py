"""What `--setup_file=./setup.py` ships to Beam workers; all metadata is in pyproject.toml.

It adds one thing: the dependencies. A plain install gets both halves. A Beam worker, known by the
boot program that every Beam SDK container has, gets the Beam half alone and so no TensorFlow
(docs/decisions/0002).
"""

import tomllib
from pathlib import Path

from setuptools import setup

BEAM_WORKER = Path("/opt/apache/beam/boot")

extras = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["optional-dependencies"]
halves = ["beam"] if BEAM_WORKER.exists() else ["beam", "trainer"]

setup(install_requires=sorted({need for half in halves for need in extras[half]}))
