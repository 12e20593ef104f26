"""Checks of the index: every byte of it, what it was made with, whether it finds its own words, and whether it is up to date.

In: `Examined`. Out: findings. Each looks at one thing; where another thing is wrong first, it says that it did not look.
"""

from __future__ import annotations

from pathlib import Path

from build_index import SAMPLES, UsageError, documents_folder
from index.build import plan
from index.checking import SelfQueryError, check_segment
from index.engines import Probe
from index.segment import SegmentDamagedError
from index.tokenizer import grams, tokenize, tokenizer_name
from index.versions import (
    IndexUnusableError,
    NewerIndexError,
    OlderIndexError,
    current_version,
    history,
    read_manifest,
)
from ops.examined import Examined
from ops.finding import Finding, notice, skipped, well, wrong

REBUILD = "build_index.py --full で作り直してください（資料には触りません）"
MOST_DOCUMENTS, MOST_CHUNKS = 50, 20
"""Documents and chunks of each whose places are looked at: of a small index all."""
UNREADABLE = "索引を読めない"


def check_version(examined: Examined) -> Finding:
    """It is known which version is in use, and what it is made of."""
    name, root = "索引", examined.places.index
    try:
        version = current_version(root)
        if version is None:
            if any((root / "versions").glob("*/manifest.json")):
                return wrong(
                    name,
                    f"{root} に、使用中の版を示すファイル（CURRENT）がありません",
                    "build_index.py で作り直すか、build_index.py --rollback で残っている版に戻してください",
                )
            return notice(
                name, f"{root} にまだありません", "build_index.py か server.py を動かすと、作られます"
            )
        if not (root / "versions" / version).is_dir():
            return wrong(
                name,
                f"使用中とされている版「{version}」がありません",
                "build_index.py で作り直すか、build_index.py --rollback で残っている版に戻してください",
            )
        manifest = read_manifest(root, version)
    except OlderIndexError as error:
        return notice(name, str(error).removesuffix("。"), "server.py か build_index.py を動かしてください")
    except NewerIndexError as error:
        return wrong(name, str(error).removesuffix("。"), "プログラムを新しいほうに揃えてください")
    except IndexUnusableError as error:
        return wrong(name, str(error).removesuffix("。"), REBUILD)
    counts = manifest["counts"]
    return well(
        name,
        f"版 {version}・資料 {counts['documents']}件・事例 {counts['cases']}件・本文 {counts['chunks']}件",
    )


def check_bytes(examined: Examined) -> Finding:
    """Every byte of the version in use is as it was written."""
    name = "索引の中身"
    if examined.manifest is None:
        return skipped(name, UNREADABLE)
    own = examined.manifest["segments"]
    problems = [problem for segment, problem in examined.damage.items() if segment in own]
    if problems:
        return wrong(name, f"壊れています（{'、'.join(problems[:3])}）", f"ディスクを確かめ、{REBUILD}")
    return well(name, f"{len(own)}個の部分を最後の1バイトまで読みました")


def check_older_versions(examined: Examined) -> Finding:
    """The versions that one may go back to are whole."""
    name = "前の版"
    others = [entry for entry in history(examined.places.index) if entry.name != examined.version]
    bad = []
    for entry in others:
        manifest = examined.manifests.get(entry.name)
        if manifest is None or examined.damage.keys() & manifest["segments"].keys():
            bad.append(entry.name)
    # what is wrong with a part that the version in use shares is said of that one
    shared = (
        set() if examined.manifest is None else examined.damage.keys() & examined.manifest["segments"].keys()
    )
    if bad and not shared:
        return notice(
            name, f"戻せない版があります（{'、'.join(bad)}）", "作り直しを重ねると、古いものから消えます"
        )
    return well(name, f"{len(others) - len(bad)}個の版に戻せます")


def check_model_of_index(examined: Examined) -> Finding:
    """The index was made with the model that questions are asked with."""
    name, manifest = "索引とモデル", examined.manifest
    if manifest is None:
        return skipped(name, UNREADABLE)
    if examined.model_problem is not None:
        return skipped(name, "モデルが揃っていない")
    own = {
        "name": examined.model_name,
        "fingerprint": examined.model_fingerprint,
        "prompts": examined.prompts,
    }
    differing = [key for key, value in own.items() if manifest["model"].get(key) != value]
    if differing:
        key = differing[-1] if "fingerprint" not in differing else "fingerprint"
        return wrong(
            name,
            f"索引を作ったモデルと違います（{key}：索引「{manifest['model'].get(key)}」・いま「{own[key]}」）",
            f"--model を索引に合わせるか、{REBUILD}",
        )
    return well(name, "合っています")


def check_tokenizer_of_index(examined: Examined) -> Finding:
    """The index was made with the dictionary that questions are cut with."""
    name, manifest = "索引と単語分割", examined.manifest
    if manifest is None:
        return skipped(name, UNREADABLE)
    if manifest["tokenizer"] != tokenizer_name():
        return wrong(
            name, f"違います（索引「{manifest['tokenizer']}」・いま「{tokenizer_name()}」）", REBUILD
        )
    return well(name, "合っています")


def check_citations(examined: Examined) -> Finding:
    """What is quoted stands to the letter in the document, where it is said to stand."""
    name, index = "引用", examined.index
    if index is None:
        return skipped(name, UNREADABLE)
    looked = 0
    for identity in list(index.listing)[:MOST_DOCUMENTS]:
        document = index.documents[identity]
        chunks = index.chunks_of_document(identity)
        for chunk in chunks[:: max(1, len(chunks) // MOST_CHUNKS)]:
            looked += 1
            if document.text[chunk.start : chunk.end] != chunk.text:
                return wrong(
                    name, f"「{document.path}」の本文と引用が合いません（{chunk.start}文字目）", REBUILD
                )
    return well(name, f"{looked}件が原文のとおりです")


def check_search(examined: Examined) -> Finding:
    """Each part of the index finds a row by its own vector, words and grams, and a chunk is found by its own words."""
    name, index = "検索", examined.index
    if index is None:
        return skipped(name, UNREADABLE)
    try:
        for segment in index.segments:
            check_segment(examined.places.index / "segments" / segment)
    except SelfQueryError as error:
        return wrong(name, str(error).split("。")[0], REBUILD)
    except SegmentDamagedError as error:  # since it was read
        return wrong(name, str(error), f"ディスクを確かめ、{REBUILD}")
    identity = next((one for one, count in index.chunk_counts.items() if count), None)
    if identity is None:
        return wrong(
            name, "索引に本文がありません", "資料のフォルダーを確かめ、build_index.py を動かしてください"
        )
    manifest = examined.manifest or {}
    if (
        manifest["model"].get("fingerprint") != examined.model_fingerprint
        or "encoder" not in examined.__dict__
    ):
        return well(
            name, f"{len(index.segments)}個の部分が、自分の本文を見つけました（モデルは通していません）"
        )
    chunks = index.chunks_of_document(identity)
    chunk = chunks[len(chunks) // 2]
    vector, tokens = examined.encoder.encode_question(chunk.text[:200])
    hits = index.search(Probe(vector, tokenize(chunk.text), grams(chunk.text), tokens), 10)
    if not any(hit.chunk.text == chunk.text for hit in hits):
        return wrong(name, f"「{index.listing[identity].path}」の本文が、自分の言葉で見つかりません", REBUILD)
    return well(name, f"{len(index.segments)}個の部分と通しの検索が、自分の本文を見つけました")


def check_freshness(examined: Examined) -> Finding:
    """The index holds what the documents folder holds."""
    name = "索引の新しさ"
    if examined.manifest is None:
        return skipped(name, UNREADABLE)
    try:
        folder = documents_folder(examined.args.documents)
    except UsageError:
        return skipped(name, "資料のフォルダーがない")
    found = plan(folder, examined.places.index)
    known = [item for item in found.items if item.change != "unchanged" or item.paths != item.before]
    changed = [*known, *found.removed]
    if changed:
        paths = [path for item in changed for path in (item.paths or item.before)[:1]]
        return notice(
            name,
            f"索引に入っていない変更が{len(changed)}件あります（{'、'.join(paths[:3])}）",
            "build_index.py を動かすか、管理のページで作り直してください",
        )
    told = "見本の資料" if folder == SAMPLES else str(folder)
    return well(name, f"{told} の{len(found.items)}件が、そのまま入っています")


def check_unreadable(examined: Examined) -> Finding:
    """Every file of the folder could be read when the index was made."""
    name = "読めない資料"
    if examined.manifest is None:
        return skipped(name, UNREADABLE)
    errors = examined.manifest["errors"]
    if errors:
        first = errors[0]
        return notice(
            name,
            f"{len(errors)}件（{Path(first['path']).name}：{first['message']}）",
            "理由のとおりに直すか、フォルダーから出してください",
        )
    return well(name, "ありません")


CHECKS = (
    check_version,
    check_bytes,
    check_older_versions,
    check_model_of_index,
    check_tokenizer_of_index,
    check_citations,
    check_search,
    check_freshness,
    check_unreadable,
)
