"""A program in a network of its own sees a loopback only, is reached through its ports, and never outlives who started it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import isolated
import pytest

# answers each connection with the names of the interfaces it sees
INTERFACES = """
import socket
with socket.create_server(("", 7)) as listening:
    while True:
        with listening.accept()[0] as connection:
            connection.sendall(" ".join(name for _, name in socket.if_nameindex()).encode())
"""
# runs a program, says which process leads its ports out, and waits
STARTS = """
import isolated, pathlib, sys
with isolated.running(["sleep", "1000"], {7: 0}, pathlib.Path(sys.argv[1])) as (process, _):
    print(process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _possible() -> None:
    reason = isolated.refusal()
    if reason is not None:
        pytest.skip(reason)


def said_at(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(1000)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_program_sees_a_loopback_only_and_is_reached(tmp_path: Path) -> None:
    with isolated.running([sys.executable, "-c", INTERFACES], {7: 0}, tmp_path) as (_, ports):
        said, end = b"", time.monotonic() + 20
        while not said:  # as long as the program does not listen yet, a connection ends at once
            assert time.monotonic() < end
            said = said_at(ports[7])
    assert said == b"lo"
    with pytest.raises(ConnectionRefusedError):
        said_at(ports[7])


def test_port_is_the_same_when_it_is_asked_for(tmp_path: Path) -> None:
    with isolated.running(["sleep", "1000"], {7: 0}, tmp_path) as (_, first):
        pass
    with isolated.running(["sleep", "1000"], first, tmp_path) as (_, second):
        assert second == first


def test_nothing_is_left_when_the_one_who_started_it_is_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(tmp_path)],
        cwd=Path(isolated.__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert starter.stdout is not None
    leading = int(starter.stdout.readline())
    end = time.monotonic() + 20
    while not (child := Path(f"/proc/{leading}/task/{leading}/children").read_text().split()):
        assert time.monotonic() < end
        time.sleep(0.01)
    starter.kill()
    starter.communicate()
    while runs(leading) or runs(int(child[0])):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_the_program_started_in_its_turn_is_not_left_either(tmp_path: Path) -> None:
    """As `strace` does, which is killed without the program that it watches."""
    starts = "import pathlib, subprocess; one = subprocess.Popen(['sleep', '1000']); pathlib.Path('pid').write_text(f'{one.pid}.'); one.wait()"
    pid = tmp_path / "pid"
    end = time.monotonic() + 20
    with isolated.running([sys.executable, "-c", starts], {7: 0}, tmp_path):
        while not pid.exists() or not pid.read_text().endswith("."):
            assert time.monotonic() < end
            time.sleep(0.01)
    while runs(int(pid.read_text()[:-1])):
        assert time.monotonic() < end
        time.sleep(0.01)
