"""The described calls against the described replies: schemathesis fires at every operation of /openapi.json of a real server.

It makes data that fit the description and data that do not, edge cases of every parameter, and chains of calls (what one gives, the
next takes). Judged are: no 5xx, every status and content type declared, every body of its shape, what does not fit is refused,
what fits is taken, the Allow header, and what was removed stays gone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from fire import BEARER, REPOSITORY, SIZE, Server, measured, size

_SAMPLE = REPOSITORY / "corpus" / "samples" / "01_事例集_窓口とデータ.txt"
_PROGRAM = Path(sys.executable).with_name("schemathesis")
# What fits the description may still be refused for what it means: no file of a kind that is read, cases that are not two to five,
# a conversation longer than an address, a language model or a model's name that is not there, a municipality that does not exist.
_MEANING = (
    "/api/documents",
    "/api/uploads",
    "/api/ask",
    "/api/ask/stream",
    "/api/similar",
    "/api/compare",
    "/v1/chat/completions",
    "/gennai",
    "/gennai/requests",
    "/export/answer.{form}",
    "/export/compare.{form}",
)
_CONFIGURATION = (
    "[checks]\nenabled = true\n"
    + "".join(
        f'[[operations]]\ninclude-path = "{path}"\nchecks.positive_data_acceptance.enabled = false\n'
        for path in _MEANING
    )
    + "".join(
        # what is no number of persons by its pattern may still be one (「三千」, a blank for none), and what is put in the place of a
        # list of names is such a list again once it stands in an address
        f'[[operations]]\ninclude-path = "{path}"\nchecks.negative_data_rejection.enabled = false\n'
        for path in ("/api/cases", "/api/search")
    )
    + (
        # its address is also one of /api/uploads/{upload_id}, so it takes that one's methods too, as a 404
        '[[operations]]\ninclude-path = "/api/uploads/approve"\nchecks.allow_header_conformance.enabled = false\n'
    )
)


def test_every_reply_is_as_described(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    shutil.copy(_SAMPLE, documents)
    (documents / "もう一つ.md").write_text("# 受付\n\n受付は九時からです。\n", encoding="utf-8")
    with Server(tmp_path) as server, measured("schemathesis: calls as described and otherwise") as told:
        found = _fired(server, tmp_path)
        told |= {"count": found["test_cases"]["generated"], "operations": found["operations"]["tested"]}
        assert found["operations"]["tested"] == found["operations"]["total"] >= 37
        assert found["test_cases"]["generated"] > 100
        wrong = {failure["title"]: failure["operations"] for failure in found["failures"]}
        assert wrong == {}, json.dumps(found["failures"], ensure_ascii=False)[:4000]
        assert found["errors"] == []
        assert "request failed" not in server.said()
        assert server.ask("担当部署の電話番号は？").status == 200
        told["result"] = "no 5xx, all as described"


def _fired(server: Server, folder: Path) -> dict[str, Any]:
    """The report of a run."""
    description = server.call("GET", "/openapi.json").json()
    cases = [case["id"] for case in server.call("GET", "/api/cases").json()["cases"]]
    document = server.call("GET", "/api/documents").json()["documents"][0]["id"]
    for path, operations in description["paths"].items():
        if "get" in operations:  # what is there is asked for too, not only what chance makes of an id
            for parameter in operations["get"].get("parameters", ()):
                examples = {"document_id": document, "case_id": cases[0], "case": cases[0]}
                if parameter["name"] in examples:
                    listed = path.endswith("compare") or "compare." in path
                    parameter["example"] = cases[:2] if listed else examples[parameter["name"]]
    (folder / "openapi.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "schemathesis.toml").write_text(_CONFIGURATION, encoding="utf-8")
    phases = "examples,fuzzing,stateful" if SIZE == "small" else "examples,coverage,fuzzing,stateful"
    run = subprocess.run(
        [
            *(str(_PROGRAM), "--config-file", "schemathesis.toml", "run", "openapi.json"),
            *(
                "--url",
                f"http://127.0.0.1:{server.port}",
                "--header",
                f"Authorization: {BEARER['Authorization']}",
            ),
            *("--phases", phases, "--max-examples", str(size(4, 300)), "--continue-on-failure"),
            *(
                "--seed",
                "7",
                "--no-shrink",
                "--generation-database",
                "none",
                "--request-timeout",
                "30",
                "--no-color",
            ),
            *("--report", "json", "--report-json-path", "report.json"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=size(120, 3600),
        check=False,
    )
    assert run.returncode in {0, 1}, run.stdout[-3000:] + run.stderr[-3000:]
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report
