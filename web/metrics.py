"""What a running server counts, in the text format of Prometheus.

In: requests, questions, sign-ins as they come; and, when the numbers are read, what the parts of the service say of themselves. Out: the text
of `GET /metrics`. Each application has numbers of its own. Labels come from closed lists (routes, reasons, stages), so that
what people send can neither be read here nor make the list longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from qa.stopwatch import STAGES

Way = Literal["page", "api", "mcp", "export"]
Outcome = Literal[
    "answered", "no_match", "unknown_organization", "value_not_stated", "empty_index", "filtered_out", "other"
]
SignIn = Literal["right", "wrong", "limited"]
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds of the histogram of requests: a page of the catalogue takes 5 ms, a question 20 to 100, an upload seconds."""
STAGE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The numbers of one application."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Histogram(
            "dxqa_request_seconds",
            "Requests by method, template of the route and status; seconds until the last byte was sent",
            ("method", "route", "status"),
            buckets=REQUEST_S,
            registry=self.registry,
        )
        self._errors = Counter(
            "dxqa_errors", "Requests that failed for a reason of ours (500)", registry=self.registry
        )
        self._questions = Counter(
            "dxqa_questions",
            "Questions by how they were asked, and whether they were answered or why not",
            ("way", "outcome"),
            registry=self.registry,
        )
        self._stages = Histogram(
            "dxqa_answer_stage_seconds",
            "Seconds by stage of an answer; whole is all of them",
            ("stage",),
            buckets=STAGE_S,
            registry=self.registry,
        )
        self._sign_ins = Counter(
            "dxqa_sign_ins",
            "Tries to sign in or to use a token, wrong ones and ones that were not looked at; right ones of the sign-in page",
            ("outcome",),
            registry=self.registry,
        )
        # what has not happened yet is 0, and not missing: else its first time is no increase
        for way in get_args(Way):
            for outcome in get_args(Outcome):
                self._questions.labels(way, outcome)
        for outcome in get_args(SignIn):
            self._sign_ins.labels(outcome)
        self._stage = {stage: self._stages.labels(stage) for stage in (*STAGES, "whole")}
        self.registry.register(
            _Told(lambda: [_gauge("dxqa_build_info", "The program", {"version": version})])
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request; `route` is a template."""
        self._requests.labels(method, route, str(status)).observe(seconds)
        if status == 500:
            self._errors.inc()

    def failure(self) -> None:
        """Counts a call that failed for a reason of ours inside a reply that did not (MCP)."""
        self._errors.inc()

    def question(self, reason: str | None, way: Way) -> None:
        """Counts a question that got its answer (None), or none for a reason."""
        outcome = reason or "answered"
        self._questions.labels(way, outcome if outcome in get_args(Outcome) else "other").inc()

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Counts the seconds of an answer by stage."""
        for stage, taken in seconds.items():
            self._stage[stage].observe(taken)
        self._stage["whole"].observe(sum(seconds.values()))

    def sign_in(self, outcome: SignIn) -> None:
        """Counts a try to sign in."""
        self._sign_ins.labels(outcome).inc()

    def add(self, tell: Callable[[], Iterable[Metric]]) -> None:
        """Has a part of the service asked for its numbers whenever they are read."""
        self.registry.register(_Told(tell))

    def text(self) -> bytes:
        """All numbers as they are now."""
        return generate_latest(self.registry)


class _Told(Collector):
    """Numbers that a part tells when it is asked."""

    def __init__(self, tell: Callable[[], Iterable[Metric]]) -> None:
        self._tell = tell

    def collect(self) -> Iterator[Metric]:
        yield from self._tell()

    def describe(self) -> list[Metric]:
        """None: it is not asked before there is something to tell."""
        return []


def _gauge(name: str, words: str, labels: Mapping[str, str]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def gauge(name: str, words: str, value: float) -> Metric:
    """A number that goes up and down."""
    return GaugeMetricFamily(name, words, value=value)


def info(name: str, words: str, **labels: str) -> Metric:
    """A 1 whose labels say something."""
    return _gauge(name, words, labels)


def by(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    words: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    """A number for each value of a label."""
    family = kind(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
