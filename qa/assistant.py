"""The product in a program of one's own: questions, searches, cases and documents of an index, without a server.

In: an index folder and what reads it. Out: the records of the HTTP contract. Whoever can read the folder sees all of it: labels and accounts
are a matter of the service, which this knows nothing about. The index is only read here, never built or changed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import cast, get_args

from corpus.records import Case, Document
from index.current import Current, CurrentIndex
from index.encoder import (
    DEFAULT_MODEL,
    PRECISIONS,
    Encoder,
    ModelNotFoundError,
    Precision,
    SentenceEncoder,
    best_precision,
    process_threads,
)
from index.milvus import Address, Milvus, StoreAddressError
from index.open_files import raise_limit
from index.passages import model_record
from index.reranker import Reranker, RerankerError
from index.store import Index, StoreUnavailableError
from index.versions import ModelRecord
from options import HOME, setting
from qa.answer import Passages, Reply, ask, search
from qa.catalog import (
    CaseEntry,
    DocumentDetail,
    DocumentEntry,
    case_entries,
    case_entry,
    document_detail,
    document_entries,
)
from qa.limits import MAX_HISTORY, MAX_QUESTION_CHARS, MOST_PASSAGES, TOP_K, clean_text
from qa.names import directory, take_readings
from qa.quote import LIST_CASES
from qa.similar import SimilarCase, similar_cases
from qa.synonyms import Synonyms, SynonymsError, SynonymsFile
from qa.understand import Filters

CONDITIONS = (
    *(one.name for one in fields(Filters) if one.name not in {"document_ids", "case_ids"}),
    "near_population",
)
"""Names of what may be read from a question, and taken back with `without`."""
_log = logging.getLogger("dxqa.qa")


class AssistantError(Exception):
    """What goes wrong here; the message is a Japanese sentence that says what to do.

    AssistantError
    ├ NotReadyError       the index, the model or a table cannot be used
    ├ WrongRequestError   also a ValueError: a question, number or condition that the service refuses too
    └ NotFoundError       also a LookupError: no such case or document
    """


class NotReadyError(AssistantError):
    """The index, the model, the table of synonyms or the reranker cannot be used (now)."""


class WrongRequestError(AssistantError, ValueError):
    """What was asked for cannot be asked so."""


class NotFoundError(AssistantError, LookupError):
    """No case or document of this id is in the index: it may have been replaced."""


class Assistant:
    """Answers from one index; threads may share it, and it follows each new version of the index by itself.

    A call is answered from one version from begin to end. Offsets count Unicode code points of a document's text.

    >>> assistant = Assistant.load()
    >>> reply = assistant.ask("青葉野市の担当部署の電話番号は？")
    >>> reply.answerable, reply.answer.contact.phone
    (True, '0000-11-2345')
    >>> first = reply.citations[0]
    >>> first.text == assistant.text(first.document_id, first.char_start, first.char_end)
    True
    """

    def __init__(
        self,
        current: Current,
        encoder: Encoder,
        *,
        synonyms: SynonymsFile | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        """Over parts of one's own; `load` makes them."""
        self._current, self._encoder = current, encoder
        self._synonyms, self._reranker = synonyms, reranker

    @classmethod
    def load(
        cls,
        index: str | Path | None = None,
        *,
        models: str | Path | None = None,
        model: str | Path | None = None,
        synonyms: str | Path | None = None,
        reranker: str | Path | None = None,
        precision: str | None = None,
        store: str | None = None,
        allow_hub: bool | None = None,
    ) -> Assistant:
        """The assistant of an index folder. What is not given is as the option of `server.py` has it: its environment variable, else its default.

        `model` is the one that the index was built with. It takes some seconds to load, and a minute where the default one is first
        made in `models`. `store` is a Milvus server that holds the index (`--store`). Raises NotReadyError.
        """
        raise_limit()
        root = Path(index or setting("INDEX", str(HOME / "var" / "index")))
        chosen = precision or setting("PRECISION", "auto")
        if chosen not in {"auto", *PRECISIONS}:
            raise NotReadyError(
                f"precision に「{chosen}」は使えません。使えるもの：auto、{'、'.join(get_args(Precision))}。"
            )
        hub = setting("ALLOW_HUB", "") == "1" if allow_hub is None else allow_hub
        cross = str(reranker or setting("RERANKER", ""))
        place = store or setting("STORE", "")
        if synonyms is not None and not Path(synonyms).is_file():  # the usual one may be left out
            raise NotReadyError(f"同義語の表がありません（{synonyms}）。synonyms の場所を確かめてください。")
        try:
            # what costs least first: a mistake in a setting is said at once
            table = SynonymsFile(Path(synonyms or setting("SYNONYMS", str(HOME / "synonyms.csv"))))
            address = Address.read(place) if place else None
            loaded = Reranker.load(cross, allow_hub=hub) if cross else None
            encoder = SentenceEncoder.load(
                str(model or setting("MODEL", DEFAULT_MODEL)),
                models_dir=Path(models or setting("MODELS", str(HOME / "var" / "models"))),
                allow_hub=hub,
                threads=process_threads(),
                precision=best_precision() if chosen == "auto" else cast(Precision, chosen),
                notice=_log.warning,  # which is shown also where no log was set up
            )
        except (SynonymsError, ModelNotFoundError, RerankerError, StoreAddressError) as error:
            raise NotReadyError(str(error)) from error
        current = _current(address, root, model_record(encoder))
        assistant = cls(current, encoder, synonyms=table, reranker=loaded)
        with assistant._index():
            return assistant

    @property
    def version(self) -> str:
        """The version of the index that the next call is answered from; raises NotReadyError."""
        with self._index() as index:
            return index.version

    @property
    def problem(self) -> str | None:
        """Why a newer version of the index is not used, or why there is none; None where all is well."""
        self._current.get()
        return self._current.problem

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        filters: Filters | None = None,
        top_k: int | None = None,
        *,
        without: Collection[str] = (),
    ) -> Reply:
        """The reply of `POST /api/ask` to a question: the quoted sentences, and the passages they stand in, best first.

        `history` are the earlier questions of the conversation, oldest first. Without `top_k` it is 5 passages, and up to 20 where all
        cases that meet conditions are asked for. `without` are names of conditions that must not be read from the question. That nothing
        answers is a reply (`answerable`, `reason`), no error. Raises WrongRequestError, NotReadyError.
        """
        asked, earlier = _question(question), _history(history)
        k, chosen = TOP_K if top_k is None else _count(top_k), _checked(filters)
        if isinstance(without, str) or not set(without) <= set(CONDITIONS):
            raise WrongRequestError(f"without は次の名前の並びで指定してください：{'、'.join(CONDITIONS)}。")
        table, notes = self._table()
        with self._index() as index:
            return ask(
                index,
                self._encoder,
                asked,
                history=earlier,
                filters=chosen,
                top_k=k,
                synonyms=table,
                reranker=self._reranker,
                notes=notes,
                without=without,
                most=LIST_CASES if top_k is None else 0,
            )

    def search(self, text: str, filters: Filters | None = None, top_k: int = 10) -> Passages:
        """The passages nearest to a text, best first, without an answer (`GET /api/search`). Raises WrongRequestError, NotReadyError."""
        asked, k, chosen = _question(text), _count(top_k), _checked(filters)
        table, notes = self._table()
        with self._index() as index:
            return search(
                index,
                self._encoder,
                asked,
                filters=chosen,
                top_k=k,
                synonyms=table,
                reranker=self._reranker,
                notes=notes,
            )

    def cases(self, filters: Filters | None = None) -> list[CaseEntry]:
        """The cases that meet the conditions, by document and number. Raises WrongRequestError, NotReadyError."""
        chosen = _checked(filters)
        with self._index() as index:
            return case_entries(index, chosen)

    def case(self, case_id: str) -> CaseEntry:
        """One case. Raises NotFoundError, NotReadyError."""
        with self._index() as index:
            return case_entry(_case(index, case_id))

    def similar(self, case_id: str) -> list[SimilarCase]:
        """Up to five cases of organizations of like population and kind, nearest first, with the reason. Raises NotFoundError, NotReadyError."""
        with self._index() as index:
            return similar_cases(index, _case(index, case_id))

    def documents(self) -> list[DocumentEntry]:
        """All documents in the order of their paths. Raises NotReadyError."""
        with self._index() as index:
            return document_entries(index)

    def document(self, document_id: str) -> DocumentDetail:
        """One document with its outline, in the order of the text. Raises NotFoundError, NotReadyError."""
        with self._index() as index:
            return document_detail(index, _document(index, document_id))

    def text(self, document_id: str, start: int = 0, end: int | None = None) -> str:
        """A document's text at `[start:end]`; what lies beyond its end is empty. Raises NotFoundError, WrongRequestError, NotReadyError."""
        if not all(type(place) is int and place >= 0 for place in (start, 0 if end is None else end)):
            raise WrongRequestError(f"位置は0以上の整数で指定してください（start={start!r}、end={end!r}）。")
        with self._index() as index:
            return _document(index, document_id).text[start:end]

    @contextmanager
    def _index(self) -> Iterator[Index]:
        """The index to answer one call with."""
        index = self._current.get()
        if index is None:
            raise NotReadyError(
                self._current.problem
                or f"索引がまだありません（{self._current.root}）。build_index.py で作るか、索引のフォルダーを index で指定してください。"
            )
        try:
            yield index
        except StoreUnavailableError as error:
            raise NotReadyError(str(error)) from error

    def _table(self) -> tuple[Synonyms, tuple[str, ...]]:
        """The synonyms as they are now, and what replies say of them."""
        if self._synonyms is None:
            return Synonyms(), ()
        table = self._synonyms.get()
        return table, (self._synonyms.problem,) if self._synonyms.problem else ()


def _current(store: Address | None, root: Path, model: ModelRecord) -> Current:
    """What is answered from, as `server.py` does it, but that nothing is written."""
    if store is None:
        take_readings(root / "names.json")
        return CurrentIndex(root, model, directory)
    from index.milvus_index import CurrentMilvus, MilvusStore  # for who has a store

    return CurrentMilvus(MilvusStore(Milvus(store)), root, model, directory)


def _question(text: str) -> str:
    """A question as the service takes it: without spaces around it, and no longer than one may be."""
    if not isinstance(text, str):
        raise WrongRequestError("質問は文字列で指定してください。")
    asked = text.strip()
    if not asked:
        raise WrongRequestError("質問を1文字以上で指定してください。")
    return _earlier(asked)


def _history(texts: Sequence[str]) -> tuple[str, ...]:
    """Earlier questions; empty ones do not count."""
    if (
        isinstance(texts, str)
        or not isinstance(texts, Sequence)
        or not all(isinstance(text, str) for text in texts)
    ):
        raise WrongRequestError("前の質問（history）は文字列の並びで指定してください。")
    if len(texts) > MAX_HISTORY:
        raise WrongRequestError(
            f"前の質問（history）は{MAX_HISTORY}件以内で指定してください（いま{len(texts)}件）。"
        )
    return tuple(_earlier(asked) for text in texts if (asked := text.strip()))


def _earlier(text: str) -> str:
    if len(text) > MAX_QUESTION_CHARS:
        raise WrongRequestError(
            f"質問は{MAX_QUESTION_CHARS}文字以内で指定してください（いま{len(text)}文字）。"
        )
    try:
        return clean_text(text)
    except ValueError as error:
        raise WrongRequestError(str(error)) from error


def _count(top_k: int) -> int:
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= MOST_PASSAGES:
        raise WrongRequestError(
            f"top_k は1から{MOST_PASSAGES}までの整数で指定してください（いま{top_k!r}）。"
        )
    return top_k


def _checked(filters: Filters | None) -> Filters:
    """The conditions with lists as tuples; a text in the place of a list would be read letter by letter."""
    if filters is not None and not isinstance(filters, Filters):  # a dict, as the retrievers take it
        raise WrongRequestError('条件は Filters で指定してください（例：Filters(organizations=["…"])）。')
    values: dict[str, object] = {}
    for one in fields(Filters) if filters is not None else ():
        value = getattr(filters, one.name)
        if one.name in {"population_min", "population_max"}:
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise WrongRequestError(f"{one.name} は整数（人）で指定してください。")
        elif (
            isinstance(value, str)
            or not isinstance(value, Collection)
            or not all(isinstance(name, str) for name in value)
        ):
            raise WrongRequestError(f'{one.name} は文字列の並びで指定してください（例：{one.name}=["…"]）。')
        else:
            value = tuple(value)
        values[one.name] = value
    return Filters(**values)  # type: ignore[arg-type]  # each was looked at above


def _case(index: Index, case_id: str) -> Case:
    case = index.cases.get(case_id)
    if case is None:
        raise NotFoundError(f"この事例は見つかりません（{case_id}）。資料が差し替えられた可能性があります。")
    return case


def _document(index: Index, document_id: str) -> Document:
    document = index.documents.get(document_id)
    if document is None:
        raise NotFoundError(
            f"この資料は見つかりません（{document_id}）。差し替えられたか、取り除かれた可能性があります。"
        )
    return document
