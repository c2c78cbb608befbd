"""The database behind studies: SQLite in a file by default, PostgreSQL by URL; brought up to date when opened."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from scsa_core.errors import StudyError

BUSY_SECONDS = 20
"""How long a transaction waits for a busy database, all its attempts together."""
GONE_SECONDS = 5
"""How long a PostgreSQL server may be silent."""
_LOCK = 0x5C5A_0001
"""Number of the PostgreSQL advisory lock under which tables are changed."""
T = TypeVar("T")


class Database:
    """One database. Transactions are short: `read` sees one state, `write` has the database's write lock (SQLite) from the start."""

    def __init__(self, url: str) -> None:
        """Connect and migrate. Raises StudyError where the database cannot be opened or is from a newer version."""
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "postgresql" and parsed.drivername in ("postgresql", "postgres"):
                parsed = parsed.set(drivername="postgresql+psycopg")
        except ArgumentError as error:
            raise StudyError("the address of the study database cannot be read", hint="Check SCSA_DATABASE_URL.") from error
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if not self.sqlite and parsed.get_backend_name() != "postgresql":
            raise StudyError("studies are kept in SQLite or PostgreSQL only", hint="Check SCSA_DATABASE_URL.")
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
        if not self.sqlite:
            # A server that does not answer is gone: the system's own patience is minutes, in which every thread would wait.
            patience = {"connect_timeout": GONE_SECONDS, "tcp_user_timeout": GONE_SECONDS * 1000}
            own = {name: value for name, value in patience.items() if name not in parsed.query}
            options = {"pool_pre_ping": True, "connect_args": own}
        self._engine = create_engine(parsed, pool_size=8, max_overflow=16, pool_timeout=BUSY_SECONDS, **options)
        if self.sqlite:
            _prepare_sqlite(self._engine)
        try:
            self._migrate()
        except (OperationalError, InterfaceError) as error:
            self._engine.dispose()
            raise StudyError(
                "the study database cannot be opened", hint="Check that its folder is writable, or SCSA_DATABASE_URL."
            ) from error

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self._engine) as session:
            yield session

    def write(self, work: Callable[[Session], T], *, attempts: int = 4) -> T:
        """Run `work` in a transaction and commit; again where the database was busy or its connection was lost.

        So `work` must be one that may run twice: what it did the first time is rolled back, or it is idempotent.
        """
        begin = time.monotonic()
        for attempt in range(attempts):
            try:
                with self._engine.connect().execution_options(scsa_write=True) as connection, Session(connection) as session:
                    found = work(session)
                    session.commit()
                    return found
            except (OperationalError, InterfaceError) as error:
                if attempt + 1 == attempts or not _passing(error) or time.monotonic() - begin > BUSY_SECONDS:
                    raise
                time.sleep(0.05 * 4**attempt)
        raise AssertionError("unreachable")

    # -- migrations -------------------------------------------------------------------

    def _migrate(self) -> None:
        """Bring the tables up to date. Several processes may do so at once: one works, the others find it done."""
        config = Config()
        config.set_main_option("script_location", "scsa_core.study:migrations")
        script = ScriptDirectory.from_config(config)
        if self._revision() == script.get_current_head():
            return
        with self._engine.connect().execution_options(scsa_write=True) as connection, connection.begin():
            if not self.sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})
            revision = _current(connection)
            if revision is not None and revision not in {s.revision for s in script.walk_revisions()}:
                return  # of a newer version of the app: changes only add, so this one can work with it
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _revision(self) -> str | None:
        with self._engine.connect() as connection:
            return _current(connection)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": "study_schema"}).get_current_revision()


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions begin where `begin` below says, DDL included
        for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _write_ahead(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later may be refused at once; so take the lock at its start.
        writes = connection.get_execution_options().get("scsa_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _write_ahead(connection: Any) -> None:
    """Switch a SQLite file to write-ahead logging, which lasts. Raises sqlite3.OperationalError.

    Of two connections that switch a new file at once, SQLite refuses one immediately and
    does not wait as busy_timeout says, since waiting for each other could last for ever.
    """
    begin = time.monotonic()
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() - begin > BUSY_SECONDS:
                raise
            time.sleep(0.01 + 0.04 * random.random())  # not in step with the other


def _passing(error: DBAPIError) -> bool:
    """Whether trying again may help: a lost connection, a busy file, a deadlock."""
    said = str(error.orig).lower()
    return error.connection_invalidated or any(word in said for word in ("locked", "busy", "closed", "terminat", "deadlock", "connect"))
