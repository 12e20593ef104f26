"""Numerals of lists: 「③」「ウ」「三」「iii」 for 3.

In: a number and the name of a numeral system, as Word's numbering names it (`w:numFmt`). Out: how it is printed. Knows nothing about files.
"""

from __future__ import annotations

_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
_NARROW_KANA = str.maketrans(
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝ",
)
_KANJI = "〇一二三四五六七八九"
_LEGAL = "〇壱弐参四伍六七八九"
_ROMAN = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL")),
    *((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
# systems that go through a row of signs once; beyond it the number is printed in digits, as Word does
_SIGNS = {
    "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "decimalEnclosedCircleChinese": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "decimalEnclosedParen": "⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽⑾⑿⒀⒁⒂⒃⒄⒅⒆⒇",
    "decimalEnclosedFullstop": "⒈⒉⒊⒋⒌⒍⒎⒏⒐⒑⒒⒓⒔⒕⒖⒗⒘⒙⒚⒛",
    "ideographEnclosedCircle": "㊀㊁㊂㊃㊄㊅㊆㊇㊈㊉",
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
    "aiueoFullWidth": _AIUEO,
    "aiueo": _AIUEO.translate(_NARROW_KANA),
    "irohaFullWidth": _IROHA,
    "iroha": _IROHA.translate(_NARROW_KANA),
}
LONGEST = 30_000
"""Numbers above are printed in digits in every system: a thousand years of roman 「M」 are no list."""


def numeral(number: int, system: str) -> str:
    """A number as a system of Word prints it; digits where the system is unknown or has no sign for it.

    >>> [numeral(3, system) for system in ("decimalEnclosedCircle", "aiueoFullWidth", "japaneseCounting", "lowerRoman")]
    ['③', 'ウ', '三', 'iii']
    """
    if system in {"decimalFullWidth", "decimalFullWidth2"}:
        return str(number).translate(_WIDE)
    if system == "decimalZero":
        return f"{number:02}"
    if not 0 < number <= LONGEST:
        return str(number)
    if system in _SIGNS:
        signs = _SIGNS[system]
        return signs[number - 1] if number <= len(signs) else str(number)
    if system in {
        "japaneseCounting",
        "chineseCounting",
        "chineseCountingThousand",
        "taiwaneseCountingThousand",
    }:
        return _counted(number, _KANJI, "十百千万", drop_one=True)
    if system == "japaneseLegal":
        return _counted(number, _LEGAL, "拾百阡萬", drop_one=False)
    if system in {"ideographDigital", "japaneseDigitalTenThousand", "taiwaneseDigital", "koreanDigital2"}:
        return "".join(_KANJI[int(digit)] for digit in str(number))
    if system in {"upperRoman", "lowerRoman"}:
        roman = _roman(number)
        return roman if system == "upperRoman" else roman.lower()
    if system in {"upperLetter", "lowerLetter"}:
        # Word counts a … z, aa, bb, … zz
        letter = chr(ord("A") + (number - 1) % 26) * min((number - 1) // 26 + 1, 9)
        return letter if system == "upperLetter" else letter.lower()
    return str(number)


def _counted(number: int, digits: str, units: str, *, drop_one: bool) -> str:
    """「百二十三」: digits with their units; a one before 十, 百 and 千 is not said where `drop_one`."""
    printed = ""
    for place, digit in enumerate(reversed(str(number))):
        if digit != "0":
            unit = units[place - 1] if place else ""
            one = drop_one and digit == "1" and 0 < place < 4
            printed = ("" if one else digits[int(digit)]) + unit + printed
    return printed


def _roman(number: int) -> str:
    printed = ""
    for value, sign in _ROMAN:
        printed += sign * (number // value)
        number %= value
    return printed
