"""What runs a model: texts go in, the states of their tokens come out, whichever library computes them.

In: texts as the model shall read them, prompt and all. Out: for each its tokens' states, ids and places. Pooling,
prompts and unit length are the encoder's part (`index.encoder`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class TokenStates(NamedTuple):
    """The tokens of one text, with the marks at both ends.

    values  # (t, dim) float32; ids  # (t,) int32; spans  # (t, 2) int32, characters of the text, (0, 0) for a mark
    """

    values: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int32]
    spans: npt.NDArray[np.int32]


class Backend(Protocol):
    """A model in memory; threads may share it."""

    name: str
    """What runs, for people: the library and the precision."""
    dimension: int
    pools_tokens: bool
    """Whether the model's vector is the plain mean of its token states, so that parts of it may be weighed."""
    max_length: int
    """Tokens of a text that are read; the rest is cut off."""

    def states(self, batches: Sequence[Sequence[str]]) -> Iterator[tuple[int, list[TokenStates]]]:
        """(number of the batch, the states of its texts), in any order; only where it pools tokens."""
        ...

    def vectors(self, texts: Sequence[str], prompt: str) -> npt.NDArray[np.float32]:
        """The model's own vectors of a batch of texts, of any length  # (n, dim)."""
        ...

    def warm(self) -> None:
        """Prepares what the first questions would else wait for."""
        ...
