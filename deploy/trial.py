"""Starts a server of this program on the samples, asks it a question, and says whether the answer is cited as it should be.

    python deploy/trial.py

In: the program that this file belongs to, and the environment it will run with. Out: exit status 0, or 1 with one Japanese sentence on
standard error. Index and records of the trial lie in a temporary folder; models are made where they will be used.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess  # nosec B404  # our own server, without a shell
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
QUESTION = "青葉野市の担当部署の電話番号は？"
"""The question of the README, on the samples."""
START_S, ASK_S, STOP_S = 900.0, 60.0, 30.0
"""The first start converts the model, which takes a slow computer minutes."""


class TrialError(RuntimeError):
    """The program does not answer; the message is one Japanese sentence for the user."""


def trial() -> None:
    """Raises TrialError where the program does not start, answer or stop."""
    with tempfile.TemporaryDirectory(prefix="dxqa-trial-") as folder:
        log = Path(folder) / "log"
        port = _free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  # nosec B603  # our own server
                [sys.executable, str(HOME / "server.py"), "--host", "127.0.0.1", "--port", str(port)],
                env=_environment(Path(folder)),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(process, address, log)
            _judge(address)
            process.terminate()
            process.wait(STOP_S)
        except (OSError, ValueError, KeyError) as error:
            raise TrialError(f"見本への質問に答えが返りません（{error!r}）。{_last(log)}") from error
        except subprocess.TimeoutExpired as error:
            raise TrialError(f"試しに動かしたサーバーが{STOP_S:.0f}秒で止まりません。{_last(log)}") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _environment(folder: Path) -> dict[str, str]:
    """What this process knows, but for places of the trial's own and for settings of the server in use."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DXQA_") or name in {"DXQA_MODELS", "DXQA_PRECISION"}
    }
    return kept | {
        "DXQA_DOCUMENTS": str(HOME / "corpus" / "samples"),
        "DXQA_INDEX": str(folder / "index"),
        "DXQA_USAGE": str(folder / "usage.sqlite3"),
        "DXQA_USAGE_DAYS": "0",
        "DXQA_ACCESS": str(folder / "access.sqlite3"),
    }


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Returns once the server answers."""
    end = time.monotonic() + START_S
    while True:
        if process.poll() is not None:
            raise TrialError(
                f"試しに動かしたサーバーが、状態 {process.returncode} で終わりました。{_last(log)}"
            )
        try:
            _get(f"{address}/readyz")
            return
        except OSError as error:
            if time.monotonic() > end:
                raise TrialError(
                    f"{START_S:.0f}秒待っても答えられるようになりません（{error}）。{_last(log)}"
                ) from error
        time.sleep(0.2)


def _judge(address: str) -> None:
    """Asks the question; every citation of its answer must be what the document says at its place."""
    reply = _get(f"{address}/api/ask", json.dumps({"question": QUESTION}).encode())
    if not (reply["answerable"] and reply["citations"]):
        raise TrialError(f"見本への質問に答えられません：{reply['answer']['text']}")
    for citation in reply["citations"]:
        start, end = citation["char_start"], citation["char_end"]
        document = _get(f"{address}/api/documents/{citation['document_id']}/text?start={start}&end={end}")
        if document["text"] != citation["text"]:
            raise TrialError(f"引用が原文と合いません：{citation['text'][:100]}")


def _get(address: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310  (ours)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ASK_S) as reply:
        return json.load(reply)


def _last(log: Path) -> str:
    """What the server said last."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return (
        " ".join(["サーバーの最後の出力：", *lines[-3:]])[:1000] if lines else "サーバーの出力はありません。"
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def main() -> int:
    """The command line; returns the exit status."""
    try:
        trial()
    except TrialError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
