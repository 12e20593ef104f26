"""What comes in: the questions, filters and conversations that the service takes, checked.

In: what a client or a browser sends. Out: records that the search takes, or a message in Japanese. Nothing is searched here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode

from fastapi import HTTPException, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from corpus.numbers import whole_number
from qa.limits import MAX_HISTORY as MAX_HISTORY  # with `clean_text`, what a question may be
from qa.limits import MAX_QUESTION_CHARS as MAX_QUESTION_CHARS
from qa.limits import MOST_PASSAGES, clean_text
from qa.limits import TOP_K as TOP_K
from qa.understand import Filters

MAX_HISTORY_CHARS = 2_000
MAX_CONDITIONS = 50
"""On a page, all filters together: each of its links holds the whole state."""


# what `clean_text` and the trimming ask for, as a description can say it
_TEXT = "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*"
Question = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION_CHARS),
    AfterValidator(clean_text),
    Field(json_schema_extra={"pattern": f"^{_TEXT}[^\\s\\x00-\\x1f\\x7f-\\x9f]{_TEXT}$"}),
]
Earlier = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_QUESTION_CHARS),
    AfterValidator(clean_text),
    Field(json_schema_extra={"pattern": f"^{_TEXT}$"}),
]
Names = Annotated[list[Annotated[str, StringConstraints(max_length=200)]], Field(max_length=200)]


def _read_persons(given: Any) -> Any:
    """What a form sends for a number of persons: nothing is no condition, 「3万」 is 30,000."""
    if isinstance(given, bool):  # which would count as 1 and 0
        raise ValueError("人口は数で指定してください。")
    if not isinstance(given, str):
        return given
    if not given.strip():
        return None
    number = whole_number(given)
    if number is None:
        raise ValueError("人口は「30000」「3万」「三万五千」のように入力してください。")
    return number


MOST_PERSONS = 200_000_000
Persons = Annotated[
    Annotated[int, Field(ge=0, le=MOST_PERSONS)] | None,
    BeforeValidator(_read_persons),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MOST_PERSONS},
                {"type": "string", "pattern": "^([0-9]{0,8}|[1-9][0-9]{0,3}万)$"},
                {"type": "null"},
            ],
            "description": "人。「30000」「3万」「三万五千」のようにも書ける",
        }
    ),
]


def _no_truth_value(given: Any) -> Any:
    if isinstance(given, bool):  # which would count as 1 and 0
        raise ValueError("整数で指定してください。")
    return given


NO_TRUTH_VALUE = BeforeValidator(_no_truth_value)
"""Of a whole number; it stands after the bounds, which a description would not say else."""
TopK = Annotated[int, Field(ge=1, le=MOST_PASSAGES), NO_TRUTH_VALUE]


class FilterRequest(BaseModel):
    """Conditions on what may be searched; empty ones do not count."""

    document_ids: Annotated[Names, Field(description="資料の番号（id）")] = []
    case_ids: Annotated[Names, Field(description="事例の番号（id）")] = []
    organizations: Annotated[Names, Field(description="団体（例：山形県酒田市）")] = []
    prefectures: Annotated[Names, Field(description="都道府県（例：山形県）")] = []
    regions: Annotated[Names, Field(description="地方（例：東北）")] = []
    organization_kinds: Annotated[Names, Field(description="団体の種類（例：政令指定都市、市、町、村）")] = []
    population_bands: Annotated[
        Names, Field(description="人口規模（事例集の区分のとおり。例：5万人以上10万人未満）")
    ] = []
    categories: Annotated[Names, Field(description="事例集の分類（事例の category のとおり）")] = []
    population_min: Persons = None
    population_max: Persons = None

    def filters(self) -> Filters:
        """The same as the record that the search takes."""
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in self.model_dump().items()
        }
        return Filters(**given)


ConditionName = Literal[
    "organizations",
    "prefectures",
    "regions",
    "organization_kinds",
    "population_bands",
    "categories",
    "population_min",
    "population_max",
    "near_population",
]


class AskRequest(BaseModel):
    """A question, with the earlier ones of the conversation, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "question": "担当部署の電話番号は？",
                    "history": ["青葉野市の窓口改革について教えて"],
                    "top_k": 5,
                    "filters": {"organization_kinds": ["市"], "population_max": 100000},
                }
            ]
        }
    )
    question: Question
    history: Annotated[list[Earlier], Field(max_length=MAX_HISTORY)] = []
    top_k: TopK = TOP_K
    filters: FilterRequest = FilterRequest()
    without: Annotated[
        list[ConditionName], Field(max_length=20, description="質問から読み取らないでほしい条件の名前")
    ] = []
    answer: Literal["extractive", "generated"] = "extractive"


# ---------------------------------------------------------------- a question as an address


@dataclass(frozen=True, slots=True)
class Asked:
    """A state of the page: a question, the earlier ones (oldest first), the person's filters, the names of conditions that
    must not be read from the question, and whether the answer is written too. Its address gives the same page to whoever opens it."""

    question: str = ""
    history: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)
    without: tuple[str, ...] = ()
    written: bool = False

    def pairs(self) -> list[tuple[str, str]]:
        """The state as the pairs of an address's query, in one order."""
        pairs = [("h", text) for text in self.history]
        pairs += [("q", self.question)] if self.question else []
        pairs += [("without", name) for name in self.without]
        pairs += [("answer", "generated")] if self.written else []
        return pairs + filter_pairs(self.filters)

    def address(self, path: str = "/") -> str:
        """The address of this state, or of another page that is told of it."""
        query = urlencode(self.pairs())
        return f"{path}{'&' if '?' in path else '?'}{query}" if query else path

    def problem(self) -> str | None:
        """Why it cannot be answered, in words; None where it can."""
        for text in (self.question, *self.history):
            if len(text) > MAX_QUESTION_CHARS:
                return f"質問は{MAX_QUESTION_CHARS}文字以内で入力してください（いま{len(text)}文字）。"
            try:
                clean_text(text)
            except ValueError as error:
                return str(error)
        return None

    def filtered(self, name: str, value: Any) -> Asked:
        """The same with one of the person's filters set anew."""
        return replace(self, filters=replace(self.filters, **{name: value}))


def filter_pairs(filters: Filters) -> list[tuple[str, str]]:
    """Filters as pairs of an address's query."""
    pairs: list[tuple[str, str]] = []
    for item in fields(Filters):
        value = getattr(filters, item.name)
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        pairs += [(item.name, str(v)) for v in values]
    return pairs


def few(filters: Filters) -> Filters:
    """The filters of a page's address; HTTPException where they are more than a page has links for."""
    count = len(filter_pairs(filters))
    if count > MAX_CONDITIONS:
        raise HTTPException(
            422, f"絞り込みの条件が多すぎます（いま{count}個、上限{MAX_CONDITIONS}個）。減らしてください。"
        )
    return filters


def _recent(texts: Sequence[str]) -> tuple[str, ...]:
    """The last questions of a conversation, as far as an address should hold them: every link of the page does."""
    kept: list[str] = []
    left = MAX_HISTORY_CHARS
    for text in reversed(texts[-MAX_HISTORY:]):
        left -= len(text)
        if left < 0 and len(text) <= MAX_QUESTION_CHARS:
            break
        kept.append(text)
    return tuple(reversed(kept))


def asked(
    given: Annotated[FilterRequest, Query()],
    q: str = "",
    h: Annotated[list[str] | None, Query()] = None,
    without: Annotated[list[str] | None, Query()] = None,
    answer: str = "",
) -> Asked:
    """The state that an address asks for; what it says of unknown conditions is left out."""
    return Asked(
        q.strip(),
        _recent([text.strip() for text in (h or []) if text.strip()]),
        few(given.filters()),
        tuple(name for name in get_args(ConditionName) if name in (without or [])),
        answer == "generated",
    )


# ---------------------------------------------------------------- what is wrong, in words

# pydantic's error types, in the words of a reader; {x} is taken from the error's context
_JAPANESE = {
    "missing": "必要な項目がありません。",
    "string_too_short": "1文字以上で入力してください。",
    "string_too_long": "{max_length}文字以内で入力してください。",
    "string_type": "文字列で指定してください。",
    "string_unicode": "文字として正しくない内容が含まれています。",
    "int_type": "整数で指定してください。",
    "int_parsing": "整数で指定してください。",
    "int_from_float": "整数で指定してください。",
    "bool_type": "true か false で指定してください。",
    "bool_parsing": "true か false で指定してください。",
    "string_pattern_mismatch": "使えない文字が含まれているか、長さが違います。",
    "list_type": "一覧（配列）で指定してください。",
    "dict_type": "項目の組（オブジェクト）で指定してください。",
    "model_type": "項目の組（オブジェクト）で指定してください。",
    "model_attributes_type": "項目の組（オブジェクト）で指定してください。",
    "greater_than_equal": "{ge}以上の数で指定してください。",
    "less_than_equal": "{le}以下の数で指定してください。",
    "too_short": "{min_length}件以上で指定してください。",
    "too_long": "{max_length}件以内で指定してください。",
    "literal_error": "次のいずれかで指定してください：{expected}。",
    "json_invalid": "JSON として読み取れません。",
    "extra_forbidden": "この名前の項目はありません。",
}
_NO_JSON = "JSON は、見出し「Content-Type: application/json」を付けて送ります。"
"""What who calls with `curl -d` alone has to be told: the body is then no JSON but a form."""


def japanese(error: Any) -> str:
    """One of pydantic's errors (an entry of `errors()`) as a Japanese sentence."""
    if error["type"] == "value_error":
        return str((error.get("ctx") or {}).get("error", error["msg"]))
    template = _JAPANESE.get(error["type"], "値が正しくありません。")
    if error["type"] == "model_attributes_type" and tuple(error["loc"]) == ("body",):
        template += _NO_JSON
    said = dict(error.get("ctx") or {})
    if "expected" in said:  # 「'extractive' or 'generated'」, in pydantic's English
        said["expected"] = str(said["expected"]).replace(" or ", "、").replace(", ", "、").replace("'", "")
    return template.format(**said)
