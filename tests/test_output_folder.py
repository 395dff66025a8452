from threading import Event, Thread

from beam_pipelines.stages.output_folder import (
    HEARTBEAT_SECONDS,
    Heartbeat,
    sum_heartbeats,
)


def test_a_heartbeat_is_written_now_and_then_and_at_the_end(tmp_path):
    now = 0.0
    heart = Heartbeat(str(tmp_path), "corpus-00000", clock=lambda: now)
    heart.beat({"read": 1})
    heart.beat({"read": 2})
    assert sum_heartbeats(tmp_path, "corpus-") == {"read": 1}
    now = HEARTBEAT_SECONDS
    heart.beat({"read": 3})
    assert sum_heartbeats(tmp_path, "corpus-") == {"read": 3}
    heart.beat({"read": 4}, last=True)
    assert sum_heartbeats(tmp_path, "corpus-") == {"read": 4}


def test_whoever_reads_meanwhile_sees_no_fewer_than_before(tmp_path):
    heart, ended = Heartbeat(str(tmp_path), "corpus-00000"), Event()
    heart.beat({"read": 1}, last=True)

    def work():
        for number in range(1, 3000):
            heart.beat({"read": number}, last=True)
        ended.set()

    worker = Thread(target=work)
    worker.start()
    seen = [1]
    while not ended.is_set():
        seen.append(sum_heartbeats(tmp_path, "corpus-")["read"])
    worker.join()
    assert seen == sorted(seen)


def test_work_items_add_up_and_a_half_written_number_is_passed_over(tmp_path):
    Heartbeat(str(tmp_path), "corpus-00000").beat({"read": 1, "kept": 1})
    Heartbeat(str(tmp_path), "corpus-00001").beat({"read": 5})
    Heartbeat(str(tmp_path), "records-00001").beat({"words": 7})
    (tmp_path / "corpus-00002").write_text("read=2 kep")
    assert sum_heartbeats(tmp_path, "corpus-") == {"read": 8, "kept": 1}
    assert sum_heartbeats(tmp_path, "records-") == {"words": 7}


def test_without_a_folder_nothing_is_written(tmp_path):
    Heartbeat(None, "corpus-00000").beat({"read": 1}, last=True)
    assert not list(tmp_path.iterdir())
