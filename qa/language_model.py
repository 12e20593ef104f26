"""A language model behind an OpenAI-compatible endpoint: Ollama, vLLM, llama.cpp, Azure, a cloud.

In: messages, and until when. Out: the pieces of one text, as they come. The client is OpenAI's own; it is imported when a model is
configured and not before. Whoever configures one lets questions and the passages that answer them go there: nothing else of this
program calls anybody.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from qa.written import NOT_REACHED, TIMEOUT_S, TOO_SLOW, UNUSABLE, ModelSettingsError, WriterError

CONNECT_S = 5.0
MOST_TOKENS = 1200
"""Of an answer: twice what eight sentences of Japanese have in any tokenizer in use."""
MOST_BYTES = 1 << 20
"""Of a reply that comes at once, whose text is a hundredth of it."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Where a model is and what it is called; the key never stands in a representation or a log."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        """Raises ModelSettingsError."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ModelSettingsError(
                "言語モデルのアドレス（--llm-url）は「http://127.0.0.1:11434/v1」のように、http:// か https:// から指定してください。"
            )
        if parts.username or parts.password:
            raise ModelSettingsError(
                "言語モデルのアドレス（--llm-url）に名前や合言葉を書かず、鍵は環境変数 DXQA_LLM_KEY で渡してください。"
            )
        if not self.model.strip():
            raise ModelSettingsError("言語モデルの名前を --llm-model（DXQA_LLM_MODEL）で指定してください。")

    @property
    def base_url(self) -> str:
        """Where the client asks: 「http://127.0.0.1:11434」 is taken for 「http://127.0.0.1:11434/v1」, which all such servers have."""
        return self.url if urlsplit(self.url).path.strip("/") else f"{self.url.rstrip('/')}/v1"


class LanguageModel:
    """A `qa.written.Writer` over an endpoint; threads may share it."""

    def __init__(self, settings: ModelSettings) -> None:
        from httpx2 import Limits
        from openai import DefaultHttpxClient, OpenAI, Timeout

        from qa.model_stream import marked

        self.settings = settings
        times = Timeout(settings.timeout_s, connect=min(CONNECT_S, settings.timeout_s))
        self._client = OpenAI(
            base_url=settings.base_url,
            api_key=settings.key or "-",  # servers of one's own ask for none, the client for any
            timeout=times,
            max_retries=0,
            # whoever answers must not send questions and passages on to somebody else
            http_client=DefaultHttpxClient(
                follow_redirects=False,
                timeout=times,
                # a connection of a while ago may be closed by the other side just as it is used again, and nothing is tried twice
                limits=Limits(max_keepalive_connections=0),
                event_hooks={"response": [marked]},
            ),
        )

    def close(self) -> None:
        """Lets go of all connections."""
        self._client.close()

    def write(self, told: Sequence[dict[str, str]], until: float) -> Iterator[str]:
        """The pieces of a text; raises WriterError where the model cannot be reached, fails, is late, or is cut off.

        The time holds whatever the model does, also where it sends a letter a second: it is read in a thread of its own, which ends
        with the connection.
        """
        pieces: queue.SimpleQueue[str | WriterError | None] = queue.SimpleQueue()
        reading = _Reading(self._client, self.settings.model, list(told), pieces)
        threading.Thread(target=reading.run, name="language-model", daemon=True).start()
        try:
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    raise WriterError("the model did not end in time", TOO_SLOW)
                try:
                    piece = pieces.get(timeout=left)
                except queue.Empty:
                    raise WriterError("the model did not end in time", TOO_SLOW) from None
                if piece is None:
                    return
                if isinstance(piece, WriterError):
                    raise piece
                yield piece
        finally:
            reading.stop()


class _Reading:
    """One call of a model, read in its own thread."""

    def __init__(
        self,
        client: Any,
        model: str,
        told: list[dict[str, str]],
        pieces: queue.SimpleQueue[str | WriterError | None],
    ) -> None:
        self._client, self._model, self._told, self._pieces = client, model, told, pieces
        self._stream: Any = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Lets go of the connection, wherever the reading is."""
        self._stopped.set()
        if self._stream is not None:
            with suppress(Exception):  # it is being read in the other thread
                self._stream.close()

    def run(self) -> None:
        """Puts pieces into the queue, then None, or why there are no more."""
        try:
            self._read()
        except WriterError as error:
            self._pieces.put(error)
        except Exception as error:  # the client's errors, and whatever a broken reply makes of its parsing
            kind = type(error).__name__
            note = TOO_SLOW if "Timeout" in kind else NOT_REACHED
            self._pieces.put(WriterError(f"the model failed: {kind}", note))
        else:
            self._pieces.put(None)
        finally:
            self.stop()

    def _read(self) -> None:
        self._stream = self._client.chat.completions.create(
            model=self._model, messages=self._told, stream=True, temperature=0, max_tokens=MOST_TOKENS
        )
        if self._stopped.is_set():  # while it was being opened: nobody else closes it
            return
        response = self._stream.response
        if response.headers.get("content-type", "").startswith("application/json"):
            self._take_whole(response)
            return
        ended: str | None = None
        for chunk in self._stream:
            if self._stopped.is_set():
                return
            for choice in (chunk.choices or [])[:1]:
                piece = choice.delta.content if choice.delta is not None else None
                if isinstance(piece, str) and piece:
                    self._pieces.put(piece)
                ended = choice.finish_reason or ended
        # some servers give no reason, but the mark after the last piece
        if ended is None and response.stream.is_done:
            return
        if ended != "stop":
            raise WriterError(f"the model was cut off: {ended}", UNUSABLE)

    def _take_whole(self, response: Any) -> None:
        """A reply at once, from servers that do not stream."""
        body = b""
        for part in response.iter_bytes():
            body += part
            if self._stopped.is_set() or len(body) > MOST_BYTES:
                raise WriterError("the model's reply is too long", UNUSABLE)
        try:
            choice = json.loads(body)["choices"][0]
            text, ended = choice["message"]["content"], choice.get("finish_reason")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise WriterError("the model's reply is none", UNUSABLE) from error
        if not isinstance(text, str) or ended not in {"stop", None}:
            raise WriterError(f"the model was cut off: {ended}", UNUSABLE)
        self._pieces.put(text)
