"""The command line for accounts and labels.

    python -m access [--access FILE] add NAME [--administrator] [--groups A,B] [--stdin | --generate]
    python -m access list | password NAME | groups NAME A,B | administrator NAME on|off | disable NAME | enable NAME | remove NAME
    python -m access token NAME [--days 365] [--note WORDS] | tokens | revoke MARK
    python -m access label PATH A,B | unlabel PATH | labels

In: words of whoever looks after the server. Out: changes in the file of `access.file`, which a running server sees within a second.
Exit status: 0 done, 1 failed, 2 wrong use, with one Japanese sentence on standard error.
"""

from __future__ import annotations

import argparse
import getpass
import os
import pwd
import secrets
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from access.accounts import MAX_DAYS, Account, Accounts, NoAccountError, TakenError
from access.file import AccessFile
from access.labels import Labels, WrongPathError, matching
from access.passwords import WeakPasswordError
from access.people import WrongNameError, account_key
from database import DatabaseUnavailableError
from options import HOME, Parser, add_access, setting, whole

_WRONG = (WrongNameError, WeakPasswordError, NoAccountError, TakenError, WrongPathError)


def _parser() -> Parser:
    parser = Parser(prog="python -m access", description="アカウントと、資料を閲覧できる範囲を決めます。")
    add_access(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="操作")

    def command(name: str, words: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=words, description=words)

    def named(name: str, words: str) -> argparse.ArgumentParser:
        made = command(name, words)
        made.add_argument("name", metavar="名前")
        return made

    add = named("add", "アカウントを作る")
    add.add_argument("--administrator", action="store_true", help="管理者にする")
    add.add_argument("--groups", default="", help="所属するグループ（コンマ区切り）")
    for made in (add, named("password", "パスワードを変える（ログイン中の人は、入り直しになる）")):
        given = made.add_mutually_exclusive_group()
        given.add_argument("--stdin", action="store_true", help="パスワードを標準入力の1行から読む")
        given.add_argument("--generate", action="store_true", help="パスワードを自動で作って表示する")
    command("list", "アカウントの一覧")
    named("groups", "所属するグループを決め直す").add_argument(
        "groups", metavar="グループ", help="コンマ区切り。'' で、どのグループにも入らない"
    )
    named("administrator", "管理者にする・やめる").add_argument("switch", choices=("on", "off"))
    named("disable", "アカウントを止める（ログイン中でも、すぐに使えなくなる）")
    named("enable", "止めたアカウントを再び使えるようにする")
    named("remove", "アカウントを消す")
    token = named("token", "プログラムが使う合言葉を作る（このとき一度だけ表示する）")
    token.add_argument("--days", type=whole(1, MAX_DAYS, "日数"), default=365, help="使える日数（既定 365）")
    token.add_argument("--note", default="", help="何に使うか")
    command("tokens", "プログラムの合言葉の一覧")
    command("revoke", "プログラムの合言葉を無効にする").add_argument("mark", metavar="番号")
    label = command("label", "資料かフォルダーを、閲覧できるグループを限って示す")
    label.add_argument("path", metavar="場所", help="資料のフォルダーから見た、ファイルかフォルダーの場所")
    label.add_argument("groups", metavar="グループ", help="コンマ区切り。'' で管理者だけ")
    command("unlabel", "限るのをやめる").add_argument("path", metavar="場所")
    for made in (label, command("labels", "閲覧の範囲の一覧")):
        made.add_argument(
            "--documents",
            default=setting("DOCUMENTS", str(HOME / "documents")),
            help="資料のフォルダー（どの資料に当たるかを示すため）",
        )
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    args = _parser().parse_args(argv)
    owner = _other_owner(Path(args.access))
    if owner is not None:
        print(
            f"「{args.access}」のあるフォルダーは利用者「{owner}」のものです。root で作ると、サーバーから読めなくなります。"
            f"「runuser -u {owner} -- …」のように、その利用者として動かしてください。",
            file=sys.stderr,
        )
        return 2
    file = AccessFile(Path(args.access))
    accounts, labels = Accounts(file), Labels(file)
    do: dict[str, Callable[[], int]] = {
        "add": lambda: _add(accounts, args),
        "password": lambda: _password(accounts, args),
        "list": lambda: _list(accounts.all()),
        "groups": lambda: _then(
            lambda: accounts.set_groups(args.name, args.groups.split(",")),
            f"「{args.name}」の所属を変えました。",
        ),
        "administrator": lambda: _then(
            lambda: accounts.set_administrator(args.name, args.switch == "on"),
            f"「{args.name}」を管理者に{'しました' if args.switch == 'on' else 'しないことにしました'}。",
        ),
        "disable": lambda: _disable(accounts, args.name),
        "enable": lambda: _then(
            lambda: accounts.set_disabled(args.name, False), f"「{args.name}」を使えるようにしました。"
        ),
        "remove": lambda: _then(lambda: accounts.remove(args.name), f"「{args.name}」を消しました。"),
        "token": lambda: _token(accounts, args),
        "tokens": lambda: _tokens(accounts),
        "revoke": lambda: _revoke(accounts, args.mark),
        "label": lambda: _label(labels, args),
        "unlabel": lambda: _unlabel(labels, args.path),
        "labels": lambda: _labels(labels, args),
    }
    try:
        return do[args.command]()
    except _WRONG as error:
        print(error, file=sys.stderr)
        return 2
    except DatabaseUnavailableError as error:
        print(error, file=sys.stderr)
        return 1


def _other_owner(path: Path) -> str | None:
    """Whose folder root would write a file into that its owner could not read; None where there is no such trouble."""
    folder = path.absolute().parent
    if os.geteuid() != 0 or not folder.is_dir() or folder.stat().st_uid == 0:
        return None
    try:
        return pwd.getpwuid(folder.stat().st_uid).pw_name
    except KeyError:
        return str(folder.stat().st_uid)


def _then(do: Callable[[], None], words: str) -> int:
    do()
    print(words)
    return 0


# ---------------------------------------------------------------- accounts


def _add(accounts: Accounts, args: argparse.Namespace) -> int:
    if any(account.name == args.name.casefold() for account in accounts.all()):
        raise TakenError(f"アカウント「{args.name}」は、すでにあります。")
    password = _asked(args)
    if password is None:
        return 2
    name = accounts.add(args.name, password, groups=args.groups.split(","), administrator=args.administrator)
    print(f"アカウント「{name}」を作りました{'（管理者）' if args.administrator else ''}。")
    _shown(args, password)
    return 0


def _password(accounts: Accounts, args: argparse.Namespace) -> int:
    password = _asked(args)
    if password is None:
        return 2
    accounts.set_password(args.name, password)
    print(f"「{args.name}」のパスワードを変えました。")
    _shown(args, password)
    left = sum(program.account == account_key(args.name) for program in accounts.programs())
    if left:
        print(
            f"プログラムの合言葉{left}件は、そのまま使えます。無効にするには「python -m access tokens」と「revoke」を使ってください。"
        )
    return 0


def _asked(args: argparse.Namespace) -> str | None:
    """The password: made here, read from a line, or typed twice; None where it was not typed the same."""
    if args.generate:
        return secrets.token_urlsafe(15)
    if args.stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        print(
            "パスワードを入力する端末がありません。--stdin か --generate を付けてください。", file=sys.stderr
        )
        return None
    try:
        first = getpass.getpass("パスワード（12文字以上。入力しても表示されません）：")
        second = getpass.getpass("もう一度：")
    except (EOFError, KeyboardInterrupt):
        first, second = "", " "
    if first != second:
        print("二つのパスワードが違います。もう一度やり直してください。", file=sys.stderr)
        return None
    return first


def _shown(args: argparse.Namespace, password: str) -> None:
    if args.generate:
        print(f"パスワード：{password}")
        print("この画面にだけ表示しています。本人に安全な方法で伝えてください。")


def _disable(accounts: Accounts, name: str) -> int:
    accounts.set_disabled(name, True)
    print(
        f"「{name}」を止めました。プログラムの合言葉も無効にしました（再び使えるようにしても、戻りません）。"
    )
    everybody = accounts.all()
    key = account_key(name)
    stopped = any(account.name == key and account.administrator for account in everybody)
    if stopped and not any(account.administrator and not account.disabled for account in everybody):
        print(
            "注意：使える管理者のアカウントが、ほかにありません。「python -m access administrator 名前 on」で管理者を決めるか、"
            "「enable」で戻してください。",
            file=sys.stderr,
        )
    return 0


def _when(moment: str) -> str:
    """A moment as kept (ISO 8601), in the time of this computer."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y年%m月%d日 %H:%M}"


def _list(accounts: list[Account]) -> int:
    if not accounts:
        print("アカウントはまだありません。「python -m access add 名前」で作れます。")
    for account in accounts:
        marks = [word for word, on in (("管理者", account.administrator), ("停止中", account.disabled)) if on]
        groups = "、".join(account.groups) or "なし"
        print(
            f"{account.name}\t{'・'.join(marks) or '利用者'}\t所属：{groups}\t作成 {_when(account.created_at)}"
        )
    return 0


def _token(accounts: Accounts, args: argparse.Namespace) -> int:
    secret = accounts.open_program(args.name, args.days, args.note)
    print(secret)
    print(
        f"「{args.name}」として使える合言葉です（{args.days}日間）。見出し「Authorization: Bearer …」に入れて使います。"
        "もう一度表示することはできません。",
        file=sys.stderr,
    )
    return 0


def _tokens(accounts: Accounts) -> int:
    for program in accounts.programs():
        print(
            f"{program.mark}\t{program.account}\t{program.note or '（メモなし）'}\t{_when(program.ends_at)} まで"
        )
    return 0


def _revoke(accounts: Accounts, mark: str) -> int:
    if not accounts.end_program(mark):
        print(
            f"番号「{mark}」の合言葉はありません。「python -m access tokens」で確かめてください。",
            file=sys.stderr,
        )
        return 2
    print("無効にしました。")
    return 0


# ---------------------------------------------------------------- labels


def _label(labels: Labels, args: argparse.Namespace) -> int:
    labels.set(args.path, args.groups.split(","))
    found = matching(args.path, _files(Path(args.documents)))
    table = labels.table()
    print(f"「{args.path}」を閲覧できるグループ：{table.words(table.own(args.path))}")
    if found:
        print(
            f"いま当てはまる資料：{len(found)}件（{'、'.join(found[:5])}{' ほか' if len(found) > 5 else ''}）"
        )
    else:
        print(
            f"注意：資料のフォルダー「{args.documents}」に、いま当てはまる資料はありません。場所の書き間違いでないか確かめてください。",
            file=sys.stderr,
        )
    return 0


def _unlabel(labels: Labels, path: str) -> int:
    if not labels.remove(path):
        print(
            f"「{path}」に範囲の指定はありません。「python -m access labels」で確かめてください。",
            file=sys.stderr,
        )
        return 2
    print(f"「{path}」を、限らずに示すようにしました（上のフォルダーに指定があれば、それに従います）。")
    return 0


def _labels(labels: Labels, args: argparse.Namespace) -> int:
    files = _files(Path(args.documents))
    table = labels.table()
    for path, label in table.labels.items():
        print(f"{path}\t{table.words(label)}\t資料 {len(matching(path, files))}件")
    return 0


def _files(folder: Path) -> list[str]:
    """The files of the documents folder, but for hidden ones."""
    if not folder.is_dir():
        return []
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]


if __name__ == "__main__":
    sys.exit(main())
