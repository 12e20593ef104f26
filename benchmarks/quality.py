"""Retrieval quality on a folder in BEIR's shape, through the product's own code.

    python benchmarks/quality.py --dataset DIR [--json] [--model NAME_OR_FOLDER] [--limit N]

The folder holds corpus.jsonl, queries.jsonl and qrels.tsv (query, document, grade; tabs, no header). The text of a
document is its title, a line break and its text. Prints nDCG@10, Recall@5, Recall@10 and MRR@10 (by ir_measures)
of the vectors, the words and their fusion. One document is one row here: chunking is measured elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ir_measures
import numpy as np
from ir_measures import RR, R, nDCG

from corpus.chunks import sentence_lines
from corpus.records import Passage
from corpus.text import searchable
from index.encoder import PRECISIONS, SentenceEncoder, best_precision
from index.engines import Engines, own_headings, probe
from index.late import LateWriter, TokenFile
from index.passages import encode, tokens_of
from options import setting

HOME = Path(__file__).resolve().parents[1]
MEASURES = {"nDCG@10": nDCG @ 10, "Recall@5": R @ 5, "Recall@10": R @ 10, "MRR@10": RR @ 10}
DEPTH = 60


def lines_of(path: Path) -> list[dict[str, str]]:
    """The records of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def qrels_of(folder: Path, asked: set[str]) -> list[ir_measures.Qrel]:
    """The judgements of the queries that are asked."""
    lines = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line]
    return [
        ir_measures.Qrel(query, document, int(grade)) for query, document, grade in rows if query in asked
    ]


def passage_of(document: dict[str, str]) -> Passage:
    """A title is to its text what a heading is to a passage: the nearest name above it."""
    title = searchable(document.get("title", ""))
    words, sentences = sentence_lines(document["text"])
    return Passage(title, title, title.replace("\n", " "), words, sentences)


def _runs(
    engines: Engines, encoder: SentenceEncoder, corpus: list[dict[str, str]], queries: list[dict[str, str]]
) -> dict[str, list[ir_measures.ScoredDoc]]:
    """What each engine and their fusion find for each query."""
    runs: dict[str, list[ir_measures.ScoredDoc]] = {"dense": [], "lexical": [], "fused": []}
    for query in queries:
        asked = probe(encoder, query["text"])
        for name, ranked in (
            ("dense", engines.by_vector(asked, DEPTH)),
            ("lexical", engines.by_word(asked, DEPTH)),
            ("fused", [(found.row, found.score) for found in engines.search(asked, DEPTH)]),
        ):
            runs[name].extend(
                ir_measures.ScoredDoc(query["id"], corpus[row]["id"], score) for row, score in ranked
            )
    return runs


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 an unusable dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset", type=Path, required=True, help="corpus.jsonl、queries.jsonl、qrels.tsv のあるフォルダー"
    )
    parser.add_argument("--json", action="store_true", help="最後の行に JSON だけを出す")
    parser.add_argument(
        "--model", default=setting("MODEL", "") or None, help="sentence-transformers の名前かフォルダー"
    )
    parser.add_argument("--models", type=Path, default=Path(setting("MODELS", str(HOME / "var" / "models"))))
    parser.add_argument("--limit", type=int, default=None, help="質問の数を限る（試すとき）")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default=best_precision(), help="モデルの計算の精度"
    )
    args = parser.parse_args(argv)
    try:
        corpus = lines_of(args.dataset / "corpus.jsonl")
        queries = lines_of(args.dataset / "queries.jsonl")[: args.limit]
        qrels = qrels_of(args.dataset, {query["id"] for query in queries})
    except (OSError, ValueError) as error:
        print(
            f"データセットを読めません（{error}）。--dataset のフォルダーを確かめてください。",
            file=sys.stderr,
        )
        return 2

    encoder = SentenceEncoder.load(args.model, models_dir=args.models, precision=args.precision)
    passages = {str(row): passage_of(document) for row, document in enumerate(corpus)}
    headings = [passage.heading for passage in passages.values()]
    rows_with_heading = own_headings(headings)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with LateWriter(Path(folder) / "late", encoder.dimension) as writer:
            vectors, gives = encode(encoder, passages, writer.add)
            writer.close(list(passages))
        encoding_s = time.perf_counter() - started
        heading_vectors = encoder.encode_passages([headings[row] for row in rows_with_heading])
        engines = Engines.build(
            np.stack(list(vectors.values())),
            heading_vectors,
            rows_with_heading,
            [tokens_of(passage) for passage in passages.values()],
            TokenFile(Path(folder) / "late") if gives else None,
        )
        runs = _runs(engines, encoder, corpus, queries)
    figures = {}
    for name, run in runs.items():
        found = ir_measures.calc_aggregate(list(MEASURES.values()), qrels, run)
        figures[name] = {label: round(found[measure], 4) for label, measure in MEASURES.items()}
    if not args.json:
        print(
            f"{args.dataset.name}: {len(corpus)} documents, {len(queries)} queries, model {encoder.name}, "
            f"{len(corpus) / encoding_s:.1f} documents/s"
        )
        print(f"{'':10}" + "".join(f"{label:>12}" for label in MEASURES))
        for name, values in figures.items():
            print(f"{name:10}" + "".join(f"{value:>12.4f}" for value in values.values()))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
