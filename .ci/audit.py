"""What is known to be wrong: patterns in our code (bandit), and published flaws of the packages that are installed (pip-audit).

    python .ci/audit.py [options of pip-audit]

In: the source beside this folder, and the environment this runs in. Out: exit status 0, or 1 with what was found. Where the
service that knows the flaws of packages cannot be asked (a closed network), one line says so and nothing fails; every other
trouble does. Each finding of bandit that is none is marked in its line (`# nosec`) with the reason; asserts (B101) are none: they tell
the type checker what holds anyway.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
SOURCES = (
    "access",
    "corpus",
    "deploy",
    "index",
    "integrations",
    "ops",
    "qa",
    "web",
    "database.py",
    "options.py",
    "server.py",
    "build_index.py",
    "mcp_stdio.py",
)
AUDIT_S = 300
_UNREACHABLE = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "Max retries",
    "ServiceError",
    "ConnectionRefused",
    "Name or service",
)


def patterns() -> int:
    """1 where bandit finds something in our code."""
    folders = [name for name in SOURCES if (HOME / name).exists()]
    run = subprocess.run(  # noqa: S603  (names of our own)
        [sys.executable, "-m", "bandit", "-q", "-r", "-s", "B101", *folders],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        print(run.stdout or run.stderr)
    return int(run.returncode != 0)


def packages(options: list[str]) -> int:
    """1 where an installed package has a published flaw."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", *options]
    try:
        run = subprocess.run(  # noqa: S603  (the options of who calls this)
            command, cwd=HOME, capture_output=True, text=True, check=False, timeout=AUDIT_S
        )
    except subprocess.TimeoutExpired:
        print("パッケージの脆弱性は調べていません（情報を配るサービスが答えません）。")
        return 0
    try:
        listed = json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        if any(sign in run.stderr for sign in _UNREACHABLE):
            print("パッケージの脆弱性は調べていません（情報を配るサービスに届きません）。")
            return 0
        print(run.stderr)
        return 1
    known = [entry for entry in listed if "vulns" in entry]
    found = [(entry, flaw) for entry in known for flaw in entry["vulns"]]
    for entry, flaw in found:
        mended = "、".join(flaw["fix_versions"]) or "まだありません"
        print(f"{entry['name']} {entry['version']}: {flaw['id']}（直った版：{mended}）")
    if not known:
        print(
            f"パッケージの脆弱性は調べていません（{len(listed)}件とも、情報を配るサービスから得られません）。"
        )
    elif len(known) < len(listed):
        print(
            f"パッケージの脆弱性：{len(known)}件を調べました（{len(listed) - len(known)}件は情報がありません）。"
        )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(patterns() | packages(sys.argv[1:]))
