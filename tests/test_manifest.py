import json

import pytest

from pmc2vec.dataset.manifest import Manifest, Shard, VocabularyFile, parse_manifest
from pmc2vec.dataset.records import RecordShape
from pmc2vec.errors import UserError


def shard(name, split, draw):
    return Shard(name, split, draw, records=1, targets=2, pairs=3, words=4, bytes=5, sha256="ab")


MANIFEST = Manifest(
    shape=RecordShape(512, 32, 16, 5, 5),
    shards=(shard("t1", "train", 1), shard("t0", "train", 0), shard("v", "validation", 0)),
    vocabulary=VocabularyFile("vocabulary.tsv", 2, "cd", 20, 3, 4),
    funnel={"read": 2, "kept": 1},
    licences={"CC BY 4.0": 1},
    config={"min_count": 5},
    inputs=(("a.tar.gz", 10),),
    code_version="0.1.0",
)


def test_a_manifest_survives_json():
    assert parse_manifest(MANIFEST.to_json(), "m") == MANIFEST


def test_shards_are_selected_by_split_and_draw():
    assert [s.name for s in MANIFEST.select("train")] == ["t0", "t1"]
    assert [s.name for s in MANIFEST.select("train", draw=1)] == ["t1"]
    assert MANIFEST.passes == 2
    with pytest.raises(ValueError, match="no split 'test'"):
        MANIFEST.select("test")


def changed(**fields):
    return json.dumps(json.loads(MANIFEST.to_json()) | fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":', "m: not JSON (line 1"),
        ("[]", "m: not a manifest of ours (format None)"),
        (changed(format="tfds"), "m: not a manifest of ours (format 'tfds')"),
        (changed(version=0), "m: dataset version 0, this program reads version 1"),
        (changed(shape={}), "m: incomplete manifest"),
        (changed(shards=[{"name": "x"}]), "m: incomplete manifest"),
        (changed(extra=1), "m: incomplete manifest"),
    ],
)
def test_a_foreign_or_damaged_manifest_gets_one_line(text, message):
    with pytest.raises(UserError) as caught:
        parse_manifest(text, "m")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
