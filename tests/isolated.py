"""A program in a network of its own, which has only a loopback, with some of its ports led out to this computer's loopback.

In: a command that listens on 127.0.0.1 in its own network. Out: the ports of 127.0.0.1 here under which it answers. Such a
program can listen on every address it has and dial whom it wants: nobody is there but itself. It has an empty /run of its own
too, so that it finds no traces of another of its kind and leaves none.

The ports here are opened before the network is left, so that the process which waits at them stands in both networks: it
accepts out here and connects in there. This needs Linux, and no right but the one to make a user namespace.

    python isolated.py DESCRIPTOR:PORT,… COMMAND…   runs inside; the descriptors are those of the listening ports here
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_SET_FLAGS, _UP = 0x8914, 1  # SIOCSIFFLAGS, IFF_UP of <net/if.h>
_ALONE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--")
_OWN_RUN = ("mount", "-t", "tmpfs", "own", "/run")


def refusal() -> str | None:
    """Why no network of one's own can be had here, None where it can."""
    if shutil.which("unshare") is None:
        return "there is no command unshare (Linux, util-linux)"
    tried = subprocess.run([*_ALONE, *_OWN_RUN], capture_output=True, text=True, check=False, timeout=20)
    return None if tried.returncode == 0 else f"no network of one's own: {tried.stderr.strip()}"


@contextmanager
def running(
    command: Sequence[str],
    ports: Mapping[int, int],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], dict[int, int]]]:
    """Runs a command while the block runs, then kills it; gives the process that leads its ports out, and those ports.

    `ports` says by a port of the command which port here shall lead to it, 0 for any free one; the same comes out with the
    ports that were taken. What the command prints goes to `folder / "output.log"`, and `folder` is where it works.
    """
    with ExitStack() as stack:
        output = stack.enter_context((folder / "output.log").open("ab"))
        listening = {
            port: stack.enter_context(socket.create_server(("127.0.0.1", outer)))
            for port, outer in ports.items()
        }
        pairs = ",".join(f"{own.fileno()}:{port}" for port, own in listening.items())
        process = subprocess.Popen(
            [*_ALONE, sys.executable, __file__, pairs, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[own.fileno() for own in listening.values()],
        )
        taken = {port: own.getsockname()[1] for port, own in listening.items()}
    # the ports are not held open here: who connects after the command's end is refused at once
    assert process.stdin is not None
    try:
        yield process, taken
    finally:
        process.stdin.close()
        process.wait(20)


async def _inside(pairs: Sequence[tuple[socket.socket, int]], command: Sequence[str]) -> int:
    """Runs the command and leads connections to its ports, until it ends, or whoever started us closes our input or ends."""
    # a session of its own: what the command started in its turn (strace starts the program it watches) ends with it
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    ended = asyncio.create_task(child.wait())
    left = asyncio.create_task(_end_of_input())
    for listening, port in pairs:
        await asyncio.start_server(functools.partial(_lead, port), sock=listening)
    await asyncio.wait([ended, left], return_when=asyncio.FIRST_COMPLETED)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return await ended


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while await reader.read(1024):
        pass


async def _lead(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carries the bytes of one connection both ways until both sides have ended."""
    try:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_carry(reader, inner_writer), _carry(inner_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


if __name__ == "__main__":
    _raise_loopback()
    subprocess.run(_OWN_RUN, check=True)
    given = [pair.split(":") for pair in sys.argv[1].split(",")]
    own = [(socket.socket(fileno=int(descriptor)), int(port)) for descriptor, port in given]
    sys.exit(asyncio.run(_inside(own, sys.argv[2:])))
