"""Questions to the database, inside a transaction of the caller's."""

from __future__ import annotations

from collections import Counter
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from scsa_core.study.design import Cell, Kind
from scsa_core.study.models import PairRow, ParticipantRow, PictureRow, StudyRow, TrialRow, VoteRow
from scsa_core.study.records import Design, Progress, Records, Shown, State, StudyInfo
from scsa_core.study.stats import Answer

ABANDONED_MS = 60 * 60 * 1000
"""Trials left open by somebody not seen for this long count as not served."""


def count(session: Session, study: str, preview: bool, now: int) -> int:
    """People who are through or here within the hour: who left early gives the place back."""
    here = (ParticipantRow.finished.is_not(None)) | (ParticipantRow.last_seen > now - ABANDONED_MS)
    people = select(func.count()).select_from(ParticipantRow).where(here)
    return session.scalar(people.where(ParticipantRow.study_id == study, ParticipantRow.preview == preview)) or 0


def served(session: Session, study: str, now: int) -> Counter[Cell]:
    """Cells answered, or waiting before somebody who was here within the hour."""
    query = (
        select(TrialRow.pair, TrialRow.order)
        .join(ParticipantRow, ParticipantRow.id == TrialRow.participant_id)
        .outerjoin(VoteRow, VoteRow.trial_id == TrialRow.id)
        .where(ParticipantRow.study_id == study, TrialRow.kind == "main")
        .where((VoteRow.trial_id.is_not(None)) | (ParticipantRow.last_seen > now - ABANDONED_MS))
    )
    return Counter((pair, tuple(order)) for pair, order in session.execute(query))


def info(session: Session, row: StudyRow) -> StudyInfo:
    names = session.scalars(select(PairRow.name).where(PairRow.study_id == row.id).order_by(PairRow.number)).all()
    design = Design(
        row.question, row.consent, row.end_text, tuple(row.arms), row.title, row.shown, row.trials, row.checks, row.repeat,
        row.ties, row.max_participants,
    )  # fmt: skip
    state: State = "draft" if row.state == "draft" else "open" if row.state == "open" else "closed"
    return StudyInfo(row.id, state, design, tuple(names), row.created, row.closed)


def progress(session: Session, row: StudyRow, person: ParticipantRow) -> Progress:
    pictures: dict[tuple[int, str, int | None], str] = {
        (p.pair, p.role, p.arm): p.id for p in session.scalars(select(PictureRow).where(PictureRow.study_id == row.id))
    }
    query = select(TrialRow, VoteRow.trial_id).outerjoin(VoteRow, VoteRow.trial_id == TrialRow.id)
    trials = []
    for trial, voted in session.execute(query.where(TrialRow.participant_id == person.id).order_by(TrialRow.ordinal)):
        roles = ["render" if trial.kind != "check" or k == trial.good else "blurred" for k in range(len(trial.order))]
        options = tuple(pictures[trial.pair, role, arm] for role, arm in zip(roles, trial.order, strict=True))
        content, style = (pictures[trial.pair, role, None] for role in ("content", "style"))
        trials.append(Shown(trial.ordinal, content, style, options, voted is not None))
    return Progress(tuple(trials), person.finished is not None)


def records(session: Session, row: StudyRow) -> Records:
    people = session.scalars(select(ParticipantRow).where(ParticipantRow.study_id == row.id, ParticipantRow.preview.is_(False)))
    participants = {p.id: (p.number, p.started, p.finished) for p in people}
    query = (
        select(TrialRow, VoteRow)
        .join(VoteRow, VoteRow.trial_id == TrialRow.id)
        .join(ParticipantRow, ParticipantRow.id == TrialRow.participant_id)
        .where(ParticipantRow.study_id == row.id, ParticipantRow.preview.is_(False))
        .order_by(TrialRow.participant_id, TrialRow.ordinal)
    )
    answers, at = [], {}
    for trial, vote in session.execute(query):
        number = participants[trial.participant_id][0]
        answers.append(
            Answer(
                number, trial.ordinal, cast(Kind, trial.kind), trial.pair, tuple(trial.order), vote.choice, vote.ms, trial.good,
                trial.repeats,
            )
        )  # fmt: skip
        at[number, trial.ordinal] = vote.at
    return Records(info(session, row), tuple(answers), at, {n: (s, f) for n, s, f in participants.values()})
