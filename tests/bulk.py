"""Small bulk archives of hand-written articles, for the tests of the Beam job."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

TOPICS = {
    "melanoma": "Melanoma cells of skin carry BRAF mutations. Patients with melanoma had fever.",
    "carcinoma": "The carcinoma of the lung was treated with drugs. Its cells divide quickly.",
    "maize": "The maize of the field was watered at noon. Farmers plant maize in rows.",
}


def article(number: int, topic: str, *, paragraphs: int = 6) -> bytes:
    """Returns one small JATS article about a topic."""
    body = "".join(f"<p>{TOPICS[topic]} Word{n} ends it.</p>" for n in range(paragraphs))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<article article-type="research-article"><front>
<journal-meta><journal-title-group><journal-title>J</journal-title></journal-title-group>
</journal-meta><article-meta><article-id pub-id-type="pmc">{number}</article-id>
<title-group><article-title>On {topic}</article-title></title-group>
<pub-date><year>2020</year></pub-date>
<permissions><license xlink:href="https://creativecommons.org/licenses/by/4.0/"
 xmlns:xlink="http://www.w3.org/1999/xlink"/></permissions>
</article-meta></front><body><sec><title>Results</title>{body}</sec></body></article>""".encode()


def write_archive(path: Path, members: Mapping[str, bytes], level: int = 1) -> Path:
    """Writes a .tar.gz of the members, in their order; the same members make the same bytes."""
    with (
        gzip.GzipFile(path, "wb", compresslevel=level, mtime=0) as file,
        tarfile.open(fileobj=file, mode="w") as tar,
    ):
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_bulk(folder: Path, *, archives: int = 3, articles: int = 12) -> str:
    """Writes archives of articles on all topics; returns the glob that finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(TOPICS)
    for number in range(archives):
        ids = range(number * articles, (number + 1) * articles)
        members = {f"PMC00{number}/PMC{n}.xml": article(n, names[n % 3]) for n in ids}
        write_archive(folder / f"oa_{number}.tar.gz", members)
    return str(folder / "*.tar.gz")


COLUMNS = (
    "Article File,Article Citation,AccessionID,LastUpdated (YYYY-MM-DD HH:MM:SS),"
    "PMID,License,Retracted"
)


def add(
    bulk: Path, name: str, articles: Mapping[int, str], date: str, *, retracted: bool = False
) -> None:
    """Writes an archive of number -> topic and its filelist: all articles changed on one date."""
    bulk.mkdir(exist_ok=True)
    members = {f"PMC000/PMC{n}.xml": article(n, topic) for n, topic in articles.items()}
    write_archive(bulk / f"{name}.tar.gz", members)
    mark = "yes" if retracted else "no"
    rows = [f"PMC000/PMC{n}.xml,J,PMC{n},{date} 04:00:00,0,CC BY,{mark}" for n in articles]
    (bulk / f"{name}.filelist.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
