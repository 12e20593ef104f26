"""The command line that builds: exit status, one Japanese sentence on standard error, options and environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import build_index
import server
from build_index import SAMPLES, Bar, main
from corpus.readers import SUFFIXES
from corpus.readers.kinds import unreadable, unreadable_suffix
from index.build import BuildRefusedError
from index.store import current_version, load_current
from options import HOME

SENTENCE = re.compile(r"^[^\n]*[ぁ-ん][^\n]*。\n$")
"""One line, in Japanese, that ends as a sentence does."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith("DXQA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DXQA_MODEL", str(tiny_folder))
    monkeypatch.setenv("DXQA_PRECISION", "fp32")  # the tiny model need not be converted
    monkeypatch.setenv("DXQA_INDEX", str(tmp_path / "index"))


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text("# 窓口\n\n受付は平日の午前九時から午後五時までです。\n", encoding="utf-8")
    return folder


def test_done(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--documents", str(documents)]) == 0
    shown = capsys.readouterr()
    assert "索引を作りました：資料 1件" in shown.out
    assert "追加 1・変更 0・名前の変更 0・削除 0・変更なし 0" in shown.out
    version = current_version(tmp_path / "index")
    assert version is not None
    assert version in shown.out
    assert main(["--documents", str(documents)]) == 0
    assert "変更なし 1" in (out := capsys.readouterr().out)
    assert "ベクトル化 0件・再利用 1件" in out
    assert main(["--documents", str(documents), "--full"]) == 0
    assert "ベクトル化 1件・再利用 0件" in capsys.readouterr().out


def test_as_a_program(documents: Path, tmp_path: Path) -> None:
    """As staff call it, from another folder, and with the environment only."""
    environment = os.environ | {"DXQA_DOCUMENTS": str(documents)}
    arguments = [sys.executable, str(HOME / "build_index.py")]
    done = subprocess.run(
        arguments, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert (done.returncode, "資料 1件" in done.stdout) == (0, True), done.stderr
    assert [d.path for d in load_current(tmp_path / "index").documents.values()] == ["a.md"]
    environment["DXQA_DOCUMENTS"] = str(tmp_path / "no")
    failed = subprocess.run(
        arguments, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert failed.returncode == 2
    assert SENTENCE.match(failed.stderr), failed.stderr


def test_options_stand_above_the_environment(
    documents: Path, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DXQA_DOCUMENTS", str(tmp_path / "no"))
    monkeypatch.setenv("DXQA_MODEL", "no-such-model")
    model = shutil.copytree(tiny_folder, tmp_path / "my-model")
    arguments = ["--documents", str(documents), "--index", str(tmp_path / "other"), "--model", str(model)]
    assert main(arguments) == 0
    assert load_current(tmp_path / "other").manifest["model"]["name"] == "my-model"
    assert current_version(tmp_path / "index") is None


def test_an_environment_variable_that_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXQA_DOCUMENTS", "")
    assert build_index.setting("DOCUMENTS", "x") == "x"


def test_samples_while_documents_is_empty(
    tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_index, "HOME", tmp_path / "home")
    assert build_index.documents_folder("") == SAMPLES
    (tmp_path / "home" / "documents").mkdir(parents=True)
    (tmp_path / "home" / "documents" / ".gitkeep").touch()
    assert build_index.documents_folder("") == SAMPLES
    (tmp_path / "home" / "documents" / "a.md").write_text("# 窓口")
    assert build_index.documents_folder("") == tmp_path / "home" / "documents"
    assert build_index.documents_folder(str(documents)) == documents
    assert build_index.find_files(SAMPLES)


def test_the_samples_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_index, "HOME", tmp_path / "home")
    assert main([]) == 0
    paths = {document.path for document in load_current(tmp_path / "index").documents.values()}
    assert paths == {path.name for path in SAMPLES.iterdir()}


def test_unreadable_files_are_named_and_the_rest_is_done(
    documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (documents / "表.xlsx").write_bytes(b"PK\x03\x04")
    shutil.copy(documents / "a.md", documents / "b.md")
    assert main(["--documents", str(documents)]) == 0
    shown = capsys.readouterr()
    assert "読めなかった資料：表.xlsx：" in shown.err
    assert "注意：a.md：「b.md」は同じ内容" in shown.out


@pytest.mark.parametrize(
    "arguments", [["--no-such-option"], ["--documents"], ["extra"], ["--full=1"]], ids=lambda a: " ".join(a)
)
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert SENTENCE.match(capsys.readouterr().err)


@pytest.mark.parametrize("case", ["no folder", "a file", "empty folder", "nothing readable", "no model"])
def test_unusable_input(
    case: str, documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "空.txt").touch()
    arguments = {
        "no folder": ["--documents", str(tmp_path / "no")],
        "a file": ["--documents", str(documents / "a.md")],
        "empty folder": ["--documents", str(tmp_path / "empty")],
        "nothing readable": ["--documents", str(tmp_path / "bad")],
        "no model": ["--documents", str(documents), "--model", "no-such-model"],
    }[case]
    assert main(arguments) == 2
    shown = capsys.readouterr()
    error = shown.err.split("\r")[-1].lstrip() if "\r" in shown.err else shown.err
    assert error.endswith("ください。\n")
    assert error.count("\n") == 1
    assert shown.out == ""
    assert current_version(tmp_path / "index") is None


@pytest.mark.parametrize(
    "error", [BuildRefusedError("実行中です。"), OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_failures(
    error: BaseException,
    documents: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(build_index, "build", fail)
    assert main(["--documents", str(documents)]) == 1
    assert SENTENCE.match(shown := capsys.readouterr().err), shown


def test_an_index_folder_that_cannot_be_made(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["--documents", str(documents), "--index", str(tmp_path / "file")]) == 2
    assert SENTENCE.match(capsys.readouterr().err)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    shown = capsys.readouterr().out
    for option in ("--documents", "--index", "--model", "--full", "--watch"):
        assert option in shown


def test_watching_builds_again_once_a_file_is_still(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        text = "# 予算\n\n予算は前の年度より一割ほど増えました。\n"
        if looks == 2:
            (documents / "b.md").write_text(text[:9], encoding="utf-8")  # still being copied
        if looks == 3:
            (documents / "b.md").write_text(text, encoding="utf-8")
        if looks == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr("build_index.time.sleep", sleep)
    assert main(["--documents", str(documents), "--watch"]) == 1
    shown = capsys.readouterr().out
    assert shown.count("索引を作りました") == 2
    assert len(load_current(tmp_path / "index").documents) == 2


def test_the_bar_goes_through_the_stages(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    for call in (("reading", 0, 2), ("reading", 2, 2), ("encoding", 0, 0), ("writing", 0, 1)):
        bar(*call)
    bar.close()
    bar.close()
    shown = capsys.readouterr().err
    assert "読み込み" in shown
    assert "書き込み" in shown


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b", "c", "d"):
        (documents / f"{name}.md").write_text(
            f"# {name}の窓口\n\n受付は平日の九時からです。\n", encoding="utf-8"
        )
    assert main(["--documents", str(documents)]) == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "index").rglob("*"))
    (documents / "a.md").write_text("# 窓口\n\n受付は土曜も開きます。\n", encoding="utf-8")
    (documents / "b.md").rename(documents / "新しい名.md")
    (documents / "c.md").unlink()
    (documents / "e.md").write_text("# 別\n\n別の資料の本文です。\n", encoding="utf-8")
    (documents / "空.txt").touch()
    (documents / "古い.doc").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    (documents / "写真.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    capsys.readouterr()
    monkeypatch.setattr(build_index, "load_encoder", lambda args: pytest.fail("no model is needed"))
    assert main(["--documents", str(documents), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert set(lines[:-1]) == {
        "変更：a.md",
        "名前の変更：新しい名.md（前の名前：b.md）",
        "削除：c.md",
        "追加：e.md",
        # a sentence of the same words as in a build
        *(
            f"読めない資料：{name}：{message}"
            for name, message in (
                ("空.txt", "ファイルが空です（0バイト）。内容のあるファイルに置き換えてください。"),
                ("古い.doc", unreadable_suffix(".doc", SUFFIXES)),
                ("写真.png", unreadable("png", ".png", SUFFIXES)),
            )
        ),
    }
    assert lines[-1].startswith("索引を作ると：追加 1・変更 1・名前の変更 1・削除 1・変更なし 1")
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "index").rglob("*")) == before


def test_names_that_turn_the_direction_of_writing_are_shown_as_what_they_are(
    documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {
        "a\u202egpj.md": "# 窓口の\u2066案内\n\n受付は平日の午前九時からです。\n",
        "空\u202efdp.txt": "",
        "二行\n目\x1b[31m.txt": "",
        "全角　の空白.md": "# 予算\n\n予算は前の年度より一割ほど増えました。\n",
    }.items():
        (documents / name).write_text(text, encoding="utf-8")
    for arguments in (["--dry-run"], [], ["--full"]):
        assert main(["--documents", str(documents), *arguments]) == 0
        shown = capsys.readouterr()
        told = shown.out + shown.err
        for raw in "\u202e\u2066\x1b":
            assert raw not in told
        assert "空\\u202efdp.txt" in told
        assert "二行\\u000a目\\u001b[31m.txt" in told
        if arguments != ["--full"]:
            assert "a\\u202egpj.md" in shown.out
            assert "全角　の空白.md" in shown.out
    for path in documents.glob("*.md"):
        path.unlink()
    assert main(["--documents", str(documents), "--full"]) == 2
    assert "\\u202e" in (error := capsys.readouterr().err)
    assert "\u202e" not in error


def test_history_and_rollback(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = []
    for number in range(3):
        (documents / f"{number}.md").write_text(
            f"# {number}\n\n{number}番の資料の本文です。\n", encoding="utf-8"
        )
        assert main(["--documents", str(documents)]) == 0
        names.append(current_version(tmp_path / "index") or "")
    capsys.readouterr()
    assert main(["--history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[1 : 1 + len(names[0])] for line in lines[:3]] == names[::-1]
    assert [line[0] for line in lines[:3]] == ["＊", "　", "　"]
    assert "資料 4件" in lines[0]
    assert main(["--rollback"]) == 0
    assert names[1] in capsys.readouterr().out
    assert len(load_current(tmp_path / "index").documents) == 3
    assert main(["--rollback", names[2]]) == 0
    assert current_version(tmp_path / "index") == names[2]
    assert main(["--rollback", names[0]]) == 0
    assert main(["--rollback"]) == 1
    assert SENTENCE.match(capsys.readouterr().err)
    assert current_version(tmp_path / "index") == names[0]
    assert main(["--documents", str(documents)]) == 0  # the next build takes up what is there
    assert len(load_current(tmp_path / "index").documents) == 4


def test_the_history_beside_a_current_that_cannot_be_read(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--documents", str(documents)]) == 0
    version = current_version(tmp_path / "index") or ""
    (tmp_path / "index" / "CURRENT").write_bytes(b"\xff\xfe")
    capsys.readouterr()
    assert main(["--history"]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith(f"　{version}　")
    assert SENTENCE.match(shown.err)
    assert main(["--documents", str(documents), "--dry-run"]) == 0
    assert main(["--rollback"]) == 0
    assert current_version(tmp_path / "index") == version


def test_no_rollback_to_a_damaged_version(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--history"]) == 2
    assert main(["--rollback"]) == 1
    assert main(["--documents", str(documents)]) == 0
    first = current_version(tmp_path / "index") or ""
    assert main(["--documents", str(documents), "--full"]) == 0
    second = current_version(tmp_path / "index")
    (tmp_path / "index" / "segments" / f"{first}-text" / "keys.npy").unlink()
    capsys.readouterr()
    assert main(["--rollback"]) == 1
    assert "keys.npy がありません" in capsys.readouterr().err
    assert current_version(tmp_path / "index") == second


def test_how_many_versions_are_kept(documents: Path, tmp_path: Path) -> None:
    for _ in range(4):
        assert main(["--documents", str(documents), "--full", "--keep", "2"]) == 0
    assert len(list((tmp_path / "index" / "versions").iterdir())) == 2
    for wrong in ("0", "-1", "x"):
        with pytest.raises(SystemExit):
            main(["--documents", str(documents), "--keep", wrong])


@pytest.mark.parametrize("place", ["documents", "documents/index", ".", "home"])
def test_an_index_in_a_wrong_place_is_refused_and_nothing_is_touched(
    documents: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = [
        documents / ".removed" / "x.txt",
        tmp_path / "home" / ".ssh" / "id",
        tmp_path / "home" / "segments" / "a",
    ]
    for file in theirs:
        file.parent.mkdir(parents=True)
        file.write_text("theirs")
    before = sorted(tmp_path.rglob("*"))
    for more in ([], ["--dry-run"], ["--full"]):
        assert main(["--documents", str(documents), "--index", str(tmp_path / place), *more]) == 2
        assert SENTENCE.match(capsys.readouterr().err)
    assert main(["--index", str(tmp_path / place), "--rollback"]) == 1
    assert SENTENCE.match(capsys.readouterr().err)
    assert server.main(["--documents", str(documents), "--index", str(tmp_path / place)]) == 2
    assert SENTENCE.match(capsys.readouterr().err)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_index_of_the_samples_is_not_put_among_the_documents_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build_index, "HOME", tmp_path)
    assert main(["--index", str(tmp_path / "documents")]) == 2
    assert SENTENCE.match(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
