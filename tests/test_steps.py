"""The clock of benchmarks/steps.py: the functions it names are there, and a step's time is without the steps inside it."""

from __future__ import annotations

import time

import pytest

from benchmarks import steps


@pytest.mark.parametrize(("step", "module", "name"), steps.STEPS)
def test_every_step_is_a_function_that_is_there(step: str, module: str, name: str) -> None:
    owner, last = steps.placed(module, name)
    assert callable(getattr(owner, last)), step


def test_a_step_is_counted_without_those_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = steps.Clock()

    def passes(seconds: float) -> None:
        now[0] += seconds

    inner = clock.around("inner", passes)

    def whole() -> None:
        passes(1.0)
        inner(2.0)
        inner(3.0)

    clock.around("outer", whole)()
    assert dict(clock.seconds) == {"inner": 5.0, "outer": 1.0}
