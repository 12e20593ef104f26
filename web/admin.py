"""The administrator's ways in: documents that come and go, uploads that wait, versions of the index, and the pages for it.

In: requests that `web.gate` let through. Out: JSON of the HTTP contract, and pages that work without JavaScript. What a
file may be is known by `index.library`, what a build does by `index.build`; here they are only called.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException

from build_index import CHANGES, RELATIONS, STAGES, local_time, roll_back
from corpus.documents import Parsed
from corpus.readers import SUFFIXES
from corpus.records import Document, DocumentInfo
from index.build import BuildRefusedError
from index.current import Current
from index.jobs import Job, Jobs
from index.library import (
    MAX_FILES,
    MAX_REQUEST_BYTES,
    MAX_STAGED,
    Library,
    Looking,
    NotReadError,
    NotRemovableError,
    NotStagedError,
    Staged,
    StorageError,
    Stored,
    UploadRefusedError,
    checked_name,
    shown_name,
)
from index.plan import MAX_FILE_BYTES
from index.report import BuildReport, narrowed, paths_of, read_report
from index.store import Index
from index.versions import (
    BuildingError,
    IndexUnusableError,
    ModelRecord,
    NothingToRollBackError,
    VersionEntry,
    history,
)
from qa.catalog import document_entries
from web import admin_view, view
from web.gate import Gate, administrator
from web.logs import audit

NO_LIBRARY = "このサーバーには、資料を加えるフォルダーが設定されていません。"
RECENT = 20
"""Changes that the list of documents shows; the administrator's page shows all."""
_FILES_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_FILES,
                        "items": {"type": "string", "format": "binary"},
                        "description": f"1件{MAX_FILE_BYTES // 2**20}MBまで、合計{MAX_REQUEST_BYTES // 2**20}MBまで",
                    }
                },
            }
        }
    },
}


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


_STORED = {
    "path": "窓口の手引き.docx",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "bytes": 48213,
    "replaced": False,
}
_WRONG = {"path": "古い資料.doc", "message": "古い形式（.doc）は読めません。"}


class FileError(BaseModel):
    """A file that was not taken, and why."""

    path: str
    message: str


class StoredReply(BaseModel):
    """What was put into the folder, and the rebuild that takes it up."""

    model_config = _example({"job_id": "0f3a9c2b7d41e865", "documents": [_STORED], "errors": [_WRONG]})
    job_id: str
    documents: list[Stored]
    errors: list[FileError]


class RemovedReply(BaseModel):
    """Which files were taken out of the folder, and the rebuild that drops them."""

    model_config = _example({"job_id": "0f3a9c2b7d41e865", "paths": ["窓口の手引き.docx"]})
    job_id: str
    paths: list[str]


class StagedReply(BaseModel):
    """Uploads that wait now."""

    model_config = _example({"uploads": [], "errors": [_WRONG]})
    uploads: list[Staged]
    errors: list[FileError] = []


class Preview(BaseModel):
    """What was recognised in an upload; spans are offsets into `text`."""

    text: str
    outline: list[dict[str, Any]]
    chunks: list[dict[str, Any]]
    cases: list[dict[str, Any]]


class UploadDetail(BaseModel):
    """One upload that waits, with what was recognised in it once it is read."""

    model_config = _example(
        {
            "upload": {"id": "5d2c7b9e01f4a386", "name": "窓口の手引き.docx", "state": "read", "chunks": 12},
            "preview": {"text": "窓口の手引き\n\n…", "outline": [], "chunks": [], "cases": []},
        }
    )
    upload: Staged
    preview: Preview | None


class VersionsReply(BaseModel):
    """Versions of the index that are kept, newest first."""

    model_config = _example(
        {
            "versions": [
                {
                    "name": "20261121T090000000000Z-ab12cd",
                    "built_at": "2026-11-21T09:00:00+00:00",
                    "documents": 12,
                    "cases": 40,
                    "chunks": 812,
                    "current": True,
                    "problem": None,
                }
            ]
        }
    )
    versions: list[VersionEntry]


class RollBackRequest(BaseModel):
    """The version to go back to; null is the one before the one in use."""

    model_config = _example({"version": None})
    # a limit makes pydantic look at the letters: half a character (「\ud800」 in JSON) is none
    version: Annotated[str, StringConstraints(max_length=200)] | None = None


class RollBackReply(BaseModel):
    """The version in use now."""

    model_config = _example({"version": "20261121T090000000000Z-ab12cd"})
    version: str


def _says(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    """A reply of the description that says in one sentence what is wrong."""
    example = {"detail": description + "。"}
    return {status: {"description": description, "content": {"application/json": {"example": example}}}}


@asynccontextmanager
async def uploaded(request: Request) -> AsyncIterator[list[UploadFile]]:
    """The files of a multipart body, field `files`, on disk where they are large; closed afterwards.

    Raises a RequestValidationError where there are none or too many, an HTTPException where they are too large together.
    """
    problem = "ファイルを選んでから送ってください（multipart/form-data の files）。"
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FILES)
    except StarletteHTTPException as error:
        if error.status_code != 400:
            raise
        reasons = {
            "Too many files": f"一度に送れるのは{MAX_FILES}件までです。分けて送ってください。",
            "Too many fields": "ファイルのほかの項目が多すぎます。files の項目だけを送ってください。",
            "Part exceeded": "ファイルのほかに、長すぎる項目があります。files の項目だけを送ってください。",
        }
        told = (reason for begin, reason in reasons.items() if str(error.detail).startswith(begin))
        raise _invalid([next(told, problem)]) from error
    except ValueError as error:  # a charset that cannot name a file
        raise _invalid([problem]) from error
    except OSError as error:  # large files wait on the disk, in the system's folder for temporary ones
        raise StorageError(
            f"受け取ったファイルを一時フォルダーに置けませんでした（{error.strerror or '不明'}）。"
            "サーバーの空き容量を増やしてから、もう一度送ってください。"
        ) from error
    try:
        files = [item for item in form.getlist("files") if isinstance(item, UploadFile) and item.filename]
        if not files:
            raise _invalid([problem])
        if sum(file.size or 0 for file in files) > MAX_REQUEST_BYTES:
            limit = MAX_REQUEST_BYTES // 2**20
            raise HTTPException(413, f"一度に送れるのは合計{limit}MBまでです。分けて送ってください。")
        yield files
    finally:
        await form.close()


def _invalid(messages: list[str]) -> RequestValidationError:
    return RequestValidationError(
        [
            {"type": "value_error", "loc": ("body", "files"), "msg": message, "ctx": {"error": message}}
            for message in messages
        ]
    )


@dataclass
class Parts:
    """What the administrator's routes stand on.

    `samples` is the folder that is indexed while the library's is empty, None where nothing is. `page` renders a template.
    """

    current: Current
    model: ModelRecord
    jobs: Jobs
    gate: Gate
    library: Library | None
    samples: Path | None
    page: Callable[..., HTMLResponse]
    label_of: Callable[[str], str] = lambda path: ""
    """Who may see the file of a path, in words; empty where everybody may."""

    def held(self) -> Library:
        """The library; 409 where there is none."""
        if self.library is None:
            raise HTTPException(409, NO_LIBRARY)
        return self.library

    def places(self) -> Iterator[str]:
        """The paths of all files that are indexed, could not be read, or wait."""
        index = self.current.get()
        if index is not None:
            yield from (path for entry in index.manifest["documents"] for path in entry["paths"])
            yield from (problem["path"] for problem in index.manifest["errors"])
        if self.library is not None:
            yield from (entry.name for entry in self.library.staged())

    # ---- what is done

    def store(self, files: list[UploadFile]) -> tuple[list[Stored], list[FileError]]:
        """Puts files into the folder."""
        stored, errors = self._each(files, self.held().store)
        if stored:
            audit("add", files=[one.path for one in stored])
        return stored, errors

    def stage(self, files: list[UploadFile]) -> tuple[list[Staged], list[FileError]]:
        """Lets files wait."""
        staged, errors = self._each(files, self.held().stage)
        if staged:
            audit("upload", files=[one.name for one in staged])
        return staged, errors

    def _each(
        self, files: list[UploadFile], take: Callable[[str, Any], Any]
    ) -> tuple[list[Any], list[FileError]]:
        taken, errors = [], []
        names: set[str] = set()
        for file in files:
            try:
                name = checked_name(file.filename or "")
                if name in names:  # the second would take the place of the first without a word
                    raise UploadRefusedError(
                        "同じ名前のファイルが一緒に送られています。名前を変えて、もう一度送ってください。"
                    )
                taken.append(take(name, file.file))
                names.add(name)
            except UploadRefusedError as error:
                errors.append(FileError(path=shown_name(file.filename or ""), message=str(error)))
        return taken, errors

    def approve(self, identity: str) -> Stored:
        """Puts one that waits into the folder."""
        stored = self.held().approve(identity)
        audit("approve", files=[stored.path])
        return stored

    def discard(self, identity: str) -> None:
        """Takes one that waits away."""
        library = self.held()
        names = [entry.name for entry in library.staged() if entry.id == identity]
        library.discard(identity)
        audit("discard", upload=identity, files=names)

    def rebuild(self) -> Job:
        """Has the index built anew."""
        job = self.jobs.start()
        audit("rebuild", job=job.id)
        return job

    def approve_all(self) -> tuple[list[Stored], list[FileError]]:
        """Puts all that were read into the folder."""
        stored, errors = [], []
        for entry in self.held().staged():
            if entry.state != "read":
                continue
            try:
                stored.append(self.held().approve(entry.id))
            except (UploadRefusedError, NotReadError, NotStagedError) as error:
                errors.append(FileError(path=entry.name, message=str(error)))
        if stored:
            audit("approve", files=[one.path for one in stored])
        return stored, errors

    def document(self, document_id: str) -> Document:
        """A document of the index in use; 404 where there is none."""
        index = self.current.get()
        document = index.documents.get(document_id) if index is not None else None
        if document is None:
            raise HTTPException(
                404, "この資料は見つかりません。差し替えられたか、取り除かれた可能性があります。"
            )
        return document

    def removable(self, document: Document) -> None:
        """Raises 409 or a NotRemovableError where a document cannot be taken out."""
        library = self.held()
        if (
            self.samples is not None
            and not library.paths().intersection(document.paths)
            and any((self.samples / path).is_file() for path in document.paths)
        ):
            raise HTTPException(409, "同梱の見本は取り除けません。資料を加えると、見本は使われなくなります。")
        library.removable(document, self._others(document), samples=self.samples is not None)

    def remove(self, document_id: str) -> list[str]:
        """Takes a document's files out of the folder."""
        document = self.document(document_id)
        self.removable(document)
        paths = self.held().remove_document(
            document, self._others(document), samples=self.samples is not None
        )
        audit("remove", document=document.id, files=paths)
        return paths

    def _others(self, document: Document) -> list[DocumentInfo]:
        """The other documents of the index in use that something can be found in."""
        index = self.current.get()
        if index is None:
            return []
        return [
            other
            for other in index.listing.values()
            if other.id != document.id and index.chunk_counts[other.id]
        ]

    def roll_back(self, version: str | None) -> str:
        """Makes an earlier version the one in use; 409 where it cannot be."""
        try:
            name = roll_back(self.current.root, version, self.model)
            audit("rollback", version=name)
            self.current.publish()
            return name
        except (BuildingError, NothingToRollBackError, IndexUnusableError, BuildRefusedError) as error:
            raise HTTPException(409, str(error)) from error

    # ---- what is shown

    def report(self, version: str) -> BuildReport:
        """A version's report; 404 where there is none."""
        known = version in {entry.name for entry in history(self.current.root)}
        report = read_report(self.current.root / "versions" / version) if known else None
        if report is None:
            raise HTTPException(404, "この版の記録はありません。古い版は、記録ごと片づけられています。")
        return report

    def recent(self, index: Index | None, visible: Callable[[str], bool]) -> dict[str, Any] | None:
        """What the build of a version changed, for everybody; of a part of it, only of the files whose paths are `visible`."""
        report = read_report(self.current.root / "versions" / index.version) if index is not None else None
        # what was hidden and is gone hides nothing of the index, but its path still stands in the report
        told = set() if report is None else paths_of(report)
        if report is not None and index is not None and (index.is_narrowed or not all(map(visible, told))):
            chunks = sum(index.chunk_counts.values())
            report = narrowed(report, visible, index.listing, cases=len(index.cases), chunks=chunks)
        if report is None or not report.changes:
            return None
        return admin_view.report_page(report, CHANGES, RELATIONS, RECENT)

    def administration(self) -> dict[str, Any]:
        """All that the administrator's page shows."""
        index = self.current.get()
        report = read_report(self.current.root / "versions" / index.version) if index is not None else None
        library = self.library
        waiting = library.staged(index) if library is not None else []
        jobs = self.jobs.latest()
        # the one that is being done, not the one that waits behind it
        running = next(
            (job for status in ("running", "queued") for job in jobs if job.status == status), None
        )
        versions = history(self.current.root)
        done = next((job for job in jobs if job.status in {"succeeded", "failed"}), None)
        if (
            done is not None
            and done.status == "succeeded"
            and index is not None
            and done.version != index.version
        ):
            done = None  # somebody went back to another version since
        held = library.paths() if library is not None else set()
        documents = []
        for document in document_entries(index) if index is not None else []:
            places = [{"path": path, "label": self.label_of(path)} for path in document.paths]
            own = bool(held.intersection(document.paths))
            documents.append({**asdict(document), "own": own, "places": places})
        return {
            "problem": self.current.problem,
            "model": index.manifest["model"] if index is not None else None,
            "job": _job_page(running or done),
            "busy": running is not None or any(entry.state == "waiting" for entry in waiting),
            "library": library is not None,
            "staged": [
                {**admin_view.staged_page(entry, RELATIONS), "label": self.label_of(entry.name)}
                for entry in waiting
            ],
            "count": {
                state: sum(entry.state == state for entry in waiting)
                for state in ("waiting", "read", "refused")
            },
            "documents": documents,
            "samples": bool(documents) and not any(document["own"] for document in documents),
            "report": admin_view.report_page(report, CHANGES, RELATIONS) if report is not None else None,
            "versions": [asdict(entry) for entry in versions],
            "went_back": bool(versions) and not versions[0].current,
            "limits": {
                "file": MAX_FILE_BYTES // 2**20,
                "request": MAX_REQUEST_BYTES // 2**20,
                "files": MAX_FILES,
                "staged": MAX_STAGED,
                "file_bytes": MAX_FILE_BYTES,
            },
            "suffixes": SUFFIXES,
        }


def _job_page(job: Job | None) -> dict[str, Any] | None:
    if job is None:
        return None
    failed = [error.message for error in job.errors if not error.path]
    remaining = view.about(job.remaining_s) if job.remaining_s is not None and job.status == "running" else ""
    return {
        **asdict(job),
        "stage_words": STAGES.get(job.stage, "準備"),
        "remaining": remaining,
        "failed": failed,
    }


def _preview(parsed: Parsed | None) -> Preview | None:
    if parsed is None:
        return None
    return Preview(
        text=parsed.document.text,
        outline=[
            {"text": h.text, "level": h.level, "char_start": h.start, "char_end": h.end}
            for h in parsed.document.headings
        ],
        chunks=[asdict(chunk) for chunk in parsed.chunks],
        cases=[asdict(case) for case in parsed.cases],
    )


# ---------------------------------------------------------------- JSON


def api(parts: Parts, looking: Looking | None) -> APIRouter:
    """The administrator's calls."""
    router = APIRouter(
        prefix="/api",
        dependencies=[Depends(administrator)],
        responses={
            **_says(401, "管理者の合言葉（トークン）が必要です"),
            **_says(403, "ほかのサイトやコンピューターからの操作は受け付けません"),
            **_says(429, "合言葉の間違いが続いています"),
        },
    )
    files_body = {"requestBody": _FILES_BODY}

    @router.post(
        "/documents", status_code=202, summary="資料を加え、索引を作り直す", openapi_extra=files_body
    )
    async def add_documents(request: Request) -> StoredReply:
        async with uploaded(request) as files:
            stored, errors = await run_in_threadpool(parts.store, files)
        if not stored:
            raise _invalid([f"{error.path}：{error.message}" for error in errors])
        return StoredReply(job_id=parts.jobs.start().id, documents=stored, errors=errors)

    @router.delete(
        "/documents/{document_id}",
        status_code=202,
        summary="資料を取り除き、索引を作り直す",
        responses=_says(404, "この資料は見つかりません") | _says(409, "同梱の見本は取り除けません"),
    )
    def remove_document(document_id: str) -> RemovedReply:
        paths = parts.remove(document_id)
        return RemovedReply(job_id=parts.jobs.start().id, paths=paths)

    @router.post("/uploads", status_code=201, summary="ファイルを確認待ちに置く", openapi_extra=files_body)
    async def add_uploads(request: Request) -> StagedReply:
        async with uploaded(request) as files:
            staged, errors = await run_in_threadpool(parts.stage, files)
        if not staged:
            raise _invalid([f"{error.path}：{error.message}" for error in errors])
        if looking is not None:
            looking.wake()
        return StagedReply(uploads=staged, errors=errors)

    @router.get("/uploads", summary="確認待ちの一覧")
    def list_uploads() -> StagedReply:
        return StagedReply(uploads=parts.held().staged(parts.current.get()))

    @router.get(
        "/uploads/{upload_id}",
        summary="確認待ちの一つと、読み取った内容",
        responses=_says(404, "この確認待ちのファイルはありません"),
    )
    def one_upload(upload_id: str) -> UploadDetail:
        library = parts.held()
        entry = library.one(upload_id, parts.current.get())
        return UploadDetail(upload=entry, preview=_preview(library.preview(upload_id)))

    @router.post(
        "/uploads/approve",
        status_code=202,
        summary="読み取れた確認待ちをすべて登録する",
        responses=_says(409, "登録できる確認待ちのファイルがありません"),
    )
    def approve_all() -> StoredReply:
        stored, errors = parts.approve_all()
        if not stored:
            raise HTTPException(409, "登録できる確認待ちのファイルがありません。")
        return StoredReply(job_id=parts.jobs.start().id, documents=stored, errors=errors)

    @router.post(
        "/uploads/{upload_id}/approve",
        status_code=202,
        summary="確認待ちの一つを登録する",
        responses=_says(404, "この確認待ちのファイルはありません") | _says(409, "まだ読み取りの途中です"),
    )
    def approve_upload(upload_id: str) -> StoredReply:
        stored = parts.approve(upload_id)
        return StoredReply(job_id=parts.jobs.start().id, documents=[stored], errors=[])

    @router.delete(
        "/uploads/{upload_id}",
        summary="確認待ちの一つを取り消す",
        responses=_says(404, "この確認待ちのファイルはありません"),
    )
    def discard_upload(upload_id: str) -> dict[Literal["id"], str]:
        parts.discard(upload_id)
        return {"id": upload_id}

    @router.post("/index/rebuild", status_code=202, summary="索引を作り直す")
    def rebuild() -> dict[Literal["job_id"], str]:
        return {"job_id": parts.rebuild().id}

    @router.get("/index/jobs", summary="作り直しの一覧（新しい順）")
    def list_jobs() -> dict[Literal["jobs"], list[Job]]:
        return {"jobs": parts.jobs.latest()}

    @router.get("/index/versions", summary="残っている索引の版")
    def versions() -> VersionsReply:
        return VersionsReply(versions=history(parts.current.root))

    @router.get(
        "/index/versions/{name}/report",
        summary="その版を作ったときの記録",
        responses=_says(404, "この版の記録はありません"),
    )
    def report(name: str) -> BuildReport:
        return parts.report(name)

    @router.post(
        "/index/rollback",
        summary="前の版に戻す",
        responses=_says(409, "戻れる前の版がありません"),
    )
    def rollback(body: Annotated[RollBackRequest | None, Body()] = None) -> RollBackReply:
        return RollBackReply(version=parts.roll_back(body.version if body is not None else None))

    return router


# ---------------------------------------------------------------- pages


async def visitor(request: Request) -> None:
    """A page's dependency: who could sign in is led there."""
    gate: Gate = request.app.state.gate
    try:
        await gate.check(request)
    except StarletteHTTPException as error:
        if error.status_code != 401:
            raise
        address = "/admin/login" if gate.needs_token else f"/login?next={quote(request.url.path, safe='')}"
        raise HTTPException(303, headers={"Location": address}) from error


def pages(parts: Parts, looking: Looking | None) -> APIRouter:
    """The administrator's pages; every change is a form that leads back to a page."""
    router = APIRouter(prefix="/admin", include_in_schema=False, default_response_class=HTMLResponse)
    inside = [Depends(visitor)]

    def show(request: Request, status: int = 200, **more: Any) -> HTMLResponse:
        return parts.page(request, "admin.html", status, **parts.administration(), **more)

    @router.get("", dependencies=inside)
    def overview(request: Request) -> HTMLResponse:
        return show(request)

    @router.post("/uploads", dependencies=inside)
    async def add(request: Request) -> Response:
        try:
            async with uploaded(request) as files:
                staged, errors = await run_in_threadpool(parts.stage, files)
        except RequestValidationError as error:
            wrong = [FileError(path="", message=e["msg"]) for e in error.errors()]
            return await run_in_threadpool(show, request, 422, upload_errors=wrong)
        if staged and looking is not None:
            looking.wake()
        if errors:
            return await run_in_threadpool(show, request, 422, upload_errors=errors)
        return _to("/admin#waiting")

    @router.post("/uploads/approve", dependencies=inside)
    def approve_all(request: Request) -> Response:
        stored, errors = parts.approve_all()
        if stored:
            parts.jobs.start()
        return show(request, 409, upload_errors=errors) if errors else _to("/admin#progress")

    @router.post("/uploads/discard", dependencies=inside)
    def discard_refused(request: Request) -> Response:
        for entry in parts.held().staged():
            if entry.state == "refused":
                parts.discard(entry.id)
        return _to("/admin#waiting")

    @router.get("/uploads/{upload_id}", dependencies=inside)
    def preview(request: Request, upload_id: str, page: Annotated[int, Query(ge=1)] = 1) -> HTMLResponse:
        library = parts.held()
        entry = library.one(upload_id, parts.current.get())
        parsed = library.preview(upload_id)
        return parts.page(
            request,
            "admin_upload.html",
            upload={**admin_view.staged_page(entry, RELATIONS), "label": parts.label_of(entry.name)},
            preview=admin_view.preview_page(parsed, page) if parsed is not None else None,
            document=parsed.document if parsed is not None else None,
        )

    @router.post("/uploads/{upload_id}/approve", dependencies=inside)
    def approve(request: Request, upload_id: str) -> Response:
        parts.approve(upload_id)
        parts.jobs.start()
        return _to("/admin#progress")

    @router.post("/uploads/{upload_id}/discard", dependencies=inside)
    def discard(request: Request, upload_id: str) -> Response:
        parts.discard(upload_id)
        return _to("/admin#waiting")

    @router.get("/documents/{document_id}/remove", dependencies=inside)
    def remove_page(request: Request, document_id: str) -> HTMLResponse:
        document = parts.document(document_id)
        parts.removable(document)
        return parts.page(request, "admin_confirm.html", **_removal(document.title, document.paths, request))

    @router.post("/documents/{document_id}/remove", dependencies=inside)
    def remove(request: Request, document_id: str) -> Response:
        parts.remove(document_id)
        parts.jobs.start()
        return _to("/admin#progress")

    @router.get("/unreadable", dependencies=inside)
    def unreadable_page(request: Request, path: Annotated[str, Query(max_length=2000)]) -> HTMLResponse:
        if path not in parts.held().paths():
            raise HTTPException(404, "このファイルは、資料のフォルダーにもうありません。")
        return parts.page(request, "admin_confirm.html", **_removal(path, (path,), request))

    @router.post("/unreadable", dependencies=inside)
    def remove_unreadable(request: Request, path: Annotated[str, Query(max_length=2000)]) -> Response:
        index = parts.current.get()
        if index is not None and path in {p for d in index.listing.values() for p in d.paths}:
            raise HTTPException(409, "この資料は索引にあります。登録した資料の一覧から取り除いてください。")
        parts.held().remove([path])
        audit("remove", files=[path])
        parts.jobs.start()
        return _to("/admin#progress")

    @router.post("/rebuild", dependencies=inside)
    def rebuild(request: Request) -> Response:
        parts.rebuild()
        return _to("/admin#progress")

    @router.get("/versions/{name}", dependencies=inside)
    def version(request: Request, name: str) -> HTMLResponse:
        report = parts.report(name)
        entry = next(asdict(entry) for entry in history(parts.current.root) if entry.name == name)
        shown = admin_view.report_page(report, CHANGES, RELATIONS)
        return parts.page(request, "admin_version.html", report=shown, version=entry)

    @router.get("/versions/{name}/restore", dependencies=inside)
    def restore_page(request: Request, name: str) -> HTMLResponse:
        entry = next((entry for entry in history(parts.current.root) if entry.name == name), None)
        if entry is None:
            raise HTTPException(404, "この版は残っていません。")
        return parts.page(
            request,
            "admin_confirm.html",
            heading="この版に戻しますか",
            lines=[
                f"作成日時 {local_time(entry.built_at)}・資料 {entry.documents}件・事例 {entry.cases}件・本文 {entry.chunks}件"
            ],
            names=[entry.name],
            note="質問への答えは、すぐにこの版からになります。資料のフォルダーは変わりません。"
            "次に索引を作り直すと、フォルダーのいまの内容に戻ります。",
            words="この版に戻す",
            action=request.url.path,
        )

    @router.post("/versions/{name}/restore", dependencies=inside)
    def restore(request: Request, name: str) -> Response:
        parts.roll_back(name)
        return _to("/admin#versions")

    return router


def _removal(title: str, paths: tuple[str, ...], request: Request) -> dict[str, Any]:
    query = f"?path={quote(paths[0], safe='')}" if request.url.path.endswith("/unreadable") else ""
    return {
        "heading": "この資料を取り除きますか",
        "lines": [title],
        "names": list(paths),
        "note": "質問への答えに使われなくなります。ファイルは資料のフォルダーの「.removed」に移すので、あとで元に戻せます。",
        "words": "取り除く",
        "action": request.url.path + query,
    }


def _to(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303)


def failures() -> Iterator[tuple[type[Exception], int]]:
    """Errors of the library, each with the status that says it."""
    yield NotStagedError, 404
    yield NotReadError, 409
    yield NotRemovableError, 409
    yield UploadRefusedError, 409
    yield StorageError, 507
