"""The limit of open files is raised as far as the system lets a process, and never lowered."""

from __future__ import annotations

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")


@pytest.mark.parametrize(
    ("before", "after"), [((256, 4096), 4096), ((4096, 4096), 4096), ((256, 70_000), 65_536)]
)
def test_the_limit_is_raised(before: tuple[int, int], after: int) -> None:
    if (
        resource.getrlimit(resource.RLIMIT_NOFILE)[1] not in {resource.RLIM_INFINITY}
        and before[1] > resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ):
        pytest.skip("the system allows no more")
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {before})\n"
        "from index.open_files import raise_limit; raise_limit()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert int(run.stdout) == after
