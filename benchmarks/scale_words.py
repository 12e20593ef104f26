"""Ways to rank many rows by BM25 over the same tokens, built and asked alike, for `benchmarks/scale.py`.

In: postings as the product keeps them. Out: what each way costs, and how much of our list it finds: ours is exact. All get
the same tokens, as ASCII words (`t17`), so that nobody's own rules for text come in. They differ in what they compute:
SQLite's idf is Robertson's, tantivy keeps the length of a row in one byte.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from index.lexical import K1, B, LexicalIndex, Postings, Tokens, postings_of
from index.vocabulary import Vocabulary

K = 200
BATCH = 20_000
ADDED = 50
"""Rows of the document that is added: those of a document of 25 pages."""
FIELD = (("near", 1.0),)


class Ranked(Protocol):
    """An index that can be asked: rows, best first."""

    def search(self, tokens: Sequence[str]) -> list[int]:
        """The K best rows."""
        ...

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Adds rows so that the next question finds them."""
        ...


def rows_of(postings: Postings, first: int = 0) -> Iterator[list[str]]:
    """The tokens of each row from `first` on, as words of ASCII."""
    starts, rows = postings.starts, postings.rows
    number = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    chosen = np.flatnonzero(rows >= first)
    order = chosen[np.argsort(rows[chosen], kind="stable")]
    ends = np.searchsorted(rows[order], np.arange(first, len(postings)), side="right").tolist()
    begin = 0
    for end in ends:
        part = order[begin:end]
        yield [f"t{n}" for n in np.repeat(number[part], postings.counts[part]).tolist()]
        begin = end


class Ours:
    """The product's own postings, mapped."""

    name = "ours"

    def __init__(self, folder: Path) -> None:
        self._parts = [{"near": Postings.load(folder)}]
        self._index = LexicalIndex(self._parts, FIELD)

    @classmethod
    def build(cls, postings: Postings, folder: Path) -> None:
        """Writes the index."""
        named = Vocabulary([f"t{n}" for n in range(len(postings.tokens))])
        Postings(named, postings.starts, postings.rows, postings.counts, postings.lengths).save(folder)

    def search(self, tokens: Sequence[str]) -> list[int]:
        """The K best rows."""
        return [row for row, _ in self._index.search(tokens, K)]

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Adds rows as a part of their own."""
        self._parts.append({"near": postings_of([Tokens(row, row) for row in rows])["near"]})
        self._index = LexicalIndex(self._parts, FIELD)


class Bm25s:
    """bm25s: scores are computed at the build, so a new row means all of them anew."""

    name = "bm25s"

    def __init__(self, folder: Path) -> None:
        import bm25s

        self._bm25s, self._folder = bm25s, folder
        self._index = bm25s.BM25.load(str(folder), mmap=True)

    @classmethod
    def build(cls, postings: Postings, folder: Path) -> None:
        """Writes the index."""
        import bm25s

        index = bm25s.BM25(method="lucene", k1=K1, b=B)
        ids = [[int(word[1:]) for word in row] for row in rows_of(postings)]
        vocabulary = {f"t{n}": n for n in range(len(postings.tokens))}
        index.index((ids, vocabulary), show_progress=False)
        index.save(str(folder))

    def search(self, tokens: Sequence[str]) -> list[int]:
        """The K best rows."""
        known = [token for token in dict.fromkeys(tokens) if token in self._index.vocab_dict]
        if not known:
            return []
        found, _ = self._index.retrieve([known], k=K, show_progress=False)
        return [int(row) for row in found[0]]

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Not possible."""
        raise NotImplementedError


class Sqlite:
    """SQLite's FTS5, without a copy of the text."""

    name = "sqlite fts5"

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "words.sqlite3")

    @classmethod
    def build(cls, postings: Postings, folder: Path) -> None:
        """Writes the index."""
        folder.mkdir(parents=True)
        database = sqlite3.connect(folder / "words.sqlite3")
        database.execute("CREATE VIRTUAL TABLE words USING fts5(near, content='', tokenize='ascii')")
        database.executemany(
            "INSERT INTO words(rowid, near) VALUES (?, ?)",
            ((row + 1, " ".join(tokens)) for row, tokens in enumerate(rows_of(postings))),
        )
        database.commit()
        database.close()

    def search(self, tokens: Sequence[str]) -> list[int]:
        """The K best rows."""
        asked = " OR ".join(dict.fromkeys(tokens))
        found = self._database.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (asked, K)
        )
        return [row - 1 for (row,) in found]

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Adds rows in one transaction."""
        self._database.executemany("INSERT INTO words(near) VALUES (?)", ((" ".join(row),) for row in rows))
        self._database.commit()


class Tantivy:
    """tantivy (not among the project's packages: `pip install tantivy`)."""

    name = "tantivy"

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._tantivy = tantivy
        self._index = tantivy.Index.open(str(folder))
        self._searcher = self._index.searcher()

    @staticmethod
    def _schema(tantivy: Any) -> Any:
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("near", stored=False, tokenizer_name="whitespace", index_option="freq")
        builder.add_integer_field("row", stored=True, indexed=False, fast=True)
        return builder.build()

    @classmethod
    def build(cls, postings: Postings, folder: Path) -> None:
        """Writes the index."""
        import tantivy

        folder.mkdir(parents=True)
        index = tantivy.Index(cls._schema(tantivy), path=str(folder))
        writer = index.writer(heap_size=500_000_000, num_threads=1)
        for row, tokens in enumerate(rows_of(postings)):
            writer.add_document(tantivy.Document(near=" ".join(tokens), row=row))
        writer.commit()
        writer.wait_merging_threads()

    def search(self, tokens: Sequence[str]) -> list[int]:
        """The K best rows."""
        tantivy, schema = self._tantivy, self._index.schema
        terms = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "near", token, index_option="freq"))
            for token in dict.fromkeys(tokens)
        ]
        hits = self._searcher.search(tantivy.Query.boolean_query(terms), limit=K).hits
        return [self._searcher.doc(address)["row"][0] for _, address in hits]

    def add(self, rows: Sequence[Sequence[str]]) -> None:
        """Adds rows and takes them up."""
        writer = self._index.writer(heap_size=50_000_000, num_threads=1)
        for row in rows:
            writer.add_document(self._tantivy.Document(near=" ".join(row), row=-1))
        writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()


WAYS: dict[str, Any] = {way.name: way for way in (Ours, Bm25s, Sqlite, Tantivy)}


def build(way: str, postings: Path, folder: Path) -> dict[str, float]:
    """Makes an index and writes it; seconds, and bytes a row."""
    if folder.exists():
        shutil.rmtree(folder)
    source = Postings.load(postings)
    started = time.perf_counter()
    WAYS[way].build(source, folder)
    taken = time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"build s": taken, "bytes": size / len(source)}
