"""The command line of what keeps the service.

    python -m ops doctor [--json]
    python -m ops backup FOLDER|FILE.zip [--keep N] [--no-documents] [--all-versions]
    python -m ops restore FILE.zip [--to FOLDER] [--only PART,…] [--replace] | --check

Where things lie is said by the options and environment variables of the server. Exit status: 0 done and all is well, 1 failed or
something is wrong, 2 wrong use, with one Japanese sentence on standard error.
"""

from __future__ import annotations

import argparse
import shlex
import sqlite3
import sys
from pathlib import Path

from build_index import add_common_options, visible
from ops.archive import ArchiveError
from ops.backup import BackupError, WrongTargetError, backup
from ops.backup import told as told_of_backup
from ops.places import PARTS, Places
from ops.restore import RestoreRefusedError, check, restore
from ops.restore import told as told_of_restore
from options import HOME, Parser, add_access, add_synonyms, add_usage, setting, whole


def _parts(text: str) -> list[str]:
    """Parts in a list like 「index,documents」."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in PARTS]
    if wrong or not names:
        raise argparse.ArgumentTypeError(
            f"戻すものは {'・'.join(PARTS)} から、コンマで区切って指定してください"
        )
    return names


def _add_place_options(parser: argparse.ArgumentParser) -> None:
    add_common_options(parser)
    add_usage(parser)
    add_access(parser)
    add_synonyms(parser)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(prog="python -m ops", description="DX資料アシスタントを点検し、控え、戻します。")
    commands = made.add_subparsers(dest="command", required=True, metavar="{doctor,backup,restore}")
    doctor = commands.add_parser("doctor", help="どこに問題があるかを調べる（何も変えない）")
    _add_place_options(doctor)
    doctor.add_argument("--host", default=setting("HOST", "127.0.0.1"), help="サーバーが待ち受けるアドレス")
    doctor.add_argument(
        "--port",
        type=whole(0, 65535, "番号"),
        default=setting("PORT", "8000"),
        help="サーバーが待ち受けるポート",
    )
    doctor.add_argument("--json", action="store_true", help="結果を JSON で示す")
    # --keep is that of backups here, not the server's of versions, nor is DXQA_KEEP
    kept = commands.add_parser("backup", help="控えを作る（動かしたままでよい）", conflict_handler="resolve")
    _add_place_options(kept)
    kept.add_argument("target", metavar="FOLDER|FILE.zip", help="控えを置くフォルダー、または新しいファイル")
    kept.add_argument("--no-documents", action="store_true", help="資料を控えに入れない")
    kept.add_argument(
        "--all-versions", action="store_true", help="索引の残っている版をすべて入れる（既定は使用中の版だけ）"
    )
    kept.add_argument(
        "--keep", type=whole(1, 10_000, "数"), help="残す控えの数（フォルダーに置くとき。既定はすべて残す）"
    )
    back = commands.add_parser("restore", help="控えから戻す")
    _add_place_options(back)
    back.add_argument("file", metavar="FILE.zip", help="控えのファイル")
    back.add_argument("--to", metavar="FOLDER", help="すべてをこのフォルダーの中に戻す（既定は元の場所）")
    back.add_argument("--only", type=_parts, default=[], help=f"戻すもの（{','.join(PARTS)}。既定はすべて）")
    back.add_argument("--replace", action="store_true", help="いまあるものを別の名前で残して、置き換える")
    back.add_argument("--check", action="store_true", help="控えが壊れていないかを調べるだけで、戻さない")
    return made


def _backup(args: argparse.Namespace) -> int:
    report = backup(
        Places.of(args),
        Path(args.target),
        documents=not args.no_documents,
        all_versions=args.all_versions,
        keep=args.keep,
    )
    for line in told_of_backup(report):
        print(visible(line))
    for line in report.problems:
        print(visible(line), file=sys.stderr)
    return 1 if report.problems else 0


def _start(places: Places) -> str:
    """The line that starts a server on these places, to be copied; what is not there is left to the server's own."""
    words = [sys.executable, str(HOME / "server.py")]
    for part in PARTS:
        place = places.of_part(part).absolute()
        if place.exists():
            words += [f"--{part}", str(place)]
    return shlex.join(words)


def _restore(args: argparse.Namespace) -> int:
    file = Path(args.file)
    if not file.is_file():
        raise RestoreRefusedError(f"控え「{file}」がありません。ファイルの名前を確かめてください。")
    if args.check:
        lines = check(file)
    elif args.to:
        places = Places.inside(Path(args.to))
        lines = told_of_restore(restore(file, places, only=args.only, replace=args.replace))
        lines.append(f"ここで動かすには：{_start(places)}")
    else:
        lines = told_of_restore(restore(file, Places.of(args), only=args.only, replace=args.replace))
        lines.append(
            "動いているサーバーは、戻した索引・資料・記録をそのまま使い始めます。止まっているときは、起動してください。"
        )
    for line in lines:
        print(visible(line))
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        if args.command == "backup":
            return _backup(args)
        if args.command == "restore":
            return _restore(args)
        # the checks load the model's libraries: a backup need not wait for them
        from ops.doctor import examine, told

        findings = examine(args)
        for line in told(findings, as_json=args.json):
            print(line)
        return 0 if all(finding.state != "wrong" for finding in findings) else 1
    except KeyboardInterrupt:
        print("中断しました。前の内容はそのままです。", file=sys.stderr)
        return 1
    except (WrongTargetError, RestoreRefusedError) as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    except (ArchiveError, BackupError) as error:
        print(visible(str(error)), file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error) as error:
        what, where = getattr(error, "strerror", None) or error, getattr(error, "filename", None) or ""
        print(
            visible(
                f"できませんでした（{what}{'：' if where else ''}{where}）。空き容量と、読み書きの許可を確かめてください。前の内容はそのままです。"
            ),
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
