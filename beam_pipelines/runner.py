"""Which engine runs the job: the options after `--` belong to Beam.

`DirectRunner` (the default) is Beam's in-process engine, by its own name `FnApiRunner`, with a
worker process for each core: Beam's switch of that name would first look for a binary on the
network.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    _BeamArgumentParser,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from beam_pipelines import worker_processes
from pmc2vec.cli import log_lines, verbosity
from pmc2vec.errors import UserError

WORKER = "beam_pipelines.worker_main"
LOCAL = ("", "DirectRunner", "FnApiRunner")
_USER_ERROR = re.compile(r"pmc2vec\.errors\.UserError: (.*?)(?: \[while running|\n|$)")

# What a job server says of a job, after the engine's own account in the log.
_ENGINE_ERROR = re.compile(r"^(Pipeline \S+ failed in state FAILED: [^\n]+)")


def unknown_options(flags: Sequence[str]) -> list[str]:
    """Returns the words of `flags` that no options class of Beam declares."""
    parser = _BeamArgumentParser(allow_abbrev=False)
    for options in _subclasses(PipelineOptions):
        options._add_argparse_args(parser)  # noqa: SLF001  # Beam's hook, which has no public twin
    return list(parser.parse_known_args(list(flags))[1])


def _subclasses(cls: Any) -> list[Any]:
    own = cls.__subclasses__()
    return [*own, *(deeper for sub in own for deeper in _subclasses(sub))]


class Engine:
    """Beam, set up from the options after `--`.

    Attributes:
        options: Beam's.
        local: whether this is the in-process engine.
        workers: worker processes of the local engine; 1 elsewhere.
    """

    def __init__(self, flags: Sequence[str] = ()) -> None:
        self.options = PipelineOptions(list(flags), allow_unsafe_triggers=False)
        runner = self.options.view_as(StandardOptions).runner or ""
        self.local = runner in LOCAL and "--prism_location" not in " ".join(flags)
        self.workers = self._set_workers(flags) if self.local else 1

    def _set_workers(self, flags: Sequence[str]) -> int:
        direct = self.options.view_as(DirectOptions)
        if not any(flag.startswith("--direct_num_workers") for flag in flags):
            direct.direct_num_workers = 0
        direct.direct_num_workers = direct.direct_num_workers or os.cpu_count() or 1
        return int(direct.direct_num_workers)

    def _local_runner(self) -> FnApiRunner:
        mode = self.options.view_as(DirectOptions).direct_running_mode
        if self.workers == 1 or mode != "in_memory":
            return FnApiRunner()
        command = f"exec {shlex.quote(sys.executable)} -m {WORKER}"
        return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))

    def shares_files(self, folder: str) -> bool:
        """Tells whether the workers write to a folder that this process can watch."""
        return self.local and "://" not in folder

    def pipeline(self) -> beam.Pipeline:
        """Returns an empty pipeline on this engine."""
        # Beam installs a log handler of its own, and tells every error once more than we do.
        logging.basicConfig(level=logging.WARNING, handlers=log_lines.handlers(), force=True)
        quiet = logging.CRITICAL if self.local else logging.WARNING
        level = logging.INFO if verbosity.asked.verbose else quiet
        logging.getLogger("apache_beam").setLevel(level)
        runner = self._local_runner() if self.local else None
        return beam.Pipeline(runner=runner, options=self.options)


def run(pipeline: beam.Pipeline) -> None:
    """Runs the pipeline to its end.

    Raises:
        UserError: a worker raised one; its message, without Beam's account of where. Or it died.
    """
    try:
        with worker_processes.watched(WORKER):
            pipeline.run().wait_until_finish()
    except UserError:
        raise
    except Exception as error:
        if match := _USER_ERROR.search(str(error)) or _ENGINE_ERROR.search(str(error)):
            raise UserError(match[1]) from error
        raise
