"""Whether a stream of events came to its end: the mark 「data: [DONE]」 is there, or the connection was cut.

In: a reply of the client's HTTP library. Out: the same reply, whose stream says `is_done`. The official client stops at the mark without a
word, and not all servers say in the last piece why they end. It is imported with the client only, as is the library that it stands on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2

_MARK = re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]")
_KEPT = 16
"""Bytes of the last piece that the mark may begin in."""


class MarkedStream(httpx2.SyncByteStream):
    """The bytes of a stream as they are; `is_done` once its mark was among them."""

    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream
        self.is_done = False

    def __iter__(self) -> Iterator[bytes]:
        last = b""
        for piece in self._stream:
            self.is_done = self.is_done or _MARK.search(last + piece) is not None
            last = (last + piece)[-_KEPT:]
            yield piece

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()


def marked(response: httpx2.Response) -> None:
    """Has a reply's stream looked through; called by the client with each reply before it is read."""
    if isinstance(response.stream, httpx2.SyncByteStream):
        response.stream = MarkedStream(response.stream)
