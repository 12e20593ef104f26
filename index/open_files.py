"""How many files this process may hold open: as many as the system lets it have, should it ask.

In: nothing. Out: a higher limit. A segment is mapped from some thirty files, and an index of a million passages has dozens of
segments; the usual limit of 1,024, which a process may raise by itself, would end there with 「Too many open files」. Where the system
has no such limit (Windows), nothing is done.
"""

from __future__ import annotations

import contextlib

MOST = 65_536
"""Two thousand segments; beyond it some systems refuse, and others make tables of it."""


def raise_limit() -> None:
    """Lets this process, and those it starts, hold as many files open as the system allows, `MOST` at the most."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
