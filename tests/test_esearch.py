import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from beam_pipelines.inputs import esearch
from beam_pipelines.inputs.esearch import search_articles
from pmc2vec.errors import UserError

XML_ERROR = "<?xml version='1.0'?><eSearchResult><ERROR>Invalid\n db name</ERROR></eSearchResult>"
LIMIT_ERROR = json.dumps({"error": "API rate limit exceeded", "count": "4", "limit": "3"})


@pytest.fixture
def service(monkeypatch):
    """A server that answers as esearch does, with ids from 1; before that, with `answers`."""
    monkeypatch.delenv("NCBI_API_KEY", raising=False)

    class Handler(BaseHTTPRequestHandler):
        asked: ClassVar[list[dict[str, str]]] = []
        answers: ClassVar[list[tuple[int, str]]] = []
        total = 25

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = {name: values[0] for name, values in parse_qs(body).items()}
            self.asked.append(query)
            begin, size = int(query["retstart"]), int(query["retmax"])
            ids = [str(n) for n in range(begin + 1, min(begin + size, self.total) + 1)]
            result = {"count": str(self.total), "idlist": ids,
                      "errorlist": {"phrasesnotfound": ["melanomma"]}}  # fmt: skip
            status, text = 200, json.dumps({"esearchresult": result})
            if self.answers:
                status, text = self.answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            del args

    Handler.asked, Handler.answers = [], []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(esearch, "ESEARCH_URL", f"http://127.0.0.1:{server.server_port}/esearch")
    monkeypatch.setattr(esearch, "PAGE_IDS", 10)
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def pauses():
    return []


def test_all_pages_are_asked_for_at_the_rate_that_ncbi_allows(service, pauses, monkeypatch):
    ids = search_articles("melanoma[title]", pause=pauses.append)
    assert ids.tolist() == list(range(1, 26))
    assert [query["retstart"] for query in service.asked] == ["0", "10", "20"]
    assert service.asked[0]["term"] == (
        "(melanoma[title]) AND (open_access[Filter] OR author_manuscript[Filter])"
    )
    assert (service.asked[0]["db"], "api_key" in service.asked[0]) == ("pmc", False)
    assert pauses == [1 / 3, 1 / 3]
    monkeypatch.setenv("NCBI_API_KEY", "a-key")
    search_articles("melanoma[title]", pause=pauses.append)
    assert service.asked[-1]["api_key"] == "a-key"
    assert pauses[2:] == [1 / 10, 1 / 10]


def test_a_busy_service_is_waited_for(service, pauses):
    service.answers += [(429, LIMIT_ERROR), (502, "<html>"), (200, LIMIT_ERROR)]
    assert len(search_articles("melanoma", pause=pauses.append)) == 25
    assert pauses == [1, 2, 4, 1 / 3, 1 / 3]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, XML_ERROR), "says: Invalid db name"),
        ((400, XML_ERROR), "says: Invalid db name"),
        ((200, '{"esearchresult": {"ERROR": "Search Backend failed"}}'), "Search Backend failed"),
        ((200, "<html>maintenance</html>"), "no answer of esearch .<html>maintenance"),
        ((200, '{"esearchresult": {"count": "x", "idlist": []}}'), "no answer of esearch"),
    ],
)
def test_what_the_service_says_is_one_line(service, pauses, answer, message):
    service.answers.append(answer)
    with pytest.raises(UserError, match=message):
        search_articles("melanoma", pause=pauses.append)
    assert pauses == []


def test_nothing_found_names_the_words_that_are_unknown(service, pauses, monkeypatch):
    monkeypatch.setattr(service, "total", 0)
    with pytest.raises(UserError, match=r"finds no article of the bucket .unknown: melanomma"):
        search_articles("melanomma", pause=pauses.append)


def test_no_service_is_one_line(pauses, monkeypatch):
    monkeypatch.setattr(esearch, "ESEARCH_URL", "http://127.0.0.1:9/esearch")
    with pytest.raises(UserError, match=r"--query melanoma: .*refused"):
        search_articles("melanoma", pause=pauses.append)
    assert len(pauses) == 5
