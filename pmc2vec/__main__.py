"""Runs `python -m pmc2vec` as `pmc2vec`."""

import sys

from pmc2vec.cli import main

sys.exit(main())
