"""Runs `python -m pmc2vec` as `pmc2vec`."""

import sys

from pmc2vec.commands.main import main

sys.exit(main())
