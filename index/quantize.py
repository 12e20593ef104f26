"""Makes an 8-bit model for OpenVINO out of a sentence-transformers folder, once a computer, in a process of its own.

    python -m index.quantize MODEL_FOLDER TARGET_FOLDER

In: a model whose vector is the mean of its token vectors. Out: a folder that `index.openvino_backend` reads. The ranges of
the 8-bit numbers are measured on the samples that ship with the project. Before the folder takes its place, its vectors
are compared with those of the model in 32 bits on other texts of the samples; where they differ, it is not kept.

Weights are quantized per channel and activations per tensor (NNCF); before that, what makes some channels of an
activation a hundred times larger than others is moved into the weights (Xiao et al. 2023, SmoothQuant).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess  # nosec B404  # it starts modules of ours only
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from index.backend import TokenStates
from index.e5_weights import quiet_and_offline
from index.openvino_backend import (
    EMBEDDINGS,
    FORMAT,
    MIN_COSINE,
    MODEL,
    RECORD,
    TOKENIZER,
    OpenVinoBackend,
    QuantizedModelError,
    is_whole,
    openvino,
)
from index.own_process import surroundings

TIMEOUT_S = 900
UNFIT = 3
"""Exit status where the model itself is the reason: whatever is tried again, it will be so again."""
CALIBRATED, CHECKED = 64, 24
"""Texts that the ranges are measured on, and others that the result is judged by."""
LENGTHS = (40, 100, 200, 400)
"""Characters of these texts, in turn: headings, questions and passages."""
MIGRATED = 0.7
"""SmoothQuant's alpha. Least and mean cosine with 32 bits over 170 passages of real documents: 0.4: .960, .974; 0.5: .995,
.996; 0.6: .9983, .9988; 0.7: .9984, .9993; 0.8: .9972, .9993; 0.9: .9945, .9990."""


def quantized(folder: Path, target: Path) -> Path:
    """The quantized model of a folder, at `target`; made where it is not there yet, which takes half a minute.

    Raises QuantizedModelError with a sentence for the log; where a model was found unfit, `refusal` knows it from then on.
    """
    if not is_whole(target):
        try:
            done = subprocess.run(  # noqa: S603  (our own module, two folders)  # nosec B603  # a list of arguments of ours, no shell
                [sys.executable, "-m", "index.quantize", os.fspath(folder), os.fspath(target)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                env=surroundings(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise QuantizedModelError(f"モデルを変換できませんでした（{type(error).__name__}）。") from error
        if done.returncode != 0:
            told = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["理由は不明です。"]
            reason = f"モデルを変換できませんでした（{told[-1][:300]}）。"
            if done.returncode == UNFIT:
                with suppress(OSError):
                    _note(target).write_text(json.dumps({"by": _by(), "reason": reason}), encoding="utf-8")
            raise QuantizedModelError(reason)
    return target


def refusal(target: Path) -> str | None:
    """Why a model was found unfit before, by the same libraries: to try it again would take a minute of each start."""
    try:
        note = json.loads(_note(target).read_text(encoding="utf-8"))
        return str(note["reason"]) if note["by"] == _by() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.refused.json")


def _by() -> dict[str, str]:
    """What a judgement depends on, beside the model."""
    return {"format": str(FORMAT)} | {name: version(name) for name in ("openvino", "nncf", "torch")}


def make(folder: Path, target: Path) -> float:
    """Makes the quantized model and gives its least cosine with the model itself; raises QuantizedModelError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as scratch:
        made = Path(scratch) / "model"
        made.mkdir()
        cosine = _make(folder, made)
        made.chmod(0o755)
        try:
            made.rename(target)
        except OSError:
            # another process was first, or what is there is damaged or of an older form
            if not is_whole(target):
                shutil.rmtree(target, ignore_errors=True)
                made.rename(target)
    return cosine


def _make(folder: Path, made: Path) -> float:
    from index.torch_backend import TorchBackend

    original = TorchBackend.load(folder)
    if not original.pools_tokens:
        raise QuantizedModelError("このモデルのベクトルは、単語ごとのベクトルの平均ではありません。")
    network = original.model[0].model
    record = _save_around(original, made)
    texts = _texts(CALIBRATED + CHECKED)
    # every so many: both sets are of all samples and lengths
    judged = texts[:: len(texts) // CHECKED][:CHECKED]
    measured = [text for text in texts if text not in judged]
    reference = _all(original.states([[text] for text in judged]))
    _save_quantized(network, original, measured, made)
    found = _all(OpenVinoBackend(made, 1).states([[text] for text in judged]))
    if any(a.ids.tolist() != b.ids.tolist() for a, b in zip(reference, found, strict=True)):
        raise QuantizedModelError("単語の分け方が、元のモデルと合いません。")
    cosine = min(_cosine(a, b) for a, b in zip(reference, found, strict=True))
    if not cosine >= MIN_COSINE:  # also refuses NaN
        raise QuantizedModelError(
            f"元のモデルとベクトルが合いません（類似度 {cosine:.4f}、必要 {MIN_COSINE}）。"
        )
    record["check"] = {"text": judged[0], "vector": found[0].values.mean(axis=0).tolist()}
    record["sizes"] = {path.name: path.stat().st_size for path in made.iterdir() if path.name != RECORD}
    (made / RECORD).write_text(json.dumps(record), encoding="utf-8")
    return cosine


def save_converted(folder: Path, made: Path) -> None:
    """The model of a folder converted but not quantized, in the same form: benchmarks compare the two."""
    from index.torch_backend import TorchBackend

    original = TorchBackend.load(folder)
    made.mkdir()
    _save_around(original, made)
    converted = _converted(original.model[0].model, original.dimension)
    openvino().save_model(converted, made / MODEL, compress_to_fp16=False)


def _save_around(original: Any, made: Path) -> dict[str, Any]:
    """Writes what stands around the network: tokenizer, table of word embeddings, and the record, which it gives."""
    import torch

    original.model.tokenizer.backend_tokenizer.save(str(made / TOKENIZER))
    table = original.model[0].model.get_input_embeddings().weight.detach()
    np.save(made / EMBEDDINGS, table.to(torch.float16).numpy(), allow_pickle=False)
    record: dict[str, Any] = {"format": FORMAT, "max_length": original.max_length}
    (made / RECORD).write_text(json.dumps(record), encoding="utf-8")
    return record


def _converted(network: Any, dimension: int) -> Any:
    """The network as an OpenVINO model from word embeddings to token states, in 32 bits."""
    import torch

    class FromEmbeddings(torch.nn.Module):
        """The network without its table of word embeddings."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, inputs_embeds: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            """Token states  # (n, t, dim)."""
            found = self.network(inputs_embeds=inputs_embeds, attention_mask=attention_mask)
            states: torch.Tensor = found.last_hidden_state
            return states

    ov = openvino()
    network.set_attn_implementation("eager")  # its parts are quantized too, a fused one would not be
    example = {
        "inputs_embeds": torch.zeros(2, 16, dimension),
        "attention_mask": torch.ones(2, 16, dtype=torch.long),
    }
    with torch.inference_mode():
        return ov.convert_model(
            FromEmbeddings().eval(),
            example_input=example,
            input=[
                ("inputs_embeds", [-1, -1, dimension], ov.Type.f32),
                ("attention_mask", [-1, -1], ov.Type.i64),
            ],
        )


def _save_quantized(network: Any, original: Any, texts: Sequence[str], made: Path) -> None:
    import nncf

    nncf.set_log_level(logging.ERROR)
    converted = _converted(network, original.dimension)
    table = np.load(made / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
    measured = []
    for text in texts:
        ids = original.model.tokenizer(text, truncation=True, max_length=original.max_length)["input_ids"]
        measured.append([table[ids].astype(np.float32)[None], np.ones((1, len(ids)), np.int64)])
    quantized_model = nncf.quantize(
        converted,
        nncf.Dataset(measured),
        subset_size=len(measured),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            disable_bias_correction=True,  # 14 of 32 seconds, and no difference in the vectors
            smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=MIGRATED),
        ),
    )
    openvino().save_model(quantized_model, made / MODEL)


def _texts(count: int) -> list[str]:
    """Pieces of the samples' texts, of several lengths, from all of them alike."""
    samples = Path(__file__).resolve().parent.parent / "corpus" / "samples"
    whole = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sorted(samples.iterdir())
        if path.suffix in {".txt", ".md"}
    )
    step = len(whole) // count
    return [
        f"passage: {whole[number * step :][: LENGTHS[number % len(LENGTHS)]].strip()}"
        for number in range(count)
    ]


def _all(found: Any) -> list[TokenStates]:
    return [states for _, [states] in sorted(found, key=lambda item: int(item[0]))]


def _cosine(a: TokenStates, b: TokenStates) -> float:
    one, other = a.values.mean(axis=0), b.values.mean(axis=0)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def main() -> int:
    """Exit status: 0 done, 1 and UNFIT with one sentence on standard error."""
    folder, target = map(Path, sys.argv[1:3])
    try:
        with quiet_and_offline():
            cosine = make(folder, target)
    except Exception as error:  # a model and three libraries are other people's code: any error may come
        print(
            str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            file=sys.stderr,
        )
        return UNFIT if isinstance(error, QuantizedModelError) else 1
    print(f"{cosine:.5f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
