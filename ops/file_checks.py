"""Checks of the files beside the index: documents, databases, the table of synonyms, permissions, and what was left half done.

In: `Examined`. Out: findings. A database is looked at in a copy: SQLite writes beside the files that it opens, also to read.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from access import file as access_file
from index.plan import find_files
from ops.examined import Examined
from ops.finding import Finding, notice, skipped, well, wrong
from ops.places import ACCESS, PARTS, USAGE
from ops.restore import cut_off
from options import HOME
from qa.synonyms import Synonyms, SynonymsError
from qa.usage_file import APPLICATION, SCHEMA

_LEFT = re.compile(
    r"\.(building|old|CURRENT|making|upload|new|gone|dxqa-restore|dxqa-backup)-.+|\.multilingual-e5-small-.+"
)
MUCH = 2**30
"""Of what was taken out: worth a word from a gigabyte on."""
TRIES = 3


def check_documents(examined: Examined) -> Finding:
    """The documents folder is there, can be read, and takes what is added over HTTP."""
    name, folder = "資料のフォルダー", examined.places.documents
    if not folder.is_dir():
        if examined.args.documents:
            return wrong(
                name,
                f"{folder} がありません",
                "--documents（DXQA_DOCUMENTS）を確かめ、ネットワークドライブならつなぎ直してください",
            )
        return well(name, f"{folder} はまだありません（見本を使います）")
    if not os.access(folder, os.R_OK | os.X_OK):
        return wrong(name, f"{folder} を読めません", "サービスの利用者に、読み取りの許可を与えてください")
    files = find_files(folder)
    closed = [file for file in files if not os.access(file, os.R_OK)]
    if closed:
        return wrong(
            name,
            f"読めないファイルが{len(closed)}件あります（{closed[0].relative_to(folder)}）",
            "サービスの利用者に、読み取りの許可を与えてください",
        )
    if not os.access(folder, os.W_OK):
        return notice(
            name,
            f"{folder} に書き込めません（{len(files)}件）",
            "画面から資料を加えるときは、サービスの利用者に書き込みの許可を与えてください",
        )
    if not files and not examined.args.documents:
        return well(name, f"{folder} は空です（見本を使います）")
    return well(name, f"{folder} に{len(files)}件")


def check_removed(examined: Examined) -> Finding:
    """What was taken out of the documents is never deleted by itself: it may grow."""
    name, folder = "取り除いた資料", examined.places.documents / ".removed"
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    told = f"{len(files)}件・{size / 2**20:,.0f}MB（{folder}）"
    if size > MUCH:
        return notice(
            name, told, "要らなければ、このフォルダーの中を手で消してください（自動では消えません）"
        )
    return well(name, told if files else "ありません")


def check_permissions(examined: Examined) -> Finding:
    """What the service writes can be written, and what is private is its own."""
    name, problems = "書き込みの許可", []
    for place in (examined.places.index, examined.places.usage.parent, Path(examined.args.models)):
        if place.exists() and not os.access(place, os.W_OK | os.X_OK):
            problems.append(f"{place} に書き込めません")
    for file in (examined.places.usage, examined.places.access):
        if file.exists() and not os.access(file, os.R_OK | os.W_OK):
            problems.append(f"{file} を読み書きできません")
    if problems:
        return wrong(
            name,
            "、".join(problems),
            "サービスの利用者に、読み書きの許可を与えてください（読み取り専用のディスクでないかも）",
        )
    return well(name, "索引・記録・モデルの置き場所に書き込めます")


def check_privacy(examined: Examined) -> Finding:
    """Nobody else on this computer can read what is asked, or who may sign in."""
    name = "記録を読める人"
    open_to_others = [
        f"{file}（{stat.S_IMODE(file.stat().st_mode):04o}）"
        for file in (examined.places.usage, examined.places.access)
        if file.is_file() and stat.S_IMODE(file.stat().st_mode) & 0o077
    ]
    if open_to_others:
        return wrong(
            name,
            f"ほかの利用者も読めます：{'、'.join(open_to_others)}",
            "chmod 600 で、サービスの利用者だけにしてください",
        )
    return well(name, "サービスの利用者だけです")


def check_usage(examined: Examined) -> Finding:
    """The usage file is whole and of this release."""
    return _database(USAGE, examined.places.usage, APPLICATION, SCHEMA)


def check_access(examined: Examined) -> Finding:
    """The file of who may sign in is whole."""
    return _database(ACCESS, examined.places.access, access_file.APPLICATION, access_file.SCHEMA)


def _database(part: str, file: Path, application: int, schema: int) -> Finding:
    name = PARTS[part]
    if not file.exists():
        return well(name, "まだありません")
    # without the file of accounts nothing would be hidden from anybody
    anew = "" if part == ACCESS else "か、別の名前にして新しく始めて"
    mend = f"控えから戻して（python -m ops restore）{anew}ください"
    if not os.access(file, os.R_OK):
        return skipped(name, "読み取りの許可がない")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="dxqa-doctor-") as scratch,
            closing(sqlite3.connect(_copied(file, Path(scratch)))) as connection,
        ):
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            found = {
                key: connection.execute(f"PRAGMA {key}").fetchone()[0]
                for key in ("application_id", "user_version")
            }
    except sqlite3.DatabaseError as error:
        return wrong(name, f"{file} が壊れています（{error}）", mend)
    if problems != ["ok"]:
        return wrong(name, f"{file} が壊れています（{str(problems[0]).splitlines()[0]}）", mend)
    if found["application_id"] not in {application, 0}:
        return wrong(name, f"{file} は{name}ではありません", "指定したファイル名を確かめてください")
    if found["user_version"] > schema:
        return wrong(
            name,
            f"{file} は新しい版のプログラムで作られています（形式 {found['user_version']}・このプログラム {schema}）",
            "プログラムを新しいほうに揃えてください",
        )
    return well(name, f"{file.stat().st_size / 2**20:.1f}MB、壊れていません")


def _copied(file: Path, folder: Path) -> Path:
    """A copy of a database with what lies beside it, taken at a moment when nobody wrote."""
    target = folder / "copy.sqlite3"
    for _ in range(TRIES):
        before = _stamps(file)
        for end in ("", "-wal"):
            target.with_name(target.name + end).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{file}{end}", f"{target}{end}")
        if _stamps(file) == before:
            break
    return target


def _stamps(file: Path) -> list[tuple[int, int]]:
    found = []
    for end in ("", "-wal"):
        try:
            state = Path(f"{file}{end}").stat()
            found.append((state.st_mtime_ns, state.st_size))
        except FileNotFoundError:
            found.append((0, 0))
    return found


def check_synonyms(examined: Examined) -> Finding:
    """The table of synonyms can be used."""
    name, file = "同義語の表", examined.places.synonyms
    try:
        table = Synonyms.load(file)
    except SynonymsError as error:
        return wrong(
            name,
            str(error).removesuffix("。"),
            "表のその行を直してください（直すまで、サーバーは起動できません）",
        )
    if not file.exists() and file != HOME / "synonyms.csv":
        return notice(name, f"{file} がありません", "--synonyms（DXQA_SYNONYMS）を確かめてください")
    return well(name, f"{len(table.groups)}組")


def check_left(examined: Examined) -> Finding:
    """Nothing is left of a build, an upload or a restore that was cut off."""
    name, places = "途中で終わった作業", examined.places
    journal = cut_off(places)
    if journal is not None:
        return wrong(
            name,
            f"控えからの復元が途中で終わっています（{journal}）",
            "python -m ops restore をもう一度実行してください。前の内容は、そのとき元の名前に戻ります",
        )
    if _is_building(places.index / ".lock"):
        return well(name, "いま索引を作っています")
    left = sorted(str(path) for path in _left(examined))
    if left:
        return notice(
            name,
            f"書きかけのものが{len(left)}個残っています（{left[0]}）",
            "build_index.py を動かすか、サーバーを起動し直すと片付きます",
        )
    return well(name, "ありません")


def _left(examined: Examined) -> Iterator[Path]:
    places, models = examined.places, Path(examined.args.models)
    folders: Iterable[Path] = (
        places.index,
        places.index / "versions",
        places.index / "segments",
        places.index.parent,
        places.documents,
        places.documents / ".inbox",
        models,
        models / "openvino",
    )
    for folder in dict.fromkeys(folders):
        if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
            yield from (path for path in folder.iterdir() if _LEFT.fullmatch(path.name))


def _is_building(lock: Path) -> bool:
    """Whether somebody holds the index's lock, by the system's list of locks (Linux): to try it would be in the way of a build."""
    with suppress(OSError):
        inode = f":{lock.stat().st_ino}"
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        return any(
            "FLOCK" in fields and fields[5].endswith(inode)
            for line in lines
            if len(fields := line.split()) > 5
        )
    return False


CHECKS = (
    check_documents,
    check_removed,
    check_permissions,
    check_privacy,
    check_usage,
    check_access,
    check_synonyms,
    check_left,
)
