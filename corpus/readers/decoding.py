"""From bytes to text: which encoding a Japanese text file is written in.

Strict trial in a fixed order. A statistical detector guesses wrongly on short Japanese texts; each of the
encodings here refuses most texts of the others, so the first that decodes without an error is right.
"""

from __future__ import annotations

import codecs
import re

from corpus.readers.source import ReadError

_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# EUC-JP before CP932: nearly every EUC-JP text is also valid CP932 (as half-width katakana), not the reverse.
_TRIALS = ("utf-8", "euc_jp", "cp932")
# Python's cp932 gives these for the bytes 80, A0 and FD to FF, which stand in no text.
_NO_CP932 = frozenset("\x80\xa0\uf8f0\uf8f1\uf8f2\uf8f3")
_ISO2022_ESCAPES = (b"\x1b$B", b"\x1b$@", b"\x1b(J", b"\x1b(B", b"\x1b(I")
# control codes, without those that stand in texts: tabs, line breaks, page breaks and other separators. Those from U+0080 on are no
# sign of binary data but of a text that was read in the wrong encoding and saved (`corpus.garbled`).
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1b\x7f]")


def decode(data: bytes) -> tuple[str, str]:
    """The text of a file and the name of its encoding, without byte order marks and the zeros that fill up its end.

    `\\r\\n` and `\\r` become `\\n`; nothing else is changed. Raises ReadError for binary data, for a text
    that no encoding fits, and for one without a visible character.
    """
    text, encoding = _decode_strictly(data)
    text = text.lstrip("\ufeff")
    text = (text.rstrip("\x00") or text).replace("\r\n", "\n").replace("\r", "\n")
    if len(_CONTROLS.findall(text)) > max(1, len(text) // 1000):
        raise ReadError(
            "テキストではない（バイナリ）ファイルのようです。テキスト形式で保存し直してください。"
        )
    if not text.strip():
        raise ReadError("文字が一つもありません（空白だけのファイルです）。内容を確かめてください。")
    return text, encoding


def _decode_strictly(data: bytes) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise ReadError(
                    f"文字コード（{encoding}）の途中でデータが壊れています（{error.start}バイト目）。元のファイルを確かめてください。"
                ) from error
    if any(escape in data for escape in _ISO2022_ESCAPES):
        try:
            return data.decode("iso2022_jp_ext"), "iso-2022-jp"
        except UnicodeDecodeError:
            pass
    unmarked = _utf16_without_mark(data)
    if unmarked:
        try:
            return data.decode(unmarked), unmarked
        except UnicodeDecodeError:
            pass
    for encoding in _TRIALS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            if encoding == "utf-8" and _nearly_utf8(data):
                raise ReadError(
                    f"文字コード（UTF-8）の途中でデータが壊れています（{error.start}バイト目）。元のファイルを確かめてください。"
                ) from error
            continue
        if encoding != "cp932" or _NO_CP932.isdisjoint(text):
            return text, encoding
    raise ReadError(
        "文字コードを判別できません（UTF-8・Shift_JIS・EUC-JP・UTF-16のいずれでもありません）。UTF-8で保存し直してください。"
    )


def _nearly_utf8(data: bytes) -> bool:
    """Whether a few bytes only are not UTF-8: a file cut off in a character would be read as CP932, all of it
    garbled (「遯灘哨」 for 「窓口」)."""
    text = data.decode("utf-8", errors="replace")
    japanese = sum(1 for c in text if "\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff")
    return japanese > 2 * text.count("\ufffd")


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 without a byte order mark: only there do zero bytes stand in a text; its order is the one
    in which nearly all characters are those of Japanese texts. Kana and ASCII in the wrong order look like
    rare kanji, so where both orders would do, the one with more kana and ASCII is right; so do the bytes of other
    encodings (「楷摮睯」 is "window"), so kana and ASCII must be there, and of ASCII alone a zero beside each letter."""
    sample = data[:4096]
    zeros = sample.count(b"\x00")
    if len(data) % 2 or not zeros or (sample.isascii() and zeros * 5 < 2 * len(sample)):
        return None
    found: list[tuple[int, str]] = []
    for encoding in ("utf-16-le", "utf-16-be"):
        text = sample.decode(encoding, errors="replace")
        sure = sum(1 for c in text if c in "\t\r\n" or " " <= c <= "~" or "\u3000" <= c <= "\u30ff")
        usual = sum(
            1
            for c in text
            if c in "\t\r\n"
            or " " <= c <= "~"
            or "\u2010" <= c <= "\u27bf"  # 「…」「→」「①」「■」
            or "\u3000" <= c <= "\u9fff"
            or "\uff00" <= c <= "\uffef"
        )
        if usual > 0.9 * len(text) and sure > 0.1 * len(text):
            found.append((sure, encoding))
    return max(found)[1] if found else None
