"""A Milvus server, asked so that it can fail: every call ends in time, and what went wrong is said in one kind of error.

In: an address like 「milvus://192.0.2.10:19530/dxqa」, or that of a file for the embedded engine, 「milvus:///var/lib/dxqa/store.db」. Out: the
calls of its client, and the names and schemas of our collections. `<name>` is the last part of the address; several stores
share a server under different names.

    <name>                  alias of the version in use, switched in one step
    <name>_v_<version>      a version: its manifest, and what its segments are made of
    <name>_pages            files of the segments, cut into pages
    <name>_tokens           token vectors, one row of pages each
    <name>_vectors_<dim>    vectors of the rows, with the fields of their cases, and those of their headings beside them
    <name>_headings_<dim>
    <name>_words            tokens of the rows as sparse vectors, where the server has such, and their grams beside them
    <name>_grams

The client is loaded when a store is asked for: it takes half a second and 90 MB, and a single machine needs none.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from index.store import StoreUnavailableError

PORT = 19530
TIMEOUT_S = 5.0
"""For a call that answers a question; a search of 100,000 vectors takes 0.01 s."""
SLOW_S = 60.0
"""For a call that a build makes: a collection takes 3 s, 190 MB on the disk 6 s."""
OLDEST, SPARSE_SINCE = (2, 3), (2, 4)
MISSING = frozenset({100, 1600})
"""Codes of a collection and of an alias that are not there."""
MOST_HITS = 16_384
"""Of one search: more is refused by every server."""
TEXT_BYTES = 65_535
"""Of a text field."""
_SCHEMES = {"milvus": "http", "milvus+tls": "https"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
_FORM = (
    "--store は milvus://名前またはアドレス:19530/保存名 の形で指定してください（保存名は英数字と「_」）。"
)


class StoreAddressError(ValueError):
    """An address that cannot be one of a store; the message says in Japanese what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is: for the client, its name there, and as whom; `shown` has no password in it."""

    uri: str
    name: str
    user: str
    shown: str

    @classmethod
    def read(cls, text: str) -> Address:
        """The parts of 「milvus://user@host:19530/name」; raises StoreAddressError.

        `milvus+tls://` is over TLS. A password does not belong here, where every user of the machine can read it: it is taken from
        the environment (`DXQA_STORE_PASSWORD`).
        """
        try:
            parts = urlsplit(text)
            port = parts.port or PORT
        except ValueError as error:
            raise StoreAddressError(f"「{text}」の番号を読めません。{_FORM}") from error
        if parts.scheme not in _SCHEMES:
            raise StoreAddressError(f"「{text}」は保存先として使えません。{_FORM}")
        if parts.password is not None:
            raise StoreAddressError(
                "パスワードは --store に書かず、環境変数 DXQA_STORE_PASSWORD で渡してください。"
            )
        if not parts.hostname:
            file = unquote(parts.path)
            if parts.scheme == "milvus" and file.endswith(".db") and Path(file).is_absolute():
                return cls(file, "dxqa", "", text)
            raise StoreAddressError(f"「{text}」に名前またはアドレスがありません。{_FORM}")
        name = parts.path.strip("/")
        if not _NAME.fullmatch(name):
            raise StoreAddressError(f"「{text}」の保存名を読めません。{_FORM}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(f"{_SCHEMES[parts.scheme]}://{host}:{port}", name, unquote(parts.username or ""), text)

    @property
    def is_file(self) -> bool:
        """Whether it is a file of the embedded engine."""
        return self.uri.startswith("/")


class Milvus:
    """One store on a server. It is connected when it is first asked, and again by itself."""

    def __init__(self, address: Address, timeout_s: float = TIMEOUT_S) -> None:
        self.address, self._timeout_s = address, timeout_s
        self._client: Any = None
        self.failed = False
        """Whether a call failed since this was last set to False."""
        self._connecting = threading.Lock()

    def call(self, method: str, *arguments: Any, timeout_s: float | None = None, **more: Any) -> Any:
        """What a method of the client gives within `timeout_s`; raises StoreUnavailableError, whatever went wrong."""
        errors = _errors()
        timeout = self._timeout_s if timeout_s is None else timeout_s
        try:
            # a timeout of the connection bounds no call, and the client would try again for a minute
            return getattr(self._connected(), method)(*arguments, timeout=timeout, retry_times=0, **more)
        except errors as error:
            self.failed = True
            raise StoreUnavailableError(_message(self.address, error)) from error

    def check(self) -> None:
        """Raises StoreUnavailableError where the server is too old to be asked; what is too new, the calls will show."""
        text, version = self._version()
        if not self.address.is_file and version < OLDEST:
            raise StoreUnavailableError(
                f"保存先（{self.address.shown}）の Milvus の版「{text}」では使えません。{OLDEST[0]}.{OLDEST[1]} 以降にしてください。"
            )

    def has_sparse(self) -> bool:
        """Whether the server can search sparse vectors: from 2.4 on."""
        return self.address.is_file or self._version()[1] >= SPARSE_SINCE

    def _version(self) -> tuple[str, tuple[int, int]]:
        """The server's version as it says it, and its first two numbers, zeros where it says none."""
        text = str(self.call("get_server_version"))
        found = re.search(r"(\d+)\.(\d+)", text)
        return text, (0, 0) if found is None else (int(found[1]), int(found[2]))

    def aliases(self) -> list[str]:
        """The aliases of the server."""
        return list(self.call("list_aliases")["aliases"])

    def collection(self, part: str) -> str:
        """The name of a collection on the server: 「pages」 → 「dxqa_pages」."""
        return f"{self.address.name}_{part}"

    def version_collection(self, version: str) -> str:
        """The name of the collection of a version."""
        return self.collection(f"v_{version.replace('-', '_')}")

    def query(self, collection: str, condition: str, fields: Sequence[str], **more: Any) -> list[Any]:
        """Rows of a collection that meet a condition."""
        found: list[Any] = self.call(
            "query",
            collection,
            filter=condition,
            output_fields=list(fields),
            **{"consistency_level": "Bounded", **more},
        )
        return found

    def count(self, collection: str, condition: str) -> int:
        """How many rows of a collection meet a condition, with all that was written before."""
        found = self.query(collection, condition, ["count(*)"], consistency_level="Strong", timeout_s=SLOW_S)
        return int(found[0]["count(*)"])

    def make(
        self,
        collection: str,
        fields: Mapping[str, int | None],
        dimension: int | None,
        metric: str = "IP",
    ) -> None:
        """Makes a collection, ready to be asked: `fields` are texts of so many bytes, or whole numbers (None).

        `dimension` is that of the vectors, None for sparse ones.
        """
        from pymilvus import DataType, MilvusClient  # type: ignore[import-untyped]  # loaded when a store is asked for

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        for name, size in fields.items():
            if size is None:
                schema.add_field(name, DataType.INT64)
            else:
                schema.add_field(name, DataType.VARCHAR, max_length=size, is_primary=name == "id")
        index = MilvusClient.prepare_index_params()
        if dimension is None:
            schema.add_field("vector", DataType.SPARSE_FLOAT_VECTOR)
            index.add_index("vector", index_type="SPARSE_INVERTED_INDEX", metric_type=metric)
        else:
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            index.add_index("vector", index_type="FLAT", metric_type=metric)
        self.call("create_collection", collection, schema=schema, index_params=index, timeout_s=SLOW_S)

    def _connected(self) -> Any:
        if self._client is None:
            with self._connecting:
                if self._client is None:
                    from pymilvus import MilvusClient  # loaded when a store is asked for

                    # it logs each failed call with a traceback; what is to be said is in our error
                    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
                    self._client = MilvusClient(
                        uri=self.address.uri,
                        user=self.address.user,
                        password=os.environ.get("DXQA_STORE_PASSWORD", ""),
                        timeout=self._timeout_s,
                    )
        return self._client


def quoted(values: Sequence[str]) -> str:
    """Texts as a condition takes them: 「["a", "b"]」."""
    return "[" + ", ".join(_quoted(value) for value in values) + "]"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _errors() -> tuple[type[Exception], ...]:
    """What the client raises: its own errors, and where a call ends too late, one of what it stands on."""
    try:
        import grpc  # type: ignore[import-untyped]  # loaded when a store is asked for
        from pymilvus import MilvusException
    except ImportError as error:
        raise StoreUnavailableError(
            "Milvus を使うための部品（pymilvus）が入っていません。「pip install '.[milvus]'」で入れてください。"
        ) from error
    return (MilvusException, grpc.RpcError, OSError)


def _message(address: Address, error: Exception) -> str:
    """What went wrong, and what to do."""
    where = f"検索の保存先（{address.shown}）"
    code = getattr(error, "code", None)
    if callable(code):  # of the layer below, whose code is a method
        late = getattr(code(), "name", "") == "DEADLINE_EXCEEDED"
        return (
            f"{where}が時間内に応えません。混み合っているか、止まっています。しばらく待ってから、もう一度お試しください。"
            if late
            else f"{where}とのやり取りが途切れました。しばらく待ってから、もう一度お試しください。"
        )
    if code == 2:
        return f"{where}につながりません。Milvus が動いているか、アドレスと番号を管理者に確かめてもらってください。"
    if code == 101:
        return f"{where}が起動の途中です。1分ほど待ってから、もう一度お試しください。"
    if code in MISSING:
        return f"{where}に索引がありません。build_index.py --store で作ってください。"
    if code in {1400, 65535} and "auth" in str(error).lower():
        return f"{where}に入れません。利用者名と環境変数 DXQA_STORE_PASSWORD を確かめてください。"
    detail = " ".join(str(getattr(error, "message", error)).split())[:200]
    return f"{where}が求めに応えられませんでした（{detail}）。"
