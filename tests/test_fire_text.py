"""Any Unicode, from the file to the reply: offsets hold, citations are slices, pages come, nothing takes long.

Lines of the forms that the rules look for are strewn with letters that break programs: halves, marks that combine, marks that turn
the direction, controls, private use, sequences of emoji, line ends of other kinds. They come as documents in every format and as
questions at every way in. What single readers and the rules of chunks promise for ordinary text is tested beside them.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from fastapi.testclient import TestClient
from fire import measured, size
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import CASE_BOOK, FAQ, FakeEncoder
from test_chunks import LINES

from corpus.documents import Parsed, parse
from corpus.lines import parsed_of, record_of
from corpus.readers import ReadError
from index.build import build
from index.current import CurrentIndex
from index.library import Library
from index.passages import model_record
from qa.usage import Usage
from server import create_app
from web.entry import Entry

SECONDS = 5
"""Longest processor time for a document of some lines, or for one request."""
NASTY = [
    "\0", "\x01", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x1c", "\x1d", "\x7f", "\x85", "\x9f", "\r", "\r\n", "\t", "\n",
    "\u00a0", "\u00ad", "\u0300", "\u0300" * 60, "か\u3099", "ハ\u309a", "ｶﾞ", "\u200b", "\u200d", "\u200e", "\u202e", "\u202c",
    "\u2028", "\u2029", "\u2066", "\u2069", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\ue000", "\uf8ff", "\U000f0000", "\U0010ffff",
    "葛\U000e0100", "辻󠄀", "𠮷", "👩‍👩‍👧‍👦", "🇯🇵", "🏴\U000e0067\U000e0062\U000e007f", "1️⃣", "☎\ufe0f", "ﷺ", "İ", "ı", "ß", "ﬀ", "㌔", "㍻", "½", "①",
    "⑳", "Ⅻ", "٣", "१", "𝟜", "௧", "一", "〇", "～", "〜", "−", "ー", "‐", "＜", "＞", "【", "】", "|", "||||", "（" * 40, "。" * 40, "#" * 7,
    "", " ", "\u3000", "<!--", "]]>", "&#0;", "&#xD800;", "{{7*7}}", "%s%n", "\\", '"', "'", "=1+1",
]  # fmt: skip
BINARY = {"\0", "\x01", "\x08", "\x7f", "\x1b[31m"}
"""What a plain text is refused for."""
XML = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF])
"""Letters that no XML has, which the libraries that write these files refuse."""


@st.composite
def strewn(draw: st.DrawFn) -> str:
    """Some lines of the forms that rules look for, each with up to three nasty pieces somewhere in it."""
    lines = []
    for line in draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=12)):
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(line)))
            piece = draw(st.one_of(st.sampled_from(NASTY), st.text(max_size=3)))
            line = line[:at] + piece + line[at:]
        lines.append(line)
    return "\n".join(lines)


def _word(text: str) -> bytes:
    made = docx.Document()
    for number, line in enumerate(text.translate(XML).split("\n")):
        made.add_heading(line, number % 4 + 1) if number % 3 == 0 else made.add_paragraph(line)
    made.add_table(1, 1).cell(0, 0).text = text.translate(XML)
    return _saved(made)


def _slides(text: str) -> bytes:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = text.translate(XML).split("\n")[0]
    slide.placeholders[1].text = text.translate(XML)
    return _saved(made)


def _workbook(text: str) -> bytes:
    made = openpyxl.Workbook()
    lines = text.translate(XML).split("\n")
    made.active.append(["質問", "回答"])
    for one, other in zip(lines, reversed(lines), strict=True):
        made.active.append([one, other])
    return _saved(made)


def _rows(text: str) -> bytes:
    quoted = text.replace('"', '""')
    return f'件名,本文\r\n"{quoted}",窓口\r\n窓口,"{quoted}"\r\n'.encode("utf-8", "replace")


def _saved(made: Any) -> bytes:
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


FORMATS = {
    "a.txt": lambda text: text.encode("utf-8", "replace"),
    "b.txt": lambda text: text.encode("utf-16", "replace"),
    "c.md": lambda text: text.encode("utf-8", "surrogatepass"),
    "d.csv": _rows,
    "e.html": lambda text: (
        f"<title>{text}</title><h1>{text}</h1><p>{text}<table><tr><td>{text}"
        + "".join(f"&#{ord(letter)};" for letter in text[:200])
    ).encode("utf-8", "replace"),
    "f.docx": _word,
    "g.pptx": _slides,
    "h.xlsx": _workbook,
}


def _holds(parsed: Parsed) -> None:
    """What must hold for whatever was read."""
    text = parsed.document.text
    text.encode("utf-8")  # it will be written
    for heading in parsed.document.headings:
        assert 0 <= heading.start < heading.end <= len(text)
    assert [h.start for h in parsed.document.headings] == sorted(h.start for h in parsed.document.headings)
    for case in parsed.cases:
        assert 0 <= case.start < case.end <= len(text)
        for field in case.fields.values():
            assert text[field.start : field.end] == field.value
    for chunk in parsed.chunks:
        assert text[chunk.start : chunk.end] == chunk.text != ""
        lines = text.count("\n", 0, chunk.start) + 1
        assert (chunk.line_start, chunk.line_end) == (lines, lines + chunk.text.count("\n"))
    for before, after in pairwise(parsed.chunks):
        assert before.end <= after.start
    assert len({chunk.id for chunk in parsed.chunks}) == len(parsed.chunks)
    assert all(chunk.case_id in {None, *(case.id for case in parsed.cases)} for chunk in parsed.chunks)
    # and it comes whole out of the process that reads
    line = json.dumps({**record_of(parsed), "text": text})
    assert parsed_of(json.loads(line)) == parsed


@pytest.mark.parametrize("name", FORMATS)
def test_any_text_in_any_format(name: str) -> None:
    read = refused = 0
    longest = 0.0

    @settings(max_examples=size(25, 3000), deadline=None, suppress_health_check=list(HealthCheck))
    @given(strewn())
    def tried(text: str) -> None:
        nonlocal read, refused, longest
        data = FORMATS[name](text)
        started = time.process_time()
        try:
            parsed = parse(name, data)
        except ReadError as error:
            assert str(error).endswith("。")  # noqa: PT017
            refused += 1
        else:
            read += 1
            _holds(parsed)
        longest = max(longest, time.process_time() - started)
        assert longest < SECONDS

    with measured(f"any Unicode as {name[2:]} ({name[0]})") as told:
        tried()
        told |= {
            "count": read + refused,
            "longest_s": round(longest, 2),
            "result": f"{read} read, {refused} refused, offsets hold",
        }
        assert read > (read + refused) / 10


# ---------------------------------------------------------------- as questions, and as what is answered from


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service over documents that are strewn with all of it."""
    folder = tmp_path_factory.mktemp("text")
    documents, root, encoder = folder / "documents", folder / "index", FakeEncoder()
    documents.mkdir()
    (documents / "事例集.txt").write_text(CASE_BOOK, encoding="utf-8")
    (documents / "質問.md").write_text(FAQ, encoding="utf-8")
    (documents / "文字.txt").write_text(
        "# 文字の手引き\n\n"
        + "".join(
            f"## 第{n}の文字{piece}\n\n窓口の{piece}手数料は{piece}{n}円です。\n\n"
            for n, piece in enumerate(NASTY)
            if piece not in BINARY
        ),
        encoding="utf-8",
        newline="",
    )
    build(documents, root, encoder)
    app = create_app(
        current=CurrentIndex(root, model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(documents, root, encoder, progress=progress),
        library=Library(documents),
        usage=Usage(folder / "usage.sqlite3", 10),
        entry=Entry(questions_a_minute=0),
    )
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as opened:
        yield opened


QUESTION = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(st.sampled_from(NASTY), st.sampled_from(LINES)), max_size=8).map("".join),
    st.builds(lambda piece, times: (piece * times)[:520], st.sampled_from(NASTY), st.integers(1, 500)),
)


def _ways(question: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each way in that takes a text of a person."""
    told = {"q": question.encode("utf-8", "surrogatepass")}
    yield "POST", "/api/ask", {"content": json.dumps({"question": question, "top_k": 20})}
    yield "POST", "/api/ask", {"content": json.dumps({"question": "窓口の手数料は？", "history": [question]})}
    yield (
        "POST",
        "/api/ask",
        {"content": json.dumps({"question": "窓口", "filters": {"organizations": [question]}})},
    )
    yield (
        "POST",
        "/api/feedback",
        {"content": json.dumps({"question": "窓口", "useful": True, "comment": question})},
    )
    yield "POST", "/feedback", {"data": {"q": question.encode("utf-8", "surrogatepass"), "useful": "true"}}
    for path in (
        "/",
        "/api/search",
        "/cases",
        "/export/answer.md",
        "/export/answer.docx",
        "/export/answer.xlsx",
    ):
        yield "GET", path, {"params": told}
    yield "GET", "/", {"params": {"q": "窓口", "h": told["q"], "categories": told["q"]}}
    for name in ("organization", "population", "kind"):
        yield "GET", "/similar", {"params": {name: told["q"]}}
        yield "GET", "/api/similar", {"params": {name: told["q"]}}
    yield "GET", "/documents/{document}", {"params": {"find": told["q"], **told}}


def test_any_question_at_every_way_in(client: TestClient) -> None:
    texts = {
        d["id"]: client.get(f"/api/documents/{d['id']}/text").json()["text"]
        for d in client.get("/api/documents").json()["documents"]
    }
    document = next(name for name, text in texts.items() if "文字の手引き" in text)
    counts: dict[int, int] = {}
    longest = 0.0

    @settings(max_examples=size(12, 1500), deadline=None, suppress_health_check=list(HealthCheck))
    @given(QUESTION)
    def tried(question: str) -> None:
        nonlocal longest
        for method, path, sent in _ways(question):
            started = time.process_time()
            reply = client.request(method, path.format(document=document), follow_redirects=False, **sent)
            longest = max(longest, time.process_time() - started)
            counts[reply.status_code] = counts.get(reply.status_code, 0) + 1
            assert reply.status_code in {200, 201, 303, 422, 429}, (path, reply.status_code, reply.text[:300])
            assert longest < SECONDS, path
            if path == "/api/ask" and reply.status_code == 200:
                found = reply.json()
                for citation in found["citations"]:
                    whole = texts[citation["document_id"]]
                    assert whole[citation["char_start"] : citation["char_end"]] == citation["text"]
                for sentence in found["answer"]["sentences"]:
                    assert any(
                        sentence["text"] in found["citations"][n - 1]["text"] for n in sentence["citations"]
                    )

    with measured("any Unicode as a question, at every way in") as told:
        tried()
        told |= {"count": sum(counts.values()), "longest_s": round(longest, 2)}
        told["result"] = "no 5xx, citations are slices; " + ", ".join(
            f"{n}: {c}" for n, c in sorted(counts.items())
        )
        assert counts[200] > 50
        assert client.get("/healthz").status_code == 200


def test_what_was_indexed_is_shown_and_cited_to_the_letter(client: TestClient) -> None:
    """Every passage of the strewn document, through search and through the page of the document."""
    listed = client.get("/api/documents").json()["documents"]
    document = next(d for d in listed if d["path"] == "文字.txt")
    text = client.get(f"/api/documents/{document['id']}/text").json()["text"]
    seen = set()
    with measured("strewn passages, cited and shown") as told:
        for number in range(0, len(NASTY), size(6, 1)):
            found = client.get("/api/search", params={"q": f"第{number}の文字の手数料", "top_k": 5}).json()[
                "citations"
            ]
            for citation in found:
                if citation["document_id"] == document["id"] and citation["chunk_id"] not in seen:
                    seen.add(citation["chunk_id"])
                    assert text[citation["char_start"] : citation["char_end"]] == citation["text"]
                    assert client.get(citation["url"]).status_code == 200
        told |= {"count": len(seen), "result": "slices, pages come"}
        assert len(seen) > 10
