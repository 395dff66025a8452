import gzip

import pytest

from beam_pipelines.inputs.documents import InputFile
from beam_pipelines.inputs.inventories import MAX_ROW_CHARACTERS, listed_files
from pmc2vec.errors import UserError

ROWS = """\
"b","PMC2.1/PMC2.1.xml","2026-10-01T00:00:00.000Z","76250f5b"
"b","PMC2.1/PMC2.1.txt","2026-10-01T00:00:00.000Z","00000000"
"b","PMC1.2/PMC1.2.xml"
"b","index.xml","2026-10-01T00:00:00.000Z","00000000"
"""


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["csv", "csv.gz"])
def test_article_versions_are_listed_with_date_and_digest(tmp_path, pack):
    (tmp_path / "i.csv").write_bytes(pack(b"\xef\xbb\xbf" + ROWS.encode()))
    assert listed_files([str(tmp_path / "i.csv")], "s3://b") == (
        InputFile("s3://b/PMC1.2/PMC1.2.xml", 0),
        InputFile("s3://b/PMC2.1/PMC2.1.xml", 0, "2026-10-01T00:00:00.000Z", "76250f5b"),
    )


def test_of_two_inventories_the_later_one_counts(tmp_path):
    for name, digest in (("1.csv", "old"), ("2.csv", "new")):
        (tmp_path / name).write_text(f"b,PMC1.1.xml,2026-10-01T00:00:00.000Z,{digest}\n")
    (file,) = listed_files([str(tmp_path / "1.csv"), str(tmp_path / "2.csv")], "in")
    assert file.digest == "new"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"b,index.html\n", "lists no article version"),
        (b"b,PMC1.1.xml\nno comma\n", "line 2 is not bucket, key"),
        (b"b,PMC1.1.xml\xff\n", "cannot be read"),
        (gzip.compress(b"b,PMC1.1.xml\n" * 99)[:-9], "cannot be read"),
        (b"x" * (MAX_ROW_CHARACTERS + 1), "cannot be read .a row of more than 1,048,576"),
        (b'b,"PMC1.1.xml' + b"x" * 200_000, "cannot be read"),
    ],
    ids=["no article", "no CSV", "no UTF-8", "truncated", "endless row", "stray quote"],
)
def test_what_cannot_be_read_is_named(tmp_path, data, message):
    (tmp_path / "i.csv").write_bytes(data)
    with pytest.raises(UserError, match=message):
        listed_files([str(tmp_path / "i.csv")], "in")
