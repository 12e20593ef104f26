"""What a build did, for people and programs, kept beside the version that it made.

In: what changed. Out: a `BuildReport`, as JSON on disk. Nothing is decided here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from corpus.records import DocumentInfo
from index.likeness import Alike


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One document that is other than in the version before: added, changed, renamed or removed.

    `before` is its earlier path where that was another; counts and warnings are those of the document as it is now.
    """

    path: str
    change: str
    id: str
    title: str
    before: str | None = None
    pages: int | None = None
    cases: int = 0
    headings: int = 0
    chunks: int = 0
    garbled: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did; `version` is the one in use after it, which is the one before where nothing had changed.

    Documents are counted by content: added, changed (same path, other words), renamed (same words, other path), removed.
    `encoded` and `reused` count passages, of the documents that were recognised anew. `errors` are (path, message) of all
    files that are not indexed, `warnings` those of the documents in `changes`.
    """

    version: str
    documents: int
    cases: int
    chunks: int
    added: int
    changed: int
    renamed: int
    removed: int
    unchanged: int
    encoded: int
    reused: int
    seconds: float
    changes: tuple[DocumentChange, ...] = ()
    alike: tuple[Alike, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()

    @property
    def warnings(self) -> tuple[tuple[str, str], ...]:
        """(path, warning) of the documents that changed."""
        return tuple((change.path, warning) for change in self.changes for warning in change.warnings)


def paths_of(report: BuildReport) -> set[str]:
    """Every path that a report names, also of files that are gone."""
    changed = {path for change in report.changes for path in (change.path, change.before) if path is not None}
    alike = {path for pair in report.alike for path in (pair.path, pair.other)}
    return changed | alike | {path for path, _ in report.errors}


def narrowed(
    report: BuildReport,
    visible: Callable[[str], bool],
    listing: Mapping[str, DocumentInfo],
    *,
    cases: int,
    chunks: int,
) -> BuildReport:
    """A report as if there were only the files whose paths are `visible`: `listing`, `cases` and `chunks` are what the version then has.

    How many passages were encoded, and how long it took, is of the whole and not told (0).
    """
    changes = tuple(
        replace(
            change,
            before=change.before if change.before is not None and visible(change.before) else None,
            # those of a copy name its path; the listing has those that may be seen
            warnings=listing[change.id].warnings if change.id in listing else (),
        )
        for change in report.changes
        if visible(change.path)
    )
    count = Counter(change.change for change in changes)
    fresh = count["added"] + count["changed"] + count["renamed"]
    return BuildReport(
        version=report.version,
        documents=len(listing),
        cases=cases,
        chunks=chunks,
        added=count["added"],
        changed=count["changed"],
        renamed=count["renamed"],
        removed=count["removed"],
        unchanged=max(0, len(listing) - fresh),
        encoded=0,
        reused=0,
        seconds=0.0,
        changes=changes,
        alike=tuple(pair for pair in report.alike if visible(pair.path) and visible(pair.other)),
        errors=tuple((path, message) for path, message in report.errors if visible(path)),
    )


def report_bytes(report: BuildReport) -> bytes:
    """A report as it is written."""
    return json.dumps(asdict(report), ensure_ascii=False, indent=1).encode("utf-8", "replace")


def read_report(folder: Path) -> BuildReport | None:
    """The report of a version's folder, None where there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        changes = tuple(
            DocumentChange(**{**change, "warnings": tuple(change["warnings"])}) for change in found["changes"]
        )
        alike = tuple(Alike(**pair) for pair in found["alike"])
        errors = tuple((str(path), str(message)) for path, message in found["errors"])
        return BuildReport(**{**found, "changes": changes, "alike": alike, "errors": errors})
    except (OSError, ValueError, KeyError, TypeError):
        return None
