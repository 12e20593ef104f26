"""Building: from a folder of documents to a new version of the index in use.

In: a documents folder and an encoder. Out: a report of what changed. Only documents that are new or changed are read,
recognised and encoded; they become a segment of their own, and the new version is the old one's segments, that one, and
the list of documents that count. A build writes beside the version in use, checks what it wrote by loading and asking
it, and switches last; whatever goes wrong before leaves the old version in use.

What a build of one document does for the others: it looks at the time of each file, reads the list of documents, and
looks up the keys of the vectors that it needs. Small segments are written anew in the same go. Larger ones, so that their
number stays small (`index.merging`), once the new version is in use: nobody waits for that to find a document. Documents
are held in memory a segment's worth at a time.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus.chunks import MAX_CHARS, passage_of
from corpus.documents import Parsed, renamed, rules
from corpus.garbled import GARBLED
from corpus.records import Document, Passage
from index.checking import SelfQueryError, check_segment
from index.dense import Vectors
from index.encoder import Encoder
from index.engines import heading_key, own_headings
from index.late import PackedTokens
from index.lexical import postings_of
from index.likeness import Alike, fingerprints, relation, share
from index.merging import beside, groups, portions
from index.passages import encode, model_record, tokens_of, vector_key
from index.plan import RACY_NS, FileProblem, Item, Plan, lasting, make_plan, suffix
from index.previous import READ_AT_ONCE, Previous, lasting_stamps
from index.reading import read_documents
from index.report import BuildReport, DocumentChange, report_bytes
from index.segment import LIST, TEXT, Content, SegmentDamagedError, SegmentWriter, StoredSegment
from index.spool import Outline, Spool
from index.store import twin_note
from index.tokenizer import tokenizer_name
from index.versions import (
    FORMAT_VERSION,
    KEEP_VERSIONS,
    BuildingError,
    IndexUnusableError,
    NewerIndexError,
    alone,
    check_place,
    clear,
    forget,
    manifest_bytes,
    new_name,
    older_version,
    publish,
    switch,
)

LEAST_SHARE = 0.3
"""Documents that share less are not compared further."""
Progress = Callable[[str, int, int], None]
"""Called with the stage (reading, encoding, writing, checking, merging), how much is done, and how much there is."""
ROOM = 1.5
"""Segments are written anew where the disk has room for so many times as much: the old ones stay until nobody needs them."""
_log = logging.getLogger("dxqa.build")


class BuildRefusedError(RuntimeError):
    """A build that cannot begin or must not be used; the message is for people."""


class BuildBusyError(BuildRefusedError):
    """Another build, or a step back to an earlier version, holds the index; the message is for people."""


class NothingToIndexError(BuildRefusedError):
    """The folder holds no document that can be read."""


def build(
    documents: Path,
    root: Path,
    encoder: Encoder,
    *,
    full: bool = False,
    max_chars: int = MAX_CHARS,
    keep: int = KEEP_VERSIONS,
    progress: Progress | None = None,
) -> BuildReport:
    """Brings the index of a folder up to date; `full` reads and encodes everything anew, `keep` versions stay.

    Raises NothingToIndexError where no file can be read (the old version stays), BuildBusyError where another build
    runs, BuildRefusedError where the new version does not answer or the one in use is of a newer release, WrongFolderError
    where `root` is no place for an index.
    """
    check_place(root, documents)
    try:
        with alone(root):
            try:
                older_version(root)
            except NewerIndexError as error:
                raise BuildRefusedError(str(error)) from error
            built = _Build(documents, root, encoder, full, max_chars, keep, progress or _silent)
            return built.merged(built.run())
    except BuildingError as error:
        raise BuildBusyError(str(error)) from error


def plan(documents: Path, root: Path, *, max_chars: int = MAX_CHARS) -> Plan:
    """What `build` would find changed in a folder; nothing is written."""
    old = Previous.of(root, max_chars, segments="seen")
    return make_plan(documents, old.manifest, old.files, old.refused)


def _silent(stage: str, done: int, total: int) -> None:
    """No progress is shown."""


# ---------------------------------------------------------------- the build


class _Build:
    """One build, from the plan to the switch."""

    def __init__(
        self,
        documents: Path,
        root: Path,
        encoder: Encoder,
        full: bool,
        max_chars: int,
        keep: int,
        progress: Progress,
    ) -> None:
        self.documents, self.root, self.encoder = documents, root, encoder
        self.full, self.max_chars, self.keep, self.progress = full, max_chars, keep, progress
        self.model = model_record(encoder)
        self.old = Previous.of(root, max_chars, segments="none" if full else "checked")
        manifest = self.old.manifest
        self.same_engines = (
            manifest is not None
            and manifest["model"] == asdict(self.model)
            and manifest["tokenizer"] == tokenizer_name()
        )
        self.entries = {entry["id"]: entry for entry in manifest["documents"]} if manifest else {}
        self.manifest: Mapping[str, Any] | None = None
        """Of the version that this build has written, once it is in use."""
        self.written: list[StoredSegment] = []
        """Segments that this build has written, not yet under their names."""
        self.to_come = 0, 0
        """Passages that were encoded before the segment that is written, and rows that come after it."""
        self.read_as: dict[str, Item] = {}
        """Documents that were read, without those paths under whose suffix their content cannot be read."""

    def run(self) -> BuildReport:
        """The whole build."""
        started = time.perf_counter()
        self.progress("reading", 0, 0)
        refused = {} if self.full else self.old.refused
        plan = make_plan(self.documents, self.old.manifest, {} if self.full else self.old.files, refused)
        with Spool(self.root) as parsed:
            problems = self._parse(
                [item for item in plan.items if not self._stays(item)], plan.places, parsed
            )
            problems = sorted([*plan.problems, *problems], key=lambda problem: problem.path)
            items = [self.read_as.get(item.id, item) for item in plan.items]
            items = [item for item in items if item.id in parsed or self._stays(item)]
            self._refuse_nothing(items, parsed, problems)
            if self._nothing_to_do(plan, parsed, problems):
                clear(self.root, self.keep)  # of what a build left that was cut off after its switch
                return self._report(self.old.name or "", items, plan, parsed, [], problems, started)
            kept = [item for item in plan.items if self._stays(item)]
            name = new_name(self.root)
            works = self._works(name, items, parsed, kept)
            with _cleared(works):
                return self._write(name, works, plan, items, parsed, problems, started)

    def merged(self, report: BuildReport) -> BuildReport:
        """The report of a build, after the segments of its version were written anew together that have become too many."""
        manifest = self.manifest or self.old.manifest
        assert manifest is not None
        entries: list[dict[str, Any]] = manifest["documents"]
        segments = {
            name: self.old.segments.get(name) or StoredSegment(self.root / "segments" / name)
            for name in manifest["segments"]
        }
        live: Counter[str] = Counter()
        for entry in entries:
            first, end = segments[entry["segment"]].rows[entry["id"]]
            live[entry["segment"]] += end - first
        together = [
            (kind, group)
            for kind in (TEXT, LIST)
            for group in groups(
                {name: rows for name, rows in live.items() if segments[name].kind == kind},
                {name: len(segment) for name, segment in segments.items()},
            )
        ]
        if not together:
            return report
        needed = ROOM * sum(segments[name].bytes for _, group in together for name in group)
        if shutil.disk_usage(self.root).free < needed:
            _log.warning("空き容量が足りないため、索引をまとめ直しません（必要 %dMB）。", needed / 2**20)
            return report
        try:
            after = _Build(
                self.documents, self.root, self.encoder, False, self.max_chars, self.keep, self.progress
            )
            return after._merge(report, together, sum(live[name] for _, group in together for name in group))
        except (OSError, MemoryError, SegmentDamagedError, BuildRefusedError, IndexUnusableError) as error:
            # the version that was built is in use and whole; the next build tries again
            _log.warning("索引をまとめ直せませんでした。索引はそのまま使えます（%s）。", error)
            return report

    def _merge(
        self, report: BuildReport, together: Sequence[tuple[str, Sequence[str]]], rows: int
    ) -> BuildReport:
        """Writes groups of segments anew, each as one, and switches to a version of the same documents."""
        assert self.old.manifest is not None
        items = [
            Item(entry["id"], entry["sha256"], tuple(entry["paths"]), "unchanged", tuple(entry["paths"]))
            for entry in self.entries.values()
        ]
        name = new_name(self.root)
        works = [
            self._work(name, kind, number, [], [i for i in items if self.entries[i.id]["segment"] in group])
            for number, (kind, group) in enumerate(together, 1)
        ]
        with _cleared(works):
            done = 0
            for work in works:
                self.progress("merging", done, rows)
                self._write_segment(work, {}, partial(self._merging, done, rows))
                done += len(self.written[-1])
            self.progress("merging", rows, rows)
            digests = {work.segment: _checked(work.folder) for work in works}
            manifest = self._manifest(
                name, items, _placed(works, self.written), {}, self.old.manifest["errors"], digests
            )
            before = self.root / "versions" / report.version
            report = replace(report, version=name)
            self._publish(name, works, manifest, (before / "files.json").read_bytes(), report)
        forget(self.root, before.name)  # it would be one step back to the same documents
        clear(self.root, self.keep)
        self.progress("checking", 1, 1)
        return report

    def _merging(self, before: int, rows: int, done: int) -> None:
        self.progress("merging", before + done, rows)

    # ---- what is read

    def _stays(self, item: Item) -> bool:
        """Whether a document's rows can stay where they are."""
        entry = self.entries.get(item.id)
        return (
            not self.full
            and entry is not None
            and entry["segment"] in self.old.segments
            and self.same_engines
            and self.old.same_rules
            and item.paths[0] == item.before[0]
        )

    def _parse(self, items: Sequence[Item], places: Mapping[str, Path], found: Spool) -> list[FileProblem]:
        """Puts the documents of items into `found`, from the version in use where they were recognised under the same rules;
        gives what could not be read."""
        to_read: list[Item] = []
        for item in items:
            entry = self.entries.get(item.id)
            if (
                self.full
                or entry is None
                or not self.old.same_rules
                or entry["segment"] not in self.old.segments
                or suffix(item.paths[0]) != suffix(item.before[0])
            ):
                to_read.append(item)
                continue
            found.add(renamed(self._stored(item.id), item.paths[0]))
        problems: list[FileProblem] = []
        wanted = {item.paths[0]: item for item in to_read}
        while wanted:
            again: dict[str, Item] = {}
            for path, outcome in read_documents(places, wanted, self.max_chars, self.progress):
                item = wanted[path]
                if isinstance(outcome, FileProblem):
                    # what may be over at the next build is not remembered by its content
                    sha256 = "" if outcome.passing else item.sha256
                    alike = [
                        other for other in item.paths if outcome.passing or suffix(other) == suffix(path)
                    ]
                    problems.extend(replace(outcome, path=other, sha256=sha256) for other in alike)
                    rest = tuple(other for other in item.paths if other not in alike)
                    if rest:  # the same content under a suffix of another reader
                        again[rest[0]] = replace(item, paths=rest)
                elif outcome.document.id != item.id:
                    message = (
                        "読み取りの途中で内容が変わりました。書き終わってから、もう一度実行してください。"
                    )
                    problems.append(FileProblem(path, message, passing=True))
                else:
                    found.add(outcome)
                    self.read_as[item.id] = item
            wanted = again
        return problems

    def _refuse_nothing(self, items: Sequence[Item], parsed: Spool, problems: Sequence[FileProblem]) -> None:
        if not items:
            named = "、".join(f"{problem.path}：{problem.message}" for problem in problems[:3])
            raise NothingToIndexError(
                f"読める資料が一つもありません（{self.documents}）。"
                + (named or "文書のファイルを置いてから、もう一度実行してください。")
            )
        if not any(self._counts(item, parsed.outlines)[1] for item in items):
            raise NothingToIndexError(
                "どの資料からも検索できる本文が見つかりませんでした。ファイルの内容を確かめてください。"
            )

    def _stored(self, identity: str) -> Parsed:
        """A document of the version in use."""
        return self.old.segments[self.entries[identity]["segment"]].document(identity)

    def _size(self, identity: str) -> int:
        """Chunks of a document of the version in use."""
        first, end = self.old.segments[self.entries[identity]["segment"]].rows[identity]
        return end - first

    def _nothing_to_do(self, plan: Plan, parsed: Spool, problems: Sequence[FileProblem]) -> bool:
        manifest = self.old.manifest
        return manifest is not None and (
            self.old.in_use
            and not parsed
            and not plan.changes
            and [_problem_line(problem) for problem in problems] == manifest["errors"]
        )

    # ---- what is written

    def _works(self, name: str, items: Sequence[Item], parsed: Spool, kept: Sequence[Item]) -> list[_Work]:
        """The segments to be written: documents that were recognised, in portions, with the last of a kind the small segments
        that there are."""
        works = []
        for kind in (TEXT, LIST):
            sizes = {i.id: parsed.outlines[i.id].chunks for i in items if i.id in parsed}
            own = [(i, rows) for i, rows in sizes.items() if parsed.outlines[i].kind == kind]
            parts = list(portions(own)) or [[]]
            for number, part in enumerate(parts, 1):
                small: list[Item] = []
                if number == len(parts) and not self.full:
                    small = self._small(kept, kind, sum(sizes[i] for i in part))
                if part or small:
                    works.append(self._work(name, kind, number, part, small))
        return works

    def _work(self, name: str, kind: str, number: int, fresh: Sequence[str], merged: Sequence[Item]) -> _Work:
        segment = f"{name}-{kind}" if number == 1 else f"{name}-{kind}-{number}"
        return _Work(kind, segment, self.root / "segments" / f".building-{segment}", fresh, merged)

    def _small(self, kept: Sequence[Item], kind: str, fresh: int) -> list[Item]:
        """Documents of a kind that stand in segments to be written anew with so many fresh rows."""
        live: Counter[str] = Counter()
        for item in kept:
            segment = self.entries[item.id]["segment"]
            if self.old.segments[segment].kind == kind:
                live[segment] += self._size(item.id)
        chosen = set(beside(fresh, live))
        return [item for item in kept if self.entries[item.id]["segment"] in chosen]

    def _write(
        self,
        name: str,
        works: Sequence[_Work],
        plan: Plan,
        items: Sequence[Item],
        parsed: Spool,
        problems: Sequence[FileProblem],
        started: float,
    ) -> BuildReport:
        encoded = _Encoded(0, 0)
        to_come = sum(parsed.outlines[i].chunks for work in works for i in work.fresh)
        for work in works:
            to_come -= sum(parsed.outlines[i].chunks for i in work.fresh)
            self.to_come = encoded.passages, to_come
            some = self._write_segment(work, parsed)
            encoded = _Encoded(encoded.passages + some.passages, encoded.rows + some.rows)
        alike = list(self._alike(plan, items))
        digests: dict[str, str] = {}
        for number, work in enumerate(works):
            self.progress("checking", number, len(works))
            digests[work.segment] = _checked(work.folder)
        placed = _placed(works, self.written)
        lines = [_problem_line(problem) for problem in problems]
        manifest = self._manifest(name, items, placed, parsed.outlines, lines, digests)
        report = self._report(name, items, plan, parsed, alike, problems, started, encoded)
        files = {state.path: [state.stamp, state.sha256] for state in lasting(plan.files)}
        self._publish(name, works, manifest, json.dumps(files, ensure_ascii=False).encode(), report)
        clear(self.root, self.keep)
        self.progress("checking", 1, 1)
        return report

    def _publish(
        self,
        name: str,
        works: Sequence[_Work],
        manifest: Mapping[str, Any],
        files: bytes,
        report: BuildReport,
    ) -> None:
        """Puts the segments and the version where they belong, and makes it the one in use."""
        folder = self.root / "versions" / f".building-{name}"
        folder.mkdir(parents=True)
        try:
            (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
            (folder / "files.json").write_bytes(files)
            fresh = {work.segment: StoredSegment(work.folder).check_sizes() for work in works}
            if sum(size for files_of in fresh.values() for size, _, _ in files_of.values()) > READ_AT_ONCE:
                time.sleep(RACY_NS / 10**9)  # then their stamps count, and no server has to read them first
            stamps = {
                segment: fresh.get(segment) or self.old.stamps[segment] for segment in manifest["segments"]
            }
            (folder / "checked.json").write_bytes(json.dumps(lasting_stamps(stamps)).encode())
            (folder / "report.json").write_bytes(report_bytes(report))
            for work in works:
                publish(work.folder, self.root / "segments" / work.segment)
            publish(folder, self.root / "versions" / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        switch(self.root, name)
        self.manifest = manifest

    def _write_segment(
        self, work: _Work, parsed: Mapping[str, Parsed], taken_over: Callable[[int], None] | None = None
    ) -> _Encoded:
        """Writes a segment; gives what of it was encoded. `taken_over` is told how many rows were carried over."""
        folder, fresh = work.folder, [parsed[identity] for identity in work.fresh]
        passages = {
            one.document.id: [
                passage_of(one.document.title, chunk, organization)
                for chunk, organization in zip(one.chunks, _organizations(one), strict=True)
            ]
            for one in fresh
        }
        keys = {identity: [vector_key(passage) for passage in own] for identity, own in passages.items()}
        wanted = {
            key: passage
            for identity, own in passages.items()
            for key, passage in zip(keys[identity], own, strict=True)
        }
        known = self._known_vectors(list(wanted))
        missing = {key: passage for key, passage in wanted.items() if key not in known}
        before, to_come = self.to_come

        def encoding(done: int) -> None:
            self.progress("encoding", before + done, before + len(missing) + to_come)

        folder.parent.mkdir(parents=True, exist_ok=True)
        with SegmentWriter(folder, self.encoder.dimension) as writer:
            if taken_over is None:
                encoding(0)
            vectors, gives = encode(self.encoder, missing, writer.keep, lambda done, _: encoding(done))
            with_tokens = gives or not missing
            for key, (segment, row) in known.items():
                vectors[key] = segment.dense.vector(row)
                with_tokens = with_tokens and segment.tokens is not None
                if segment.tokens is not None:
                    writer.keep(key, segment.tokens.row(row))
            if taken_over is None:
                self.progress("writing", 0, 1)
            contents = self._contents(fresh, passages, keys, vectors)
            rows = 0
            for taken, tokens in self._taken(work.merged):
                contents.append(taken)
                with_tokens = with_tokens and tokens is not None
                for place, key in enumerate(taken.keys):
                    if tokens is not None:
                        writer.keep(key, tokens(place))
                rows += len(taken.keys)
                if taken_over is not None:
                    taken_over(rows)
            writer.finish(contents, with_tokens=with_tokens, kind=work.kind)
        self.written.append(StoredSegment(folder))
        return _Encoded(len(missing), sum(key in missing for own in keys.values() for key in own))

    def _known_vectors(self, keys: Sequence[str]) -> dict[str, tuple[StoredSegment, int]]:
        """Where the vectors of some of these keys are already."""
        found: dict[str, tuple[StoredSegment, int]] = {}
        wanted = np.array(keys, dtype="S32")
        for segment in self._usable() if keys else ():
            for key, row in segment.vectors_of(wanted).items():
                found.setdefault(key, (segment, row))
        return found

    def _usable(self) -> list[StoredSegment]:
        """Segments that hold vectors of this model: those of the version in use, and those written just now."""
        manifest = self.old.manifest
        if self.full or manifest is None or manifest["model"] != asdict(self.model):
            return self.written
        return [*self.old.segments.values(), *self.written]

    def _contents(
        self,
        fresh: Sequence[Parsed],
        passages: Mapping[str, Sequence[Passage]],
        keys: Mapping[str, Sequence[str]],
        vectors: Mapping[str, Vectors],
    ) -> list[Content]:
        headings = self._heading_vectors(passages.values())
        nothing = np.zeros((0, self.encoder.dimension), np.float32)
        contents = []
        for one in fresh:
            own, identity = passages[one.document.id], one.document.id
            names = [passage.heading for passage in own]
            postings = postings_of([tokens_of(passage) for passage in own])
            rows = np.arange(len(own))
            contents.append(
                Content(
                    one,
                    keys[identity],
                    _stacked([vectors[key] for key in keys[identity]], nothing),
                    {row: headings[names[row]] for row in own_headings(names)},
                    np.array([heading_key(heading) for heading in names], dtype=np.uint64),
                    {name: (part, rows) for name, part in postings.items()},
                    fingerprints(one.document.text),
                )
            )
        return contents

    def _heading_vectors(self, passages: Iterable[Sequence[Passage]]) -> dict[str, Vectors]:
        """Vectors of the headings that stand over one row of their document, by their words."""
        names: dict[str, int] = {}
        for own in passages:
            headings = [passage.heading for passage in own]
            names.update({headings[row]: heading_key(headings[row]) for row in own_headings(headings)})
        known: dict[int, Vectors] = {}
        wanted = np.array(list(names.values()), dtype=np.uint64)
        for segment in self._usable() if names else ():
            known.update(segment.headings_of(wanted))
        missing = [name for name, key in names.items() if key not in known]
        fresh = dict(zip(missing, self.encoder.encode_passages(missing), strict=True)) if missing else {}
        return {name: known[key] if key in known else fresh[name] for name, key in names.items()}

    def _taken(
        self, merged: Sequence[Item]
    ) -> Iterator[tuple[Content, Callable[[int], PackedTokens] | None]]:
        """Documents as they are in their segments, each with how to read its token vectors."""
        by_segment: dict[str, set[str]] = {}
        for item in merged:
            by_segment.setdefault(self.entries[item.id]["segment"], set()).add(item.id)
        for name, identities in by_segment.items():
            stored = self.old.segments[name]
            for content in stored.contents(identities):
                first, _ = stored.rows[content.parsed.document.id]
                tokens = stored.tokens
                yield (
                    content,
                    None
                    if tokens is None
                    else lambda place, tokens=tokens, first=first: tokens.row(first + place),  # type: ignore[misc]
                )

    def _manifest(
        self,
        name: str,
        items: Sequence[Item],
        moved: Mapping[str, str],
        outlines: Mapping[str, Outline],
        errors: Sequence[Mapping[str, str]],
        digests: Mapping[str, str],
    ) -> dict[str, Any]:
        """The manifest; `moved` says in which segment documents stand that were written just now."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        documents: list[dict[str, Any]] = []
        cases = chunks = 0
        for item in items:
            old = self.entries.get(item.id)
            known = old is not None and item.change in {"unchanged", "renamed"}
            documents.append(
                {
                    "id": item.id,
                    "sha256": item.sha256,
                    "paths": list(item.paths),
                    "segment": moved[item.id] if item.id in moved or old is None else old["segment"],
                    "indexed_at": old["indexed_at"] if known and old is not None else now,
                }
            )
            own = self._counts(item, outlines)
            cases, chunks = cases + own[0], chunks + own[1]
        segments = {
            segment: self.old.segments[segment].digest
            for segment in dict.fromkeys(entry["segment"] for entry in documents)
            if segment not in digests
        } | dict(digests)
        return {
            "format_version": FORMAT_VERSION,
            "version": name,
            "built_at": now,
            "model": asdict(self.model),
            "tokenizer": tokenizer_name(),
            "rules": rules(),
            "max_chars": self.max_chars,
            "counts": {"documents": len(documents), "cases": cases, "chunks": chunks},
            "errors": list(errors),
            "documents": documents,
            "segments": segments,
        }

    def _counts(self, item: Item, outlines: Mapping[str, Outline]) -> tuple[int, int]:
        """Cases and chunks of a document of the new version."""
        if item.id in outlines:
            return outlines[item.id].cases, outlines[item.id].chunks
        meta = self.old.segments[self.entries[item.id]["segment"]].meta
        return int(meta["documents"][item.id]["cases"]), self._size(item.id)

    # ---- what is told

    def _alike(self, plan: Plan, items: Sequence[Item]) -> Iterator[Alike]:
        """How the documents that came or changed stand to all others."""
        new = {item.id for item in plan.items if item.change in {"added", "changed"}}
        live = {item.id for item in items}
        counted = [segment for segment in self.old.segments.values() if live.intersection(segment.rows)]
        for written in self.written:
            prints = written.fingerprints()
            asked = [identity for identity in written.rows if identity in new]
            found: dict[str, list[tuple[float, Document]]] = {}
            for other in (*self.written, *counted):
                names = list(other.rows)
                for own, number, count in other.shared([prints[identity] for identity in asked]):
                    identity, name = asked[own], names[number]
                    size = int(other.meta["documents"][name]["fingerprints"])
                    close = share(count, len(prints[identity]), size)
                    if (
                        close >= LEAST_SHARE
                        and name != identity
                        and name in live
                        and self._stands_in(name, other)
                    ):
                        document = other.records.document(number)
                        found.setdefault(identity, []).append((close, document))
            for identity in asked:
                if identity not in found:
                    continue
                one = written.records.document(written.numbers[identity])
                for close, document in sorted(found[identity], key=lambda pair: (-pair[0], pair[1].path)):
                    # of two that are both new, one line is enough
                    if document.id in new and document.path < one.path:
                        continue
                    kind = relation(one, document, close)
                    if kind is not None:
                        yield Alike(one.path, document.path, kind, round(close, 3))

    def _stands_in(self, identity: str, segment: StoredSegment) -> bool:
        """Whether a document of the new version stands in a segment, which may also hold rows of it that no longer count."""
        if any(identity in written.rows for written in self.written):
            return segment in self.written
        return bool(self.entries[identity]["segment"] == segment.name)

    def _report(
        self,
        version: str,
        items: Sequence[Item],
        plan: Plan,
        parsed: Spool,
        alike: Sequence[Alike],
        problems: Sequence[FileProblem],
        started: float,
        encoded: _Encoded | None = None,
    ) -> BuildReport:
        count = Counter(item.change for item in [*items, *plan.removed])
        sizes = [self._counts(item, parsed.outlines) for item in items]
        chunks = sum(size for _, size in sizes)
        encoded = encoded or _Encoded(0, 0)
        return BuildReport(
            version=version,
            documents=len(items),
            cases=sum(cases for cases, _ in sizes),
            chunks=chunks,
            added=count["added"],
            changed=count["changed"],
            renamed=count["renamed"],
            removed=count["removed"],
            unchanged=count["unchanged"],
            encoded=encoded.passages,
            reused=chunks - encoded.rows,
            seconds=round(time.perf_counter() - started, 3),
            changes=tuple(self._changes(items, plan, parsed.outlines)),
            alike=tuple(alike),
            errors=tuple((problem.path, problem.message) for problem in problems),
        )

    def _changes(
        self, items: Sequence[Item], plan: Plan, outlines: Mapping[str, Outline]
    ) -> Iterator[DocumentChange]:
        for item in items:
            new_paths = [path for path in item.paths if path not in item.before]
            if item.change == "unchanged" and not (new_paths and len(item.paths) > 1):
                continue
            one = outlines.get(item.id) or Outline.of(self._stored(item.id))
            twins = tuple(twin_note(path) for path in item.paths[1:])
            yield DocumentChange(
                path=item.paths[0],
                change="copied" if item.change == "unchanged" else item.change,
                id=item.id,
                title=one.title,
                before=item.before[0] if item.change == "renamed" else None,
                pages=one.pages,
                cases=one.cases,
                headings=one.headings,
                chunks=one.chunks,
                garbled=any(warning.startswith(GARBLED) for warning in one.warnings),
                warnings=(*one.warnings, *twins),
            )
        for item in plan.removed:
            if item.change == "removed":
                yield DocumentChange(item.before[0], "removed", item.id, "")


@dataclass(frozen=True, slots=True)
class _Work:
    """A segment that is to be written: its kind, name and folder while it is made, and the documents that go into it, those
    that were recognised by their ids."""

    kind: str
    segment: str
    folder: Path
    fresh: Sequence[str]
    merged: Sequence[Item]


@dataclass(frozen=True, slots=True)
class _Encoded:
    """How many passages were encoded, and how many rows they are: rows of the same words share a vector."""

    passages: int
    rows: int


@contextmanager
def _cleared(works: Sequence[_Work]) -> Iterator[None]:
    """Nothing is left of what was written of segments that did not get their names."""
    try:
        yield
    finally:
        for work in works:
            shutil.rmtree(work.folder, ignore_errors=True)


def _placed(works: Sequence[_Work], written: Sequence[StoredSegment]) -> dict[str, str]:
    """In which segment each document stands that was written just now."""
    return {
        identity: work.segment
        for work, segment in zip(works, written, strict=True)
        for identity in segment.rows
    }


def _stacked(vectors: Sequence[Vectors], nothing: Vectors) -> Vectors:
    return np.stack(vectors).astype(np.float32) if vectors else nothing


def _organizations(one: Parsed) -> list[str | None]:
    """The organization of the case of each chunk."""
    names = {case.id: case.organization for case in one.cases}
    return [names.get(chunk.case_id or "") for chunk in one.chunks]


def _problem_line(problem: FileProblem) -> dict[str, str]:
    return {"path": problem.path, "message": problem.message, "sha256": problem.sha256}


def _checked(folder: Path) -> str:
    """The digest of a new segment that answers; raises BuildRefusedError where it must not be used."""
    try:
        return check_segment(folder)
    except SegmentDamagedError as error:
        raise BuildRefusedError(
            f"新しい索引を書けませんでした（{error}）。前の索引を使い続けます。空き容量と媒体を確かめてください。"
        ) from error
    except SelfQueryError as error:
        raise BuildRefusedError(str(error)) from error
