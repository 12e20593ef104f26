"""How far written answers are borne out: citations, numbers, refusals, for any configured language model.

    DXQA_LLM_URL=… DXQA_LLM_MODEL=… python benchmarks/answers.py [--questions FILE.jsonl] [--documents DIR] [--json]

In: questions with what they have for an answer (`benchmarks/sample_questions.jsonl`). Asks each, has the model write, and judges its own
words before anything is left out, by exact support (`qa.support`), which no other model takes part in:

- citation recall: sentences that are borne out by what they cite, of all sentences;
- citation precision: citations without which the sentence would not be borne out, or that bear it out alone, of all citations
  (Gao et al. 2023, ALCE, with exact support in the place of entailment);
- unsupported numbers: numbers, dates, times and telephone numbers that no cited passage holds, of all of them;
- refused: questions without an answer that got none; written for nothing: those that got one;
- fallen back: questions answered by quotations after all, by reason.

Without a model there is `--honest`: what is written is the quoted answer itself with its citations, so that the figures show what the judge
makes of the truth (1.0, 1.0, 0).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from build_index import SAMPLES
from index.build import build
from index.encoder import SentenceEncoder, best_precision, process_threads
from index.passages import model_record
from index.store import load_current
from options import HOME, setting
from qa.answer import Reply, ask
from qa.draft import drafted
from qa.language_model import LanguageModel, ModelSettings
from qa.support import unsupported
from qa.written import TIMEOUT_S, ModelSettingsError, Words, Writer, evidence_of, write

VALUES = frozenset({"number", "date", "time", "code"})


class Honest:
    """Writes the quoted answer of the reply that it is told of."""

    def __init__(self) -> None:
        self.reply: Reply | None = None

    def write(self, told: Sequence[dict[str, str]], until: float) -> Iterator[str]:
        """The sentences of the answer, each with its citations."""
        assert self.reply is not None
        for sentence in self.reply.answer.sentences:
            words = " ".join(sentence.text.split()).rstrip("。")
            yield f"{words}{''.join(f'[{n}]' for n in sentence.citations)}。\n"


def judged(reply: Reply, text: str) -> dict[str, int]:
    """Counts of one draft: sentences, those borne out, citations, needed ones, values, those not borne out."""
    evidence = evidence_of(reply)
    count: Counter[str] = Counter()
    for one in drafted(text):
        cited = [evidence[number] for number in one.citations if number in evidence]
        lacking = unsupported(one.text, cited)
        fits = bool(cited) and len(cited) == len(one.citations) and not lacking
        count["sentences"] += 1
        count["borne_out"] += fits
        count["citations"] += len(one.citations)
        if fits:
            for place, own in enumerate(cited):
                rest = cited[:place] + cited[place + 1 :]
                count["needed"] += (
                    not unsupported(one.text, [own]) or not rest or bool(unsupported(one.text, rest))
                )
        count["values"] += sum(claim.kind in VALUES for claim in unsupported(one.text, []))
        count["false_values"] += sum(claim.kind in VALUES for claim in lacking)
    return dict(count)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 wrong use."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=Path, default=SAMPLES, help="what is indexed (the samples)")
    parser.add_argument(
        "--questions",
        type=Path,
        default=HOME / "benchmarks" / "sample_questions.jsonl",
        help='a JSON object a line: "question", and where there are such "history" and "type": "unanswerable"',
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=Path(setting("MODELS", str(HOME / "var" / "models"))),
        help="the folder of embedding models (DXQA_MODELS)",
    )
    parser.add_argument("--llm-url", default=setting("LLM_URL", ""), help="as for server.py (DXQA_LLM_URL)")
    parser.add_argument(
        "--llm-model", default=setting("LLM_MODEL", ""), help="as for server.py (DXQA_LLM_MODEL)"
    )
    parser.add_argument(
        "--llm-timeout",
        type=float,
        default=float(setting("LLM_TIMEOUT", str(TIMEOUT_S))),
        help="seconds for each answer (DXQA_LLM_TIMEOUT)",
    )
    parser.add_argument("--honest", action="store_true", help="without a model, as above")
    parser.add_argument("--count", type=int, default=10**9, help="only the first ones")
    parser.add_argument(
        "--json", action="store_true", help="the last line is JSON and nothing else is printed"
    )
    args = parser.parse_args(argv)
    if not args.honest and not args.llm_url:
        print("--llm-url と --llm-model、または --honest を指定してください。", file=sys.stderr)
        return 2
    own = Honest()
    writer: Writer = own
    if not args.honest:
        key = os.environ.get("DXQA_LLM_KEY", "")
        try:
            writer = LanguageModel(ModelSettings(args.llm_url, args.llm_model, key, args.llm_timeout))
        except ModelSettingsError as error:
            print(error, file=sys.stderr)
            return 2
    for given in (args.questions, args.documents):
        if not given.exists():
            print(f"{given} が見つかりません。", file=sys.stderr)
            return 2
    encoder = SentenceEncoder.load(
        None, models_dir=args.models, threads=process_threads(), precision=best_precision()
    )
    lines = [
        json.loads(line) for line in args.questions.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    with tempfile.TemporaryDirectory() as folder:
        build(args.documents, Path(folder) / "index", encoder)
        index = load_current(Path(folder) / "index", model_record(encoder))
        total: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        times: list[float] = []
        for line in lines[: args.count]:
            history = tuple(line.get("history") or ())
            reply = own.reply = ask(index, encoder, line["question"], history=history)
            answerable = line.get("type") != "unanswerable"
            total["questions"] += 1
            started = time.perf_counter()
            *came, last = write(reply, writer, history=history, timeout_s=args.llm_timeout)
            assert isinstance(last, Reply)
            if not reply.answerable:
                total["refused_rightly" if not answerable else "refused_wrongly"] += 1
                continue
            times.append(time.perf_counter() - started)
            total["answered_for_nothing"] += not answerable
            written = last.answer.mode == "generated"
            total["written"] += written
            if not written:
                notes[last.notes[-1]] += 1
            total.update(judged(reply, "".join(one.text for one in came if isinstance(one, Words))))
    print(json.dumps(figures(total, notes, times), ensure_ascii=False, indent=None if args.json else 1))
    return 0


def figures(total: Counter[str], notes: Counter[str], times: Sequence[float]) -> dict[str, Any]:
    """What is printed, of the counts of all questions."""

    def share(part: str, whole: str) -> float | None:
        return round(total[part] / total[whole], 4) if total[whole] else None

    return {
        "questions": total["questions"],
        "written": total["written"],
        "fallen_back": dict(notes),
        "sentences": total["sentences"],
        "citation_recall": share("borne_out", "sentences"),
        "citation_precision": share("needed", "citations"),
        "values": total["values"],
        "unsupported_values": share("false_values", "values"),
        "refused_rightly": total["refused_rightly"],
        "refused_wrongly": total["refused_wrongly"],
        "answered_for_nothing": total["answered_for_nothing"],
        "median_s": round(statistics.median(times), 3) if times else None,
    }


if __name__ == "__main__":
    sys.exit(main())
