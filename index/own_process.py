"""The surroundings of a process apart that runs one of the project's own modules.

In: what it shall know beside what this process knows. Out: its environment, in which the project's own modules come first, whatever
folder this process was begun in. What such a process may take is its own matter (`corpus.limits`).
"""

from __future__ import annotations

import os
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent


def surroundings(**more: str) -> dict[str, str]:
    """The environment of this process with the project's folder before all others that modules are looked for in."""
    path = os.pathsep.join([os.fspath(HOME), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path} | more
