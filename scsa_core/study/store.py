"""Studies, participants and votes kept: every operation is one short transaction.

Secrets (the results link, a participant's token) are random, and only their SHA-256 is kept.
Pictures lie in the data folder under opaque names and are read through `Store.picture` only.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from scsa_core.clock import careful
from scsa_core.errors import StudyClosed, StudyError, StudyFull, StudyUnknown
from scsa_core.files import write_atomically
from scsa_core.study import reading
from scsa_core.study.database import Database
from scsa_core.study.design import check_arm, draw
from scsa_core.study.models import PairRow, ParticipantRow, PictureRow, StudyRow, TrialRow, VoteRow
from scsa_core.study.records import Design, PairPictures, Progress, Records, StudyInfo
from scsa_core.study.stats import TIE

DRAFT_MS = 24 * 60 * 60 * 1000
BLUR_AT_512 = 8.0
MAX_SIDE = 1024
MAX_MS = 60 * 60 * 1000
_ID = re.compile(r"[A-Za-z0-9_-]{10,32}")

class Store:
    """All studies of one database and one data folder. Safe to use from several threads and processes."""

    def __init__(self, folder: Path, url: str = "", *, clock: Any = time.time) -> None:
        """url: of a PostgreSQL database; empty: SQLite in the folder. Raises StudyError."""
        self.folder = Path(folder)
        self._clock, self._surely = clock, careful(clock)
        try:
            (self.folder / "studies").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(f"the data folder {self.folder} cannot be used", hint="Set SCSA_DATA to a writable folder.") from error
        self.database = Database(url or f"sqlite:///{self.folder / 'studies.sqlite3'}")

    def close(self) -> None:
        self.database.close()

    # -- the host's side --------------------------------------------------------------

    def create(self, design: Design, pairs: Sequence[PairPictures]) -> tuple[str, str]:
        """A draft. Returns (study id, secret of its results). Raises StudyError."""
        design.plan(len(pairs))
        self.sweep()
        study, secret = _identifier(), secrets.token_urlsafe(24)
        folder = self._folder(study)
        folder.mkdir(parents=True)
        try:
            pictures = [row for number, pair in enumerate(pairs) for row in self._pictures(study, number, pair, design)]
            row = StudyRow(
                id=study, results_hash=_hash(secret), state="draft", title=design.title, question=design.question, consent=design.consent,
                end_text=design.end_text, shown=design.shown, trials=design.trials, checks=design.checks, repeat=design.repeat,
                ties=design.ties, max_participants=design.max_participants, arms=[dict(arm) for arm in design.arms],
                seed=secrets.randbits(48), created=self._now(), closed=None,
            )  # fmt: skip
            names = [PairRow(study_id=study, number=number, name=pair.name[:200]) for number, pair in enumerate(pairs)]

            def insert(session: Session) -> None:
                session.add(row)
                session.flush()
                session.add_all([*names, *pictures])

            self.database.write(insert, attempts=1)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return study, secret

    def _pictures(self, study: str, number: int, pair: PairPictures, design: Design) -> list[PictureRow]:
        if len(pair.renders) != len(design.arms):
            raise StudyError(f"the pair {pair.name} has {len(pair.renders)} renders for {len(design.arms)} methods")
        rows = [self._keep(study, number, "content", None, pair.content), self._keep(study, number, "style", None, pair.style)]
        rows += [self._keep(study, number, "render", arm, image) for arm, image in enumerate(pair.renders)]
        if design.checks:
            arm = check_arm(number, len(design.arms))
            small = _bounded(pair.renders[arm])
            blurred = small.filter(ImageFilter.GaussianBlur(BLUR_AT_512 * max(small.size) / 512))
            rows.append(self._keep(study, number, "blurred", arm, blurred))
        return rows

    def _keep(self, study: str, pair: int, role: str, arm: int | None, image: Image.Image) -> PictureRow:
        image = _bounded(image.convert("RGB"))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=95, subsampling=0)
        name = secrets.token_urlsafe(16)
        write_atomically(self._folder(study) / f"{name}.jpg", out.getvalue())
        return PictureRow(id=name, study_id=study, pair=pair, role=role, arm=arm, width=image.width, height=image.height)

    def publish(self, study: str, secret: str) -> None:
        """Open a draft: what the host tried in its preview is forgotten. A no-op for an open study."""

        def work(session: Session) -> None:
            row = self._authorised(session, study, secret, lock=True)
            if row.state == "draft":
                session.execute(delete(ParticipantRow).where(ParticipantRow.study_id == study))
                row.state = "open"

        self.database.write(work)

    def set_closed(self, study: str, secret: str, closed: bool) -> None:
        """Close, or open again."""

        def work(session: Session) -> None:
            row = self._authorised(session, study, secret, lock=True)
            if row.state == "draft":
                raise StudyClosed("this study is not published yet")
            row.state, row.closed = ("closed", self._now()) if closed else ("open", None)

        self.database.write(work)

    def delete(self, study: str, secret: str) -> None:
        """Everything of a study: answers, participants, pictures."""

        def work(session: Session) -> None:
            self._authorised(session, study, secret, lock=True)
            session.execute(delete(StudyRow).where(StudyRow.id == study))

        self.database.write(work)
        shutil.rmtree(self._folder(study), ignore_errors=True)

    def records(self, study: str, secret: str) -> Records:
        """All answers of a study, practice included. Raises StudyUnknown."""
        with self.database.read() as session:
            row = self._authorised(session, study, secret)
            return reading.records(session, row)

    def records_of(self, study: str) -> Records:
        """As `records` without the secret: for whoever has the machine."""
        with self.database.read() as session:
            return reading.records(session, self._row(session, study))

    def studies(self) -> list[StudyInfo]:
        """All studies, newest first: for whoever has the machine."""
        with self.database.read() as session:
            rows = session.scalars(select(StudyRow).order_by(StudyRow.created.desc())).all()
            return [reading.info(session, row) for row in rows]

    def forget(self, study: str) -> None:
        """As `delete` without the secret: for whoever has the machine."""

        def work(session: Session) -> None:
            self._row(session, study)
            session.execute(delete(StudyRow).where(StudyRow.id == study))

        self.database.write(work)
        shutil.rmtree(self._folder(study), ignore_errors=True)

    def renew(self, study: str) -> str:
        """A new secret for the results; the old link stops working. For whoever has the machine."""
        secret = secrets.token_urlsafe(24)

        def work(session: Session) -> None:
            self._row(session, study, lock=True).results_hash = _hash(secret)

        self.database.write(work)
        return secret

    def sweep(self) -> None:
        """Drop drafts older than a day, and folders that no study owns any more."""
        limit = int(self._surely() * 1000) - DRAFT_MS
        self.database.write(lambda s: s.execute(delete(StudyRow).where(StudyRow.state == "draft", StudyRow.created < limit)) and None)
        with self.database.read() as session:
            known = set(session.scalars(select(StudyRow.id)))
        for folder in (self.folder / "studies").iterdir():
            with contextlib.suppress(OSError):
                if folder.name not in known and folder.stat().st_mtime < self._surely() - 3600:
                    shutil.rmtree(folder, ignore_errors=True)

    def used_bytes(self) -> int:
        """Of all pictures of all studies."""
        return sum(file.stat().st_size for file in (self.folder / "studies").glob("*/*.jpg"))

    # -- the participant's side -------------------------------------------------------

    def info(self, study: str) -> StudyInfo:
        """What a visitor may see. Raises StudyUnknown."""
        with self.database.read() as session:
            return reading.info(session, self._row(session, study))

    def places_left(self, study: str) -> bool:
        """Whether one more person may start. Raises StudyUnknown."""
        with self.database.read() as session:
            row = self._row(session, study)
            return reading.count(session, study, row.state == "draft", self._now()) < row.max_participants

    def start(self, study: str) -> tuple[str, Progress]:
        """Somebody agreed: their token and their trials. Raises StudyUnknown, StudyClosed, StudyFull."""
        token = secrets.token_urlsafe(24)

        def work(session: Session) -> None:
            row = self._row(session, study, lock=True)
            if session.scalar(select(ParticipantRow.id).where(ParticipantRow.token_hash == _hash(token))) is not None:
                return  # a second attempt after a commit whose answer was lost
            if row.state == "closed":
                raise StudyClosed("this study is closed")
            preview, now = row.state == "draft", self._now()
            if reading.count(session, study, preview, now) >= row.max_participants:
                raise StudyFull("enough people take part in this study")
            numbers = select(func.coalesce(func.max(ParticipantRow.number), 0)).where(ParticipantRow.study_id == study)
            number = (session.scalar(numbers) or 0) + 1
            person = ParticipantRow(
                study_id=study, token_hash=_hash(token), number=number, seed=_seed(row.seed, number), preview=preview,
                started=now, last_seen=now, finished=None,
            )  # fmt: skip
            session.add(person)
            session.flush()
            info = reading.info(session, row)
            plan = info.design.plan(len(info.pairs))
            for ordinal, trial in enumerate(draw(plan, reading.served(session, study, now), person.seed)):
                session.add(
                    TrialRow(
                        participant_id=person.id, ordinal=ordinal, kind=trial.kind, pair=trial.pair, order=list(trial.order),
                        good=trial.good, repeats=trial.repeats,
                    )
                )  # fmt: skip

        self.database.write(work)
        return token, self.resume(study, token)

    def resume(self, study: str, token: str) -> Progress:
        """Where a participant stands. Raises StudyUnknown for a token that is not of this study."""
        with self.database.read() as session:
            row, person = self._row(session, study), self._person(session, study, token)
            return reading.progress(session, row, person)

    def vote(self, study: str, token: str, number: int, choice: int, ms: int) -> bool:
        """Keep an answer: the first one to a trial stays, a repeat is a no-op. Whether it was new.

        choice: position from the left, or TIE where the host allows it. Raises StudyUnknown, StudyClosed, StudyError.
        """

        def work(session: Session) -> bool:
            row, person = self._row(session, study), self._person(session, study, token, lock=True)
            trial = session.scalar(select(TrialRow).where(TrialRow.participant_id == person.id, TrialRow.ordinal == number))
            if trial is None:
                raise StudyError("there is no such trial")
            allowed = range(len(trial.order)) if not row.ties else range(TIE, len(trial.order))
            if type(choice) is not int or choice not in allowed:
                raise StudyError("this is not one of the answers")
            if row.state == "closed":
                raise StudyClosed("this study is closed")
            now = self._now()
            insert = sqlite.insert(VoteRow) if self.database.sqlite else postgresql.insert(VoteRow)
            values = {"trial_id": trial.id, "choice": choice, "ms": min(max(int(ms), 0), MAX_MS), "at": now}
            made = session.scalar(insert.values(**values).on_conflict_do_nothing().returning(VoteRow.trial_id))
            person.last_seen = now
            if made is not None and person.finished is None:
                answered = select(VoteRow.trial_id).join(TrialRow, TrialRow.id == VoteRow.trial_id)
                answered = answered.where(TrialRow.participant_id == person.id)
                total = select(func.count()).select_from(TrialRow).where(TrialRow.participant_id == person.id)
                if len(session.scalars(answered).all()) == session.scalar(total):
                    person.finished = now
            return made is not None

        return self.database.write(work)

    def picture(self, study: str, picture: str) -> Path:
        """The file of a study's picture. Raises StudyUnknown."""
        if not (_ID.fullmatch(study) and _ID.fullmatch(picture)):
            raise StudyUnknown("there is no such picture")
        with self.database.read() as session:
            row = session.get(PictureRow, picture)
            if row is None or row.study_id != study:
                raise StudyUnknown("there is no such picture")
        return self._folder(study) / f"{picture}.jpg"

    def thumbnails(self, study: str) -> dict[int, dict[str, str]]:
        """Pair -> role ("content", "style", "0", "1", …) -> picture id, for the host's results."""
        with self.database.read() as session:
            rows = session.scalars(select(PictureRow).where(PictureRow.study_id == study, PictureRow.role != "blurred"))
            found: dict[int, dict[str, str]] = {}
            for row in rows:
                found.setdefault(row.pair, {})[row.role if row.arm is None else str(row.arm)] = row.id
            return found

    # -- inside a transaction ---------------------------------------------------------

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _folder(self, study: str) -> Path:
        return self.folder / "studies" / study

    def _row(self, session: Session, study: str, *, lock: bool = False) -> StudyRow:
        query = select(StudyRow).where(StudyRow.id == study)
        row = session.scalar(query.with_for_update() if lock else query) if _ID.fullmatch(study) else None
        if row is None:
            raise StudyUnknown("there is no such study")
        return row

    def _authorised(self, session: Session, study: str, secret: str, *, lock: bool = False) -> StudyRow:
        row = None
        with contextlib.suppress(StudyUnknown):
            row = self._row(session, study, lock=lock)
        # An unknown study takes the same way, so that time does not tell it from a wrong secret.
        if not hmac.compare_digest(_hash(secret), row.results_hash if row is not None else _hash("")) or row is None:
            raise StudyUnknown("there is no such study, or the link is not complete")
        return row

    def _person(self, session: Session, study: str, token: str, *, lock: bool = False) -> ParticipantRow:
        query = select(ParticipantRow).where(ParticipantRow.token_hash == _hash(token), ParticipantRow.study_id == study)
        person = session.scalar(query.with_for_update() if lock else query)
        if person is None:
            raise StudyUnknown("this study does not know you yet")
        return person


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _seed(study_seed: int, number: int) -> int:
    """A participant's own seed, the same for the same study and number."""
    return int.from_bytes(hashlib.sha256(f"{study_seed}/{number}".encode()).digest()[:6], "big")


def _identifier() -> str:
    """A study's id: never "-..." at its beginning, which a command line takes for an option."""
    while (found := secrets.token_urlsafe(12)).startswith("-"):
        pass
    return found


def _bounded(image: Image.Image) -> Image.Image:
    if max(image.size) > MAX_SIDE:
        image = image.copy()
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return image
