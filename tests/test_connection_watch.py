"""trainer.distribution.connection_watch, in processes that hold Python's interpreter lock."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

WATCHED = """
import ctypes, os, signal, socket
from pmc2vec.cli.exit_codes import run_program
from trainer.distribution import connection_watch

# Of a shell's background job it is ignored, and stays so.
signal.signal(signal.SIGINT, signal.default_int_handler)
connection_watch._thread_function()  # Compiled once for all that are forked.

def hold_the_lock(here):
    here.sendall(b"begins")
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):  # A mutex that is locked already is waited for.
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)

def exit_code(other, inside=hold_the_lock):
    "Of a process whose TensorFlow connects by `inside`, while the other worker does something."
    here, there = socket.socketpair()
    child = os.fork()
    if child:
        here.close()
        status = other(child, there)
        there.close()
        status = status or os.waitpid(child, 0)
        print("exit code", os.waitstatus_to_exitcode(status[1]), flush=True)
        return
    there.close()
    def program():
        with connection_watch.watch_connections({"worker 1 (b:1)": here}):
            inside(here)
        return 7
    os._exit(run_program(program))

def connect(_child, there):
    there.sendall(b"1")
    assert there.recv(9) == b"1"

def send(number):
    def until_it_ends(child, there):
        there.recv(6)
        # A process that sleeps now waits for the mutex; before, Python would hear the signal.
        while open(f"/proc/{child}/stat").read().rpartition(")")[2].split()[0] != "S":
            pass
        while not (status := os.waitpid(child, os.WNOHANG))[0]:
            os.kill(child, number)
            os.sched_yield()
        return status
    return until_it_ends

exit_code(connect, lambda _: None)
exit_code(lambda _child, there: there.recv(6) and None)
exit_code(send(signal.SIGTERM))
exit_code(send(signal.SIGINT))
connection_watch.CONNECT_SECONDS = 0
exit_code(lambda _child, there: there.recv(9, socket.MSG_WAITALL) and None)
"""


def test_a_worker_that_ends_a_signal_and_the_time_end_the_process_with_a_line_each():
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        check=True,
    )  # fmt: skip
    again = "; start all workers again with the same command"
    assert done.stdout.splitlines() == [
        "exit code 7",
        f"pmc2vec: error: TF_CONFIG: worker 1 (b:1) ended before all were connected{again}",
        "exit code 1",
        "pmc2vec: stopped by SIGTERM; the same command goes on, or begins again",
        "exit code 143",
        "pmc2vec: interrupted",
        "exit code 130",
        f"pmc2vec: error: TF_CONFIG: no connection of all workers within 0 seconds{again}",
        "exit code 1",
    ]
