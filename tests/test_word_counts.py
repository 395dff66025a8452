import io
from collections import Counter

import pyarrow.parquet as pq

from beam_pipelines.stages import word_counts
from beam_pipelines.stages.output_folder import OutputFolder
from beam_pipelines.stages.word_counts import (
    PARTITIONS,
    CountsWriter,
    merge_counts,
    merge_partition,
)
from beam_pipelines.stages.word_counts import write_vocabulary as write
from pmc2vec.storage.files import atomic_file

ONE = [["fever", "the", "the"], ["brca1"]]
TWO = [["the", "fever"], ["il-2", "nan", "null", "α"]]


def counted(sentences):
    file = io.BytesIO()
    writer = CountsWriter(file)
    for sentence in sentences:
        writer.count_sentences([" ".join(sentence)])
    writer.close()
    return io.BytesIO(file.getvalue())


def merged(*parts):
    tables = [
        merge_counts([io.BytesIO(part.getvalue()) for part in parts], partition)
        for partition in range(PARTITIONS)
    ]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len({row["word"] for row in rows}) == len(rows)
    return {row["word"]: row["count"] for row in rows}


def test_counts_of_all_parts_add_up():
    expected = Counter(word for sentence in ONE + TWO for word in sentence)
    assert merged(counted(ONE), counted(TWO)) == expected


def test_a_part_without_words_counts_nothing():
    assert merged(counted([]), counted(ONE)) == {"fever": 1, "the": 2, "brca1": 1}
    assert merged(counted([])) == {}


def test_spilling_changes_nothing(monkeypatch):
    many = [[f"w{n % 700}" for n in range(i, i + 40)] for i in range(300)]
    at_once = merged(counted(many))
    monkeypatch.setattr(word_counts, "SPILL_WORDS", 50)
    monkeypatch.setattr(word_counts, "WAITING_SENTENCES", 2)
    spilled = counted(many)
    assert pq.ParquetFile(spilled).num_row_groups > 2 * PARTITIONS
    assert merged(spilled) == at_once == Counter(word for sentence in many for word in sentence)


def vocabulary_of(tmp_path, *, min_count, max_final_vocab=None):
    (tmp_path / "counts").mkdir(exist_ok=True)
    output = OutputFolder(str(tmp_path))
    for name, sentences in (("part-00000", ONE), ("part-00001", TWO)):
        with atomic_file(output.path("counts", f"{name}.parquet")) as file:
            file.write(counted(sentences).getvalue())
    dropped = [
        merge_partition(
            p,
            ["part-00001", "part-00000"],
            counted=output.path("counts"),
            output=output,
            folder="counts",
            min_count=min_count,
        )
        for p in range(PARTITIONS)
    ]
    made = write(
        dropped,
        output=output,
        folder="counts",
        min_count=min_count,
        max_final_vocab=max_final_vocab,
    )
    return made, (tmp_path / "vocabulary.tsv").read_text()


def test_the_vocabulary_and_what_it_drops_are_all_tokens(tmp_path):
    made, text = vocabulary_of(tmp_path, min_count=2)
    assert text == "word\tcount\nthe\t3\nfever\t2\n"
    assert (made.size, made.tokens, made.dropped_words, made.dropped_tokens) == (2, 5, 5, 5)


def test_words_past_the_largest_vocabulary_are_dropped_too(tmp_path):
    made, text = vocabulary_of(tmp_path, min_count=1, max_final_vocab=3)
    assert text == "word\tcount\nthe\t3\nfever\t2\nbrca1\t1\n"
    assert (made.size, made.tokens, made.dropped_words, made.dropped_tokens) == (3, 6, 4, 4)


def test_a_vocabulary_may_come_out_empty(tmp_path):
    made, text = vocabulary_of(tmp_path, min_count=9)
    assert (made.size, made.dropped_tokens, text) == (0, 10, "word\tcount\n")
