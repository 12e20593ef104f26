"""Building: from a folder of documents to a new version of the index in use.

In: a documents folder and an encoder. Out: a report of what changed. Only documents that are new or changed are read,
recognised and encoded; they become a segment of their own, and the new version is the old one's segments, that one, and
the list of documents that count. A build writes beside the version in use, checks what it wrote by loading and asking
it, and switches last; whatever goes wrong before leaves the old version in use.

What a build of one document does for the others: it looks at the time of each file, reads the list of documents, and
looks up the keys of the vectors that it needs. Segments of up to `MERGE_ROWS` rows are written anew together, so that
their number stays small.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
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
from index.passages import encode, model_record, tokens_of, vector_key
from index.plan import FileProblem, Item, Plan, lasting, make_plan, suffix
from index.previous import Previous, lasting_stamps
from index.reading import read_documents
from index.report import BuildReport, DocumentChange, report_bytes
from index.segment import LIST, TEXT, Content, SegmentDamagedError, SegmentWriter, StoredSegment, kind_of
from index.store import twin_note
from index.tokenizer import tokenizer_name
from index.versions import (
    FORMAT_VERSION,
    KEEP_VERSIONS,
    BuildingError,
    alone,
    check_place,
    clear,
    manifest_bytes,
    new_name,
    publish,
    switch,
)

MERGE_ROWS = 2048
"""Segments of fewer rows are written anew together: at 35 KB a row that is 70 MB, less than a second."""
MOST_DEAD = 0.5
"""A segment of which more than this no longer counts is written anew."""
LEAST_SHARE = 0.3
"""Documents that share less are not compared further."""
Progress = Callable[[str, int, int], None]
"""Called with the stage (reading, encoding, writing, checking), how much is done, and how much there is."""


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
    runs, BuildRefusedError where the new version does not answer, WrongFolderError where `root` is no place for an index.
    """
    check_place(root, documents)
    try:
        with alone(root):
            return _Build(documents, root, encoder, full, max_chars, keep, progress or _silent).run()
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
        self.read_as: dict[str, Item] = {}
        """Documents that were read, without those paths under whose suffix their content cannot be read."""

    def run(self) -> BuildReport:
        """The whole build."""
        started = time.perf_counter()
        self.progress("reading", 0, 0)
        refused = {} if self.full else self.old.refused
        plan = make_plan(self.documents, self.old.manifest, {} if self.full else self.old.files, refused)
        kept = [item for item in plan.items if self._stays(item)]
        parsed, problems = self._parse([item for item in plan.items if not self._stays(item)], plan.places)
        problems = sorted([*plan.problems, *problems], key=lambda problem: problem.path)
        items = [self.read_as.get(item.id, item) for item in plan.items]
        items = [item for item in items if item.id in parsed or self._stays(item)]
        self._refuse_nothing(items, parsed, problems)
        if self._nothing_to_do(plan, parsed, problems):
            clear(self.root, self.keep)  # of what a build left that was cut off after its switch
            return self._report(self.old.name or "", items, plan, {}, [], problems, started)
        name = new_name(self.root)
        fresh = [parsed[item.id] for item in items if item.id in parsed]
        works = [
            _Work(
                kind,
                f"{name}-{kind}",
                self.root / "segments" / f".building-{name}-{kind}",
                own := [one for one in fresh if kind_of(one) == kind],
                [] if self.full else self._to_merge(kept, kind, sum(len(one.chunks) for one in own)),
            )
            for kind in (TEXT, LIST)
        ]
        works = [work for work in works if work.fresh or work.merged]
        try:
            return self._write(name, works, plan, items, parsed, problems, started)
        finally:
            for work in works:
                shutil.rmtree(work.folder, ignore_errors=True)

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

    def _parse(
        self, items: Sequence[Item], places: Mapping[str, Path]
    ) -> tuple[dict[str, Parsed], list[FileProblem]]:
        """The documents of items, from the version in use where they were recognised under the same rules."""
        found: dict[str, Parsed] = {}
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
            found[item.id] = renamed(self._stored(item.id), item.paths[0])
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
                    found[item.id] = outcome
                    self.read_as[item.id] = item
            wanted = again
        return found, problems

    def _refuse_nothing(
        self, items: Sequence[Item], parsed: Mapping[str, Parsed], problems: Sequence[FileProblem]
    ) -> None:
        if not items:
            named = "、".join(f"{problem.path}：{problem.message}" for problem in problems[:3])
            raise NothingToIndexError(
                f"読める資料が一つもありません（{self.documents}）。"
                + (named or "文書のファイルを置いてから、もう一度実行してください。")
            )
        if not any(parsed[item.id].chunks if item.id in parsed else self._size(item.id) for item in items):
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

    def _nothing_to_do(
        self, plan: Plan, parsed: Mapping[str, Parsed], problems: Sequence[FileProblem]
    ) -> bool:
        manifest = self.old.manifest
        return manifest is not None and (
            self.old.in_use
            and not parsed
            and not plan.changes
            and [_problem_line(problem) for problem in problems] == manifest["errors"]
        )

    # ---- what is written

    def _to_merge(self, kept: Sequence[Item], kind: str, fresh: int) -> list[Item]:
        """Documents of a kind whose segments are written anew with the fresh ones: of small segments, and of those mostly
        left behind."""
        live: Counter[str] = Counter()
        for item in kept:
            segment = self.entries[item.id]["segment"]
            if self.old.segments[segment].kind == kind:
                live[segment] += self._size(item.id)
        chosen = {
            name for name, rows in live.items() if rows < (1 - MOST_DEAD) * len(self.old.segments[name])
        }
        small = sorted((rows, name) for name, rows in live.items() if name not in chosen)
        size = fresh
        together = []
        for rows, name in small:
            if rows > max(size, 1) * 2 or size + rows > MERGE_ROWS:
                break  # a segment much larger than what is added waits until more has come
            together.append(name)
            size += rows
        if fresh or len(together) > 1:
            chosen.update(together)
        return [item for item in kept if self.entries[item.id]["segment"] in chosen]

    def _write(
        self,
        name: str,
        works: Sequence[_Work],
        plan: Plan,
        items: Sequence[Item],
        parsed: Mapping[str, Parsed],
        problems: Sequence[FileProblem],
        started: float,
    ) -> BuildReport:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        contents: list[Content] = []
        encoded = _Encoded(0, 0)
        for work in works:
            own, some = self._write_segment(work)
            contents += own
            encoded = _Encoded(encoded.passages + some.passages, encoded.rows + some.rows)
        alike = self._alike(contents, plan, items)
        digests: dict[str, str] = {}
        for number, work in enumerate(works):
            self.progress("checking", number, len(works))
            digests[work.segment] = _checked(work.folder)
        moved = {content.parsed.document.id: kind_of(content.parsed) for content in contents}
        segments = {work.kind: work.segment for work in works}
        manifest = self._manifest(
            name, now, items, {i: segments[kind] for i, kind in moved.items()}, parsed, problems, digests
        )
        report = self._report(name, items, plan, parsed, alike, problems, started, encoded)
        folder = self.root / "versions" / f".building-{name}"
        folder.mkdir(parents=True)
        try:
            files = {state.path: [state.stamp, state.sha256] for state in lasting(plan.files)}
            (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
            (folder / "files.json").write_bytes(json.dumps(files, ensure_ascii=False).encode())
            stamps = {
                segment: self.old.stamps[segment]
                for segment in manifest["segments"]
                if segment not in digests
            } | {work.segment: StoredSegment(work.folder).check_sizes() for work in works}
            (folder / "checked.json").write_bytes(json.dumps(lasting_stamps(stamps)).encode())
            (folder / "report.json").write_bytes(report_bytes(report))
            for work in works:
                publish(work.folder, self.root / "segments" / work.segment)
            publish(folder, self.root / "versions" / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        switch(self.root, name)
        clear(self.root, self.keep)
        self.progress("checking", 1, 1)
        return report

    def _write_segment(self, work: _Work) -> tuple[list[Content], _Encoded]:
        """Writes a segment; gives what it holds, and what of it was encoded."""
        fresh, folder = work.fresh, work.folder
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
        self.progress("encoding", 0, len(missing))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with SegmentWriter(folder, self.encoder.dimension) as writer:
            vectors, gives = encode(
                self.encoder, missing, writer.keep, lambda done, total: self.progress("encoding", done, total)
            )
            with_tokens = gives or not missing
            for key, (segment, row) in known.items():
                vectors[key] = segment.dense.vector(row)
                with_tokens = with_tokens and segment.tokens is not None
                if segment.tokens is not None:
                    writer.keep(key, segment.tokens.row(row))
            self.progress("writing", 0, 1)
            contents = self._contents(fresh, passages, keys, vectors)
            for taken, tokens in self._taken(work.merged):
                contents.append(taken)
                with_tokens = with_tokens and tokens is not None
                for place, key in enumerate(taken.keys):
                    if tokens is not None:
                        writer.keep(key, tokens(place))
            writer.finish(contents, with_tokens=with_tokens, kind=work.kind)
        return contents, _Encoded(len(missing), sum(key in missing for own in keys.values() for key in own))

    def _known_vectors(self, keys: Sequence[str]) -> dict[str, tuple[StoredSegment, int]]:
        """Where the vectors of some of these keys are already."""
        found: dict[str, tuple[StoredSegment, int]] = {}
        if self.full or not keys or self.old.manifest is None or not self._same_model():
            return found
        wanted = np.array(keys, dtype="S32")
        for segment in self.old.segments.values():
            for key, row in segment.vectors_of(wanted).items():
                found.setdefault(key, (segment, row))
        return found

    def _same_model(self) -> bool:
        return self.old.manifest is not None and self.old.manifest["model"] == asdict(self.model)

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
        if names and not self.full and self._same_model():
            wanted = np.array(list(names.values()), dtype=np.uint64)
            for segment in self.old.segments.values():
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
        now: str,
        items: Sequence[Item],
        moved: Mapping[str, str],
        parsed: Mapping[str, Parsed],
        problems: Sequence[FileProblem],
        digests: Mapping[str, str],
    ) -> dict[str, Any]:
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
            own = self._counts(item, parsed)
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
            "errors": [_problem_line(problem) for problem in problems],
            "documents": documents,
            "segments": segments,
        }

    def _counts(self, item: Item, parsed: Mapping[str, Parsed]) -> tuple[int, int]:
        """Cases and chunks of a document of the new version."""
        if item.id in parsed:
            return len(parsed[item.id].cases), len(parsed[item.id].chunks)
        meta = self.old.segments[self.entries[item.id]["segment"]].meta
        return int(meta["documents"][item.id]["cases"]), self._size(item.id)

    # ---- what is told

    def _alike(self, contents: Sequence[Content], plan: Plan, items: Sequence[Item]) -> list[Alike]:
        """How the documents that came or changed stand to all others."""
        new = {item.id for item in plan.items if item.change in {"added", "changed"}}
        own = {content.parsed.document.id: content for content in contents}
        live = {item.id for item in items}
        found = []
        for one in (content.parsed for content in contents if content.parsed.document.id in new):
            prints = own[one.document.id].fingerprints
            alike: list[tuple[float, Document]] = []
            for identity, other in own.items():
                # of two that are both new, one line is enough
                if identity == one.document.id or (
                    identity in new and other.parsed.document.path < one.document.path
                ):
                    continue
                common = np.isin(prints, other.fingerprints, assume_unique=True).sum()
                alike.append(
                    (share(int(common), len(prints), len(other.fingerprints)), other.parsed.document)
                )
            for segment in self.old.segments.values():
                for identity, count in segment.common(prints).items():
                    size = int(segment.meta["documents"][identity]["fingerprints"])
                    close = share(count, len(prints), size)
                    if close >= LEAST_SHARE and identity in live and identity not in own:
                        alike.append((close, segment.document(identity).document))
            for close, document in sorted(alike, key=lambda pair: (-pair[0], pair[1].path)):
                kind = relation(one.document, document, close)
                if kind is not None:
                    found.append(Alike(one.document.path, document.path, kind, round(close, 3)))
        return found

    def _report(
        self,
        version: str,
        items: Sequence[Item],
        plan: Plan,
        parsed: Mapping[str, Parsed],
        alike: Sequence[Alike],
        problems: Sequence[FileProblem],
        started: float,
        encoded: _Encoded | None = None,
    ) -> BuildReport:
        count = Counter(item.change for item in [*items, *plan.removed])
        sizes = [self._counts(item, parsed) for item in items]
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
            changes=tuple(self._changes(items, plan, parsed)),
            alike=tuple(alike),
            errors=tuple((problem.path, problem.message) for problem in problems),
        )

    def _changes(
        self, items: Sequence[Item], plan: Plan, parsed: Mapping[str, Parsed]
    ) -> Iterator[DocumentChange]:
        for item in items:
            new_paths = [path for path in item.paths if path not in item.before]
            if item.change == "unchanged" and not (new_paths and len(item.paths) > 1):
                continue
            one = parsed.get(item.id) or self._stored(item.id)
            document = one.document
            twins = tuple(twin_note(path) for path in item.paths[1:])
            yield DocumentChange(
                path=item.paths[0],
                change="copied" if item.change == "unchanged" else item.change,
                id=item.id,
                title=document.title,
                before=item.before[0] if item.change == "renamed" else None,
                pages=document.pages,
                cases=len(one.cases),
                headings=len(document.headings),
                chunks=len(one.chunks),
                garbled=any(warning.startswith(GARBLED) for warning in document.warnings),
                warnings=(*document.warnings, *twins),
            )
        for item in plan.removed:
            if item.change == "removed":
                yield DocumentChange(item.before[0], "removed", item.id, "")


@dataclass(frozen=True, slots=True)
class _Work:
    """A segment that is to be written: its kind, name and folder while it is made, and the documents that go into it."""

    kind: str
    segment: str
    folder: Path
    fresh: Sequence[Parsed]
    merged: Sequence[Item]


@dataclass(frozen=True, slots=True)
class _Encoded:
    """How many passages were encoded, and how many rows they are: rows of the same words share a vector."""

    passages: int
    rows: int


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
