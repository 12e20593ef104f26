"""Builds the search index of a folder of documents.

    python build_index.py [--documents DIR] [--index DIR] [--model NAME_OR_FOLDER] [--full] [--watch]

Every option has an environment variable (DXQA_DOCUMENTS, DXQA_INDEX, DXQA_MODEL, DXQA_MODELS). Exit status: 0 done,
1 failed, 2 wrong use or unusable input, with one Japanese sentence on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tqdm import tqdm

from index.build import (
    BuildRefusedError,
    BuildReport,
    NothingToIndexError,
    build,
    find_files,
    process_threads,
)
from index.encoder import DEFAULT_MODEL, ModelNotFoundError, SentenceEncoder, best_precision
from index.store import IndexUnusableError

HOME = Path(__file__).resolve().parent
SAMPLES = HOME / "corpus" / "samples"
WATCH_S = 5.0
STAGES = {"reading": "読み込み", "encoding": "ベクトル化", "writing": "書き込み", "checking": "確認"}


class UsageError(ValueError):
    """Wrong use; the message is a Japanese sentence for people."""


class Parser(argparse.ArgumentParser):
    """An argument parser that reports wrong use as one Japanese sentence."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Exit status 2, with the sentence on standard error."""
        print(f"指定が正しくありません（{message}）。--help で使い方を確かめてください。", file=sys.stderr)
        raise SystemExit(2)


def setting(name: str, default: str) -> str:
    """The environment variable of an option, or its default."""
    return os.environ.get(f"DXQA_{name}") or default


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


def documents_folder(given: str) -> Path:
    """The folder to index: the one given, else documents/, else, while that is empty, the samples."""
    if given:
        folder = Path(given)
        if not folder.is_dir():
            raise UsageError(f"資料のフォルダー「{given}」がありません。--documents を確かめてください。")
        return folder
    own = HOME / "documents"
    return own if own.is_dir() and find_files(own) else SAMPLES


def load_encoder(args: argparse.Namespace) -> SentenceEncoder:
    """The encoder that the options name."""
    return SentenceEncoder.load(
        args.model,
        models_dir=Path(args.models),
        allow_hub=args.allow_hub,
        threads=process_threads(),
        precision=best_precision(),
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
                total=total, desc=STAGES.get(stage, stage), unit="件", file=sys.stderr, leave=False
            )
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Ends the bar that is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def summary(report: BuildReport) -> str:
    """What a build did, for people."""
    return (
        f"索引を作りました：資料 {report.documents}件・事例 {report.cases}件・本文 {report.chunks}件"
        f"（追加 {report.added}・変更 {report.changed}・削除 {report.removed}・変更なし {report.unchanged}）\n"
        f"ベクトル化 {report.encoded}件・再利用 {report.reused}件・{report.seconds:.1f}秒・版 {report.version}"
    )


def run(args: argparse.Namespace, folder: Path, encoder: SentenceEncoder) -> BuildReport:
    """One build with its progress, summary, warnings and errors shown."""
    bar = Bar()
    try:
        report = build(folder, Path(args.index), encoder, full=args.full, progress=bar)
    finally:
        bar.close()
    print(summary(report))
    for path, warning in report.warnings:
        print(f"注意：{path}：{warning}")
    for path, message in report.errors:
        print(f"読めなかった資料：{path}：{message}", file=sys.stderr)
    return report


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
        except BuildRefusedError as error:
            print(error, file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(description="資料のフォルダーから検索の索引を作ります。")
    add_common_options(parser)
    parser.add_argument("--full", action="store_true", help="変わっていない本文も作り直す")
    parser.add_argument("--watch", action="store_true", help="資料が変わるたびに作り直す")
    args = parser.parse_args(argv)
    try:
        folder = documents_folder(args.documents)
        encoder = load_encoder(args)
        run(args, folder, encoder)
        if args.watch:
            watch(args, folder, encoder)
    except KeyboardInterrupt:
        print("中断しました。前の索引はそのままです。", file=sys.stderr)
        return 1
    except (UsageError, NothingToIndexError, ModelNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    except (BuildRefusedError, IndexUnusableError) as error:
        print(error, file=sys.stderr)
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
