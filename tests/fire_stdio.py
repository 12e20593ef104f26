"""The product's own `mcp_stdio.py`, options and all, with the encoder of `fire_server.py` in the place of the model.

    python fire_stdio.py [options of mcp_stdio.py]

It also writes to standard output where the model would be loaded, as libraries do.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from fire_server import Bigrams

import mcp_stdio


def _load(_: Any) -> Bigrams:
    print("a library that talks")
    os.write(1, b"a library in C that talks\n")
    return Bigrams()


if __name__ == "__main__":
    mcp_stdio.load_encoder = _load  # type: ignore[assignment]
    sys.exit(mcp_stdio.main(sys.argv[1:]))
