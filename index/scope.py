"""A part of the corpus that is searched: what conditions let through, in ids, as everything outside of `index` names it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from corpus.records import Chunk


@dataclass(frozen=True, slots=True)
class Scope:
    """The chunks of some documents, of some cases, and single ones, by their ids."""

    documents: Collection[str] = frozenset()
    cases: Collection[str] = frozenset()
    chunks: Collection[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.documents or self.cases or self.chunks)

    def holds(self, chunk: Chunk) -> bool:
        """Whether a chunk belongs to it."""
        return chunk.document_id in self.documents or chunk.case_id in self.cases or chunk.id in self.chunks
