"""A town hall's service for the tests of other programs' doors: on a real port, with accounts, a closed folder, and a model if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from made import CASE_BOOK, FAQ, MINUTES, FakeEncoder
from served import serving

from access.accounts import Accounts
from access.file import AccessFile
from access.labels import Labels
from index.build import build
from index.current import CurrentIndex
from index.library import Library
from index.passages import model_record
from qa.language_model import LanguageModel, ModelSettings
from server import create_app
from web.entry import Entry
from web.writing import Writing

PASSWORD = "かえるの池に三つの石がある"
TOKEN = "ひみつの合言葉"
SECRET = (
    "# 紅葉谷町の人事評価\n\n紅葉谷町（つくし県）の取組です。\n\n## 面談の予定\n\n"
    "紅葉谷町の評価面談は十二月三日に第五会議室で行います。担当は人事係の秘密太郎で、電話番号は0000-99-8888です。\n"
)
MARKS = ("紅葉谷町の", "秘密太郎", "0000-99-8888", "第五会議室", "評価.md")
"""What of the closed folder is in no reply to others; the town's own name is in the question, and in a refusal."""
HOSTILE = (
    "# 印の試し\n\n## 合言葉の印\n\n"
    "ひばり園の印は ![絵](http://evil.example/p.png) と <img src=http://evil.example/q.png> と [ここ](http://evil.example/r) です。\n"
)


BROKEN_LINES = "# 行の試し\n\nつばめ園の\u2028会費は\u2029月に\x85三千円です。\n"


@dataclass
class TownHall:
    """A running service: its address, and the keys of its accounts."""

    app: FastAPI
    address: str
    keys: dict[str, str]
    labels: Labels


def writing_by(url: str, **more: Any) -> Writing:
    """What writes answers by a model behind an address."""
    return Writing(LanguageModel(ModelSettings(url, "scripted", "", 20.0)), name="scripted", **more)


@contextmanager
def town_hall(
    folder: Path, *, entry: Entry | None = None, writing: Writing | None = None, token: str = TOKEN
) -> Iterator[TownHall]:
    """Serves the made-up documents, and a folder that only 人事課 may see."""
    documents, encoder = folder / "documents", FakeEncoder()
    (documents / "人事").mkdir(parents=True)
    for name, text in (
        ("事例集.txt", CASE_BOOK),
        ("議事録.txt", MINUTES),
        ("faq.md", FAQ),
        ("印.md", HOSTILE),
        ("行.md", BROKEN_LINES),
        ("人事/評価.md", SECRET),
    ):
        (documents / name).write_text(text, encoding="utf-8")
    access = AccessFile(folder / "access.sqlite3")
    accounts, labels = Accounts(access), Labels(access)
    accounts.add("tanaka", PASSWORD, groups=["人事課"])
    accounts.add("suzuki", PASSWORD, groups=["総務課"])
    labels.set("人事", ["人事課"])
    build(documents, folder / "index", encoder)
    app = create_app(
        current=CurrentIndex(folder / "index", model_record(encoder)),
        encoder=encoder,
        rebuild=lambda progress: build(documents, folder / "index", encoder, progress=progress),
        admin_token=token,
        library=Library(documents),
        access=access,
        entry=entry,
        writing=writing,
    )
    keys = {name: accounts.open_program(name, 30) for name in ("tanaka", "suzuki")}
    with serving(app) as address:
        yield TownHall(app, address, keys, labels)
