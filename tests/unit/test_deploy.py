"""What a host reads and uses before the app runs: the Space's card, the container file, the service, the table of settings."""

from __future__ import annotations

import http.server
import importlib.util
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVICE = ROOT / "assets" / "deploy" / "scsa-studio.service"


def tracked():
    """Files that a clone has; a skip where this is no clone."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def requirements():
    lines = (ROOT / "requirements.txt").read_text().split("\n")
    return {r.name: r for r in (Requirement(line) for line in lines if line.strip())}


# -- settings -------------------------------------------------------------------------


def test_every_setting_is_in_the_table_and_the_table_names_no_other():
    table = README.split("\n## Settings\n")[1].split("\n## ")[0]
    rows = [line for line in table.split("\n") if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(SCSA_[A-Z_]+)`", row.split("|")[1])}
    own = Path(__file__)
    code = [p for folder in ("demo", "scsa_core", "tests") for p in (ROOT / folder).rglob("*.py") if p != own]
    code += [ROOT / "app.py", ROOT / "Dockerfile", SERVICE, ROOT / ".ci" / "run"]
    used = {name for path in code for name in re.findall(r"\bSCSA_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))}
    assert len(used) > 15
    assert used - listed == set(), "not in the README's table"
    assert listed - used == set(), "in the README's table, but nowhere in the code"
    assert all(len(row.strip("| ").split(" | ")) == 3 for row in rows)  # name, meaning, default


def test_settings_named_elsewhere_in_the_documents_exist():
    table = README.split("\n## Settings\n")[1].split("\n## ")[0]
    for document in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "checkpoints/registry.toml"):
        for name in re.findall(r"\bSCSA_[A-Z_]+[A-Z]\b", (ROOT / document).read_text(encoding="utf-8")):
            assert f"`{name}`" in table, (document, name)


# -- the Space ------------------------------------------------------------------------


def test_the_card_of_the_space_is_one_that_its_host_accepts():
    head, card = README.split("---\n")[:2]
    assert head == ""
    found = dict(re.findall(r"^(\w+): (.*)$", card, re.M))
    assert found["sdk"] == "gradio" and (ROOT / found["app_file"]).is_file() and found["license"] == "apache-2.0"
    assert Version(found["sdk_version"]) in requirements()["gradio"].specifier
    python = Version(found["python_version"].strip('"'))
    needed = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert python >= Version(needed)
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {found["colorFrom"], found["colorTo"]} <= colours and len(found["short_description"]) <= 60


def test_the_repository_is_small_enough_to_push():
    sizes = {path: path.stat().st_size for path in tracked() if path.is_file()}
    largest = max(sizes, key=sizes.__getitem__)
    assert sizes[largest] < 10 * 2**20, largest  # more is refused outside of large file storage
    assert sum(sizes.values()) < 100 * 2**20


def test_no_package_needs_libraries_of_a_desktop():
    """The windowed OpenCV wants libGL and glib, which slim images lack: then there would have to be a packages.txt."""
    assert "opencv-python-headless" in requirements() and "opencv-python" not in requirements()
    for folder in ("demo", "scsa_core"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"cv2\.(imshow|namedWindow|waitKey)", path.read_text()), path


# -- the container --------------------------------------------------------------------


def instructions():
    """(name, rest) of every instruction of the container file, lines joined, comments gone."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().split("\n") if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(" ", 1)) for line in joined.split("\n")]


def ignored(name):
    """Whether .dockerignore leaves a path out: the last pattern that fits it, or a folder of it, decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().split("\n"):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        kept, pattern = pattern.startswith("!"), pattern.lstrip("!")
        expression = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*").replace(r"\[co\]", "[co]")
        if re.fullmatch(rf"{expression}(/.*)?", name):
            out = not kept
    return out


def test_the_container_file_passes_its_linter():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint has no build for this machine")
    run = subprocess.run([linter, "--no-color", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_container_holds_what_the_app_needs_runs_as_nobody_special_and_stops_when_told():
    found = instructions()
    names = [name for name, _ in found]
    assert names[:2] == ["ARG", "FROM"] and found[1][1].endswith("-slim-bookworm")
    copied = {source for name, rest in found if name == "COPY" for source in rest.split()[:-1]}
    assert all((ROOT / source).exists() and not ignored(source) for source in copied)
    assert {"app.py", "demo", "scsa_core", "checkpoints", "assets/examples", "requirements.txt", "LICENSE"} <= copied
    user = [rest for name, rest in found if name == "USER"]
    assert user == ["1000"] and names.index("USER") < names.index("CMD")
    assert ("VOLUME", "/data") in found and "SCSA_DATA=/data" in dict(found)["ENV"]
    assert any(name == "ARG" and rest.startswith("TORCH_INDEX=") and rest.endswith("/cpu") for name, rest in found)
    command = json.loads(dict(found)["CMD"])  # a list: a shell in between would keep signals to itself
    assert command[:2] == ["python", "app.py"] and "0.0.0.0" in command
    for name, rest in found:
        assert not re.search(r"(?i)(password|secret|token)\s*=", rest), (name, rest)
    pinned = {r.name: r for r in map(Requirement, re.findall(r'"(torch\w*>=[\d.]+)"', dict(found)["RUN"] + str(found)))}
    assert {name: r.specifier for name, r in pinned.items()} == {name: requirements()[name].specifier for name in ("torch", "torchvision")}


def test_the_container_leaves_the_rest_out():
    weights = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split("\n") if line.startswith("checkpoints/")]
    assert len(weights) > 4
    for name in (*weights, ".git", ".venv", ".data", "data", "tests", ".env", "demo/__pycache__/a.pyc", "scsa_core/study/x.pyc", "demo/painter.pyi"):
        assert ignored(name), name
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(("demo/", "scsa_core/", "checkpoints/", "assets/examples/")):
            assert not ignored(name), name


@pytest.mark.parametrize(("answer", "code"), [({"ok": True}, 0), ({"ok": False}, 1), (None, 1)])
def test_the_container_s_health_check_asks_the_app(answer, code):
    class App(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rest = dict(instructions())["HEALTHCHECK"]
    options, command = rest.split(" CMD ")
    assert {"--interval", "--timeout", "--start-period", "--retries"} == {option.split("=")[0] for option in options.split()}
    python, flag, script = json.loads(command)
    assert (python, flag) == ("python", "-c") and "7860" in script and "/healthz" in script
    script = script.replace("7860", str(server.server_port if answer is not None else 9))
    try:
        assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == code
    finally:
        server.shutdown()
        server.server_close()


# -- the service ----------------------------------------------------------------------


def service():
    found = {}
    for line in SERVICE.read_text().split("\n"):
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_the_service_runs_the_app_as_its_own_user_within_bounds(tmp_path):
    found = service()
    command = shlex.split(found["ExecStart"][0])
    assert command[0].endswith(".venv/bin/python") and command[1] == "app.py" and found["User"] == ["scsa"]
    settings = dict(pair.split("=", 1) for line in found["Environment"] for pair in line.split())
    assert settings["SCSA_DATA"] == f"/var/lib/{found['StateDirectory'][0]}" and settings["GRADIO_TEMP_DIR"] == f"/var/cache/{found['CacheDirectory'][0]}"
    assert (settings["SCSA_FETCH"], settings["SCSA_CACHE"], settings["SCSA_PROXIES"]) == ("0", "off", "1")
    assert found["Restart"] == ["always"] and "time-sync.target" in found["After"][0] and found["ProtectSystem"] == ["strict"]
    from demo.ending import PATIENCE

    assert int(found["TimeoutStopSec"][0]) > PATIENCE
    if shutil.which("systemd-analyze") is None:
        return
    there = SERVICE.read_text().replace(command[0], sys.executable).replace("=scsa\n", "=root\n")  # what this machine has
    (tmp_path / SERVICE.name).write_text(there)
    run = subprocess.run(["systemd-analyze", "verify", str(tmp_path / SERVICE.name)], capture_output=True, text=True)
    assert run.returncode == 0 and SERVICE.name not in run.stderr, run.stderr


def test_the_flags_that_hosts_use_exist():
    flags = set(re.findall(r'add_argument\("(--[a-z-]+)"', (ROOT / "app.py").read_text()))
    for words in (json.loads(dict(instructions())["CMD"]), shlex.split(service()["ExecStart"][0])):
        assert {word for word in words if word.startswith("--")} <= flags


# -- the audit ------------------------------------------------------------------------


class Database(http.server.BaseHTTPRequestHandler):
    """Plays OSV: package a has one hole under two names, and one that was withdrawn."""

    holes = {
        "PYSEC-1": {"aliases": ["GHSA-1"], "summary": "It leaks.", "affected": [{"package": {"name": "A"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]}]},
        "GHSA-1": {"aliases": ["PYSEC-1"]},
        "PYSEC-2": {"withdrawn": "2026-01-01"},
    }  # fmt: skip

    def do_POST(self):
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        assert self.path == "/querybatch" and all(q["package"]["ecosystem"] == "PyPI" and q["version"] for q in queries)
        self.answer({"results": [{"vulns": [{"id": key} for key in self.holes]} if q["package"]["name"] == "a" else {} for q in queries]})

    def do_GET(self):
        self.answer(self.holes[self.path.removeprefix("/vulns/")])

    def answer(self, found):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def audit(monkeypatch):
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = http.server.HTTPServer(("127.0.0.1", 0), Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(module, "SERVICE", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield module
    server.shutdown()
    server.server_close()


def test_the_audit_names_each_hole_once_and_fails_a_release_only(audit, monkeypatch, capsys):
    monkeypatch.setattr(audit, "installed", lambda: {"a": "1.0", "b": "3.1"})
    assert audit.main([]) == 0 and audit.main(["--strict"]) == 1
    lines = capsys.readouterr().out.split("\n")[:2]
    assert lines == ["a 1.0: PYSEC-1, mended in 2.0. It leaks.", "2 packages audited, 1 known holes."]
    monkeypatch.setattr(audit, "installed", lambda: {"b": "3.1"})
    assert audit.main(["--strict"]) == 0


def test_the_audit_holds_up_and_fails_nothing_where_nobody_answers(audit, monkeypatch, capsys):
    monkeypatch.setattr(audit, "PATIENCE", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for service in (f"http://127.0.0.1:{silent.getsockname()[1]}", "http://127.0.0.1:9", f"{audit.SERVICE}/another"):
            monkeypatch.setattr(audit, "SERVICE", service)
            assert audit.main([]) == 0 and "not audited" in capsys.readouterr().out
            assert audit.main(["--strict"]) == 2


def test_the_audit_knows_what_is_installed(audit):
    found = audit.installed()
    assert {"torch", "gradio", "prometheus-client"} <= set(found) and all("+" not in version for version in found.values())
    lines = (ROOT / ".ci" / "run").read_text().split("\n")
    assert lines.index("make test") < lines.index(".venv/bin/python .ci/audit.py")
