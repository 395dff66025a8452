"""pmc2vec/cli/exit_codes.py: how a program ends."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pmc2vec.cli import exit_codes
from pmc2vec.errors import UserError

PRINTING = "def main(): return [print(n) for n in range(100_000)] and 0"
OTHER_PIPE = "def main(): raise BrokenPipeError('a connection of Beam')"


def failing(error: BaseException) -> int:
    raise error


def with_stdout(stdout: int, program: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Runs `program`'s main in a Python of its own."""
    code = (
        "from pmc2vec.cli.exit_codes import run_program\n"
        f"{program}\n"
        "raise SystemExit(run_program(main))"
    )
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


def test_the_programs_status_is_passed_on() -> None:
    assert exit_codes.run_program(lambda: 0) == 0
    assert exit_codes.run_program(lambda: 7) == 7


def test_a_user_error_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_codes.run_program(lambda: failing(UserError("a.xml: not XML (line 3)"))) == 1
    assert capsys.readouterr() == ("", "pmc2vec: error: a.xml: not XML (line 3)\n")


def test_an_interrupt_is_one_line_and_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_codes.run_program(lambda: failing(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "pmc2vec: interrupted\n")


def test_sigterm_is_one_line_and_status_143(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    told = "pmc2vec: stopped by SIGTERM; the same command goes on, or begins again\n"

    def wrapped() -> int:  # As Beam does with what is raised inside it.
        try:
            return ended_by_sigterm()
        except KeyboardInterrupt as error:
            raise RuntimeError("while running") from error

    for program in (ended_by_sigterm, wrapped, lambda: exit_codes.run_program(ended_by_sigterm)):
        assert exit_codes.run_program(program) == 143
        assert capsys.readouterr().err == told
        assert signal.getsignal(signal.SIGTERM) is before


def ended_by_sigterm() -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("SIGTERM was not heard")


def test_what_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "data/a")
    assert exit_codes.run_program(lambda: failing(full)) == 1
    assert capsys.readouterr().err == (
        "pmc2vec: error: data/a: No space left on device; mend that and give the same command "
        "again\n"
    )
    with pytest.raises(ConnectionResetError):
        exit_codes.run_program(lambda: failing(ConnectionResetError(errno.ECONNRESET, "reset")))


def test_no_memory_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_codes.run_program(lambda: failing(MemoryError("Unable to allocate 9 TiB"))) == 1
    assert capsys.readouterr().err == (
        "pmc2vec: error: not enough memory (Unable to allocate 9 TiB); give smaller options, or "
        "more memory\n"
    )


def test_a_name_that_is_too_long_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = "n" * 300
    assert exit_codes.run_program(lambda: (tmp_path / name).read_text() and 0) == 1
    assert capsys.readouterr().err.startswith(f"pmc2vec: error: {tmp_path / name}: File name too")


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_codes.run_program(lambda: 1 // 0)


def test_a_usage_error_goes_through() -> None:
    with pytest.raises(SystemExit, match="2"):
        exit_codes.run_program(lambda: failing(SystemExit(2)))


@pytest.mark.parametrize("flags", [(), ("-u",)])
def test_a_reader_that_leaves_is_no_error(flags: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = with_stdout(writer, PRINTING, *flags)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_reader_that_leaves_after_a_line_is_no_error() -> None:
    program = (
        "def main():\n"
        "    print('first', flush=True)\n"
        "    for _ in range(100_000): print('a line of many')\n"
        "    return 0\n"
    )
    reader, writer = os.pipe()
    heard: list[bytes] = []

    def listen() -> None:
        line = b""
        while not line.endswith(b"\n") and (part := os.read(reader, 1)):
            line += part  # `print` may write a line and its end apart.
        heard.append(line)
        os.close(reader)

    listener = threading.Thread(target=listen)
    listener.start()
    ended = with_stdout(writer, program)
    os.close(writer)
    listener.join(60)
    assert (heard, ended.returncode, ended.stderr) == ([b"first\n"], 141, "")


def test_another_broken_pipe_is_an_error() -> None:
    ended = with_stdout(subprocess.DEVNULL, OTHER_PIPE)
    assert ended.returncode == 1
    assert ended.stderr.endswith("BrokenPipeError: a connection of Beam\n")


def test_a_table_whose_reader_leaves_is_no_error() -> None:
    program = (
        "def main():\n"
        "    from pmc2vec.cli.console import ResultConsole\n"
        "    for _ in range(10_000): ResultConsole().print('a line')\n"
        "    return 0\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    run = with_stdout(writer, program)
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_error(closed: str) -> None:
    code = (
        "import sys\n"
        "from pmc2vec.cli.console import print_table\n"
        "from pmc2vec.cli.exit_codes import run_program\n"
        "def main(): assert list(sys.stdin) == []; print_table('ab', []); return 0\n"
        "raise SystemExit(run_program(main))"
    )
    command = ["bash", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == ("" if ">&-" in closed.split() else "a\tb\n")


ESCAPED = b"tnf-\\u03b1 'word\\n'\n" + b'"\\u00e9\\u03b1\\ud83e\\uddec"\n'


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "iso-8859-1"}]
)
def test_letters_that_the_terminal_lacks_are_escaped(locale: dict[str, str]) -> None:
    code = (
        "from pmc2vec.cli.exit_codes import run_program\n"
        "from pmc2vec.cli.console import print_json\n"
        "def main():\n"
        "    print('tnf-\\u03b1', *map(ascii, __import__('sys').stdin))\n"
        "    print_json('é\\u03b1\\U0001f9ec')\n"
        "    return 0\n"
        "raise SystemExit(run_program(main))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=b"word\n", capture_output=True, check=False,
        env={**os.environ, **locale},
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, ESCAPED, b"")
