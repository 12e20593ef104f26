"""What looks at the service from outside: is it alive, can it answer, and its numbers.

In: requests of monitoring programs. Out: JSON of the checks (`web.health`), and the text of the numbers (`web.metrics`). Nothing here waits for a
lock, for the threads that answer questions, or for a build.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from index.jobs import Jobs
from index.library import Library
from web.admission import Admission
from web.gate import Gate
from web.health import Health, Readiness
from web.metrics import CONTENT_TYPE, Metrics, by, gauge, info
from web.peers import is_this_computer

_CHECKS: dict[str, Any] = {
    "index": {"status": "ok", "message": None},
    "encoder": {"status": "ok", "message": None},
    "store": {"status": "ok", "message": None},
    "questions": {"status": "ok", "message": None},
}


class CheckReply(BaseModel):
    """What one part said: "ok", "warning" (it works, but somebody should look) or "failed"."""

    status: Literal["ok", "warning", "failed"]
    message: str | None


class ReadyReply(BaseModel):
    """Whether questions can be answered; `detail` says why not."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ready",
                    "index_version": "20261121T090000000000Z-ab12cd",
                    "detail": None,
                    "checks": _CHECKS,
                }
            ]
        }
    )
    status: Literal["ready", "not_ready"]
    index_version: str | None
    detail: str | None
    checks: dict[str, CheckReply]


def health_and_numbers(
    health: Health, metrics: Metrics, admission: Admission, jobs: Jobs, library: Library | None
) -> APIRouter:
    """The routes `/healthz`, `/readyz` and `/metrics`; `library` is where uploads wait, None where there are none."""
    router = APIRouter()
    metrics.add(lambda: _told(health, admission, jobs, library))

    @router.get("/healthz", summary="動いているか")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="答えられるか",
        response_model=ReadyReply,
        responses={
            503: {"model": ReadyReply, "description": "まだ、または今は答えられない（detail に理由）"}
        },
    )
    async def readyz() -> JSONResponse:
        found = await health.look()
        if found.problem is None:
            return JSONResponse(_ready(found))
        return JSONResponse(_ready(found), 503, headers={"Retry-After": "10"})

    @router.get(
        "/metrics",
        summary="監視のための数値（Prometheus の形式）",
        response_class=Response,
        responses={
            200: {
                "content": {
                    "text/plain": {"example": 'dxqa_questions_total{outcome="answered",way="page"} 12.0\n'}
                }
            },
            401: {"description": "管理者の合言葉（トークン）が必要です"},
            403: {"description": "このコンピューターから直接だけ読めます"},
        },
    )
    async def numbers(_: Annotated[None, Depends(watcher)]) -> Response:
        await health.look()
        return Response(await run_in_threadpool(metrics.text), media_type=CONTENT_TYPE)

    return router


async def watcher(request: Request) -> None:
    """Lets through who may read the numbers: this computer, where nobody passed the request on, or an administrator.

    They say how many documents there are, of those too that not everybody may see.
    """
    if is_this_computer(request):
        return
    gate: Gate = request.app.state.gate
    await gate.check(request)


def _ready(found: Readiness) -> dict[str, Any]:
    return {
        "status": "ready" if found.problem is None else "not_ready",
        "index_version": found.index_version,
        "detail": found.problem,
        "checks": {
            name: {"status": one.status, "message": one.message} for name, one in found.checks.items()
        },
    }


def _told(health: Health, admission: Admission, jobs: Jobs, library: Library | None) -> Iterator[Metric]:
    """What the parts say of themselves when the numbers are read."""
    known = health.known()
    yield gauge("dxqa_ready", "1 while questions can be answered", float(known.problem is None))
    states = {"ok": 1.0, "warning": 0.5, "failed": 0.0}
    yield by(
        GaugeMetricFamily,
        "dxqa_check",
        "What a part said last: 1 ok, 0.5 somebody should look, 0 failed",
        "part",
        {name: states[one.status] for name, one in known.checks.items()},
    )
    yield gauge("dxqa_questions_waiting", "Questions that wait for others now", admission.waiting)
    yield CounterMetricFamily(
        "dxqa_questions_refused",
        "Questions asked to come again, for too many waited (503)",
        admission.refused,
    )
    index = health.index
    if index is not None:
        built = datetime.fromisoformat(index.manifest["built_at"]).astimezone(UTC).timestamp()
        yield gauge("dxqa_index_age_seconds", "Since the version in use was built", time.time() - built)
        yield info(
            "dxqa_index_info",
            "The version in use, and the model that made it",
            version=index.version,
            model=str(index.manifest["model"]["name"]),
        )
        yield gauge("dxqa_documents", "Documents of the version in use", len(index.listing))
        yield gauge("dxqa_cases", "Cases of the version in use", len(index.cases))
        yield gauge("dxqa_chunks", "Passages of the version in use", sum(index.chunk_counts.values()))
    done = jobs.done()
    yield by(GaugeMetricFamily, "dxqa_jobs", "Rebuilds now", "status", jobs.waiting())
    yield by(
        CounterMetricFamily,
        "dxqa_jobs_ended",
        "Rebuilds that ended",
        "outcome",
        {outcome: ended.count for outcome, ended in done.items()},
    )
    last = {outcome: ended for outcome, ended in done.items() if ended.count}
    yield by(
        GaugeMetricFamily,
        "dxqa_job_last_seconds",
        "How long the last rebuild took",
        "outcome",
        {outcome: ended.seconds for outcome, ended in last.items()},
    )
    yield by(
        GaugeMetricFamily,
        "dxqa_job_last_end_timestamp_seconds",
        "When the last rebuild ended",
        "outcome",
        {outcome: ended.at for outcome, ended in last.items()},
    )
    if library is not None:
        yield gauge(
            "dxqa_uploads_waiting", "Uploads that wait to be looked at or decided on", library.waiting()
        )
