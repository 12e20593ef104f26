"""A retriever of LlamaIndex: passages of a running service, to the letter, each with its citation and score.

    from integrations.llamaindex import DxqaRetriever

    nodes = DxqaRetriever("https://dx.example.jp", api_key="…").retrieve("窓口の研修")

In: a query. Out: LlamaIndex's nodes. It needs `llama-index-core` and nothing else of the product. Neither its models nor its splitters, which
would fetch data, are touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
from pydantic import SecretStr

from integrations.client import TIMEOUT_S, Client, checked, counted

SHOWN = {"document_title", "place", "url"}
"""What of a citation a model reads along with the passage; all of it stays in the metadata."""


class DxqaRetriever(BaseRetriever):  # type: ignore[misc]  # whose types are not looked at
    """The passages nearest to a query, best first: a node's text is the passage, its `metadata` the rest of its citation.

    `filters` are conditions of `GET /api/search`. Raises `integrations.client.ServiceError` when it is asked, ValueError for wrong settings.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | SecretStr = "",
        top_k: int = 10,
        filters: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        self._client, self._top_k, self._filters = (
            Client(url, key, timeout_s),
            counted(top_k),
            checked(filters),
        )
        super().__init__(callback_manager=callback_manager)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._client.search(query_bundle.query_str, top_k=self._top_k, filters=self._filters)
        return [_node(one) for one in found]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(citation: dict[str, Any]) -> NodeWithScore:
    # a text has no page: an empty place tells a model nothing
    hidden = [name for name, value in citation.items() if name not in SHOWN or not value]
    node = TextNode(
        text=citation.pop("text"),
        id_=citation["chunk_id"],
        metadata=citation,
        start_char_idx=citation["char_start"],
        end_char_idx=citation["char_end"],
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=hidden,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=citation["document_id"])},
    )
    return NodeWithScore(node=node, score=citation["score"])
