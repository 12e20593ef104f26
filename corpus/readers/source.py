"""What every reader gives back, and the one error that it raises."""

from __future__ import annotations

from dataclasses import dataclass


class ReadError(ValueError):
    """A file that cannot be read; the message is a Japanese sentence for people."""


@dataclass(frozen=True, slots=True)
class Source:
    """The canonical text of one file, its format, and the encoding it was read in."""

    text: str
    format: str
    encoding: str
    warnings: tuple[str, ...] = ()
