"""One archive from which the program is installed on a computer without any network.

    python deploy/bundle.py [--to FOLDER] [--wheels FOLDER] [PIP_ARGUMENT…]

In: this checkout, and the packages of the environment that runs this program. Out: `dxqa-<version>-<date>-….tar`, in it the
program, a wheel of every package at exactly the version installed here, the installer and the checksums of all of it; beside it
`….tar.sha256`. What the installer does is its own matter (`install.sh`); models are not carried, it makes them there.

Exit status: 0 done, 1 failed, 2 wrong use, with one Japanese sentence on standard error.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess  # nosec B404  # pip, with arguments of our own and no shell
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))  # run as a file, it finds what it packs

from qa.synonyms import SynonymsError, SynonymsFile  # noqa: E402

INSTALLER, CHECKSUMS, FACTS = "install.sh", "SHA256SUMS", "bundle.txt"
BESIDE = ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "synonyms.csv", "docs", "deploy")
"""What belongs to the program beside its packages and modules."""
MADE_THERE = 1536 * 2**20
"""Bytes that models, their conversion and a first index take beside the packages: 0.7 GB, the conversion once more, and room."""
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "*.env")


class BundleError(RuntimeError):
    """No bundle can be made; the message is one Japanese sentence for the user."""


def program_files(home: Path = HOME) -> list[str]:
    """The files and folders of the checkout that an installed program consists of, sorted."""
    with (home / "pyproject.toml").open("rb") as read:
        setup = tomllib.load(read)["tool"]["setuptools"]
    packages = {name.split(".")[0] for name in setup["packages"]}
    return sorted({*packages, *(f"{name}.py" for name in setup["py-modules"]), *BESIDE})


def collect_wheels(home: Path, kept: Path, pip_arguments: Sequence[str] = ()) -> None:
    """Makes `kept` hold a wheel of each package that the program needs, at the versions installed here, and pip's own.

    What lies there already is not fetched again. Raises BundleError where pip cannot get one, or where PyTorch is one for GPUs.
    """
    with (home / "pyproject.toml").open("rb") as read:
        wanted: list[str] = tomllib.load(read)["project"]["dependencies"]
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".wheels-") as scratch:
        # every wheel we ask for is named to the version, so that what is tried here is what runs there
        versions = Path(scratch) / "versions.txt"
        versions.write_text(_pip("list", "--format=freeze", "--exclude", "dxqa"), encoding="utf-8")
        found = Path(scratch) / "found"
        asked = [
            "wheel",
            "-w",
            str(found),
            "-c",
            str(versions),
            "--find-links",
            str(kept),
            *wanted,
            "pip",
        ]
        try:
            _pip(*asked, "--no-index")
        except BundleError:  # the first time, and where a package has changed
            shutil.rmtree(found, ignore_errors=True)
            _pip(*asked, *pip_arguments, shown=True)
        for wheel in found.iterdir():
            if wheel.name.startswith(("nvidia_", "triton-")):
                raise BundleError(
                    f"PyTorch がGPU用（{wheel.name.split('-')[0]} を使うもの）なので、CPU用を入れ直してから作ってください"
                    "（README の「PyTorch のCPU版」）。"
                )
        for old in kept.iterdir():
            old.unlink()
        for wheel in found.iterdir():
            wheel.rename(kept / wheel.name)


def write_bundle(home: Path, wheels: Path, folder: Path, moment: datetime) -> Path:
    """Writes the archive and its checksum into `folder`, each in one rename, and gives the archive.

    `wheels` is a folder of wheels, `moment` says which day the archive is named after. A name that is there is replaced.
    """
    with (home / "pyproject.toml").open("rb") as read:
        version = tomllib.load(read)["project"]["version"]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    system = f"{platform.system().lower()}-{platform.machine()}-py{python.replace('.', '')}"
    name = f"dxqa-{version}-{moment:%Y%m%d}-{system}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as scratch:
        root = Path(scratch) / name
        for entry in program_files(home):
            source, target = home / entry, root / "program" / entry
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=_LEFT_OUT)
            else:
                shutil.copy2(source, target)
        (root / "wheels").mkdir()
        for wheel in sorted(wheels.glob("*.whl")):
            _link_or_copy(wheel, root / "wheels" / wheel.name)
        shutil.move(root / "program" / "deploy" / INSTALLER, root / INSTALLER)
        (root / FACTS).write_text(
            f"name={name}\npython={python}\nmachine={platform.machine()}\n"
            f"needed_kb={(_unpacked(root) + MADE_THERE) // 1024}\nmade_kb={MADE_THERE // 1024}\n",
            encoding="utf-8",
        )
        _write_checksums(root)
        return _write_archive(root, folder)


def _unpacked(root: Path) -> int:
    """Bytes of everything below a folder, wheels as they are once installed."""
    total = 0
    for path in _files(root):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                total += sum(entry.file_size for entry in wheel.infolist())
        else:
            total += path.stat().st_size
    return total


def _write_checksums(root: Path) -> None:
    """Writes the checksum of every file but itself, in the form that `sha256sum -c` reads."""
    lines = [f"{_sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in _files(root)]
    (root / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def _write_archive(root: Path, folder: Path) -> Path:
    archive = folder / f"{root.name}.tar"
    part, sums = folder / f".{archive.name}.part", folder / f".{archive.name}.sha256.part"
    try:
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:  # wheels are compressed already
            for path in _files(root):
                tar.add(path, f"{root.name}/{path.relative_to(root).as_posix()}", filter=_anyones)
        sums.write_text(f"{_sha256(part)}  {archive.name}\n", encoding="utf-8")
        sums.rename(folder / f"{archive.name}.sha256")
        return part.rename(archive)
    finally:
        part.unlink(missing_ok=True)
        sums.unlink(missing_ok=True)


def _anyones(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry that tells nothing of who made it, and that everybody may read."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def _link_or_copy(source: Path, target: Path) -> None:
    """A second name of a file, or a copy where there can be none: half a gigabyte need not be written twice."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _pip(*arguments: str, shown: bool = False) -> str:
    """What pip says on standard output, unless it is `shown`; raises BundleError with the first line of its errors."""
    done = subprocess.run(  # noqa: S603  # nosec B603  # pip of this environment
        [sys.executable, "-m", "pip", *arguments],
        stdout=None if shown else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["理由は不明です"]
        raise BundleError(f"パッケージをそろえられません（{lines[0].removeprefix('ERROR: ')[:300]}）。")
    return done.stdout or ""


def main(arguments: Iterable[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="ネットワークのないコンピューターに入れるための、一つのファイルを作ります。"
    )
    made = HOME / "var" / "bundle"
    parser.add_argument("--to", type=Path, default=made, help="書き出すフォルダー（既定 var/bundle）")
    parser.add_argument(
        "--wheels",
        type=Path,
        default=made / "wheels",
        help="集めたパッケージを置いておくフォルダー（次からは取得しない）",
    )
    given, pip_arguments = parser.parse_known_args(list(arguments) if arguments is not None else None)
    try:
        # what is wrong with it would only be seen where the archive is installed
        SynonymsFile(HOME / "synonyms.csv")
        print("パッケージをそろえています（初めてのときは数分かかります）…", flush=True)
        collect_wheels(HOME, given.wheels, pip_arguments)
        print("一つのファイルにまとめています…", flush=True)
        archive = write_bundle(HOME, given.wheels, given.to, datetime.now(UTC).astimezone())
    except (BundleError, SynonymsError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"書き出せません（{error}）。空き容量と書き込みの許可を確かめてください。", file=sys.stderr)
        return 1
    print(f"{archive}（{archive.stat().st_size / 2**20:,.0f}MB）と {archive.name}.sha256 を作りました。")
    print("入れ方は docs/installation.md にあります。")
    return 0


if __name__ == "__main__":
    sys.exit(main())
