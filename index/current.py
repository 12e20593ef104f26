"""The index in use by a running server, taken up anew when a build has switched to another version.

In: an index folder and what the encoder is. Out: the `Index` to answer one request with. A reader that holds an
Index keeps it until its reply is done; the next one gets the new version. A large index is answered from before all of its
files were read; where one then proves to be damaged, nothing is answered from it any more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from index.background import BackgroundCheck
from index.previous import READ_AT_ONCE, forget_stamps
from index.segment import Segment, SegmentDamagedError
from index.store import Index, IndexUnusableError, ModelRecord, current_version, load_version
from index.versions import REBUILD, named_version

Progress = Callable[[str, int, int], None]
_log = logging.getLogger("dxqa.index")


class Current(Protocol):
    """What a server answers from: local files (`CurrentIndex`), or a store elsewhere (`index.milvus_index`)."""

    @property
    def root(self) -> Path:
        """The folder in which versions are built."""
        ...

    @property
    def problem(self) -> str | None:
        """Why there is no index, or why a newer one is not used, in Japanese; None where all is well."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether there is no version that could be in use, as far as `get` found."""
        ...

    def get(self) -> Index | None:
        """The index to answer with, None while there is none; `problem` then says why."""
        ...

    def publish(self, progress: Progress | None = None, *, take_over: bool = False) -> None:
        """Brings the version in use of the folder to where it is answered from, where that is elsewhere."""
        ...


def prepared(index: Index, prepare: Callable[[Index], object] | None) -> None:
    """Makes of a version what its first question would else wait for."""
    if prepare is None:
        return
    try:
        prepare(index)
    except Exception:  # then a question makes it, or fails by itself
        _log.exception("index version %s could not be prepared", index.version)


class CurrentIndex:
    """Holds the loaded version; `get` looks whether another has become current."""

    def __init__(
        self, root: Path, model: ModelRecord, prepare: Callable[[Index], object] | None = None
    ) -> None:
        """`prepare` makes of a version what its first question would else wait for: of a new one before it is answered from,
        of the first one beside the work."""
        self.root, self._model, self._prepare = root, model, prepare
        self._index: Index | None = None
        self._refused: str | None = None
        self._loading = threading.Lock()
        self.problem: str | None = None
        self._out: tuple[str, str] | None = None
        """The version that was taken out of use, and why."""
        self._check = BackgroundCheck(root, self._damaged)

    @property
    def is_empty(self) -> bool:
        """Whether there is no version that could be in use."""
        return named_version(self.root) is None

    def publish(self, progress: Progress | None = None, *, take_over: bool = False) -> None:
        """Takes up the version in use, so that whoever waited for a build is answered from it."""
        self._taken_up(wait=True)

    def get(self) -> Index | None:
        """The index to answer with, None while there is none; `problem` then says why."""
        return self._taken_up(wait=False)

    def _taken_up(self, *, wait: bool) -> Index | None:
        """The version in use; an older one where another thread is loading it just now, unless `wait`."""
        index = self._index
        try:
            name = current_version(self.root)
        except IndexUnusableError as error:
            if self.problem is None:
                _log.error("%s", error)
            self.problem, self._refused = str(error), None
            return index
        if self._out is not None and self._out[0] == name:
            self.problem = self._out[1]
            return None
        if index is not None and index.version == name:
            self.problem = self._refused = None  # also where a refused version was taken back
            return index
        if name is None or name == self._refused:
            return index
        if not self._loading.acquire(blocking=wait or index is None):
            return index  # another request is loading the new version; answer with the old one
        try:
            if wait:
                name = current_version(self.root) or name  # it may have gone on meanwhile
            if self._index is None or self._index.version != name:
                loaded = load_version(self.root, name, self._model, self._index, READ_AT_ONCE)
                if self._index is None:
                    threading.Thread(target=prepared, args=(loaded, self._prepare), daemon=True).start()
                else:
                    prepared(loaded, self._prepare)
                self._index = loaded
                self.problem = None
                _log.info("index version %s loaded", name)
                self._check.of(one for one in self._index.segments.values() if isinstance(one, Segment))
        except IndexUnusableError as error:
            if named_version(self.root) != name:
                # a build has gone on meanwhile and removed it: the next request takes up what it made
                return self._index
            # the version in use goes on answering
            self.problem, self._refused = str(error), name
            _log.error("index version %s refused: %s", name, error)
        finally:
            self._loading.release()
        return self._index

    def wait_until_checked(self, timeout_s: float) -> None:
        """Waits until all files in use were read."""
        self._check.wait(timeout_s)

    def _damaged(self, segment: str, error: SegmentDamagedError) -> None:
        """Takes the version out of use that a damaged segment is of."""
        with self._loading:
            index = self._index
            if index is None or segment not in index.segments:
                return
            self._out = index.version, f"索引の版「{index.version}」が壊れています（{error}）。{REBUILD}"
            self.problem, self._index = self._out[1], None
        forget_stamps(self.root, index.version)
        _log.error("index version %s taken out of use: %s", index.version, error)
