"""What puts the program on a server: the image, compose, systemd's units, and nginx before the real server. The judges are real tools.

A tool that is not installed leaves its tests out, except in CI, where they fail.
"""

from __future__ import annotations

import fnmatch
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import bundle

HOME = Path(__file__).resolve().parents[1]
DEPLOY = HOME / "deploy"
NAME = "dx.example.jp"
TOKEN = "a-token-of-the-tests"
NGINX = shutil.which("nginx") or shutil.which(
    "nginx", path=f"/usr/sbin:{HOME / 'var' / 'tools' / 'usr' / 'sbin'}"
)


def needs(tool: str | None, name: str) -> str:
    """The command of a tool; without it the test is left out, except in CI."""
    if tool is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed (make tools)")
    assert tool is not None, f"{name} is not installed"
    return tool


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=60, **more
    )
    done.stdout += done.stderr
    return done


def beside_python(name: str) -> str:
    """A command that came with a package."""
    return needs(shutil.which(name, path=str(Path(sys.executable).parent)), name)


# ---------------------------------------------------------------- the image


def in_context(path: str) -> bool:
    """Whether a file gets into the image's build, by .dockerignore: of the rules that fit it or a folder of it, the last counts."""
    taken = True
    parts = path.split("/")
    above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    for line in (HOME / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        rule = line.removeprefix("!")
        forms = [rule, rule.removeprefix("**/")] if rule.startswith("**/") else [rule]
        # 「*」 stands for no slash; none of the rules has one further in
        fits = any(
            fnmatch.fnmatchcase(part, form) and (rule.startswith("**/") or "/" not in part)
            for part in (above if not rule.startswith("**/") else parts)
            for form in forms
        )
        if fits:
            taken = line.startswith("!")
    return taken


def program() -> list[str]:
    """Every file of the program, from the root of the checkout."""
    files = [HOME / entry for entry in bundle.program_files()]
    within = [path for entry in files for path in (entry.rglob("*") if entry.is_dir() else [entry])]
    return [
        path.relative_to(HOME).as_posix()
        for path in within
        if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    ]


def test_the_image_holds_the_program_and_nothing_else() -> None:
    files = program()
    assert {"server.py", "web/templates/base.html", "corpus/samples/05_よくある質問_電子申請.md"} <= set(
        files
    )
    assert [path for path in files if not in_context(path)] == []
    private = [
        *("var/usage.sqlite3", "var/index/CURRENT", "documents/秘密.pdf", "documents/.removed/a/b.txt"),
        *(
            ".env",
            "deploy/dxqa.env",
            ".git/config",
            "tests/conftest.py",
            "benchmarks/speed.py",
            ".venv/bin/python",
        ),
        *("corpus/__pycache__/text.cpython-311.pyc", "notes.txt", "web/.secret", "backup.tar", "Makefile"),
    ]
    assert [path for path in private if in_context(path)] == []


def test_every_package_of_the_program_is_named_for_the_image() -> None:
    setup = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    named = set((HOME / ".dockerignore").read_text(encoding="utf-8").splitlines())
    assert {f"!{name.split('.')[0]}" for name in setup["packages"]} <= named
    assert {f"!{name}.py" for name in setup["py-modules"]} <= named


def dockerfile() -> list[list[tuple[str, str]]]:
    """The stages of the Dockerfile, each a list of (instruction, rest)."""
    text = re.sub(r"\\\n\s*", "", (HOME / "Dockerfile").read_text(encoding="utf-8"))
    stages: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = run(beside_python("hadolint"), HOME / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_what_runs_in_the_image_has_no_rights_and_what_it_needs() -> None:
    making, running = dockerfile()
    copied = [rest.split()[-1] for word, rest in running if word == "COPY"]
    assert {"/venv", "/models", "/app"} <= set(copied)
    # nothing is taken from the checkout past the stage that tried it
    assert all("--from=made" in rest for word, rest in running if word == "COPY")
    # whoever runs it owns what a volume begins with (COPY --chown leaves a folder that is there already to root)
    [owned] = re.findall(
        r"install -d -o (\d+) -g \1 (.*)", " ".join(rest for word, rest in running if word == "RUN")
    )
    assert owned[1].split() == json.loads(dict(running)["VOLUME"])
    user = [rest for word, rest in running if word == "USER"][-1]
    assert user == f"{owned[0]}:{owned[0]}"
    assert int(user.split(":")[0]) > 0
    assert [word for word, _ in running].index("USER") < [word for word, _ in running].index("CMD")
    tried = next(rest for word, rest in making if word == "RUN" and "trial.py" in rest)
    for script in re.findall(r"[\w/]+\.py", tried + " ".join(json.loads(dict(running)["CMD"]))):
        assert (HOME / script).is_file()
        assert in_context(script)


def test_compose_fits_its_specification_and_takes_all_rights_away() -> None:
    done = run(
        beside_python("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", HOME / "compose.yaml"
    )
    assert done.returncode == 0, done.stdout
    service = yaml.safe_load((HOME / "compose.yaml").read_text(encoding="utf-8"))["services"]["dxqa"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert {"mem_limit", "pids_limit", "stop_grace_period"} <= set(service)
    assert service["environment"]["DXQA_ADMIN_TOKEN"].startswith(
        "${DXQA_ADMIN_TOKEN:?"
    )  # empty: it does not start
    running = dict(dockerfile()[-1])
    kept = {mount.split(":")[1] for mount in service["volumes"] if isinstance(mount, str)}
    assert kept == set(json.loads(running["VOLUME"]))
    assert service["user"] == running["USER"]


def test_settings_of_the_example_are_real_ones_and_the_token_is_empty() -> None:
    text = (DEPLOY / "dxqa.env.example").read_text(encoding="utf-8")
    readme = (HOME / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"^#?(DXQA_\w+)=", text, re.MULTILINE)
    assert len(names) >= 3
    assert [name for name in names if not re.search(rf"`{name}(=1)?`", readme)] == []
    assert re.search(r"^DXQA_ADMIN_TOKEN=$", text, re.MULTILINE)
    ignored = run("git", "check-ignore", ".env", "deploy/dxqa.env", cwd=HOME)
    if (HOME / ".git").exists():
        assert ignored.stdout.split() == [".env", "deploy/dxqa.env"]


# ---------------------------------------------------------------- systemd

UNITS = ("dxqa.service", "dxqa-backup.service", "dxqa-backup.timer")


def test_systemd_understands_every_line_of_the_units(tmp_path: Path) -> None:
    analyze = needs(shutil.which("systemd-analyze"), "systemd")
    for name in UNITS:  # the program is not installed where the tests run
        text = (DEPLOY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(
            text.replace("/opt/dxqa/current/venv/bin/python", sys.executable), encoding="utf-8"
        )
    done = run(analyze, "verify", "--man=no", *(tmp_path / name for name in UNITS))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(("unit", "most"), [("dxqa.service", 1.2), ("dxqa-backup.service", 0.4)])
def test_systemd_finds_little_that_a_broken_in_service_could_reach(unit: str, most: float) -> None:
    """0 is nothing, 10 everything; a unit without any of these settings has 9.6."""
    analyze = needs(shutil.which("systemd-analyze"), "systemd")
    done = run(analyze, "security", "--offline=true", "--no-pager", DEPLOY / unit)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout
    assert float(exposure[1]) <= most


def test_units_and_installer_speak_of_the_same_places() -> None:
    service = (DEPLOY / "dxqa.service").read_text(encoding="utf-8")
    document = (HOME / "docs" / "installation.md").read_text(encoding="utf-8")
    assert "--prefix /opt/dxqa --data /var/lib/dxqa" in service
    assert "--prefix /opt/dxqa --data /var/lib/dxqa" in document
    assert re.search(r"^StateDirectory=dxqa$", service, re.MULTILINE)
    for name in (*UNITS, "dxqa-user.conf", "nginx.conf", "dxqa.env.example"):
        assert name in document


def test_shellcheck_finds_nothing() -> None:
    done = run(beside_python("shellcheck"), *DEPLOY.glob("*.sh"))
    assert (done.returncode, done.stdout) == (0, "")


# ---------------------------------------------------------------- nginx


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Site:
    """nginx with deploy/nginx.conf, on free ports; it shows a certificate of its own."""

    plain: int
    secure: int
    certificate: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, host: str = NAME, **headers: str
    ) -> Reply:
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", self.secure, context=trusted, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {"Host": host, **named})
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [listening.getsockname()[1] for listening in taken]
    for listening in taken:
        listening.close()
    return ports


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this test's name, signed by itself; its key lies beside it."""
    needs(NGINX, "nginx")
    folder = tmp_path_factory.mktemp("tls")
    done = run(
        *(needs(shutil.which("openssl"), "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"),
        *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
        *(
            "-addext",
            f"subjectAltName=DNS:{NAME},IP:127.0.0.1",
            "-keyout",
            folder / "key",
            "-out",
            folder / "crt",
        ),
    )
    assert done.returncode == 0, done.stdout
    return folder / "crt"


@contextmanager
def nginx(folder: Path, certificate: Path, upstream: int, text: str) -> Iterator[Site]:
    """Debian's nginx with a configuration in the form of deploy/nginx.conf, before the port `upstream`."""
    plain, secure = free_ports(2)
    for old, new in {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl": f"listen 127.0.0.1:{secure} ssl",
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{upstream};",
        f"/etc/ssl/dxqa/{NAME}.crt": str(certificate),
        f"/etc/ssl/dxqa/{NAME}.key": str(certificate.with_name("key")),
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    folder.mkdir()
    (folder / "site.conf").write_text(text, encoding="utf-8")
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {folder}/pid; error_log {folder}/error.log warn;"
        f"events {{}} http {{ access_log off; {places} include {folder}/site.conf; }}",
        encoding="utf-8",
    )
    command = [
        needs(NGINX, "nginx"),
        "-p",
        str(folder),
        "-e",
        str(folder / "error.log"),
        "-c",
        str(folder / "nginx.conf"),
    ]
    tried = run(*command, "-t")
    assert tried.returncode == 0, tried.stdout + (folder / "error.log").read_text()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", secure), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.02)
        yield Site(plain, secure, certificate)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


CONFIGURATION = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, certificate: Path) -> Iterator[Site]:
    """The real server with the real model, told of its name and its proxy, and nginx before it."""
    folder = tmp_path_factory.mktemp("behind")
    (folder / "documents").mkdir()
    (folder / "documents" / "窓口.md").write_text(
        "# 窓口のご案内\n\n## 受付時間\n\n住民票は総務課の一番窓口で受け付けます。\n",
        encoding="utf-8",
    )
    port = free_ports(1)[0]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DXQA_")} | {
        "DXQA_MODELS": str(models_dir),
        "DXQA_DOCUMENTS": str(folder / "documents"),
        "DXQA_INDEX": str(folder / "index"),
        "DXQA_USAGE": str(folder / "usage.sqlite3"),
        "DXQA_ADMIN_TOKEN": TOKEN,
        "DXQA_ALLOWED_HOSTS": NAME,
        "DXQA_TRUSTED_PROXIES": "127.0.0.1",
        "DXQA_PORT": str(port),
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, HOME / "server.py"], env=environment, stdout=log, stderr=log
        )
    try:
        with nginx(folder / "nginx", certificate, port, CONFIGURATION) as site:
            end = time.monotonic() + 300  # where the model is made first
            while site.ask("GET", "/readyz").status != 200:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.1)
            check = json.loads(dict(dockerfile()[-1])["HEALTHCHECK"].partition("CMD ")[2])
            assert check[0] == "/venv/bin/python"
            probe = check[2].replace(":8000", f":{port}")
            assert probe != check[2]
            assert run(sys.executable, check[1], probe).returncode == 0
            yield site
    finally:
        process.terminate()
        process.wait(30)
    assert run(sys.executable, check[1], probe).returncode != 0  # nobody answers any more


def asked(site: Site, question: str) -> Any:
    body = json.dumps({"question": question}).encode()
    return site.ask("POST", "/api/ask", body, Content_Type="application/json").json()


def test_questions_are_answered_through_nginx(site: Site) -> None:
    reply = asked(site, "住民票はどこで受け付けますか")
    assert reply["answerable"], reply
    assert "一番窓口" in reply["answer"]["text"]
    assert reply["citations"][0]["path"] == "窓口.md"


def test_http_is_led_to_https(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.plain, timeout=20)
    connection.request("GET", "/cases?q=a%20b", headers={"Host": "evil.example"})
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("Location")) == (301, f"https://{NAME}/cases?q=a%20b")
    connection.close()


def test_a_name_of_another_site_is_refused(site: Site) -> None:
    assert site.ask("GET", "/", host="evil.example").status == 421


def test_a_long_conversation_of_another_program_arrives(site: Site) -> None:
    messages = [
        {"role": "assistant", "content": "あ" * 200_000},
        {"role": "user", "content": "住民票はどこで受け付けますか"},
    ]
    body = json.dumps({"model": "dxqa", "messages": messages}).encode()
    assert len(body) > 1_000_000
    reply = site.ask("POST", "/v1/chat/completions", body, Content_Type="application/json")
    assert reply.status == 200, reply.body
    text = reply.json()["choices"][0]["message"]["content"]
    assert "一番窓口" in text
    assert f"(https://{NAME}" in text  # its links lead to the proxy
    inputs = json.dumps(
        {"inputs": {"question": "住民票はどこで受け付けますか", "files": "あ" * 200_000}}
    ).encode()
    for path, status in (("/gennai", 200), ("/gennai/requests/", 202), ("/gennai/requests", 202)):
        assert site.ask("POST", path, inputs, Content_Type="application/json").status == status


def test_an_upload_beyond_an_ordinary_request_arrives(site: Site) -> None:
    words = "# 公用車\n\n公用車の予約は総務課の窓口で受け付けます。\n" + "<!-- 余白 -->\n" * 70_000
    body = (
        '--b\r\nContent-Disposition: form-data; name="files"; filename="car.md"\r\n\r\n'
        + words
        + "\r\n--b--\r\n"
    ).encode()
    assert len(body) > 1_000_000
    sent = {"Content_Type": "multipart/form-data; boundary=b"}
    assert site.ask("POST", "/api/documents", body, **sent).status == 401
    reply = site.ask("POST", "/api/documents", body, **sent, Authorization=f"Bearer {TOKEN}")
    assert reply.status == 202, reply.body
    job, end = f"/api/index/jobs/{reply.json()['job_id']}", time.monotonic() + 120
    while (state := site.ask("GET", job).json())["status"] != "succeeded":
        assert state["status"] != "failed", state
        assert time.monotonic() < end
        time.sleep(0.1)
    assert asked(site, "公用車の予約はどこで受け付けますか")["citations"][0]["path"] == "car.md"


@pytest.mark.parametrize(
    ("path", "announced", "status"),
    [("/api/ask", 300 * 1024, 413), ("/api/uploads", 202 * 2**20, 413), ("/admin/uploads", 202 * 2**20, 413)],
)
def test_too_much_is_refused_before_it_is_sent(site: Site, path: str, announced: int, status: int) -> None:
    trusted = ssl.create_default_context(cafile=str(site.certificate))
    with trusted.wrap_socket(
        socket.create_connection(("127.0.0.1", site.secure), timeout=20), server_hostname=NAME
    ) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {announced}\r\n\r\n".encode()
        )
        assert int(connection.recv(1000).split()[1]) == status


def test_the_cookie_of_the_administrator_travels_by_tls_only(site: Site) -> None:
    form = urllib.parse.urlencode({"token": TOKEN}).encode()
    reply = site.ask(
        *("POST", "/admin/login", form),
        Content_Type="application/x-www-form-urlencoded",
        Origin=f"https://{NAME}",
        Sec_Fetch_Site="same-origin",
    )
    assert reply.status == 303
    cookie = reply.headers["Set-Cookie"]
    assert "; Secure" in cookie
    assert site.ask("GET", "/admin", Cookie=cookie.partition(";")[0]).status == 200
    assert site.ask("GET", "/admin").status == 303


class Recorder(http.server.BaseHTTPRequestHandler):
    """Says what arrived; at /sign-in/ it is a sign-in service that knows one cookie."""

    def do_GET(self) -> None:
        if self.path.startswith("/sign-in/"):
            known = self.headers["Cookie"] == "session=hanako"
            self.send_response(202 if known else 401)
            if known:
                self.send_header("X-Auth-Request-User", "hanako")
                self.send_header("X-Auth-Request-Groups", "somu")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = json.dumps(list(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(20)


CLAIMS = {
    **{
        "X-Remote-User": "mayor",
        "X-Remote-Groups": "admin",
        "X_Remote_User": "mayor",
        "Forwarded": "for=9.9.9.9",
    },
    **{"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "gopher", "X-Real-IP": "9.9.9.9"},
    **{"X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "9"},
}


@pytest.mark.parametrize("path", ["/", "/api/documents", "/admin/uploads", "/metrics"])
def test_what_a_visitor_says_of_himself_goes_no_further(
    tmp_path: Path, certificate: Path, recorder: int, path: str
) -> None:
    with nginx(tmp_path / "nginx", certificate, recorder, CONFIGURATION) as site:
        arrived = [(name.lower(), value) for name, value in site.ask("GET", path, **CLAIMS).json()]
    assert [pair for pair in arrived if pair[0] not in {"accept-encoding"}] == [
        ("host", NAME),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
    ]


def test_the_sketch_of_a_single_sign_on_tells_who_somebody_is(
    tmp_path: Path, certificate: Path, recorder: int
) -> None:
    """Follows the words at the end of the file: what is to be put in is there, behind 「#     」."""
    told, sketch = CONFIGURATION.split("# ---- Single sign-on")
    asking, telling, service = re.findall(r"(?:^#     .*\n)+", sketch, re.MULTILINE)
    blocks = [re.sub(r"^#     ", "", block, flags=re.MULTILINE) for block in (asking, telling, service)]
    empty = re.compile(r"^ *proxy_set_header X-Remote-(?:User|Groups) +\"\";\n", re.MULTILINE)
    assert len(empty.findall(told)) == 2
    text = empty.sub("", told).replace("    location / {", "".join(blocks) + "    location / {")
    text = text.replace("127.0.0.1:4180", f"127.0.0.1:{recorder}")
    with nginx(tmp_path / "nginx", certificate, recorder, text) as site:
        assert site.ask("GET", "/cases", **CLAIMS).status == 401
        known = dict(site.ask("GET", "/cases", Cookie="session=hanako", **CLAIMS).json())
    assert (known["X-Remote-User"], known["X-Remote-Groups"]) == ("hanako", "somu")
