"""What a question may be, the same over HTTP, on the pages and in Python.

In: words that somebody asks. Out: the same, or a ValueError with a Japanese message. Nothing is searched here.
"""

from __future__ import annotations

import unicodedata

MAX_QUESTION_CHARS = 500
MAX_HISTORY = 20
MOST_PASSAGES = 50
TOP_K = 5
"""Passages with an answer, unless a client asks for another number: on the page, two screens of cards."""


def clean_text(text: str) -> str:
    """The text as it is; raises ValueError where it holds control characters or halves of characters."""
    for character in text:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\t\n\r"):
            raise ValueError("制御文字など、質問に使えない文字が含まれています。取り除いてください。")
    return text
