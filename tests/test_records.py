import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmc2vec.dataset.records import (
    Record,
    RecordShape,
    decode_record,
    encode_record,
    encode_tfrecords,
    frame_tfrecord,
    read_shard,
    read_tfrecords,
    shard_name,
)
from pmc2vec.errors import UserError

int32 = st.integers(-(2**31), 2**31 - 1)


def record(tokens, windows, negatives):
    return Record(np.array(tokens, "<i4"), np.array(windows, "u1"), np.array(negatives, "<i4"))


def same(left, right):
    return all(
        np.array_equal(getattr(left, name), getattr(right, name))
        for name in ("tokens", "windows", "negatives")
    )


@given(st.lists(int32), st.lists(st.integers(0, 255)), st.lists(int32))
def test_a_record_survives_encoding(tokens, windows, negatives):
    before = record(tokens, windows, negatives)
    assert same(decode_record(encode_record(before)), before)


def test_tensorflow_reads_what_we_write(tmp_path):
    import tensorflow as tf

    path = tmp_path / "a.tfrecord"
    path.write_bytes(
        b"".join(encode_tfrecords([record([1, -1], [129, 0], [7]), record([2], [1], [3])]))
    )
    first, second = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    features = tf.train.Example.FromString(first).features.feature
    assert sorted(features) == ["negatives", "tokens", "windows"]
    assert features["tokens"].bytes_list.value[0] == b"\x01\x00\x00\x00\xff\xff\xff\xff"
    assert features["windows"].bytes_list.value[0] == b"\x81\x00"
    negatives = tf.train.Example.FromString(second).features.feature["negatives"]
    assert negatives.bytes_list.value[0] == b"\x03\x00\x00\x00"


def test_we_read_what_tensorflow_writes(tmp_path):
    import tensorflow as tf

    def feature(data):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))

    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                "windows": feature(b"\x81"),
                "tokens": feature(b"\x05\x00\x00\x00"),
                "negatives": feature(b"\x09\x00\x00\x00"),
            }
        )
    )
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    with path.open("rb") as file:
        assert same(next(read_shard(file, "a")), record([5], [129], [9]))


@pytest.mark.parametrize("data", [b"\x08\x01", b"\xff\xff\xff", b"\x0a\x7f"])
def test_what_is_no_example_is_refused(data):
    with pytest.raises(ValueError, match=r"Example|wire type|runs past"):
        decode_record(data)


def test_a_missing_feature_is_named():
    with pytest.raises(ValueError, match="lacks tokens, windows, negatives"):
        decode_record(b"")


@pytest.mark.parametrize("cut", [1, 11, 12, 14, 19])
def test_a_cut_shard_says_where(cut):
    data = frame_tfrecord(b"abcd")
    with pytest.raises(UserError, match=r"^s: damaged record.* at byte 0;"):
        list(read_tfrecords(io.BytesIO(data[:cut]), "s"))


@pytest.mark.parametrize("byte", [0, 9, 13, 17])
def test_a_flipped_bit_is_found(byte):
    data = bytearray(frame_tfrecord(b"first") + frame_tfrecord(b"abcd"))
    data[len(frame_tfrecord(b"first")) + byte] ^= 1
    read = read_tfrecords(io.BytesIO(bytes(data)), "s")
    assert next(read) == b"first"
    with pytest.raises(UserError, match="at byte 21;"):
        next(read)


def test_shard_names_sort_by_number():
    assert shard_name("train", 3, 16) == "train-00003-of-00016.tfrecord"


@pytest.mark.parametrize(
    "sizes", [(0, 1, 1, 1, 1), (10, 4, 1, 1, 1), (8, 4, 1, 5, 1), (256, 256, 1, 128, 1)]
)
def test_a_shape_that_no_record_can_have_is_refused(sizes):
    with pytest.raises(ValueError, match=r"must (be|not)"):
        RecordShape(*sizes)


def test_sizes_follow_from_the_shape():
    shape = RecordShape(length=512, block=32, block_negatives=16, window=5, negative=5)
    assert (shape.blocks, shape.negatives) == (16, 256)
