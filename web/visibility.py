"""What of the index somebody may see: the whole of it, or the part whose labels let them.

In: an index and a person. Out: an `Index` in which what is hidden counts nowhere, so that no page, list, count, refusal or file made of
it can tell of it. Parts are made once for each set of groups and kept while their version is in use.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from access.labels import Labels, Table
from access.people import Person
from index.store import Index

MOST = 64
"""Parts of one version that are kept, the last ones that were asked for: of some hundred documents each has a few megabytes."""


@dataclass(slots=True)
class _Part:
    """One part; whoever needs it first makes it, and who needs it too waits. None is the whole: it would else keep itself."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    is_made: bool = False
    index: Index | None = None


@dataclass(slots=True)
class _Parts:
    """The parts of one version under one state of the labels, by the groups that count."""

    table: Table
    by_groups: OrderedDict[frozenset[str], _Part] = field(default_factory=OrderedDict)


class Visibility:
    """Parts of the index, by who asks."""

    def __init__(self, labels: Labels | None) -> None:
        self._labels = labels
        self._parts: WeakKeyDictionary[Index, _Parts] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def seen(self, index: Index, person: Person) -> Index:
        """What a person may see; raises DatabaseUnavailableError where the labels cannot be read."""
        if self._labels is None or person.administrator:
            return index
        table = self._labels.table()
        if not table:
            return index
        groups = person.groups & table.groups
        with self._lock:
            parts = self._parts.get(index)
            if parts is None or parts.table is not table:
                parts = self._parts[index] = _Parts(table)
            part = parts.by_groups.setdefault(groups, _Part())
            parts.by_groups.move_to_end(groups)
            while len(parts.by_groups) > MOST:
                parts.by_groups.popitem(last=False)
        with part.lock:
            if not part.is_made:
                part.index, part.is_made = self._narrowed(index, table, person), True
        return index if part.index is None else part.index

    def sees_path(self, path: str, person: Person) -> bool:
        """Whether a person may see a file of the documents folder."""
        return self._labels is None or person.administrator or person.may_see(self._labels.table().of(path))

    @staticmethod
    def _narrowed(index: Index, table: Table, person: Person) -> Index | None:
        paths = {path for entry in index.manifest["documents"] for path in entry["paths"]}
        paths |= {problem["path"] for problem in index.manifest["errors"]}
        hidden = {path for path in paths if not person.may_see(table.of(path))}
        return index.narrowed(lambda path: path not in hidden) if hidden else None
