"""Small files of PubMed's layout, for the tests: citations, update files, their folder."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE PubmedArticleSet PUBLIC '
    '"-//NLM//DTD PubMedArticle, 1st January 2026//EN" '
    '"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_260101.dtd">\n'
)


def citation(
    pmid: int,
    abstract: str = "Melanoma cells divide.",
    *,
    version: int = 1,
    title: str = "A title.",
    types: Iterable[str] = ("Journal Article",),
    year: str = "<Year>2020</Year>",
    journal: str = "The Journal",
    abbreviation: str = "J",
    language: str = "eng",
    pmc: str = "",
    mesh: Iterable[str] = (),
    extra: str = "",
) -> str:
    """Returns a `<PubmedArticle>`; an abstract without a tag is one AbstractText."""
    if abstract and not abstract.startswith("<AbstractText"):
        abstract = f"<AbstractText>{abstract}</AbstractText>"
    kinds = "".join(f"<PublicationType>{kind}</PublicationType>" for kind in types)
    headings = "".join(
        f'<MeshHeading><DescriptorName UI="{each.partition(" ")[0]}" MajorTopicYN="N">'
        f'{each.partition(" ")[2]}</DescriptorName><QualifierName UI="Q000188">drug therapy'
        "</QualifierName></MeshHeading>"
        for each in mesh
    )
    mesh_list = f"<MeshHeadingList>{headings}</MeshHeadingList>" if headings else ""
    pmc_id = f'<ArticleId IdType="pmc">{pmc}</ArticleId>' if pmc else ""
    return f"""<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM">
<PMID Version="{version}">{pmid}</PMID><Article PubModel="Print">
<Journal><JournalIssue><PubDate>{year}</PubDate></JournalIssue><Title>{journal}</Title>
<ISOAbbreviation>{abbreviation}</ISOAbbreviation></Journal>
<ArticleTitle>{title}</ArticleTitle><Abstract>{abstract}
<CopyrightInformation>Copyright 2020 Somebody.</CopyrightInformation></Abstract>
<AuthorList CompleteYN="Y"><Author><LastName>Unread</LastName></Author></AuthorList>
<Language>{language}</Language>
<PublicationTypeList>{kinds}</PublicationTypeList></Article>
{mesh_list}{extra}</MedlineCitation>
<PubmedData><ArticleIdList><ArticleId IdType="pubmed">{pmid}</ArticleId>
<ArticleId IdType="doi">10.1/{pmid}</ArticleId>{pmc_id}</ArticleIdList><ReferenceList><Reference>
<ArticleIdList><ArticleId IdType="pmc">PMC999</ArticleId></ArticleIdList></Reference>
</ReferenceList></PubmedData></PubmedArticle>"""


def citation_set(*citations: str, delete: Iterable[int] = ()) -> bytes:
    """Returns a file of citations, with a list of those to delete."""
    pmids = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in delete)
    deleted = f"<DeleteCitation>{pmids}</DeleteCitation>" if pmids else ""
    inside = "\n".join((*citations, deleted))
    return f"{HEAD}<PubmedArticleSet>\n{inside}\n</PubmedArticleSet>\n".encode()


def write_numbered(
    folder: Path, number: int, *citations: str, delete: Iterable[int] = (), md5: bool = True
) -> Path:
    """Writes `pubmed26nNNNN.xml.gz` and the `.md5` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pubmed26n{number:04d}.xml.gz"
    path.write_bytes(gzip.compress(citation_set(*citations, delete=delete), 1, mtime=0))
    if md5:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        path.with_name(f"{path.name}.md5").write_text(f"MD5({path.name})= {digest}\n")
    return path


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files and index pages, and ranges of files, as NLM's server does."""

    def log_message(self, *_):
        """Stays silent."""

    def do_GET(self):
        """Sends a file from where the request asks for it."""
        begin, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        path = Path(self.translate_path(self.path))
        self.server.requests.append((path.name, begin))
        if not begin or not path.is_file() or not self.server.has_ranges:
            super().do_GET()
            return
        size = path.stat().st_size
        data = path.read_bytes()[int(begin) : int(end) + 1 if end else size]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{int(begin) + len(data) - 1}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    """Serves a folder with index pages; `url` is its address, `requests` what was asked for."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.url = f"http://127.0.0.1:{running.server_port}/"
        running.requests, running.has_ranges = [], True
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
