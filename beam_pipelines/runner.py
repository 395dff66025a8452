"""Which engine runs the Beam job, and the worker processes of the local one.

The options after a bare `--` belong to Beam. Without any, the job runs on Beam's in-process engine
with a worker process for each core:

    engine = Engine(["--direct_num_workers=2"])
    run_pipeline(engine.pipeline())

`DirectRunner` means that engine here too, under its own name `FnApiRunner`: Beam 2.77's
`DirectRunner` is a switch that first looks on the network for the binary of Prism.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    _BeamArgumentParser,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from beam_pipelines.engines import prepare_engine, runner_name, watch_engine
from beam_pipelines.flink_api import advice, root_cause
from pmc2vec.cli.console import verbosity
from pmc2vec.errors import UserError

WORKER_MODULE = "beam_pipelines.worker_main"
LOCAL_RUNNERS = ("", "DirectRunner", "FnApiRunner")

# A worker's traceback reaches this process as text: its last line names the error.
_USER_ERROR = re.compile(r"pmc2vec\.errors\.UserError: (.*?)(?: \[while running|\n|$)")
# What a job server says of a job that failed: a stack trace, often of several causes.
_ENGINE_ERROR = re.compile(r"Pipeline \S+ (failed in state \w+): (.+)", re.DOTALL)


def check_flags(flags: Sequence[str]) -> None:
    """Checks the options after `--`, without a look at the network.

    Raises:
        ValueError: Beam has no such option or no such runner, or not with this value.
    """
    parser = _FlagParser(allow_abbrev=False)
    for options in _all_subclasses(PipelineOptions):
        options._add_argparse_args(parser)  # noqa: SLF001  # Beam's hook has no public twin.
    parsed, unknown = parser.parse_known_args(list(flags))
    if unknown:
        raise ValueError(f"Beam knows no option {' '.join(unknown)}")
    if (parsed.direct_num_workers or 0) < 0:
        raise ValueError(f"--direct_num_workers {parsed.direct_num_workers}: must not be negative")
    if (parsed.runner or "") not in LOCAL_RUNNERS:
        try:
            create_runner(parsed.runner)
        except (ValueError, ImportError, AttributeError, TypeError) as error:
            raise ValueError(f"--runner {parsed.runner}: {error}") from error


class _FlagParser(_BeamArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raises ValueError; argparse would print every option and exit."""
        raise ValueError(message)


def _all_subclasses(parent: Any) -> list[Any]:
    direct = parent.__subclasses__()
    return [*direct, *(deeper for child in direct for deeper in _all_subclasses(child))]


class Engine:
    """Beam, set up from the options after `--`, which `check_flags` checks.

    Attributes:
        options: Beam's.
        local: whether this is the in-process engine.
        workers: worker processes of the local engine; 1 elsewhere.
    """

    def __init__(self, flags: Sequence[str] = ()) -> None:
        check_flags(flags)
        self.options = PipelineOptions(list(flags), allow_unsafe_triggers=False)
        runner = self.options.view_as(StandardOptions).runner or ""
        self.local = runner in LOCAL_RUNNERS and "--prism_location" not in " ".join(flags)
        self.workers = self._set_workers(flags) if self.local else 1

    def _set_workers(self, flags: Sequence[str]) -> int:
        direct = self.options.view_as(DirectOptions)
        # Beam's default is one worker; its 0 means "one for each core", and so does no option here.
        if not any(flag.startswith("--direct_num_workers") for flag in flags):
            direct.direct_num_workers = 0
        direct.direct_num_workers = direct.direct_num_workers or os.cpu_count() or 1
        return int(direct.direct_num_workers)

    def _local_runner(self) -> FnApiRunner:
        mode = self.options.view_as(DirectOptions).direct_running_mode
        if self.workers == 1 or mode != "in_memory":
            return FnApiRunner()
        command = f"exec {shlex.quote(sys.executable)} -m {WORKER_MODULE}"
        return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))

    def shares_files(self, folder: str) -> bool:
        """Tells whether the workers write to a folder that this process can watch."""
        one_machine = self.local or runner_name(self.options) == "PrismRunner"
        return one_machine and "://" not in folder

    def pipeline(self) -> beam.Pipeline:
        """Returns an empty pipeline on this engine.

        Raises:
            UserError: the engine needs other options too, or does not answer.
        """
        runner = self._local_runner() if self.local else None
        if not self.local:
            prepare_engine(self.options)
        try:
            return beam.Pipeline(runner=runner, options=self.options)
        except ValueError as error:
            raise UserError(" ".join(f"{error}; give them after --".split())) from error


def configure_beam_logging(beam_flags: Sequence[str]) -> None:
    """Sets what Beam logs in this process; for `main` functions only.

    A local engine logs the traceback of every error that `run_pipeline` raises, so it is silent
    unless --verbose.
    """
    quiet = logging.CRITICAL if Engine(beam_flags).local else logging.WARNING
    logging.getLogger("apache_beam").setLevel(logging.INFO if verbosity.verbose else quiet)
    # It warns, in many lines, of a jar that it downloads and of a job server that it ends.
    servers = logging.getLogger("apache_beam.utils.subprocess_server")
    servers.setLevel(logging.INFO if verbosity.verbose else logging.ERROR)
    # It logs by the root's functions that it waits for a job server, and an engine's stack traces.
    root = logging.getLogger()
    root.removeFilter(_is_no_record)
    if not verbosity.verbose:
        root.addFilter(_is_no_record)


def _is_no_record(_record: logging.LogRecord) -> bool:
    return False


def run_pipeline(pipeline: beam.Pipeline) -> None:
    """Runs the pipeline to its end.

    Raises:
        UserError: a worker raised one (its message, without Beam's traceback), or a worker died.
    """
    try:
        with watch_workers(WORKER_MODULE), watch_engine(pipeline.options):
            pipeline.run().wait_until_finish()
    except UserError:
        raise
    except Exception as error:
        if match := _USER_ERROR.search(str(error)):
            raise UserError(match[1]) from error
        if match := _ENGINE_ERROR.match(str(error)):
            cause = root_cause(match[2])
            raise UserError(f"the job {match[1]}: {cause}; {advice(cause)}") from error
        raise


# --- worker processes of the local engine --------------------------------------------------------

# Names of Beam 2.77's threads: one waits for a worker's process, the others read what it sends, or
# what a job server says.
_WAITING_THREAD = "run_worker"
_READING_THREADS = ("beam_control_read", "read_grpc_client_inputs", "wait_until_finish_read")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WORKER_DIED = signal.SIGUSR1


@contextlib.contextmanager
def watch_workers(module: str) -> Iterator[None]:
    """Ends the work inside when a worker dies, and the workers when a signal ends the work.

    Beam 2.77 alone would wait for ever for a worker that was killed (by the system, when memory is
    short), and after Ctrl-C for workers that it never asked to end. The opposite case, a program
    that dies before its workers, is handled in `worker_main`.

    Only the main thread receives signals in Python; in any other thread this does nothing.

    Args:
        module: the module that the workers run.

    Raises:
        UserError: a worker died.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    causes: list[BaseException | None] = []

    def report_death(args: Any) -> None:
        """Wakes the main thread when the thread that waits for a worker's process has failed."""
        name = args.thread.name if args.thread else ""
        if name not in (_WAITING_THREAD, *_READING_THREADS):
            previous_hook(args)
        elif name == _WAITING_THREAD and not causes:
            causes.append(args.exc_value)
            signal.pthread_kill(threading.main_thread().ident or 0, _WORKER_DIED)

    def interrupt(number: int, frame: FrameType | None) -> None:
        """Kills the workers, and then does what the signal did before."""
        causes.append(None)
        kill_workers(module)
        previous = handlers[number]
        if not callable(previous):
            raise KeyboardInterrupt
        previous(number, frame)

    previous_hook = threading.excepthook
    # A signal that is ignored (a shell's background job ignores Ctrl-C) stays ignored.
    handlers: dict[int, Any] = {
        number: handler
        for number in (*_STOP_SIGNALS, _WORKER_DIED)
        if callable(handler := signal.getsignal(number)) or number == _WORKER_DIED
    }
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, threading, "excepthook", previous_hook)
        threading.excepthook = report_death
        for number, handler in handlers.items():
            stack.callback(signal.signal, number, handler)
            signal.signal(number, interrupt)
        try:
            yield
        except BaseException as error:
            if causes and causes[0] is not None:
                raise _worker_death(causes[0]) from error
            raise


def kill_workers(module: str) -> None:
    """Kills this process's children that run `module` (on Linux; elsewhere there is no /proc)."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # proc(5): the parent's id is the second field after the name, which stands in brackets.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if parent == os.getpid() and module.encode() in words:
                os.kill(int(folder.name), signal.SIGKILL)


def _worker_death(error: BaseException) -> UserError:
    status = str(error).rpartition(" ")[2]
    return UserError(
        f"a worker process ended with status {status}, killed perhaps because memory is short; "
        "the same command goes on, with fewer workers after -- --direct_num_workers=1"
    )
