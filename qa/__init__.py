"""Questions to answers: what a question asks, which passages answer it, and how they are cited.

    from qa import Assistant

    assistant = Assistant.load()
    reply = assistant.ask("青葉野市の担当部署の電話番号は？")

The names below are for programs of others (docs/programming.md). Each is imported when it is first asked for: whoever imports a module
of this package imports nothing else with it.
"""

TYPE_CHECKING = False  # what `typing` calls so; a type checker knows it by its name
if TYPE_CHECKING:
    from qa.answer import AnswerSentence, AnswerText, AppliedFilters, Contact, Passages, Reply, Understood
    from qa.assistant import Assistant, AssistantError, NotFoundError, NotReadyError, WrongRequestError
    from qa.catalog import CaseEntry, DocumentDetail, DocumentEntry, FieldEntry, OutlineEntry
    from qa.cite import CaseLabel, Citation, Highlight, Scores
    from qa.similar import SimilarCase
    from qa.understand import Filters

__all__ = [
    "AnswerSentence",
    "AnswerText",
    "AppliedFilters",
    "Assistant",
    "AssistantError",
    "CaseEntry",
    "CaseLabel",
    "Citation",
    "Contact",
    "DocumentDetail",
    "DocumentEntry",
    "FieldEntry",
    "Filters",
    "Highlight",
    "NotFoundError",
    "NotReadyError",
    "OutlineEntry",
    "Passages",
    "Reply",
    "Scores",
    "SimilarCase",
    "Understood",
    "WrongRequestError",
]

_OTHERS = {
    "answer": (
        "AnswerSentence",
        "AnswerText",
        "AppliedFilters",
        "Contact",
        "Passages",
        "Reply",
        "Understood",
    ),
    "catalog": ("CaseEntry", "DocumentDetail", "DocumentEntry", "FieldEntry", "OutlineEntry"),
    "cite": ("CaseLabel", "Citation", "Highlight", "Scores"),
    "similar": ("SimilarCase",),
    "understand": ("Filters",),
}
_MODULE = dict.fromkeys(__all__, "assistant") | {
    name: module for module, names in _OTHERS.items() for name in names
}


def __getattr__(name: str) -> object:
    """A name of `__all__`, from the module that has it."""
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
