"""HTTP/1.1 as uvicorn speaks it, with a time for a request's head to come and for a reply to be taken.

In: connections. Out: the same; one whose head does not come, or whose reply is not taken, is closed. uvicorn itself waits for both without
end, so that a few hundred slow connections would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""From the first moment of a connection, or the first byte of a further request on it, to the end of the request's head."""
TAKE_S = 30.0
"""For 48 KB of a reply to be taken, once that much waits."""
UNTAKEN_BYTES = 256 * 1024
"""Of a reply that the system keeps for a connection until it is taken: left to itself it keeps megabytes, which a few hundred that do not
read would fill the memory with. In a town hall's network (1 ms) it is enough for 250 MB a second."""


class TimedProtocol(H11Protocol):
    """uvicorn's protocol, held to its times."""

    head_s, take_s = HEAD_S, TAKE_S
    _head: asyncio.TimerHandle | None = None
    _take: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to wait for the first request."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNTAKEN_BYTES)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Takes what came."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()  # its end is not there yet
        else:
            self._head = _stopped(self._head)

    def pause_writing(self) -> None:
        """More of a reply waits than is kept."""
        super().pause_writing()
        if self._take is None:
            self._take = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        """What waited was taken."""
        super().resume_writing()
        self._take = _stopped(self._take)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the waiting."""
        self._head, self._take = _stopped(self._head), _stopped(self._take)
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(self.head_s, self._too_slow)

    def _too_slow(self) -> None:
        self._head = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """No timer, once the one that there may be is cancelled."""
    if timer is not None:
        timer.cancel()
    return None
