"""Hostile inputs, by kind: what is sent, what may come back, and what must not stand in it.

In: nothing. Out: `INPUTS`, each a request of its own as bytes on a socket or as a call, made when it is sent, since the ids in its
address are those of the server it is sent to. A legitimate text that only looks dangerous (a question with a script in it) is
answered (200) with every letter of it escaped; everything else gets a 4xx, or the connection is closed. Files that bring
readers down are in tests/test_bad_files.py; slow clients and endless bodies are in tests/test_fire_slow.py, for they take time.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import quote, urlencode

CLOSED = 0
"""A status that stands for a connection which is closed without a reply."""
REFUSED = frozenset({400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 421, 422, 431, 501, CLOSED})
SECRETS = (b"root:x:", b"from __future__", b"DXQA_ADMIN_TOKEN", b"Traceback (most recent")
"""What stands in files of the system and of the program, and in what a program says to its developers."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One input. `raw` is what goes over a socket; else it is a call. `{document}`, `{case}`, `{version}` in a path are of the server.

    `admin` says that it comes from an administrator (whose upload, say, has a hostile name). `never` must not be in the reply.
    """

    kind: str
    name: str
    path: str = "/"
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    admin: bool = False
    raw: bytes | None = None
    allowed: frozenset[int] = REFUSED
    never: tuple[bytes, ...] = ()
    most_replies: int = 1
    """On a socket: more would mean that what is inside of one request was taken for another."""


OK = frozenset({200})
OK_OR_REFUSED = OK | REFUSED
INPUTS: list[Hostile] = []


def _add(kind: str, name: str, **more: object) -> None:
    INPUTS.append(Hostile(kind, name, **more))  # type: ignore[arg-type]


def _posted(
    kind: str,
    name: str,
    content: bytes,
    path: str = "/api/ask",
    content_type: str = "application/json",
    **more: object,
) -> None:
    _add(kind, name, method="POST", path=path, body=content, headers={"Content-Type": content_type}, **more)


# ---------------------------------------------------------------- scripts in texts

XSS = [
    "<script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "\" autofocus onfocus=alert(1) x=\"",
    "' onmouseover='alert(1)",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<math><mtext></p><style><!--</style><img title='--><img src=x onerror=alert(1)>'>",
    "<a href=javascript:alert(1)>窓口</a>",
    "<base href=http://evil.example/>",
    "<meta http-equiv=refresh content=0;url=http://evil.example/>",
    "<link rel=stylesheet href=http://evil.example/x.css>",
    "<form action=http://evil.example/><button>送る</button></form>",
    "javascript:alert(1)",
    "[窓口](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "｜＜script＞alert(1)＜/script＞",
    "\u202e<script>alert(1)</script>",
]  # fmt: skip
PLACES = {
    "the question": "/?{q}",
    "an earlier question": "/?{h}&q=%E7%AA%93%E5%8F%A3",
    "a condition": "/?{categories}&q=%E7%AA%93%E5%8F%A3",
    "words of the catalogue": "/cases?{q}",
    "an organization": "/similar?{organization}",
    "words in a document": "/documents/{{document}}?{find}",
    "an address": "/nothing/{path}",
}


def placed(text: str, place: str) -> str:
    """The address of a place with a text in it."""
    names = ("q", "h", "categories", "organization", "find")
    return PLACES[place].format(
        **{name: urlencode({name: text}) for name in names}, path=quote(text, safe="")
    )


for _text in XSS:
    for _place in PLACES:
        _never = (_text.encode(),) if set(_text) & set("<>\"'") else ()
        _allowed = frozenset({404}) if _place == "an address" else frozenset({200, 422})
        _add("scripts", f"{_text} as {_place}", path=placed(_text, _place), allowed=_allowed, never=_never)
for _text in XSS[:6]:
    _posted("scripts", f"{_text} to the API", json.dumps({"question": _text}).encode(), allowed=OK)

# ---------------------------------------------------------------- paths and names

for _path in [
    "/documents/..%2f..%2fetc%2fpasswd", "/documents/%2e%2e/%2e%2e/etc/passwd", "/documents/..%5c..%5cetc%5cpasswd", "/documents/{document}%00",
    "/documents/{document}/file/..%2f..%2fserver.py", "/documents/{document}/pages/..%2f..%2f1.png", "/documents/{document}/pages/-1.png",
    "/documents/{document}/pages/99999999999999999999.png", "/static/..%2f..%2fserver.py", "/static/%2e%2e/%2e%2e/server.py", "/static/....//....//server.py",
    "/static/%252e%252e/server.py", "/static//etc/passwd", "/static/style.css%00.txt", "/static/..;/server.py", "/static/C:%5cwindows%5cwin.ini",
    "/api/documents/..%2f..%2fCURRENT/text", "/api/documents/%2e%2e%2f", "/api/cases/..%2f..", "/api/cases/{case}%0a", "/api/index/versions/..%2f..%2f/report",
    "/api/index/versions/.%2e/report", "/api/index/jobs/..%2f..", "/api/uploads/..%2f..%2fdocuments", "/admin/versions/..%2f..", "/admin/versions/%2e/restore",
    "/admin/unreadable?path=../../../../etc/passwd", "/admin/unreadable?path=%00", "/admin/documents/..%2f../remove", "/admin/usage/..%2f..%2fx.csv",
    "/admin/usage/questions/1%20OR%201=1/remove", "/export/case.md?case=../../../etc/passwd", "/export/answer.../../x?q=1", "/export/answer.exe?q=1",
    "/compare?case=..%2f..&case=..%2f", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/./././documents/../../../etc/passwd", "/documents/%c0%ae%c0%ae%c0%afetc",
    "/documents/%ff%fe", "/documents/%E3%80", "/documents/%", "/documents/" + "a" * 8000,
]:  # fmt: skip
    _add(
        "paths",
        _path[:80],
        path=_path,
        admin=_path.startswith(("/admin", "/api/uploads", "/api/index")),
        allowed=REFUSED | {303, 307},
        never=SECRETS,
    )
for _name in [
    "../../evil.md", "..\\..\\evil.md", "/etc/evil.md", "C:\\evil.md", "a/../../evil.md", ".hidden.md", "~$lock.md", "evil.md\\0.txt", "CON.md", "con .md", "nul.md",
    "x" * 300 + ".md", "\u202egpj.md", "a\u200bb.md", "evil.md.", " evil.md", "evil.exe", "evil", "evil.md:stream", "a|b.md", "a\r\nb.md", "<img src=x>.md",
    "..", ".", "*.md", "?.md", "\u2215etc\u2215evil.exe", "evil.html\u0000.md", "a\tb.md", "%2e%2e%2fevil.exe",
]:  # fmt: skip
    _body = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{_name}"\r\n\r\n# a\n\r\n--b--\r\n'.encode()
    # what stands before the last backslash is a folder of Windows to whoever reads the form: the name is what comes after it
    _safe = frozenset({201, 303}) if "\\evil.md" in _name else frozenset()
    for _to in ("/api/uploads", "/admin/uploads"):
        _posted(
            "names",
            f"{_name[:60]!a} to {_to}",
            _body,
            _to,
            "multipart/form-data; boundary=b",
            admin=True,
            allowed=REFUSED | _safe,
        )
for _word in [
    "filename*=UTF-8''..%2f..%2fevil.md",
    "filename*=UTF-16''%FF",
    "filename*=UTF-8''%00.md",
    "filename=\"a.md\"; filename*=bogus''x.md",
    "filename=../evil.md",
]:
    _body = f'--b\r\nContent-Disposition: form-data; name="files"; {_word}\r\n\r\n# a\n\r\n--b--\r\n'.encode()
    # where the name that counts is a good one, the file is taken under that
    _posted(
        "names",
        _word,
        _body,
        "/api/uploads",
        "multipart/form-data; boundary=b",
        admin=True,
        allowed=REFUSED | {201},
    )

# ---------------------------------------------------------------- headers

for _value in [
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1",
    "a\rX-Evil: 1",
    "a\u2028X-Evil: 1",
    "a\u560d\u560aX-Evil: 1",
    "a%0d%0aX-Evil: 1",
    "a\0X-Evil: 1",
]:
    for _path in ("/export/answer.md?", "/?", "/cases?"):
        _add(
            "header injection",
            f"{_value!a} to {_path}",
            path=_path + urlencode({"q": _value}),
            allowed=OK_OR_REFUSED,
        )
    _posted(
        "header injection",
        f"{_value!a} in a form that leads on",
        urlencode({"q": _value, "useful": "true"}).encode(),
        "/feedback",
        "application/x-www-form-urlencoded",
        allowed=REFUSED | {303, 429},
    )


def _raw(kind: str, name: str, *lines: str | bytes, body: bytes = b"", **more: object) -> None:
    """A request as it stands, line by line."""
    head = b"\r\n".join(line.encode("latin-1") if isinstance(line, str) else line for line in lines)
    _add(kind, name, raw=head + b"\r\n\r\n" + body, **more)


_GET = "GET /api/index HTTP/1.1"
for _lines in [
    ("Host: evil.example",), (), ("Host: localhost", "Host: evil.example"), ("Host: evil.example", "Host: localhost"), ("Host: localhost@evil.example",),
    ("Host: evil.example@localhost",), ("Host: localhost#@evil.example",), ("Host: localhost.evil.example",), ("Host: 127.0.0.1.evil.example",), ("Host: [::1",), ("Host:",),
    ("Host: localhost evil.example",), ("Host: localhost/evil.example",), ("Host: localhost?evil",), ("Host: 0",), ("Host: 2130706433",), ("Host: 0x7f.1",),
    ("Host: evil.example\\@localhost",), ("Host: \x00localhost",), ("Host: l\xf6calhost",), ("Host: localhost:80:80",), ("Host: localhost:port",), ("Host: " + "a" * 9000,),
]:  # fmt: skip
    # "0" and numbers are other ways to write this computer's address for some programs, not for us; a slash ends a name for some
    _raw(
        "host", f"{_lines!a}"[:80], _GET, *_lines, "Connection: close", allowed=REFUSED, never=(b'"version"',)
    )
_raw(
    "host",
    "an address of another server",
    "GET http://evil.example/api/index HTTP/1.1",
    "Host: localhost",
    "Connection: close",
    allowed=OK_OR_REFUSED,
    never=(b"evil.example",),
)
for _header in (
    "X-Forwarded-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Forwarded",
    "X-Forwarded-Prefix",
    "X-Host",
    "X-HTTP-Method-Override",
):
    _add(
        "host",
        f"{_header} is not believed",
        path="/export/answer.md?q=%E7%AA%93%E5%8F%A3",
        headers={_header: "evil.example"},
        allowed=OK,
        never=(b"evil.example",),
    )

# ---------------------------------------------------------------- one request in another

_SMUGGLED = b"GET /api/index HTTP/1.1\r\nHost: localhost\r\n\r\n"
_POST = ("POST /api/ask HTTP/1.1", "Host: localhost", "Content-Type: application/json")
for _title, _headers, _inside in [
    ("two lengths", ("Content-Length: 2", f"Content-Length: {2 + len(_SMUGGLED)}"), b"{}" + _SMUGGLED),
    ("two lengths in one", (f"Content-Length: 2, {2 + len(_SMUGGLED)}",), b"{}" + _SMUGGLED),
    ("a length with a sign", ("Content-Length: +2",), b"{}" + _SMUGGLED),
    ("a negative length", ("Content-Length: -1",), b"{}" + _SMUGGLED),
    ("a length in hexadecimal", ("Content-Length: 0x2",), b"{}" + _SMUGGLED),
    ("a length with a blank inside", ("Content-Length: 1 0",), b"{}" + _SMUGGLED),
    ("a length of full-width digits", ("Content-Length: \xef\xbc\x92",), b"{}" + _SMUGGLED),
    ("a length that overflows", ("Content-Length: 18446744073709551618",), b"{}" + _SMUGGLED),
    ("a length and chunks", ("Content-Length: 6", "Transfer-Encoding: chunked"), b"0\r\n\r\n" + _SMUGGLED),
    ("chunks and a length", ("Transfer-Encoding: chunked", "Content-Length: 4"), b"0\r\n\r\n" + _SMUGGLED),
    ("chunks, and as they are", ("Transfer-Encoding: chunked, identity",), b"0\r\n\r\n" + _SMUGGLED),
    ("chunks twice", ("Transfer-Encoding: chunked, chunked",), b"0\r\n\r\n" + _SMUGGLED),
    ("chunks under another name", ("Transfer-Encoding: xchunked",), b"0\r\n\r\n" + _SMUGGLED),
    ("chunks with a tab", ("Transfer-Encoding:\tchunked\x0b",), b"0\r\n\r\n" + _SMUGGLED),
    ("a blank before the colon", ("Transfer-Encoding : chunked",), b"0\r\n\r\n" + _SMUGGLED),
    ("a header that goes on in the next line", ("Content-Length: 2", "X-A: b", " Transfer-Encoding: chunked"), b"{}" + _SMUGGLED),
    ("a name with a blank", ("Content Length: 2",), b"{}" + _SMUGGLED),
    ("a header without a colon", ("Content-Length",), b"{}" + _SMUGGLED),
    ("a NUL in a header", ("X-A: b\0c", "Content-Length: 2"), b"{}" + _SMUGGLED),
    ("a carriage return in a header", ("X-A: b\rContent-Length: 2",), b"{}" + _SMUGGLED),
    ("a chunk's size that is none", ("Transfer-Encoding: chunked",), b"zz\r\n{}\r\n0\r\n\r\n" + _SMUGGLED),
    ("a chunk's size below nothing", ("Transfer-Encoding: chunked",), b"-2\r\n{}\r\n0\r\n\r\n" + _SMUGGLED),
    ("a chunk's size that overflows", ("Transfer-Encoding: chunked",), b"FFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n" + _SMUGGLED),
    ("a chunk longer than it says", ("Transfer-Encoding: chunked",), b"1\r\n{}\r\n0\r\n\r\n" + _SMUGGLED),
    ("an extension of a chunk without end", ("Transfer-Encoding: chunked",), b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"),
]:  # fmt: skip
    # the header that goes on is one header with a blank in it, and what follows the two letters another request, rightly
    _folded = "goes on" in _title
    _raw(
        "smuggling",
        _title,
        *_POST,
        *_headers,
        body=_inside,
        allowed=REFUSED | ({200} if _folded else set()),
        most_replies=2 if _folded else 1,
        never=() if _folded else (b'"built_at"',),
    )
_add(
    "smuggling",
    "line ends of one letter",
    raw=b"POST /api/ask HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}",
    allowed=REFUSED,
)
_add("smuggling", "no line end for a long time", raw=b"GET /" + b"a" * 200_000)
_add(
    "smuggling",
    "a header of 100 KB",
    allowed=OK_OR_REFUSED,  # where all of it came at once it is read
    raw=b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
)
_add(
    "smuggling",
    "10,000 headers",
    allowed=OK_OR_REFUSED,
    raw=b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    + b"".join(b"X-%d: a\r\n" % n for n in range(10_000))
    + b"\r\n",
)
_add(
    "smuggling",
    "10,000 cookies",
    raw=b"GET /api/index HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: "
    + b"a=b; " * 10_000
    + b"\r\n\r\n",
    allowed=OK_OR_REFUSED,
)

# ---------------------------------------------------------------- methods and versions

for _line in [
    "TRACE / HTTP/1.1", "CONNECT localhost:22 HTTP/1.1", "PROPFIND / HTTP/1.1", "get / HTTP/1.1", "A" * 1000 + " / HTTP/1.1", "OPTIONS * HTTP/1.1", "PUT / HTTP/1.1", "DELETE / HTTP/1.1",
    "PATCH /api/ask HTTP/1.1", "DELETE /documents HTTP/1.1", "PUT /static/app.js HTTP/1.1", "GET / HTTP/9.9", "GET / HTTP/0.9", "GET /", "GET / HTTP/1.1.1", "GET  / HTTP/1.1", "GET / / HTTP/1.1",
    "PRI * HTTP/2.0", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00" * 50, "GE\x00T / HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /\xe7\xaa\x93 HTTP/1.1", "GET /?q=\xff HTTP/1.1",
]:  # fmt: skip
    _raw(
        "methods",
        _line[:40],
        _line,
        "Host: localhost",
        "Connection: close",
        # another version of the protocol is answered in ours
        allowed=REFUSED | ({200} if "?q=" in _line or _line.endswith(".9") else set()),
    )
_raw(
    "methods",
    "an upgrade to a websocket",
    "GET / HTTP/1.1",
    "Host: localhost",
    "Connection: close, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    allowed=OK_OR_REFUSED,
)
_raw(
    "methods",
    "an upgrade to HTTP/2",
    "GET / HTTP/1.1",
    "Host: localhost",
    "Connection: close, Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    allowed=OK_OR_REFUSED,
)
_raw(
    "methods",
    "an expectation that nobody knows",
    *_POST,
    "Content-Length: 2",
    "Expect: the-unexpected",
    "Connection: close",
    body=b"{}",
)

# ---------------------------------------------------------------- bodies

for _title, _content in {
    "100,000 brackets": b"[" * 100_000,
    "50,000 objects": b'{"a":' * 50_000,
    "brackets in the question": b'{"question":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "not a number": b'{"question": "a", "top_k": NaN}',
    "infinity": b'{"question": "a", "top_k": Infinity}',
    "1e400": b'{"question": "a", "top_k": 1e400}',
    "an integer of 5,000 digits": b'{"question": "a", "top_k": ' + b"9" * 5000 + b"}",
    "a fraction": b'{"question": "a", "top_k": 1.5}',
    "a truth value for a number": b'{"question": "a", "top_k": true}',
    "half a letter": b'{"question": "\\ud800"}',
    "half a letter for a version": b'{"question": "a", "filters": {"organizations": ["\\udfff"]}, "top_k": 0}',
    "a NUL": b'{"question": "a\\u0000b"}',
    "no UTF-8": b'{"question": "\xff\xfe"}',
    "overlong UTF-8": b'{"question": "\xc0\xaf"}',
    "UTF-8 of a surrogate": b'{"question": "\xed\xa0\x80"}',
    "cut": b'{"question": "a',
    "nothing": b"",
    "null": b"null",
    "a list": b'["question"]',
    "a string": b'"question"',
    "two documents": b'{"question": "a"}{"question": "b"}',
    "a comment": b'{"question": "a" /* b */}',
    "a question of 501 letters": json.dumps({"question": "あ" * 501}).encode(),
    "21 earlier questions": json.dumps({"question": "あ", "history": ["い"] * 21}).encode(),
    "1,000 conditions": json.dumps({"question": "あ", "filters": {"organizations": ["い"] * 1000}}).encode(),
    "300 KB": json.dumps({"question": "あ", "history": ["a" * 300_000]}).encode(),
    "no question": b"{}",
    "blanks": '{"question": " \u3000\\n"}'.encode(),
}.items():
    _posted("JSON", _title, _content)
_posted(
    "JSON",
    "a name twice",
    b'{"question": "\xe7\xaa\x93", "question": "\xe7\xaa\x93\xe5\x8f\xa3"}',
    allowed=OK_OR_REFUSED,
)
_posted(
    "JSON",
    "a mark of byte order",
    b'\xef\xbb\xbf{"question": "\xe7\xaa\x93\xe5\x8f\xa3"}',
    allowed=OK_OR_REFUSED,
)
_posted("JSON", "in UTF-16", '{"question": "窓口"}'.encode("utf-16"), allowed=OK_OR_REFUSED)
_posted(
    "JSON",
    "prototypes",
    json.dumps(
        {"question": "窓口", "__proto__": {"admin": True}, "constructor": {"prototype": {}}, "__class__": "x"}
    ).encode(),
    allowed=OK,
)
for _type in [
    "text/plain",
    "application/xml",
    "text/html",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "application/json; charset=utf-7",
    "application/json" * 100,
]:
    _posted(
        "content types",
        _type[:50] or "none",
        json.dumps({"question": "窓口"}).encode(),
        "/api/ask",
        _type,
        allowed=OK_OR_REFUSED,
    )
for _coding in ("gzip", "deflate", "br", "gzip, gzip, gzip"):
    _add(
        "content types",
        f"packed: {_coding}",
        method="POST",
        path="/api/ask",
        body=gzip.compress(b'{"question": "' + b"a" * 10_000_000 + b'"}'),
        headers={"Content-Type": "application/json", "Content-Encoding": _coding},
    )
for _text in [
    "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{%for x in ().__class__.__base__.__subclasses__()%}", "{0.__class__.__init__.__globals__}", "%(admin_token)s", "%s%s%s%n%n", "$(id)", "`id`", "; cat /etc/passwd",
    "| id", "' OR '1'='1", "'; DROP TABLE questions; --", "\" OR \"\"=\"", "1; ATTACH DATABASE '/tmp/x' AS x", "*)(uid=*))(|(uid=*", "窓口\" AND id IN [1] OR \"", "../../etc/passwd", "file:///etc/passwd", "=cmd|' /C calc'!A0",
    "\\x00\\x41", "&lt;script&gt;", "&#60;script&#62;", "%3Cscript%3E", "Ａｄｍｉｎ", "аdmin", "ｄｒｏｐ　ｔａｂｌｅ", "__proto__", "constructor", "toString", "NULL", "undefined", "-0", "1e309", "true",
]:  # fmt: skip
    _posted(
        "code as a question",
        _text,
        json.dumps({"question": _text, "history": [_text], "filters": {"organizations": []}}).encode(),
        allowed=OK,
        never=(*SECRETS, b">49<"),
    )

# ---------------------------------------------------------------- long runs, for every expression that looks at a question

RUNS = ["第", "1", "１", "一", "年", "月", "日", "市", "県", "（", "）", "「", "・", "、", "。", "の", "は", "ー", "-", "－", "~", "：", "a@", "http://", "www.", "0-", "03-", "令和", "R6.", "万", "〇", "%", "円",
        "人口", "以上", "\t", "\u3000", " \n", "#", "|", "¥", "\\", "か\u3099", "👩‍👩‍👧‍👦", "①", "Ⅷ", "または", "以外", "と", "？", "!", "ア", "ｱ", "A", "z", "㈱", "第1回"]  # fmt: skip
for _text in RUNS:
    _whole = (_text * 500)[:500]
    if _whole.strip():
        _posted(
            "long runs",
            f"{_text!r} again and again",
            json.dumps({"question": _whole, "history": [_whole]}).encode(),
            allowed=frozenset({200, 422}),
        )
for _run in ("1", "万", "三", "０", "、"):
    _add(
        "long runs",
        f"{_run} as a population",
        path="/api/similar?" + urlencode({"population": _run * 3000}),
        allowed=REFUSED,
    )

# ---------------------------------------------------------------- forms of several parts

_MULTIPART = "multipart/form-data; boundary=b"
_PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.md"\r\n\r\n# a\n\r\n'
_nested = b'--b\r\nContent-Disposition: form-data; name="files"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Disposition: file; filename="../a.md"\r\n\r\nx\r\n--c--\r\n--b--\r\n'
for _title, _type, _content in [
    ("10,000 parts", _MULTIPART, _PART * 10_000 + b"--b--\r\n"),
    (
        "10,000 fields",
        _MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 10_000 + b"--b--\r\n",
    ),
    ("51 files", _MULTIPART, _PART * 51 + b"--b--\r\n"),
    ("parts in a part", _MULTIPART, _nested),
    ("no boundary", "multipart/form-data", _PART + b"--b--\r\n"),
    ("an empty boundary", "multipart/form-data; boundary=", _PART + b"--b--\r\n"),
    ("a boundary of 5,000 letters", "multipart/form-data; boundary=" + "b" * 5000, _PART + b"--b--\r\n"),
    ("another boundary", "multipart/form-data; boundary=c", _PART + b"--b--\r\n"),
    ("no name", _MULTIPART, b"--b\r\n\r\nx\r\n--b--\r\n"),
    ("another field", _MULTIPART, _PART.replace(b"files", b"other") + b"--b--\r\n"),
    (
        "a field for a file",
        _MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--b--\r\n',
    ),
    ("1,000 headers in a part", _MULTIPART, b"--b\r\n" + b"X-A: b\r\n" * 1000 + _PART[5:] + b"--b--\r\n"),
    (
        "a header of 1 MB in a part",
        _MULTIPART,
        b"--b\r\nX-A: " + b"a" * 1_000_000 + b"\r\n\r\nx\r\n--b--\r\n",
    ),
    (
        "a field of 5 MB",
        _MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 5_000_000 + b"\r\n--b--\r\n",
    ),
    ("an unknown charset", _MULTIPART + "; charset=bogus", _PART + b"--b--\r\n"),
    ("no content", _MULTIPART, b""),
    ("only an end", _MULTIPART, b"--b--\r\n"),
    ("an empty file", _MULTIPART, _PART.replace(b"# a\n", b"") + b"--b--\r\n"),
    ("noise", _MULTIPART, bytes(range(256)) * 40),
]:
    # a form that is cut off or has odd headers may still hold a file with a good name
    _loose = title_allows = _title in {"1,000 headers in a part", "an unknown charset"}
    _posted(
        "forms",
        _title,
        _content,
        "/api/uploads",
        _type,
        admin=True,
        allowed=REFUSED | ({201} if _loose else set()),
    )
    _posted("forms", f"{_title}, as a rating", _content, "/feedback", _type, allowed=REFUSED | {303, 429})

# ---------------------------------------------------------------- who is the administrator

for _given in [
    "Bearer",
    "Bearer ",
    "Basic YWRtaW46YWRtaW4=",
    "Digest x",
    "bearer\x00",
    "Bearer null",
    "Bearer undefined",
    "Ｂｅａｒｅｒ x".encode().decode("latin-1"),
    "Negotiate " + "A" * 5000,
]:
    if not _given.startswith(
        "Bearer "
    ):  # wrong tokens are counted, and answered ever later; a test of their own does that
        _raw(
            "administrators",
            _given[:30],
            "GET /api/uploads HTTP/1.1",
            "Host: localhost",
            f"Authorization: {_given}",
            "Connection: close",
            allowed=frozenset({400, 401, CLOSED}),
        )
for _cookie in [
    "dxqa_admin=",
    "dxqa_admin=1.2.3",
    "dxqa_admin=99999999999.aa.bb",
    "dxqa_admin=\x80",
    "dxqa_admin=" + "a" * 4000,
    "dxqa_admin=x; dxqa_admin=y",
    "dxqa_admin=٣.a.b".encode().decode("latin-1"),
]:
    _raw(
        "administrators",
        f"a cookie {_cookie[:30]!a}",
        "GET /api/uploads HTTP/1.1",
        "Host: localhost",
        f"Cookie: {_cookie}",
        "Connection: close",
        allowed=frozenset({400, 401, CLOSED}),
    )
for _origin in ["http://evil.example", "null", "http://localhost.evil.example", "https://localhost:1"]:
    _add(
        "administrators",
        f"a rating from a page of {_origin}",
        method="POST",
        path="/api/feedback",
        body=b'{"question": "a", "useful": true}',
        headers={"Content-Type": "application/json", "Origin": _origin},
        allowed=frozenset({403}),
    )
_add(
    "administrators",
    "a rebuild without a token",
    method="POST",
    path="/api/index/rebuild",
    allowed=frozenset({401}),
)
_add(
    "administrators",
    "a removal without a token",
    method="DELETE",
    path="/api/documents/{document}",
    allowed=frozenset({401}),
)
_add(
    "administrators",
    "an upload without a token",
    method="POST",
    path="/api/documents",
    body=_PART + b"--b--\r\n",
    headers={"Content-Type": _MULTIPART},
    allowed=frozenset({401}),
)


def numbered() -> Iterator[tuple[int, Hostile]]:
    """The inputs with their numbers."""
    return zip(count(1), INPUTS, strict=False)
