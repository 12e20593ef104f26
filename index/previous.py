"""The version in use, as far as a build takes it over.

In: an index folder. Out: its manifest, the segments that are whole, the files it was made from, and which contents it
found unreadable. A version that cannot serve for this is as none: everything is then read anew. A segment is whole where a
server would load it: byte for byte (0.8 s of processor a GB), unless its files are those that an earlier build found whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from corpus.documents import rules
from index.plan import RACY_NS, FileState, suffix
from index.segment import SegmentDamagedError, Stamps, StoredSegment
from index.versions import IndexUnusableError, history, named_version, read_manifest

READ_AT_ONCE = 256 * 2**20
"""Bytes of segments that are read whole before they are used, 0.2 s. What is more is trusted by its stamps where these are
known, and read beside the work (`index.background`): of a million chunks with their token vectors it is half a minute."""
_log = logging.getLogger("dxqa.build")


@dataclass(frozen=True, slots=True)
class Previous:
    """What a build takes over from the version in use; `manifest` is None where there is none that can serve.

    `segments` are those that are whole, `stamps` their files as they were then. `same_rules` says whether documents were recognised as they would be now, `in_use`
    whether it is known to be the version in use.
    """

    name: str | None = None
    manifest: dict[str, Any] | None = None
    segments: Mapping[str, StoredSegment] = field(default_factory=dict)
    stamps: Mapping[str, Stamps] = field(default_factory=dict)
    files: Mapping[str, FileState] = field(default_factory=dict)
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    same_rules: bool = False
    in_use: bool = True

    @classmethod
    def of(cls, root: Path, max_chars: int, *, segments: Literal["checked", "seen", "none"]) -> Previous:
        """What can be taken over of the version in use for chunks of `max_chars`.

        `segments` are checked, or only seen to be there (for a plan), or not wanted (everything is made anew). Checking reads
        the files that were written to since they were checked last: a version says how they were (`checked.json`), so that a
        build does not cost a pass over the rest. What changes without the file system noticing, a server finds when it loads.
        """
        name = named_version(root)
        in_use = name is not None
        # which one is in use is not known: what the newest one holds need not be made again
        name = name or next((entry.name for entry in history(root) if entry.problem is None), None)
        if name is None:
            return cls()
        try:
            manifest = read_manifest(root, name)
        except IndexUnusableError:
            return cls(name)
        whole = {}
        stamps = {}
        known = read_stamps(root, name)
        for segment_name, digest in manifest["segments"].items() if segments != "none" else ():
            try:
                stored = StoredSegment(root / "segments" / segment_name)
                found = stored.check_sizes()
                if segments == "checked" and known.get(segment_name) != found:
                    stored.check()
            except SegmentDamagedError as error:
                _log.warning("%s。ここにある資料は読み直します。", error)
                continue
            if stored.digest == digest:
                whole[segment_name], stamps[segment_name] = stored, found
        same_rules = manifest["rules"] == rules() and manifest["max_chars"] == max_chars
        refused = {
            (problem["sha256"], suffix(problem["path"])): problem["message"]
            for problem in manifest["errors"]
            if problem["sha256"] and same_rules
        }
        return cls(name, manifest, whole, stamps, _read_files(root, name), refused, same_rules, in_use)


def _read_files(root: Path, name: str) -> dict[str, FileState]:
    try:
        lines = json.loads((root / "versions" / name / "files.json").read_text(encoding="utf-8"))
        return {path: FileState(path, tuple(stamp), sha256) for path, (stamp, sha256) in lines.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # then all files are read again


def read_stamps(root: Path, name: str) -> dict[str, Stamps]:
    """How the files of the segments of a version were when they were found whole, as far as that was written down."""
    try:
        found: dict[str, Stamps] = json.loads((root / "versions" / name / "checked.json").read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}  # then all segments are read again


def forget_stamps(root: Path, name: str) -> None:
    """Lets the next build read all segments of a version, since one of them was found damaged after it was found whole."""
    with contextlib.suppress(OSError):  # a server may have no right to write here
        (root / "versions" / name / "checked.json").unlink()


def lasting_stamps(stamps: Mapping[str, Stamps], now_ns: int | None = None) -> dict[str, Stamps]:
    """The segments whose files were all written long enough ago that a later write cannot have the same time."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    return {
        segment: files
        for segment, files in stamps.items()
        if all(time_ns + RACY_NS < now_ns for _, time_ns, _ in files.values())
    }
