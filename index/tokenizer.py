"""Texts to search words: fugashi with UniDic, content words by their lemma.

In: text in searchable form. Out: a list of tokens, the same for building and for asking. A lemma makes one word
of 「進める」 and 「進めた」; a word that the dictionary does not know has no lemma and stands for itself (「DX」).
"""

from __future__ import annotations

import threading
import unicodedata
from importlib.metadata import version

import fugashi

CONTENT = frozenset({"名詞", "動詞", "形容詞", "形状詞", "副詞", "接頭辞", "接尾辞"})
"""Parts of speech that carry meaning (UniDic's pos1)."""
# Words of content form that nearly every sentence has. UniDic's lemmas: する, いる, ある, なる, できる, こと …
STOP = frozenset(
    [
        "為る",
        "居る",
        "有る",
        "成る",
        "出来る",
        "事",
        "物",
        "為",
        "様",
        "等",
        "付く",
        "つく",
        "依る",
        "因る",
        "於く",
        "言う",
        "教える",
        "下さる",
        "何",
        "どの",
        "何処",
    ]
)

_local = threading.local()  # a Tagger is not for two threads at once


def tokenizer_name() -> str:
    """What must agree between build and serve: analyser, dictionary, and the rules of this module."""
    return f"fugashi {version('fugashi').split('.')[0]} + unidic-lite {version('unidic-lite')} / content lemmas 1"


def tokenize(text: str) -> list[str]:
    """The content words of a text as lemmas, in order, NFKC and lower case."""
    tagger = getattr(_local, "tagger", None)
    if tagger is None:
        tagger = _local.tagger = fugashi.Tagger()
    tokens: list[str] = []
    for word in tagger(unicodedata.normalize("NFKC", text.replace("\x00", " "))):
        feature = word.feature
        if feature.pos1 not in CONTENT:
            continue
        # UniDic writes the origin of a loan word into its lemma: 「システム-system」
        lemma = (feature.lemma or word.surface).split("-")[0] or word.surface
        if feature.pos2 == "数詞":
            lemma = word.surface
        if lemma not in STOP:
            tokens.append(lemma.lower())
    return tokens
