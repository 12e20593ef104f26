"""Where a model's folder is, and what the model in it is called, asks for and is told apart by.

In: the name or folder that an option gives. Out: a folder on this computer, its prompts, its fingerprint. The network is
used only where the caller allows it. No model is loaded here.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from index.e5_weights import RECORD, E5WeightsError, build_e5_folder, quiet_and_offline

DEFAULT_MODEL = "multilingual-e5-small"

VECTORS = "late pooling 2"
"""Names the rules by which vectors are made (`index.encoder`); part of the fingerprint, so that other rules encode anew."""

_E5_NAME = re.compile(r"(?<![a-z0-9])e5(?![0-9])", re.IGNORECASE)
_E5_PROMPTS = {"query": "query: ", "passage": "passage: "}
_SAMPLE_BYTES = (
    1 << 20
)  # of each end of a file: weights of two trainings differ there, and 2 MiB read in 2 ms
_FINGERPRINTED = {".json", ".safetensors", ".bin", ".model", ".txt"}
_NOT_THE_MODEL = {"onnx", "openvino", "NOTICE.txt", RECORD}
_VERSION_KEYS = {"transformers_version", "__version__"}  # who saved the model, which does not change it
_HUB_LEAVES_OUT = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.tflite", "*.mlmodel"]


class ModelNotFoundError(RuntimeError):
    """The model is not there or cannot be read; the message is one Japanese sentence for the user."""


def find_folder(model: str | None, models_dir: Path, allow_hub: bool) -> tuple[Path, str]:
    """The model's folder and its name. A model named by its folder is called as the folder is."""
    if not model or model == DEFAULT_MODEL:  # "" is an environment variable that is set to nothing
        try:
            return build_e5_folder(models_dir / DEFAULT_MODEL), DEFAULT_MODEL
        except E5WeightsError as error:
            raise ModelNotFoundError(str(error)) from error
    path = Path(model).expanduser()
    if path.is_dir():
        return path, path.resolve().name

    from huggingface_hub import snapshot_download

    repository = model if "/" in model else f"sentence-transformers/{model}"
    try:
        with quiet_and_offline(allow_hub=allow_hub):
            cached = snapshot_download(  # nosec B615  # only where --allow-hub asks for it, and the fingerprint of what came is kept
                repository,
                local_files_only=not allow_hub,
                ignore_patterns=_HUB_LEAVES_OUT,
            )
    except (OSError, ValueError) as error:  # huggingface_hub's errors are one or both of these
        raise ModelNotFoundError(
            f"埋め込みモデル「{model}」が、フォルダーとしても、このコンピューターに保存済みの "
            "Hugging Face のモデルとしても見つからないので、モデルのフォルダーのパスを指定するか、"
            f"指定を外して既定の {DEFAULT_MODEL} を使ってください。"
        ) from error
    return Path(cached), model


def prompts_of(folder: Path, name: str) -> dict[str, str]:
    """The prompts by "query" and "passage": the model's own; else e5's for an e5 model; else none."""
    try:
        settings = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
        own = dict(settings.get("prompts") or {})
    except (OSError, ValueError, AttributeError, TypeError):
        own = {}  # a folder without it has no prompts; what is wrong with the model is said where it is loaded
    query, passage = own.get("query") or "", own.get("passage") or own.get("document") or ""
    if not (query or passage) and _E5_NAME.search(name):
        return dict(_E5_PROMPTS)
    return {"query": query, "passage": passage}


def fingerprint(folder: Path) -> str:
    """16 hexadecimal digits of what the model is: every file's name, size, first and last MiB.

    Precision is left out: vectors of both are the same for the search, so an index may move between processors.

    It does not depend on where the folder is, nor on which library version saved it.
    """
    digest = hashlib.sha256(VECTORS.encode())
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        if path.suffix not in _FINGERPRINTED or name.parts[0] in _NOT_THE_MODEL or not path.is_file():
            continue
        size = path.stat().st_size
        if path.suffix == ".json" and size <= _SAMPLE_BYTES:
            content = _without_versions(path)
        else:
            with path.open("rb") as file:
                content = file.read(_SAMPLE_BYTES)
                file.seek(max(0, size - _SAMPLE_BYTES))
                content += file.read() + str(size).encode()
        digest.update(f"\n{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def _without_versions(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        values = json.loads(content)
    except ValueError:
        return content
    if isinstance(values, dict):
        values = {key: value for key, value in values.items() if key not in _VERSION_KEYS}
    return json.dumps(values, sort_keys=True).encode()
