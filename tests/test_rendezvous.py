"""trainer.distribution.rendezvous: workers meet, wait for one another, and compare their facts."""

import logging
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from pmc2vec.cli.metrics import progress_metrics
from pmc2vec.errors import UsageError, UserError
from trainer.devices import Worker
from trainer.distribution import rendezvous
from trainer.distribution.rendezvous import meet_workers


@pytest.fixture
def addresses() -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return [f"127.0.0.1:{port}", "second:1", "third:1"]


def meet(addresses, facts, *, seconds=(30.0, 30.0, 30.0)):
    """Returns what each worker raises, or None."""

    def one(index):
        try:
            worker = Worker(index, len(addresses))
            with meet_workers(worker, addresses, facts[index], seconds=seconds[index]):
                pass
        except UserError as error:
            return error
        return None

    with ThreadPoolExecutor(len(facts)) as pool:
        return list(pool.map(one, facts))


def test_workers_with_equal_facts_meet_again_and_again(addresses):
    facts = {"alpha": 0.5, "evaluate": ("a",), "max_steps": None}
    for _ in range(2):
        assert meet(addresses, dict.fromkeys((2, 0, 1), facts)) == [None] * 3


def test_what_differs_and_on_whom_is_one_line_on_all(addresses):
    facts = {0: {"alpha": "default", "seed": 1}, 1: {"alpha": 0.01, "seed": 1}}
    errors = meet(addresses, {**facts, 2: facts[0]})
    assert {type(error) for error in errors} == {UsageError}
    line = (
        "worker 1 (second:1) has alpha 0.01, worker 0 has default; "
        "start all workers with the same command, dataset and version"
    )
    assert [str(error) for error in errors] == [line] * 3


def test_who_is_missing_is_logged_at_once_and_ends_the_wait(addresses, caplog, monkeypatch):
    monkeypatch.setattr(rendezvous, "_POLL_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    (error,) = meet(addresses, {0: {}}, seconds=(0.2, 0.2))
    assert caplog.messages == ["waits for worker 1 (second:1), worker 2 (third:1)"]
    assert str(error).startswith(
        "TF_CONFIG: worker 1 (second:1), worker 2 (third:1) did not come within 0 seconds; "
    )
    assert (progress_metrics.stage, progress_metrics.total) == ("wait for workers", 3)
    (error,) = meet(addresses, {1: {}}, seconds=(0.2, 0.2))
    assert str(error).startswith(f"TF_CONFIG: worker 0 ({addresses[0]}) did not come within")


def test_a_worker_hears_from_the_first_who_else_is_missing(addresses, monkeypatch):
    monkeypatch.setattr(rendezvous, "_POLL_SECONDS", 0.1)
    errors = meet(addresses, {0: {}, 1: {}}, seconds=(2.0, 1.0))
    assert str(errors[1]).startswith("TF_CONFIG: worker 2 (third:1) did not come within 1 sec")


def test_strangers_and_a_port_in_use_are_no_workers(addresses):
    port = int(addresses[0].rpartition(":")[2])

    def knock():
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"worker": 7, "facts": {}}\n'):
            for _ in range(100):
                try:
                    with socket.create_connection(("127.0.0.1", port), 1) as connection:
                        connection.sendall(text)
                    break
                except OSError:  # It does not listen yet, or any more.
                    continue

    with ThreadPoolExecutor(1) as pool:
        knocks = pool.submit(knock)
        assert meet(addresses[:2], {0: {}, 1: {}}) == [None] * 2
        knocks.result()
    with socket.create_server(("", port)):
        (error,) = meet(addresses, {0: {}})
    assert str(error).startswith(f"TF_CONFIG: port {port} of worker 0 cannot be listened on (")
