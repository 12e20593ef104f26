"""From bytes to text: which encoding a Japanese text file is written in.

Strict trial in a fixed order. A statistical detector guesses wrongly on short Japanese texts; each of the
encodings here refuses most texts of the others, so the first that decodes without an error is right.
"""

from __future__ import annotations

import codecs
import unicodedata

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
_ISO2022_ESCAPES = (b"\x1b$B", b"\x1b$@", b"\x1b(J", b"\x1b(B", b"\x1b(I")
_BINARY_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP・Word・Excel・PowerPoint"),
    (b"\xd0\xcf\x11\xe0", "古い形式のWord・Excel・PowerPoint"),
    (b"\x89PNG", "PNG画像"),
    (b"\xff\xd8\xff", "JPEG画像"),
    (b"GIF8", "GIF画像"),
    (b"\x1f\x8b", "gzip"),
)
_ALLOWED_CONTROLS = frozenset("\t\n\r\f\x1c\x1d\x1e\x1f\x0b\x85")


def decode(data: bytes) -> tuple[str, str]:
    """The text of a file and the name of its encoding, byte order mark removed.

    `\\r\\n` and `\\r` become `\\n`; nothing else is changed. Raises ReadError for binary data, for a text
    that no encoding fits, and for one without a visible character.
    """
    for signature, name in _BINARY_SIGNATURES:
        if data.startswith(signature):
            raise ReadError(
                f"テキストではなく{name}のファイルです。正しい拡張子に直すか、テキスト形式で保存し直してください。"
            )
    text, encoding = _decode_strictly(data)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    controls = sum(1 for c in text if unicodedata.category(c) == "Cc" and c not in _ALLOWED_CONTROLS)
    if controls > max(1, len(text) // 1000):
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
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise ReadError(
        "文字コードを判別できません（UTF-8・Shift_JIS・EUC-JP・UTF-16のいずれでもありません）。UTF-8で保存し直してください。"
    )


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 without a byte order mark: only there do zero bytes stand in a text; its order is the one
    in which nearly all characters are those of Japanese texts."""
    if len(data) % 2 or b"\x00" not in data:
        return None
    sample = data[:4096]
    for encoding in ("utf-16-le", "utf-16-be"):
        text = sample.decode(encoding, errors="replace")
        usual = sum(
            1
            for c in text
            if c in "\t\r\n" or " " <= c <= "~" or "\u3000" <= c <= "\u9fff" or "\uff00" <= c <= "\uffef"
        )
        if usual > 0.9 * len(text):
            return encoding
    return None
