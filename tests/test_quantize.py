"""The quantized model: against the model in 32 bits, side by side, without PyTorch, and where it cannot be had."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from index import encoder as encoder_module
from index.encoder import SentenceEncoder, best_precision
from index.openvino_backend import RECORD, OpenVinoBackend, is_whole
from index.quantize import quantized
from index.torch_backend import TorchBackend

pytestmark = pytest.mark.skipif(best_precision() != "int8", reason="not an x86 processor with AVX2")

# neither in the samples that the ranges are measured on, nor in what they are checked by
TEXTS = [
    "passage: 公民館の予約は、電話と窓口に加えて令和7年度からウェブでも受け付けます。",
    "passage: 1. 調達の方針\n・クラウドを第一に考える\n・契約は3年を基本とする",
    "query: 除雪車の位置をだれが見られますか",
    "passage: " + "水道の検針票をスマートフォンで受け取る人は、初年度に1,240世帯でした。" * 12,
    "query: 予算",
]
ROOT = Path(encoder_module.__file__).parent.parent


@pytest.fixture(scope="module")
def folder(models_dir: Path, encoder: SentenceEncoder) -> Path:
    """The quantized default model."""
    return models_dir / "openvino" / encoder.model_fingerprint


@pytest.fixture(scope="module")
def backend(folder: Path) -> OpenVinoBackend:
    return OpenVinoBackend(folder, 2)


def test_tokens_are_those_of_the_model_and_vectors_nearly(models_dir: Path, backend: OpenVinoBackend) -> None:
    [(_, judged)] = TorchBackend.load(models_dir / "multilingual-e5-small").states([TEXTS])
    [(_, found)] = backend.states([TEXTS])
    assert backend.lengths(TEXTS) == [len(states.ids) for states in found]
    for text, ours, theirs in zip(TEXTS, found, judged, strict=True):
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert ours.spans.tolist() == theirs.spans.tolist()
        assert ours.values.shape == theirs.values.shape
        a, b = ours.values.mean(axis=0), theirs.values.mean(axis=0)
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.997, text
        assert np.abs(a - b).max() > 1e-4  # it is another arithmetic, or this test says nothing


def test_side_by_side_is_as_one_by_one(backend: OpenVinoBackend) -> None:
    batches = [[f"{TEXTS[n % 4]}{n}", TEXTS[(n + 1) % 4]] for n in range(20)]
    together = dict(backend.states(batches))
    assert sorted(together) == list(range(20))
    for number in (0, 7, 19):
        [(_, alone)] = backend.states([batches[number]])
        for ours, theirs in zip(together[number], alone, strict=True):
            assert ours.ids.tolist() == theirs.ids.tolist()
            a, b = ours.values.mean(axis=0), theirs.values.mean(axis=0)
            assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.9999


def test_a_build_that_is_left_half_way_leaves_nothing_behind(backend: OpenVinoBackend) -> None:
    batches = [[f"{TEXTS[0]}{n}"] for n in range(12)]
    for _ in backend.states(batches):
        break
    assert sorted(number for number, _ in backend.states(batches)) == list(range(12))


def test_threads_share_it(backend: OpenVinoBackend) -> None:
    texts = [f"query: 窓口{n}番の受付時間" for n in range(24)]
    alone = [backend.vectors([text], "")[0] for text in texts]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda text: backend.vectors([text], "")[0], texts))
    assert np.stack(together) == pytest.approx(np.stack(alone), abs=1e-4)


def test_neither_torch_nor_a_report_to_the_makers(models_dir: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from index.encoder import SentenceEncoder\n"
        "e = SentenceEncoder.load(None, models_dir=Path(sys.argv[1]), precision='int8')\n"
        "e.encode_question('窓口'); e.encode_passages(['予算'] * 50)\n"
        "print(e.backend.name, sorted({'torch', 'transformers', 'nncf', 'requests', 'sentence_transformers'} & set(sys.modules)))\n"
        "print(sys.modules.get('openvino_telemetry'), 'openvino' in sys.modules)"
    )
    arguments = [sys.executable, "-c", program, str(models_dir.resolve())]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == ("OpenVINO int8 []\nNone True\n", "")


def test_a_question_asked_again_is_remembered(models_dir: Path) -> None:
    class Counting(TorchBackend):
        read = 0

        def states(self, batches):  # type: ignore[no-untyped-def]
            Counting.read += len(batches)
            return super().states(batches)

    model = TorchBackend.load(models_dir / "multilingual-e5-small").model
    encoder = SentenceEncoder(
        Counting(model), name="c", prompts={"query": "query: ", "passage": ""}, model_fingerprint=""
    )
    first = encoder.encode_question("ＤＸ推進  担当の電話")
    again = encoder.encode_question(" DX推進 担当の電話")
    assert Counting.read == 1
    assert again[0] is first[0]
    with pytest.raises(ValueError, match="read-only"):
        first[0][0] = 1.0
    encoder.encode_question("DX推進担当の電話")
    assert Counting.read == 2


def test_the_longest_unasked_question_is_forgotten(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "REMEMBERED", 2)
    tiny = SentenceEncoder.load(str(tiny_folder), models_dir=Path("not-asked"))
    kept = {text: tiny.encode_question(text)[0] for text in ("市", "町")}
    assert tiny.encode_question("市")[0] is kept["市"]
    tiny.encode_question("村")
    assert tiny.encode_question("市")[0] is kept["市"]
    assert tiny.encode_question("町")[0] is not kept["町"]


def test_a_damaged_one_is_made_anew(folder: Path, models_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert is_whole(copy)
    with (copy / "model.bin").open("r+b") as file:
        file.truncate(1000)
    assert not is_whole(copy)
    assert quantized(models_dir / "multilingual-e5-small", copy) == copy
    assert is_whole(copy)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]  # nothing half made is left


def test_one_that_computes_otherwise_is_not_used(folder: Path, models_dir: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder.load(None, models_dir=models_dir)
    (tmp_path / "multilingual-e5-small").symlink_to(models_dir.resolve() / "multilingual-e5-small")
    copy = tmp_path / "openvino" / encoder.model_fingerprint
    shutil.copytree(folder, copy)
    record = json.loads((copy / RECORD).read_text(encoding="utf-8"))
    record["check"]["vector"].reverse()
    (copy / RECORD).write_text(json.dumps(record), encoding="utf-8")
    told: list[str] = []
    loaded = SentenceEncoder.load(None, models_dir=tmp_path, precision="int8", notice=told.append)
    assert loaded.backend.name.startswith("torch")
    assert len(told) == 1
    assert "違うベクトル" in told[0]
    assert told[0].endswith("変換せずに動かします。")


def test_a_model_that_cannot_be_quantized_runs_as_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    first_token = shutil.copytree(tiny_folder, tmp_path / "first-token")
    config = first_token / "1_Pooling" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"pooling_mode": "cls"}))
    told: list[str] = []
    loaded = SentenceEncoder.load(
        str(first_token), models_dir=tmp_path / "models", precision="int8", notice=told.append
    )
    assert loaded.backend.name.startswith("torch")
    assert "平均ではありません" in told[-1]
    (note,) = (tmp_path / "models" / "openvino").iterdir()
    assert note.name == f"{loaded.model_fingerprint}.refused.json"
    # it is known from then on, until another version of a library may judge otherwise
    for by, attempts in (({}, 0), ({"nncf": "0"}, 1)):
        known = json.loads(note.read_text(encoding="utf-8"))
        note.write_text(json.dumps(known | {"by": known["by"] | by}), encoding="utf-8")
        told.clear()
        SentenceEncoder.load(
            str(first_token), models_dir=tmp_path / "models", precision="int8", notice=told.append
        )
        assert ("平均ではありません" in told[-1], len(told)) == (True, 1 + attempts)
