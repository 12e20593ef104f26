"""Number formats: a cell's value as a spreadsheet shows it, 45397 as 「2024年4月15日」, 0.5 as 「50%」.

In: a value and its format code. Out: its words. The codes are those of ECMA-376, 18.8.31, as far as offices use them: years of
the Japanese calendar, percent, thousands, decimals, words around the number. What it does not know (fractions, powers) is shown
plainly. This module knows nothing about files.
"""

from __future__ import annotations

import datetime
import re
from functools import lru_cache

# formats that Excel has under these numbers in Japan, and does not write into the file
JAPANESE_BUILTIN: dict[int, str] = {
    14: "yyyy/m/d",
    22: "yyyy/m/d h:mm",
    27: "ge.m.d",
    28: 'ggge"年"m"月"d"日"',
    29: 'ggge"年"m"月"d"日"',
    30: "m/d/yy",
    31: 'yyyy"年"m"月"d"日"',
    32: 'h"時"mm"分"',
    33: 'h"時"mm"分"ss"秒"',
    34: 'yyyy"年"m"月"',
    35: 'm"月"d"日"',
    36: "ge.m.d",
    50: "ge.m.d",
    51: 'ggge"年"m"月"d"日"',
    52: 'yyyy"年"m"月"',
    53: 'm"月"d"日"',
    54: 'ggge"年"m"月"d"日"',
    55: 'yyyy"年"m"月"',
    56: 'm"月"d"日"',
    57: "ge.m.d",
    58: 'ggge"年"m"月"d"日"',
}
# first day, name, one character, one letter; the newest first
_ERAS = (
    (datetime.date(2019, 5, 1), "令和", "令", "R"),
    (datetime.date(1989, 1, 8), "平成", "平", "H"),
    (datetime.date(1926, 12, 25), "昭和", "昭", "S"),
    (datetime.date(1912, 7, 30), "大正", "大", "T"),
    (datetime.date(1868, 1, 25), "明治", "明", "M"),
)
MAX_CODE = 255
"""Longest format code, as in Excel; a value whose code is longer is shown plainly."""
_DAYS = "月火水木金土日"
_ENGLISH_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
# a word in quotation marks, a character after \, a space as wide as one after _, a filler after *, a condition in brackets
_LITERAL = r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<wide>_.)|(?P<fill>\*.)|(?P<bracket>\[[^\]]*\])'
_DATE_TOKEN = re.compile(
    rf"{_LITERAL}|(?P<token>AM/PM|A/P|y+|m+|d+|h+|s+|a{{3,}}|g+|e+|\.0+)|(?P<other>.)", re.IGNORECASE
)
_NUMBER_TOKEN = re.compile(
    rf"{_LITERAL}|(?P<token>General|[#0?][#0?,.]*|[Ee][+-]|[/@])|(?P<other>.)", re.IGNORECASE
)


@lru_cache(maxsize=1 << 14, typed=True)
def shown(value: object, code: str) -> str:
    """A cell's value as it is shown under a format code; text as it is, an empty cell as ""."""
    if value is None:
        return ""
    if len(code) > MAX_CODE:
        code = "General"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, code)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time | datetime.timedelta):
        return _moment(value, code)
    return str(value)


def plain_number(value: int | float) -> str:
    """A number as a cell without a format shows it: eleven digits, no 「.0」."""
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15 if abs(value) < 1e300 else False):
        return str(int(value))
    words = f"{value:.10g}"
    return words if "e" not in words else f"{value:.6g}"


@lru_cache(maxsize=512)
def _sections(code: str) -> tuple[str, ...]:
    """The parts of a code for positive, negative, zero and text, split at 「;」 outside of quotation marks."""
    parts, part = [], ""
    for found in re.finditer(r'"[^"]*"|\\.|[^";\\]+|;|.', code):
        if found[0] == ";":
            parts.append(part)
            part = ""
        else:
            part += found[0]
    return (*parts, part)


def _number(value: int | float, code: str) -> str:
    sections = _sections(code or "General")
    if any(re.search(r"\[[<>=]", section) for section in sections):
        return plain_number(value)  # conditions of its own
    section = sections[0]
    if value < 0 and len(sections) > 1:
        section, value = sections[1], -value
    elif value == 0 and len(sections) > 2:
        section = sections[2]
    compiled = _compile(section)
    if compiled is None:
        return plain_number(value)
    before, digits, after = compiled
    if digits is None:
        return before or plain_number(value)
    if digits.lower() == "general":
        words = plain_number(value)
    else:
        scaled = value * 100 ** (before + after).count("%")
        whole = digits.rstrip(",")
        scaled = scaled / 1000 ** (len(digits) - len(whole))
        integral, _, fraction = whole.partition(".")
        words = f"{abs(scaled):{',' if ',' in integral else ''}.{len(fraction)}f}"
        least = len(re.sub(r"[^0]", "", integral))
        head, point, tail = words.partition(".")
        optional = len(fraction) - len(fraction.rstrip("#"))
        kept = len(tail.rstrip("0")) if optional else len(tail)
        tail = tail[: max(kept, len(fraction) - optional)]
        head = head.zfill(least) if least else ("" if head == "0" and tail else head)
        words = (
            ("-" if scaled < 0 and float(words.replace(",", "")) else "")
            + head
            + (point + tail if tail else "")
        )
    return f"{before}{words}{after}".strip()


@lru_cache(maxsize=512)
def _compile(section: str) -> tuple[str, str | None, str] | None:
    """What stands before the digits, the digits' form, what stands after; None where the form is not known."""
    before, digits, after = "", None, ""
    for found in _NUMBER_TOKEN.finditer(section):
        if found["token"]:
            if digits is not None or found["token"][0] in "/@Ee":
                return None
            digits = found["token"]
            continue
        words = found["quoted"] or found["escaped"] or found["other"] or ""
        if found["bracket"]:
            money = re.match(r"\[\$([^\-\]]*)", found["bracket"])  # 「[$¥-411]」
            words = money[1] if money else ""
        if digits is None:
            before += words
        else:
            after += words
    return before, digits, after


def _moment(value: datetime.datetime | datetime.date | datetime.time | datetime.timedelta, code: str) -> str:
    if isinstance(value, datetime.timedelta):
        seconds = round(value.total_seconds())
        sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
        words = f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}"
        return words + (f":{seconds % 60:02}" if "s" in code.lower() else "")
    if re.match(r"\[\$-(?:x-sysdate|F800)", code, re.IGNORECASE):
        code = 'yyyy"年"m"月"d"日"'
    elif re.match(r"\[\$-(?:x-systime|F400)", code, re.IGNORECASE):
        code = "h:mm:ss"
    section = _sections(code)[0]
    if not re.search(r"[ymdhsaeg]", re.sub(r'"[^"]*"|\[[^\]]*\]', "", section), re.IGNORECASE):
        section = "h:mm" if isinstance(value, datetime.time) else "yyyy/m/d"
    tokens = list(_DATE_TOKEN.finditer(section))
    twelve = any((found["token"] or "").upper() in {"AM/PM", "A/P"} for found in tokens)
    words, hours = "", False
    for place, found in enumerate(tokens):
        token = (found["token"] or "").lower()
        if not token:
            words += found["quoted"] or found["escaped"] or found["other"] or ""
            continue
        if token[0] == "m":
            later = next((t["token"].lower()[0] for t in tokens[place + 1 :] if t["token"]), "")
            minutes = (hours or later == "s") and len(token) <= 2
            words += _part(value, "n" * len(token) if minutes else token, twelve)
        else:
            words += _part(value, token, twelve)
        hours = token[0] == "h" or (hours and token[0] not in "ymdsaeg")
    return words.strip()


def _part(value: datetime.datetime | datetime.date | datetime.time, token: str, twelve: bool) -> str:
    """One token of a date format; 「n」 stands for minutes. Parts of a date that a time does not have are empty."""
    kind, width = token[0], len(token)
    if (kind in "hns.a" and token[:2] in {"am", "a/"}) or kind in "hns.":
        time = value.time() if isinstance(value, datetime.datetime) else value
        if not isinstance(time, datetime.time):
            time = datetime.time()
        if kind == "a":
            return "AM" if time.hour < 12 else "PM"
        if kind == ".":
            return f".{time.microsecond:06}"[:width]
        number = {"h": time.hour, "n": time.minute, "s": time.second}[kind]
        if kind == "h" and twelve:
            number = number % 12 or 12
        return f"{number:0{min(width, 2)}}"
    if isinstance(value, datetime.time):
        return ""
    if kind == "y":
        return f"{value.year:04}" if width > 2 else f"{value.year % 100:02}"
    if kind == "m":
        if width <= 2:
            return f"{value.month:0{width}}"
        return _MONTHS[value.month - 1][: 3 if width == 3 else 1 if width == 5 else None]
    if kind == "d":
        if width <= 2:
            return f"{value.day:0{width}}"
        return _ENGLISH_DAYS[value.weekday()][: 3 if width == 3 else None]
    if kind == "a":
        return _DAYS[value.weekday()] + ("曜日" if width > 3 else "")
    day = value.date() if isinstance(value, datetime.datetime) else value
    era = next((era for era in _ERAS if day >= era[0]), None)
    if era is None:
        return str(day.year) if kind == "e" else ""
    if kind == "g":
        return era[3] if width == 1 else era[2] if width == 2 else era[1]
    return f"{day.year - era[0].year + 1:0{min(width, 2)}}"
