"""Checks of the computer: Python, packages, memory, disk, account, clock, and the port.

In: `Examined`. Out: findings. Nothing is changed: a port is tried by listening on it for a moment, or by asking who listens there.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import os
import platform
import shutil
import socket
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from index.segment import SegmentDamagedError, StoredSegment
from ops.examined import Examined
from ops.finding import Finding, notice, skipped, well, wrong
from options import HOME

LEAST_PYTHON = 3, 11
MEMORY_SERVING = 1500 * 2**20
"""Of a server that runs the default model, with room for a build beside it."""
MEMORY_LEAST = 500 * 2**20
ROOM = 1.5
"""Of the index in use: a whole rebuild writes all of it anew beside the old one, and notes for itself."""
ROOM_BESIDE = 200 * 2**20
"""For the usage file, uploads of one request, and what a reader of documents writes."""
SLOW_CLOCK = timedelta(minutes=10)
ASK_S = 5.0
REINSTALL = "make setup（または pip install -e .）で入れ直してください"


def check_python(_: Examined) -> Finding:
    """The interpreter is one that the program is made for."""
    found = platform.python_version()
    if sys.version_info[:2] < LEAST_PYTHON:
        return wrong("Python", f"{found} です", "Python 3.11 以上で仮想環境を作り直してください")
    return well("Python", found)


def check_packages(examined: Examined) -> Finding:
    """Every package that the program names is there, in a version that it takes."""
    named = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(named["dependencies"])
    if examined.args.store:
        lines += named["optional-dependencies"]["milvus"]
    problems = [problem for line in lines for problem in _unmet(Requirement(line))]
    if problems:
        return wrong("パッケージ", "、".join(problems[:5]), REINSTALL)
    return well("パッケージ", f"{len(lines)}件、版も合っています")


def _unmet(requirement: Requirement) -> Iterator[str]:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return
    try:
        distribution = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        yield f"{requirement.name} がありません"
        return
    if not requirement.specifier.contains(distribution.version, prereleases=True):
        yield f"{requirement.name} {distribution.version}（必要 {requirement.specifier}）"
    for extra in requirement.extras:
        for line in distribution.requires or []:
            try:
                other = Requirement(line)
            except InvalidRequirement:
                continue
            if (
                other.marker is not None
                and "extra" in str(other.marker)
                and other.marker.evaluate({"extra": extra})
            ):
                other.marker = None
                yield from _unmet(other)


def check_memory(examined: Examined) -> Finding:
    """There is room for the model, and for a build."""
    name, available = "メモリ", _available_memory()
    if available is None:
        return notice(name, "空きを調べられません", "1.5GB 以上の空きがあるか、ほかの方法で確かめてください")
    told = f"空き {available / 2**30:.1f}GB"
    runs = _asked(examined, "/healthz") is not None  # then its share is taken already
    if available < MEMORY_LEAST:
        return wrong(
            name, told, "ほかのプログラムを止めるか、メモリを増やしてください（0.5GB では索引を作れません）"
        )
    if available < MEMORY_SERVING and not runs:
        return notice(name, told, "サーバーには 1.5GB ほど要ります。ほかのプログラムを止めてください")
    return well(name, told)


def _available_memory() -> int | None:
    """Bytes that programs may still take (Linux), None where it is not said."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def check_disk(examined: Examined) -> Finding:
    """There is room to build the whole index anew beside the one in use."""
    name = "空き容量"
    size = 0
    for segment in (examined.manifest or {"segments": ()})["segments"]:
        try:
            size += StoredSegment(examined.places.index / "segments" / segment).bytes
        except SegmentDamagedError:
            continue
    needed = int(ROOM * size) + ROOM_BESIDE
    folder = _nearest(examined.places.index)
    free = shutil.disk_usage(folder).free
    told = f"{folder} に {free / 2**30:.1f}GB（作り直しに要るのは約 {needed / 2**30:.1f}GB）"
    if free < needed:
        return wrong(name, told, "不要なファイルや古い控えを消すか、ディスクを増やしてください")
    if free < 2 * needed:
        return notice(name, told, "残りが少なくなっています。早めに空けてください")
    return well(name, told)


def _nearest(path: Path) -> Path:
    """The path, or the first folder above it that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def check_account(_: Examined) -> Finding:
    """The account is no administrator's, and what it writes is not everybody's."""
    name, umask = "動かす利用者", _umask()
    if os.geteuid() == 0:
        return notice(
            name,
            "root で動いています",
            "サービス用の利用者を作り、その利用者で動かしてください（点検も、その利用者で）",
        )
    if umask is not None and not umask & 0o002:
        return notice(
            name,
            f"umask が {umask:04o} で、だれでも書き込めるファイルができます",
            "umask 0027 などにしてください",
        )
    return well(name, f"番号 {os.geteuid()}")


def _umask() -> int | None:
    """The umask, read without setting it (Linux)."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except (OSError, ValueError, IndexError):
        pass
    return None


def check_clock(examined: Examined) -> Finding:
    """The clock has not gone back behind the index, by which versions are ordered and records are dated."""
    name, now = "時計", datetime.now(UTC)
    shown = f"{now.astimezone():%Y年%-m月%-d日 %H:%M}"
    if examined.manifest is None:
        return skipped(name, "索引を読めない")
    built = datetime.fromisoformat(examined.manifest["built_at"])
    if now + SLOW_CLOCK < built:
        return wrong(
            name,
            f"いま {shown} ですが、索引は {built.astimezone():%Y年%-m月%-d日 %H:%M} に作られています",
            "このコンピューターの日付と時刻を直してください（遅れたままだと、利用の記録の日付が狂います）",
        )
    return well(name, shown)


def check_port(examined: Examined) -> Finding:
    """The port is free for the server, or the server is what answers there."""
    name, host, port = "ポート", examined.args.host, examined.args.port
    alive = _asked(examined, "/healthz")
    if alive is not None:
        if alive[0] != 200 or alive[1].get("status") != "ok":
            return wrong(
                name,
                f"{host} の {port} で、別のプログラムが動いています",
                "そのプログラムを止めるか、--port で別の番号を指定してください",
            )
        ready = _asked(examined, "/readyz")
        if ready is None or ready[0] != 200:
            why = str(ready[1].get("detail", "")) if ready else ""
            return wrong(
                name,
                f"サーバーは動いていますが、答えられません（{why}）",
                "ほかの×を直してから、起動し直してください",
            )
        return well(name, f"{port} でこのサーバーが動いていて、答えられます")
    try:
        with socket.create_server((host, port)):
            return well(name, f"{port} は空いています（サーバーは止まっています）")
    except OSError as error:
        return wrong(
            name,
            f"{host} のポート {port} で待ち受けられません（{error.strerror}）",
            "使っているプログラムを止めるか、--host・--port を確かめてください",
        )


def _asked(examined: Examined, path: str) -> tuple[int, dict[str, object]] | None:
    """(status, JSON) of what listens on the server's port; None where nobody does. What is no JSON is as an empty one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(examined.args.host, examined.args.host)  # noqa: S104  # nosec B104  # where the server listens; asked is this computer
    connection = http.client.HTTPConnection(host, examined.args.port, timeout=ASK_S)
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{examined.args.port}"})
        reply = connection.getresponse()
        content = json.loads(reply.read(1 << 20))
        return reply.status, content if isinstance(content, dict) else {}
    except (OSError, ValueError, http.client.HTTPException):
        return 0, {}
    finally:
        connection.close()


CHECKS = (check_python, check_packages, check_memory, check_disk, check_account, check_clock, check_port)
