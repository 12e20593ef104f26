"""Pages of real PDF files as pictures: what is drawn, where it is marked, and what a hostile file can cost."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pytest
from pdfs import printed
from PIL import Image
from playwright.sync_api import Browser

from corpus.readers import read
from index.own_process import HOME
from web import page_pictures
from web.page_pictures import PagePictures, PictureError, Wanted
from web.page_process import MAX_PIXELS, MAX_SIDE, draw, png

BODY = [
    "転入の手続をする人が窓口で待つ時間を減らすため、職員が話を聞きながら申請書を作り、住民は内容を確かめて署名するだけの窓口を設けた。",
    "設けた月から待つ時間は半分になり、書き損じも減った。来年度は出張所にも広げ、休みの日にも開く予定である。",
    "車で集落を回る窓口を始め、月に二回、証明書を渡している。雨の日は家を訪ねて用事を聞いている。",
]
PAGES = [
    f"<h1>窓口の手引</h1><p>{BODY[0]}</p><p>{BODY[1]}</p>",
    f"<h2>車の窓口</h2><p>{BODY[2]}</p><table><tr><td>区分</td><td>手数料</td></tr><tr><td>窓口</td><td>300円</td></tr></table>",
]

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pdf(browser: Browser) -> bytes:
    return printed(browser, "<div class='page'></div>".join(PAGES))


@pytest.fixture(scope="module")
def words(pdf: bytes) -> list[str]:
    """The canonical text of each page."""
    source = read("a.pdf", pdf)
    starts = [page.start for page in source.pages] + [len(source.text)]
    return [source.text[a:b] for a, b in itertools.pairwise(starts)]


def pixels(picture: bytes) -> Pixels:
    return np.array(Image.open(io.BytesIO(picture)).convert("RGB"))


def yellow(picture: Pixels) -> Pixels:
    """Where the paper of a picture is marked: the marker's colour holds less blue than red. Ink stays black."""
    marked: Pixels = (picture[:, :, 0].astype(int) - picture[:, :, 2] > 60).astype(np.uint8)
    return marked


def covered(picture: Pixels, box: tuple[int, int, int, int]) -> float:
    """Which share of a box's paper is marked."""
    x0, y0, x1, y1 = box
    paper = picture[y0:y1, x0:x1, 0] > 200
    return float((yellow(picture)[y0:y1, x0:x1].astype(bool) & paper).sum() / paper.sum())


def judged(pdf: bytes, page: int, words: str, scale: float) -> list[tuple[int, int, int, int]]:
    """Where PDFium's own search finds words on a page: boxes in pixels, a line each."""
    sheet = pdfium.PdfDocument(pdf)[page - 1]
    text = sheet.get_textpage()
    place = text.search(words, match_case=True).get_next()
    assert place is not None, words
    height = sheet.get_height()
    boxes = []
    for number in range(text.count_rects(*place)):
        left, bottom, right, top = text.get_rect(number)
        boxes.append((round(left * scale), round((height - top) * scale), round(right * scale), round((height - bottom) * scale)))  # fmt: skip
    return boxes


def test_a_page_is_drawn_as_pdfium_draws_it(pdf: bytes) -> None:
    answer, picture = draw(pdf, 1, 900)
    shown = pixels(picture)
    assert shown.shape[:2] == (answer["height"], answer["width"])
    assert answer["width"] in {900, 901}  # PDFium rounds up
    sheet = pdfium.PdfDocument(pdf)[0]
    other = np.array(sheet.render(scale=900 / sheet.get_width()).to_pil().convert("RGB"))
    assert np.array_equal(shown, other)
    assert yellow(shown).sum() == 0


@pytest.mark.parametrize("line", [0, 1])
def test_the_passage_is_marked_where_it_stands(pdf: bytes, words: list[str], line: int) -> None:
    start = words[0].index(BODY[line])
    answer, picture = draw(pdf, 1, 900, words[0], start, start + len(BODY[line]))
    shown = pixels(picture)
    scale = 900 / pdfium.PdfDocument(pdf)[0].get_width()
    boxes = judged(pdf, 1, BODY[line][:12], scale) + judged(pdf, 1, BODY[line][-12:], scale)
    assert answer["marked"] >= 2
    assert [box for box in boxes if covered(shown, box) < 0.95] == []
    rows = np.flatnonzero(yellow(shown).any(axis=1))
    assert rows[0] >= min(box[1] for box in boxes) - 6  # and nowhere else
    assert rows[-1] <= max(box[3] for box in boxes) + 6


def test_words_within_a_line_are_marked_alone(pdf: bytes, words: list[str]) -> None:
    start = words[1].index("月に二回")
    _, picture = draw(pdf, 2, 1800, words[1], start, start + 4)
    scale = 1800 / pdfium.PdfDocument(pdf)[1].get_width()
    found = judged(pdf, 2, "月に二回", scale)
    box = (
        min(b[0] for b in found),
        min(b[1] for b in found),
        max(b[2] for b in found),
        max(b[3] for b in found),
    )
    columns = np.flatnonzero(yellow(pixels(picture)).any(axis=0))
    letter = (box[2] - box[0]) / 4
    assert abs(columns[0] - box[0]) < letter / 2
    assert abs(columns[-1] - box[2]) < letter / 2
    assert covered(pixels(picture), box) > 0.9


def test_a_row_of_a_table_is_marked(pdf: bytes, words: list[str]) -> None:
    start = words[1].index("| 窓口 |")
    answer, picture = draw(pdf, 2, 900, words[1], start, start + len("| 窓口 | 300円 |"))
    scale = 900 / pdfium.PdfDocument(pdf)[1].get_width()
    assert answer["marked"] == 1
    assert covered(pixels(picture), judged(pdf, 2, "300円", scale)[0]) > 0.95


def test_words_of_another_page_are_not_marked(pdf: bytes, words: list[str]) -> None:
    answer, picture = draw(pdf, 2, 900, words[0], 0, len(words[0]))
    assert answer["marked"] == 0
    assert yellow(pixels(picture)).sum() == 0


def test_where_little_of_the_words_is_there_nothing_is_marked(pdf: bytes, words: list[str]) -> None:
    other = words[0] + "この紙面にはない長い文が続いています。" * 10
    assert draw(pdf, 1, 900, other, 0, len(other))[0]["marked"] == 0
    assert draw(pdf, 1, 900, other, 0, len(words[0]))[0]["marked"] >= 4


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_page_is_marked_where_its_words_are(pdf: bytes, words: list[str], turn: int) -> None:
    document = pdfium.PdfDocument(pdf)
    document[0].set_rotation(turn)
    out = io.BytesIO()
    document.save(out)
    source = read("a.pdf", out.getvalue())
    page = source.text[: source.pages[1].start]
    start = page.index("書き損じ")
    plain = pixels(draw(out.getvalue(), 1, 900)[1])
    answer, picture = draw(out.getvalue(), 1, 900, page, start, start + 12)
    rows, columns = (np.flatnonzero(yellow(pixels(picture)).any(axis=axis)) for axis in (1, 0))
    assert answer["marked"] >= 1
    ink = plain[rows[0] : rows[-1], columns[0] : columns[-1], 0] < 128
    assert 0.05 < ink.mean() < 0.5  # letters stand under it, as close as letters stand


@pytest.mark.parametrize("size", ["1 9999", "9999 1", "14400 14400", "0.1 0.1", "100 200"])
def test_no_page_makes_a_huge_picture(size: str) -> None:
    answer, picture = draw(page_of_size(size), 1, 1800)
    assert max(answer["width"], answer["height"]) <= MAX_SIDE
    assert answer["width"] * answer["height"] <= MAX_PIXELS + 2 * MAX_SIDE
    assert min(answer["width"], answer["height"]) >= 1
    assert pixels(picture).shape[:2] == (answer["height"], answer["width"])


def page_of_size(size: str, content: bytes = b"") -> bytes:
    """A file of one page, written by hand."""
    packed = zlib.compress(content)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {size}]/Contents 4 0 R>>".encode(),
        b"<</Length %d/Filter/FlateDecode>>stream\n" % len(packed) + packed + b"\nendstream",
    ]
    body, places = b"%PDF-1.5\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n" % number + item + b"\nendobj\n"
    table = b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % at for at in places)
    return body + table + b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)


def test_a_picture_without_colours_is_grey_and_whole() -> None:
    grey = np.random.default_rng(1).integers(0, 255, (7, 5, 1), np.uint8).repeat(3, axis=2)
    coloured = np.random.default_rng(2).integers(0, 255, (4, 9, 3), np.uint8)
    for made, mode in ((grey, "L"), (coloured, "RGB")):
        opened = Image.open(io.BytesIO(png(made)))
        assert opened.mode == mode
        assert np.array_equal(np.array(opened.convert("RGB")), made)


# ---------------------------------------------------------------- apart from the server


@pytest.fixture
def pictures() -> PagePictures:
    return PagePictures()


def wanted(data: bytes, page: int = 1, **more: object) -> Wanted:
    return Wanted(hashlib.sha256(data).hexdigest(), page, **more)  # type: ignore[arg-type]


def test_a_process_draws_the_same(pdf: bytes, words: list[str], pictures: PagePictures) -> None:
    start = words[0].index(BODY[1])
    asked = wanted(pdf, words=words[0], start=start, end=start + 20)
    assert pictures.drawn(lambda: pdf, asked) == draw(pdf, 1, 900, words[0], start, start + 20)[1]


def test_pictures_are_kept_within_a_bound(pdf: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = wanted(pdf, 1), wanted(pdf, 2)
    size = len(draw(pdf, 1, 900)[1])
    pictures = PagePictures(cache_bytes=size + 10)
    first = pictures.drawn(lambda: pdf, one)
    monkeypatch.setattr("subprocess.run", lambda *a, **k: pytest.fail("it is drawn already"))
    assert pictures.drawn(lambda: pdf, one) == first
    monkeypatch.undo()
    pictures.drawn(lambda: pdf, two)
    assert (pictures.kept(one), pictures.kept(two) is None) == (None, False)


def test_the_words_of_a_picture_count_too(pdf: bytes) -> None:
    one, two = wanted(pdf, 1, words="語" * 3000), wanted(pdf, 2, words="語" * 3000)
    both = sum(len(draw(pdf, page, 900)[1]) for page in (1, 2))
    pictures = PagePictures(cache_bytes=both + 2 * 3000)  # the words of one of them are too much
    pictures.drawn(lambda: pdf, one)
    pictures.drawn(lambda: pdf, two)
    assert (pictures.kept(one), pictures.kept(two) is None) == (None, False)


def test_what_cannot_be_drawn_is_not_tried_at_each_view(
    pdf: bytes, pictures: PagePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = b"%PDF-1.4"
    read = []
    for _ in range(2):
        with pytest.raises(PictureError, match="描けません"):
            pictures.drawn(lambda: read.append(1) or broken, wanted(broken))  # type: ignore[func-returns-value]
    assert len(read) == 1
    assert pictures.drawn(lambda: pdf, wanted(pdf)).startswith(b"\x89PNG")
    monkeypatch.setattr(page_pictures, "RETRY_S", 0.0)
    with pytest.raises(PictureError, match="描けません"):
        pictures.drawn(lambda: read.append(1) or broken, wanted(broken))  # type: ignore[func-returns-value]
    assert len(read) == 2


BOMB = b"0 0 m 1 1 l S\n" * 20_000_000  # 280 MB of lines, packed into a file of 300 KB


def hostile(pdf: bytes) -> dict[str, bytes]:
    return {
        "cut off": pdf[: len(pdf) // 2],
        "no file": b"%PDF-1.4",
        "nothing": b"",
        "bomb": page_of_size("600 800", BOMB),
        "deep": page_of_size("600 800", b"q " * 3_000_000),
    }


@pytest.mark.parametrize("name", ["cut off", "no file", "nothing", "bomb", "deep"])
def test_a_hostile_file_costs_its_own_process_only(pdf: bytes, name: str) -> None:
    pictures = PagePictures(timeout_s=20)
    data = hostile(pdf)[name]
    said = ""
    try:
        picture = pictures.drawn(lambda: data, wanted(data))
    except PictureError as error:
        said = str(error)
    assert "描けません" in said or picture.startswith(b"\x89PNG")
    assert pictures.drawn(lambda: pdf, wanted(pdf)).startswith(b"\x89PNG")


def test_a_process_has_a_limit_of_memory() -> None:
    taking = "from web import page_process as p; p._limit(0); print(len(bytearray(int(1.5 * p.MAX_MEMORY))))"
    done = subprocess.run([sys.executable, "-c", taking], capture_output=True, text=True, cwd=HOME)
    assert "MemoryError" in done.stderr
    less = taking.replace("1.5", "0.2")
    subprocess.run([sys.executable, "-c", less], check=True, capture_output=True, cwd=HOME)


def test_a_page_that_there_is_not(pdf: bytes, pictures: PagePictures) -> None:
    with pytest.raises(PictureError):
        pictures.drawn(lambda: pdf, wanted(pdf, 99))


def test_who_takes_too_long_is_stopped(pdf: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "__init__.py").touch()
    (tmp_path / "web" / "page_process.py").write_text(
        f"import os, time, pathlib\npathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    monkeypatch.setattr("index.own_process.HOME", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PictureError):
        PagePictures(timeout_s=5).drawn(lambda: pdf, wanted(pdf))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_those_who_wait_too_long_are_told_so(pdf: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = PagePictures()
    monkeypatch.setattr(page_pictures, "WAIT_S", 0.05)
    for _ in range(page_pictures.AT_ONCE):
        pictures._turns.acquire()
    with pytest.raises(PictureError) as caught:
        pictures.drawn(lambda: pytest.fail("nothing is read"), wanted(pdf))
    assert caught.value.busy
    for _ in range(page_pictures.AT_ONCE + page_pictures.WAITING):
        pictures._places.acquire()
    monkeypatch.setattr(page_pictures, "WAIT_S", 600)
    with pytest.raises(PictureError):  # at once: no more may wait
        pictures.drawn(lambda: pytest.fail("nothing is read"), wanted(pdf))
