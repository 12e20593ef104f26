"""What the checks look at: the options, and what several of them need, read once and without changing anything.

In: parsed options of `python -m ops doctor`. Out: `Examined`. A part that cannot be had is None here; which check says so is theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from index.e5_weights import is_whole as is_whole_model
from index.e5_weights import quiet_and_offline
from index.encoder import (
    PRECISIONS,
    Precision,
    SentenceEncoder,
    best_precision,
    plain_precision,
    process_threads,
)
from index.model_folder import DEFAULT_MODEL, fingerprint, prompts_of
from index.openvino_backend import is_whole
from index.segment import SegmentDamagedError, StoredSegment
from index.store import Index, load_version
from index.versions import IndexUnusableError, history, named_version, read_manifest
from ops.places import Places


def _weights(folder: Path) -> Iterator[Path]:
    for pattern in ("*.safetensors", "*.bin"):
        yield from (file for file in folder.rglob(pattern) if file.stat().st_size)


class Examined:
    """One service, as its options name it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.places = args, Places.of(args)

    # ---- the model

    @cached_property
    def model_folder(self) -> Path | None:
        """The model's folder, None where there is none yet; a name is looked up on this computer only."""
        name = self.args.model
        if not name or name == DEFAULT_MODEL:
            folder = Path(self.args.models) / DEFAULT_MODEL
            return folder if folder.is_dir() else None
        path = Path(name).expanduser()
        if path.is_dir():
            return path
        from huggingface_hub import snapshot_download

        try:
            with quiet_and_offline():
                return Path(
                    snapshot_download(  # nosec B615  # nothing is downloaded: local_files_only
                        name if "/" in name else f"sentence-transformers/{name}", local_files_only=True
                    )
                )
        except (OSError, ValueError):
            return None

    @cached_property
    def model_problem(self) -> str | None:
        """What the model's folder lacks; None where it has everything that a model is loaded from."""
        folder = self.model_folder
        if folder is None:
            return "モデルがありません"
        if self.is_default_model and not is_whole_model(folder):
            return f"{folder} のファイルが足りないか、途中で切れています"
        for name, is_there in (
            ("modules.json", (folder / "modules.json").is_file()),
            ("重みのファイル（.safetensors か .bin）", any(_weights(folder))),
        ):
            if not is_there:
                return f"{folder} に {name} がありません"
        return None

    @cached_property
    def is_default_model(self) -> bool:
        """Whether it is the model that the program makes by itself."""
        return not self.args.model or self.args.model == DEFAULT_MODEL

    @cached_property
    def model_name(self) -> str:
        """What the model is called in an index."""
        if self.is_default_model:
            return DEFAULT_MODEL
        path = Path(self.args.model).expanduser()
        return path.resolve().name if path.is_dir() else str(self.args.model)

    @cached_property
    def model_fingerprint(self) -> str | None:
        """By which models are told apart; None where there is none."""
        return fingerprint(self.model_folder) if self.model_folder is not None else None

    @cached_property
    def prompts(self) -> dict[str, str] | None:
        """The model's prompts; None where there is none."""
        return prompts_of(self.model_folder, self.model_name) if self.model_folder is not None else None

    @property
    def wanted_precision(self) -> Precision:
        """What the server would run the model in."""
        given = self.args.precision
        return best_precision() if given not in PRECISIONS else given

    @cached_property
    def quantized_folder(self) -> Path | None:
        """Where the model in 8 bits belongs; None where none is wanted or there is no model."""
        if self.wanted_precision != "int8" or self.model_fingerprint is None:
            return None
        return Path(self.args.models) / "openvino" / self.model_fingerprint

    @cached_property
    def encoder(self) -> SentenceEncoder:
        """The model, loaded; in 8 bits only where that was made before, since nothing is made here. Any error may come."""
        precision = self.wanted_precision
        if precision == "int8" and not (self.quantized_folder and is_whole(self.quantized_folder)):
            precision = plain_precision()
        return SentenceEncoder.load(
            self.args.model,
            models_dir=Path(self.args.models),
            threads=process_threads(),
            precision=precision,
            notice=lambda _: None,
        )

    # ---- the index

    @cached_property
    def version(self) -> str | None:
        """The name of the version in use, None where it is not known."""
        return named_version(self.places.index)

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The manifest of the version in use, None where it cannot be used."""
        try:
            return read_manifest(self.places.index, self.version) if self.version else None
        except IndexUnusableError:
            return None

    @cached_property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """The manifests of all versions that are kept and readable, by name, newest first."""
        names = [entry.name for entry in history(self.places.index) if entry.problem is None]
        return {name: read_manifest(self.places.index, name) for name in names}

    @cached_property
    def damage(self) -> dict[str, str]:
        """What is wrong with segments, by name, after every byte of them was read."""
        found: dict[str, str] = {}
        for manifest in self.manifests.values():
            for name, digest in manifest["segments"].items():
                if name in found:
                    continue
                try:
                    stored = StoredSegment(self.places.index / "segments" / name)
                    stored.check(keep=False)
                    problem = (
                        ""
                        if stored.digest == digest
                        else f"segments/{name}/segment.json の内容が変わっています"
                    )
                except SegmentDamagedError as error:
                    problem = str(error)
                found[name] = problem
        return {name: problem for name, problem in found.items() if problem}

    @cached_property
    def is_whole(self) -> bool:
        """Whether the version in use can be read to the last byte."""
        return self.manifest is not None and not self.damage.keys() & self.manifest["segments"].keys()

    @cached_property
    def index(self) -> Index | None:
        """The version in use, loaded, whatever model it was made with; None where it is not whole."""
        if not self.is_whole or self.version is None or self.manifest is None:
            return None
        try:
            return load_version(self.places.index, self.version)
        except IndexUnusableError:
            return None
