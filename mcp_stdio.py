"""The tools for language models over standard input and output (MCP, stdio): for a program on the same computer that starts it.

    python mcp_stdio.py [--index DIR] [--model NAME_OR_FOLDER] [--synonyms FILE] [--everything]

Reads the index that `build_index.py` or the server made, and follows it to newer versions; it makes none itself. Only documents without a
label are shown unless `--everything` says otherwise: whoever starts this is known to nobody. Standard output carries the protocol and nothing
else; messages and the log go to standard error. Exit status: 0 the program that started this has gone, 2 wrong use or no usable index,
with one Japanese sentence on standard error.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from access.file import AccessFile
from access.labels import Labels
from access.people import ANYBODY, Person
from build_index import UsageError, add_common_options, load_encoder, visible
from database import DatabaseUnavailableError
from index.encoder import ModelNotFoundError
from index.milvus import StoreAddressError
from index.open_files import raise_limit
from index.passages import model_record
from index.store import StoreUnavailableError
from index.versions import named_version
from options import HOME, Parser, add_access, add_reranker, add_synonyms, setting
from qa.synonyms import SynonymsError, SynonymsFile
from qa.usage import Usage
from web import VERSION
from web.gate import Gate
from web.loading import current_of, reranker_of
from web.logs import configure
from web.metrics import Metrics
from web.site import Site, environment
from web.visibility import Visibility

OWNER = Person("このコンピューターの利用者", administrator=True)
NO_INDEX = "索引がありません（{}）。先に build_index.py か server.py を動かして作るか、--index で索引のフォルダーを指定してください。"


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(description="言語モデルを持つほかのプログラムから、標準入出力で使います（MCP）。")
    add_common_options(parser)
    add_synonyms(parser)
    add_reranker(parser)
    add_access(parser)
    parser.add_argument(
        "--everything",
        action="store_true",
        help="閲覧の範囲を限った資料も見せる（既定は、だれでも読める資料だけ）",
    )
    parser.add_argument(
        "--address",
        type=_address,
        default=setting("ADDRESS", ""),
        help="動いているサーバーのアドレス（例 http://127.0.0.1:8000。出典の場所の前に付ける。既定は付けない）",
    )
    args = parser.parse_args(argv)
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, _end)
    raise_limit()
    configure()
    try:
        with _aside():
            site = _site(args)
    except (
        UsageError,
        ModelNotFoundError,
        SynonymsError,
        StoreAddressError,
        StoreUnavailableError,
        DatabaseUnavailableError,
    ) as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    # the SDK is loaded where there is something to answer from
    from web.mcp_tools import Caller, mcp_server

    caller = Caller(OWNER if args.everything else ANYBODY, args.address)
    mcp_server(site, lambda _: caller).run("stdio")
    return 0


def _site(args: Any) -> Site:
    """What answers; raises UsageError where there is no index to answer from."""
    root = Path(args.index)
    if not args.store and named_version(root) is None:  # before a model is loaded for nothing
        raise UsageError(NO_INDEX.format(root))
    synonyms = SynonymsFile(Path(args.synonyms))
    labels = Labels(AccessFile(Path(args.access)))
    labels.table()  # what cannot be read is said now
    encoder = load_encoder(args)
    current = current_of(args.store, root, model_record(encoder))
    if current.get() is None:
        raise UsageError(current.problem or NO_INDEX.format(args.store or root))
    return Site(
        current,
        encoder,
        synonyms,
        reranker_of(args.reranker, args.allow_hub),
        environment(HOME / "web" / "templates"),
        Usage(None, 0),
        Visibility(labels),
        Gate(""),
        Metrics(VERSION),
    )


@contextmanager
def _aside() -> Iterator[None]:
    """Whatever is written to standard output goes to standard error meanwhile, that of libraries and of their processes too."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _address(text: str) -> str:
    """The address of a service, without a slash at the end."""
    if not re.fullmatch(r"(https?://[A-Za-z0-9.:\[\]_/~-]+)?", text):
        raise ArgumentTypeError(f"アドレスは「http://127.0.0.1:8000」のように指定してください：{text}")
    return text.rstrip("/")


def _end(_number: int, _: FrameType | None) -> None:
    """Ends at once; the thread that reads standard input would hold up an ordinary end until the next line."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
