"""Builds the search index of a folder of documents.

    python build_index.py [--documents DIR] [--index DIR] [--model NAME_OR_FOLDER] [--full] [--watch]
    python build_index.py --dry-run | --history | --rollback [VERSION]

Every option has an environment variable (DXQA_DOCUMENTS, DXQA_INDEX, DXQA_MODEL, DXQA_MODELS, DXQA_KEEP). Exit status:
0 done, 1 failed, 2 wrong use or unusable input, with one Japanese sentence on standard error.
"""

from __future__ import annotations

import argparse
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from corpus.readers import suffix_of
from corpus.readers.source import ReadError
from index.build import BuildRefusedError, NothingToIndexError, build, plan
from index.encoder import (
    DEFAULT_MODEL,
    PRECISIONS,
    ModelNotFoundError,
    SentenceEncoder,
    best_precision,
    process_threads,
)
from index.milvus import StoreAddressError
from index.open_files import raise_limit
from index.plan import Plan, find_files
from index.report import BuildReport
from index.store import StoreUnavailableError, load_version
from index.versions import (
    KEEP_VERSIONS,
    BuildingError,
    IndexMissingError,
    IndexUnusableError,
    ModelRecord,
    NothingToRollBackError,
    OlderIndexError,
    WrongFolderError,
    alone,
    check_place,
    current_version,
    earlier_version,
    history,
    older_version,
    switch,
)
from options import HOME, Parser, setting, whole

SAMPLES = HOME / "corpus" / "samples"
WATCH_S = 5.0
STAGES = {
    "waiting": "ほかの作成を待っています",
    "reading": "読み込み",
    "encoding": "ベクトル化",
    "writing": "書き込み",
    "checking": "確認",
    "merging": "まとめ直し（変わった資料はもう使えます）",
    "publishing": "保存先への登録",
}


class UsageError(ValueError):
    """Wrong use; the message is a Japanese sentence for people."""


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that building and serving share."""
    parser.add_argument(
        "--documents",
        default=setting("DOCUMENTS", ""),
        help="資料のフォルダー（既定 documents/。空なら見本）",
    )
    parser.add_argument(
        "--index", default=setting("INDEX", str(HOME / "var" / "index")), help="索引のフォルダー"
    )
    parser.add_argument(
        "--model", default=setting("MODEL", DEFAULT_MODEL), help="sentence-transformers の名前かフォルダー"
    )
    parser.add_argument(
        "--models", default=setting("MODELS", str(HOME / "var" / "models")), help="モデルを置くフォルダー"
    )
    parser.add_argument(
        "--allow-hub",
        action="store_true",
        default=setting("ALLOW_HUB", "") == "1",
        help="モデルがないとき、モデル配布サイトから取得してよい",
    )
    parser.add_argument(
        "--precision",
        choices=["auto", *PRECISIONS],
        default=setting("PRECISION", "auto"),
        help="モデルの計算の精度（既定 auto はこのコンピューターで最も速いもの）",
    )
    parser.add_argument(
        "--store",
        default=setting("STORE", ""),
        metavar="ADDRESS",
        help="索引を検索の保存先（Milvus）に置く：milvus://アドレス:19530/保存名（既定は索引のフォルダーだけを使う）",
    )
    parser.add_argument(
        "--keep",
        type=whole(1, 1000, "数"),
        default=setting("KEEP", str(KEEP_VERSIONS)),
        help=f"残す版の数（既定 {KEEP_VERSIONS}）",
    )


def documents_folder(given: str) -> Path:
    """The folder to index: the one given, else documents/, else, while that is empty, the samples."""
    if given:
        folder = Path(given)
        if not folder.is_dir():
            raise UsageError(f"資料のフォルダー「{given}」がありません。--documents を確かめてください。")
        return folder
    own = HOME / "documents"
    return own if own.is_dir() and find_files(own) else SAMPLES


def index_folder(args: argparse.Namespace) -> Path:
    """The folder of the index; raises WrongFolderError where it touches a folder that documents come to."""
    root = Path(args.index)
    for folder in {documents_folder(args.documents), Path(args.documents or HOME / "documents")}:
        check_place(root, folder)
    return root


def outdated(root: Path, folder: Path) -> OlderIndexError | None:
    """What is said of an index of an older format that is to be made anew from a folder; raises NewerIndexError, and
    UsageError where the samples would take the place of documents that are not there."""
    older = older_version(root)
    if older is None or folder != SAMPLES:
        return older
    known = {file.name for file in find_files(SAMPLES)}
    try:
        paths = {path for entry in older.manifest["documents"] for path in entry["paths"]}
    except (KeyError, TypeError):  # a format that lists them otherwise
        paths = set()
    if paths and paths <= known:
        return older
    raise UsageError(
        f"{older}けれども、その資料が documents/ にありません。資料を documents/ に戻すか、--documents で資料のフォルダーを"
        "指定してください。索引には何もしていません。"
    )


def load_encoder(args: argparse.Namespace) -> SentenceEncoder:
    """The encoder that the options name."""
    return SentenceEncoder.load(
        args.model,
        models_dir=Path(args.models),
        allow_hub=args.allow_hub,
        threads=process_threads(),
        precision=best_precision() if args.precision == "auto" else args.precision,
        notice=lambda text: print(text, flush=True),
    )


class Bar:
    """Shows the progress of a build on standard error, one bar a stage."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Moves the bar; a new stage begins a new one."""
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(
                total=total,
                desc=STAGES.get(stage, stage),
                bar_format="{desc} {percentage:3.0f}%|{bar}|{n_fmt}/{total_fmt}件（経過 {elapsed}・残り {remaining}）",
                smoothing=0,  # the mean so far: what is done is a fair sample of what is to do
                file=sys.stderr,
                leave=False,
            )
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Ends the bar that is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


CHANGES = {
    "added": "追加",
    "changed": "変更",
    "renamed": "名前の変更",
    "removed": "削除",
    "copied": "同じ内容の追加",
    "unchanged": "変更なし",
}
RELATIONS = {
    "same": "とほぼ同じ内容です",
    "older": "の古い版のようです",
    "newer": "の新しい版のようです",
    "edition": "と内容が似ています",
}
"""A change of a document, and how a document stands to another, in the words of a reader."""


def visible(line: str) -> str:
    """A line for a terminal: control characters and such as turn the direction of writing stand as 「\\u202e」."""
    return "".join(
        f"\\u{ord(letter):04x}" if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else letter
        for letter in line
    )


def summary(report: BuildReport) -> str:
    """What a build did, for people."""
    made = "索引を作りました" if report.changes or report.encoded else "索引は最新です"
    return (
        f"{made}：資料 {report.documents}件・事例 {report.cases}件・本文 {report.chunks}件"
        f"（追加 {report.added}・変更 {report.changed}・名前の変更 {report.renamed}・削除 {report.removed}・変更なし {report.unchanged}）\n"
        f"ベクトル化 {report.encoded}件・再利用 {report.reused}件・{report.seconds:.1f}秒・版 {report.version}"
    )


def details(report: BuildReport) -> Iterator[str]:
    """What a build found in the documents that changed, a line each."""
    for change in report.changes:
        before = f"（前の名前：{change.before}）" if change.before else ""
        if change.change == "removed":
            yield f"{CHANGES[change.change]}：{change.path}"
            continue
        pages = f"・{change.pages}ページ" if change.pages else ""
        yield (
            f"{CHANGES[change.change]}：{change.path}{before}「{change.title}」"
            f"事例 {change.cases}件・見出し {change.headings}件・本文 {change.chunks}件{pages}"
        )
    for path, warning in report.warnings:
        yield f"注意：{path}：{warning}"
    for pair in report.alike:
        yield f"注意：{pair.path}：「{pair.other}」{RELATIONS[pair.relation]}（{pair.share:.0%}が共通）。"


def show_plan(found: Plan) -> None:
    """What a build would do, for people."""
    new = [item for item in found.items if item.change in {"added", "changed"}]
    unfit = {item.id: message for item in new if (message := _unfit(found.places[item.paths[0]]))}
    count = Counter(item.change for item in [*found.items, *found.removed] if item.id not in unfit)
    for item in [*found.items, *found.removed]:
        if item.id in unfit:
            print(f"読めない資料：{visible('・'.join(item.paths))}：{unfit[item.id]}")
            continue
        if item.change in {"unchanged", "replaced"} and set(item.paths) <= set(item.before):
            continue
        before = f"（前の名前：{item.before[0]}）" if item.change == "renamed" else ""
        change = "copied" if item.change == "unchanged" else item.change
        print(visible(f"{CHANGES[change]}：{'・'.join(item.paths or item.before)}{before}"))
    for problem in found.problems:
        print(visible(f"読めない資料：{problem.path}：{problem.message}"))
    told = "・".join(
        f"{CHANGES[name]} {count[name]}" for name in ("added", "changed", "renamed", "removed", "unchanged")
    )
    print(f"索引を作ると：{told}（まだ何も変えていません）。")


def _unfit(path: Path) -> str | None:
    """Why a file will not be read, as far as its first look tells; None where it may be."""
    try:
        suffix_of(path.name, path.read_bytes())
    except ReadError as error:
        return str(error)
    except OSError as error:
        return f"開けません（{error.strerror}）。"
    return None


def local_time(moment: str) -> str:
    """A moment (ISO 8601) by the clock of this computer: 「2026年11月21日 19:11」."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y年%-m月%-d日 %H:%M}"


def show_history(root: Path) -> None:
    """The versions that are kept, newest first; raises IndexUnusableError where it is not known which one is in use."""
    entries = history(root)
    if not entries:
        raise UsageError("索引がまだありません。build_index.py で作ってください。")
    for entry in entries:
        mark = "＊" if entry.current else "　"
        told = entry.problem or (
            f"{local_time(entry.built_at)}・資料 {entry.documents}件・事例 {entry.cases}件・本文 {entry.chunks}件"
        )
        print(f"{mark}{entry.name}　{told}")
    current_version(root)
    print("＊はいま使っている版です。戻すには build_index.py --rollback 版の名前")


def roll_back(root: Path, name: str | None, model: ModelRecord | None = None) -> str:
    """Makes an earlier version the one in use again, once it is found whole and to fit `model`; gives its name."""
    earlier_version(root, name)  # where there is nothing to go back to, nothing is touched
    with alone(root):
        target = earlier_version(root, name)
        load_version(root, target, model)
        switch(root, target)
    return target


def run(args: argparse.Namespace, folder: Path, encoder: SentenceEncoder) -> BuildReport:
    """One build with its progress, summary, warnings and errors shown."""
    bar, root = Bar(), Path(args.index)
    try:
        report = build(folder, root, encoder, full=args.full, keep=args.keep, progress=bar)
    finally:
        bar.close()
    print(summary(report))
    for line in details(report):
        print(visible(line))
    for path, message in report.errors:
        print(visible(f"読めなかった資料：{path}：{message}"), file=sys.stderr)
    publish(args, root, bar)
    return report


def publish(args: argparse.Namespace, root: Path, bar: Bar) -> None:
    """Brings the version in use of the folder to the store that the options name, if any."""
    if not args.store:
        return
    # the client of the store is loaded only where there is one
    from index.milvus import Address, Milvus
    from index.milvus_publish import publish_version

    milvus = Milvus(Address.read(args.store))
    try:
        published = publish_version(root, milvus, bar, take_over=args.full)
    finally:
        bar.close()
    shown = milvus.address.shown
    print(f"保存先 {shown} に登録しました。" if published else f"保存先 {shown} は最新です。")


def watch(args: argparse.Namespace, folder: Path, encoder: SentenceEncoder) -> None:
    """Builds again whenever a file of the folder has changed and has been still for one look."""

    def state() -> list[tuple[str, int, int]]:
        return [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in find_files(folder) if p.exists()]

    built = state()
    print(f"{folder} を見ています（終えるには Ctrl+C）。", flush=True)
    while True:
        time.sleep(WATCH_S)
        now = state()
        if now == built:
            continue
        time.sleep(WATCH_S)
        if state() != now:
            continue  # still being copied
        built = now
        try:
            run(args, folder, encoder)
        except (BuildRefusedError, StoreUnavailableError) as error:
            print(visible(str(error)), file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(description="資料のフォルダーから検索の索引を作ります。")
    add_common_options(parser)
    parser.add_argument("--full", action="store_true", help="変わっていない本文も作り直す")
    parser.add_argument("--watch", action="store_true", help="資料が変わるたびに作り直す")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--dry-run", action="store_true", help="何が変わるかを示すだけで、作らない")
    instead.add_argument("--history", action="store_true", help="残っている版の一覧を示す")
    instead.add_argument(
        "--rollback", nargs="?", const="", metavar="VERSION", help="一つ前の版（または指定の版）に戻す"
    )
    args = parser.parse_args(argv)
    raise_limit()
    try:
        if args.history:
            show_history(Path(args.index))
            return 0
        if args.rollback is not None:
            print(f"版 {roll_back(Path(args.index), args.rollback or None)} に戻しました。")
            publish(args, Path(args.index), Bar())
            return 0
        folder, root = documents_folder(args.documents), index_folder(args)
        if args.dry_run:
            show_plan(plan(folder, root))
            return 0
        older = outdated(root, folder)
        if older is not None:
            print(f"{older}前の版は、新しい版ができるまで残します。", flush=True)
        encoder = load_encoder(args)
        run(args, folder, encoder)
        if args.watch:
            watch(args, folder, encoder)
    except KeyboardInterrupt:
        print("中断しました。前の索引はそのままです。", file=sys.stderr)
        return 1
    except (
        UsageError,
        WrongFolderError,
        NothingToIndexError,
        ModelNotFoundError,
        StoreAddressError,
    ) as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    except (
        BuildRefusedError,
        BuildingError,
        IndexUnusableError,
        NothingToRollBackError,
        StoreUnavailableError,
        IndexMissingError,
    ) as error:
        print(visible(str(error)), file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"索引を作れませんでした（{error.strerror or error}：{error.filename or args.index}）。空き容量と書き込みの許可を確かめてください。",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
