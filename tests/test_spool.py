"""Documents between their reading and their writing: the same from memory and from the file, of which nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import CASE_BOOK

from corpus.documents import parse
from index.spool import Outline, Spool


@pytest.mark.parametrize("kept", [0, 5, 10**6])
def test_every_document_comes_back(tmp_path: Path, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.spool.IN_MEMORY", kept)
    texts = {
        "事例.txt": CASE_BOOK,
        "odd.md": "# 題\n\n受付は\u2028九時からです。𠮷野家 e\u0301\n",
        "a.csv": "題名,本文\n窓口,平日の午前九時から受け付けます。\n税,平日の午後五時まで受け付けます。\n",
    }
    documents = [parse(path, text.encode("utf-8", "surrogatepass")) for path, text in texts.items()]
    with Spool(tmp_path) as spool:
        for one in documents:
            spool.add(one)
        assert list(spool) == [one.document.id for one in documents]
        assert len(spool) == 3
        for one in [*documents, documents[0]]:
            assert spool[one.document.id] == one
        assert "other" not in spool
        assert [spool.outlines[one.document.id] for one in documents] == [
            Outline.of(one) for one in documents
        ]
        assert list(tmp_path.iterdir()) == []  # the file has no name
    assert [outline.kind for outline in spool.outlines.values()] == ["text", "text", "list"]
    with pytest.raises((KeyError, ValueError)):
        spool[documents[-1].document.id]
