"""What a process that looks into a file of strangers may take, set by itself before it looks.

In: sizes and seconds. Out: limits of this process that nothing in the file can lift. Where the system has none (Windows), only the
time limit of the process that asked holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal

_PR_SET_PDEATHSIG = 1


def limit(memory_bytes: int, processor_s: int, *, writes: bool = True) -> None:
    """Bounds address space and processor time, leaves no picture of the memory on the disk, nor any file where not `writes`."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not writes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def end_with_parent() -> None:
    """Has this process ended with the one that started it, should that be killed; on Linux only."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
