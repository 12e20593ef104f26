"""What answers stand on, loaded as a command line names it: the index in use and the reranker.

In: the values of options. Out: the parts of a `web.site.Site`. Which command line they come from is not known here.
"""

from __future__ import annotations

import sys
from pathlib import Path

from build_index import visible
from index.current import Current, CurrentIndex
from index.reranker import Reranker, RerankerError
from index.versions import ModelRecord
from qa.names import directory, keep_readings


def current_of(store: str, root: Path, model: ModelRecord) -> Current:
    """What is answered from: the index folder, or the store that is named. Raises StoreAddressError."""
    if not store:
        keep_readings(root / "names.json")
        return CurrentIndex(root, model, directory)
    from index.milvus import Address, Milvus  # for who has a store
    from index.milvus_index import CurrentMilvus, MilvusStore

    return CurrentMilvus(MilvusStore(Milvus(Address.read(store))), root, model, directory)


def reranker_of(name: str, allow_hub: bool) -> Reranker | str | None:
    """The cross-encoder that is asked for, the message of why it cannot be used, or None where none is asked for."""
    if not name:
        return None
    try:
        return Reranker.load(name, allow_hub=allow_hub)
    except RerankerError as error:
        print(visible(str(error)), file=sys.stderr)
        return str(error)
