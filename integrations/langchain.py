"""A retriever of LangChain: passages of a running service, to the letter, each with its citation.

    from integrations.langchain import DxqaRetriever

    documents = DxqaRetriever(url="https://dx.example.jp", api_key="…").invoke("窓口の研修")

In: a query. Out: LangChain's documents. It needs `langchain-core` and nothing else of the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, SecretStr

from integrations.client import TIMEOUT_S, Client, checked, counted


class DxqaRetriever(BaseRetriever):
    """The passages nearest to a query, best first: `page_content` is the passage, `metadata` the rest of its citation.

    `filters` are conditions of `GET /api/search`. Raises `integrations.client.ServiceError` when it is asked; wrong settings at once.
    """

    # the key stands in the input; a name that is none (`filter=`) would find more than was meant
    model_config = ConfigDict(hide_input_in_errors=True, extra="forbid")

    url: str
    api_key: SecretStr | None = None
    top_k: int = 10
    filters: Mapping[str, Any] = {}
    timeout_s: float = TIMEOUT_S

    def model_post_init(self, _: Any) -> None:
        """Raises ValueError where the settings cannot be used."""
        self._client()
        counted(self.top_k)
        checked(self.filters)

    def _client(self) -> Client:
        return Client(self.url, self.api_key.get_secret_value() if self.api_key else "", self.timeout_s)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        # asked from a loop (`ainvoke`), LangChain calls this in a thread
        return [
            Document(page_content=one.pop("text"), id=one["chunk_id"], metadata=one)
            for one in self._client().search(query, top_k=self.top_k, filters=self.filters)
        ]
