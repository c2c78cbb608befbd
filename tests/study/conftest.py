"""Both databases for real: SQLite in a folder, and a PostgreSQL that is started here or named by SCSA_TEST_POSTGRES_URL."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from scsa_core.study.records import Design, PairPictures
from scsa_core.study.store import Store

ARMS = ({"name": "Baseline", "method": "baseline"}, {"name": "SCSA", "method": "scsa"})


def design(**changes) -> Design:
    return Design(**({"question": "Which is better?", "consent": "You may stop.", "end_text": "Thanks.", "arms": ARMS} | changes))


def pairs(count: int = 3, arms: int = 2, size: int = 32) -> list[PairPictures]:
    def flat(*colour: int) -> Image.Image:
        return Image.new("RGB", (size, size - 8), colour)

    return [
        PairPictures(f"Pair {k}", flat(k * 9, 0, 0), flat(0, k * 9, 0), [flat(0, arm * 60, k * 9) for arm in range(arms)])
        for k in range(count)
    ]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _programs() -> Path | None:
    """The folder with initdb and pg_ctl."""
    for found in (shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)):
        if found:
            return Path(found).resolve().parent
    return None


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL server. Without one: a failure where the environment demands it, else a skip."""
    if url := os.environ.get("SCSA_TEST_POSTGRES_URL"):
        yield url
        return
    programs = _programs()
    if programs is None:
        if os.environ.get("SCSA_REQUIRE_POSTGRES") == "1":
            pytest.fail("SCSA_REQUIRE_POSTGRES is set and there is no PostgreSQL")
        pytest.skip("no PostgreSQL on this machine")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path must be short
    owner: dict[str, object] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def run(*command: str) -> None:
        with (folder.parent / f"{folder.name}.log").open("a") as log:  # a server that keeps a pipe open would be waited for
            subprocess.run(command, check=True, cwd=folder, stdout=log, stderr=log, **owner)

    port = free_port()
    data = str(folder / "data")
    try:
        run(str(programs / "initdb"), "-D", data, "-U", "scsa", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        run(str(programs / "pg_ctl"), "-D", data, "-w", "-o", options, "start")
        yield f"postgresql://scsa@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request):
    """An empty database of each kind; "" is SQLite in the store's own folder."""
    if request.param == "sqlite":
        yield ""
        return
    import psycopg

    server = request.getfixturevalue("postgres")
    name = f"scsa_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def store(database_url, tmp_path):
    opened = Store(tmp_path / "data", database_url)
    yield opened
    opened.close()
