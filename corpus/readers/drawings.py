"""What Word and PowerPoint draw alike: SmartArt and charts, as words.

In: the XML of a diagram's data part or of a chart. Out: the lines of the diagram, outermost first, or the chart's title and the
rows of its data. Knows nothing about the document around them.
"""

from __future__ import annotations

from typing import Any

from docx.oxml import parse_xml

Element = Any
"""An element of lxml, which has no types."""

_DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
RELATIONSHIPS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
DIAGRAM = f"{_DGM}relIds"
CHART = f"{_C}chart"
_ALTERNATE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
ALTERNATE = f"{_ALTERNATE}AlternateContent"


def chosen(alternate: Element) -> list[Element]:
    """The content of an mc:AlternateContent: its first choice, the fallback only where there is none."""
    for name in ("Choice", "Fallback"):
        found = alternate.find(_ALTERNATE + name)
        if found is not None and len(found):
            return list(found)
    return []


def relationship(drawing: Element) -> str:
    """The id of the part that a diagram or chart in a drawing stands in."""
    name = "dm" if drawing.tag == DIAGRAM else "id"
    return str(drawing.get(RELATIONSHIPS + name, ""))


def diagram_lines(data: bytes) -> list[str]:
    """The texts of a diagram, each before those under it; raises lxml's XMLSyntaxError for broken XML."""
    root = parse_xml(data)
    words: dict[str, str] = {}
    tops: list[str] = []
    for point in root.iter(f"{_DGM}pt"):
        identity = point.get("modelId", "")
        if point.get("type", "node") in {"doc", "node", "asst"}:
            text = point.find(f"{_DGM}t")
            words[identity] = " ".join(_paragraphs(text)) if text is not None else ""
            if point.get("type") == "doc":
                tops.append(identity)
    children: dict[str, list[tuple[int, str]]] = {}
    for link in root.iter(f"{_DGM}cxn"):
        if link.get("type", "parOf") == "parOf":
            order = link.get("srcOrd", "0")
            children.setdefault(link.get("srcId", ""), []).append(
                (int(order) if order.isdigit() and len(order) < 9 else 0, link.get("destId", ""))
            )
    lines: list[str] = []
    waiting, seen = list(reversed(tops)), set[str]()
    while waiting:
        identity = waiting.pop()
        if identity in seen:
            continue
        seen.add(identity)
        if words.get(identity, "").strip():
            lines.append(words[identity])
        waiting.extend(child for _, child in sorted(children.get(identity, []), reverse=True))
    # points that no link reaches stand at the end
    return lines + [text for identity, text in words.items() if identity not in seen and text.strip()]


def chart_table(data: bytes) -> tuple[str, list[list[str]]]:
    """A chart's title and its rows (a head with the names of the series, then one a category), as far as they are kept
    in the file; raises lxml's XMLSyntaxError for broken XML."""
    root = parse_xml(data)
    title = root.find(f"{_C}chart/{_C}title")
    names: list[str] = []
    categories: dict[int, str] = {}
    values: list[dict[int, str]] = []
    for series in root.iter(f"{_C}ser"):
        name = series.find(f"{_C}tx")
        names.append(" ".join(v.text or "" for v in name.iter(f"{_C}v")) if name is not None else "")
        labels = series.find(f"{_C}cat")
        if labels is None:
            labels = series.find(f"{_C}xVal")
        for place, text in _points(labels).items():
            categories.setdefault(place, text)
        figures = series.find(f"{_C}val")
        values.append(_points(figures if figures is not None else series.find(f"{_C}yVal")))
    places = sorted(categories.keys() | {place for column in values for place in column})
    rows = [["", *names]] if any(names) else []
    rows += [[categories.get(place, ""), *(column.get(place, "") for column in values)] for place in places]
    return " ".join(_paragraphs(title)) if title is not None else "", rows


def _paragraphs(element: Element) -> list[str]:
    texts = ("".join(t.text or "" for t in p.iter(f"{_A}t")) for p in element.iter(f"{_A}p"))
    return [text for text in texts if text.strip()]


def _points(element: Element) -> dict[int, str]:
    """Cached points by their place; a category of two levels has its inner one first in the file and is read by that."""
    if element is None:
        return {}
    level = element.find(f".//{_C}lvl")
    scope = element if level is None else level
    code = scope.find(f".//{_C}formatCode")
    percent = code is not None and "%" in (code.text or "")
    found: dict[int, str] = {}
    for point in scope.iter(f"{_C}pt"):
        place, value = point.get("idx", ""), point.find(f"{_C}v")
        if place.isdigit() and len(place) < 9 and value is not None:
            found[int(place)] = _figure(value.text or "", percent)
    return found


def _figure(text: str, percent: bool) -> str:
    """A figure as a person writes it: without the traces of binary fractions, per cent where it is shown so."""
    try:
        number = float(text)
    except ValueError:
        return text
    if percent:
        return f"{number * 100:.6g}%"
    return f"{number:.10g}" if abs(number) < 1e10 else text
