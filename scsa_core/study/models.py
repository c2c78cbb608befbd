"""The tables. Times are milliseconds since 1970 (UTC); orders of methods are JSON lists of indices.

Nothing here names a person: a participant is a number, and the hash of a random token that only
their browser keeps.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of the tables."""


class StudyRow(Base):
    """A study. state: draft, open or closed. results_hash: SHA-256 of the secret in the results link."""

    __tablename__ = "studies"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    results_hash: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8))
    title: Mapped[str] = mapped_column(String(200))
    question: Mapped[str] = mapped_column(Text)
    consent: Mapped[str] = mapped_column(Text)
    end_text: Mapped[str] = mapped_column(Text)
    shown: Mapped[int] = mapped_column(Integer)
    trials: Mapped[int] = mapped_column(Integer)
    checks: Mapped[int] = mapped_column(Integer)
    repeat: Mapped[bool] = mapped_column(Boolean)
    ties: Mapped[bool] = mapped_column(Boolean)
    max_participants: Mapped[int] = mapped_column(Integer)
    arms: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    seed: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[int] = mapped_column(BigInteger)
    closed: Mapped[int | None] = mapped_column(BigInteger, nullable=True)


class PairRow(Base):
    """A pair of pictures; `number` counts from 0 within its study."""

    __tablename__ = "study_pairs"
    __table_args__ = (UniqueConstraint("study_id", "number"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(200))


class PictureRow(Base):
    """A picture file of a study. role: content, style, render or blurred; arm: the method of the last two."""

    __tablename__ = "study_pictures"
    __table_args__ = (Index("ix_study_pictures_study_id", "study_id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    pair: Mapped[int] = mapped_column(Integer)
    role: Mapped[str] = mapped_column(String(8))
    arm: Mapped[int | None] = mapped_column(Integer, nullable=True)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)


class ParticipantRow(Base):
    """Somebody who agreed to take part. preview: the host trying a draft; never counted."""

    __tablename__ = "study_participants"
    __table_args__ = (Index("ix_study_participants_study_id", "study_id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    number: Mapped[int] = mapped_column(Integer)
    seed: Mapped[int] = mapped_column(BigInteger)
    preview: Mapped[bool] = mapped_column(Boolean)
    started: Mapped[int] = mapped_column(BigInteger)
    last_seen: Mapped[int] = mapped_column(BigInteger)
    finished: Mapped[int | None] = mapped_column(BigInteger, nullable=True)


class TrialRow(Base):
    """One trial of one participant; `ordinal` 0 is the practice."""

    __tablename__ = "study_trials"
    __table_args__ = (UniqueConstraint("participant_id", "ordinal"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    participant_id: Mapped[int] = mapped_column(ForeignKey("study_participants.id", ondelete="CASCADE"))
    ordinal: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(8))
    pair: Mapped[int] = mapped_column(Integer)
    order: Mapped[list[int]] = mapped_column("arm_order", JSON)
    good: Mapped[int | None] = mapped_column(Integer, nullable=True)
    repeats: Mapped[int | None] = mapped_column(Integer, nullable=True)


class VoteRow(Base):
    """The answer to a trial: one at most. choice: position from the left, or -1 for no difference."""

    __tablename__ = "study_votes"

    trial_id: Mapped[int] = mapped_column(ForeignKey("study_trials.id", ondelete="CASCADE"), primary_key=True)
    choice: Mapped[int] = mapped_column(Integer)
    ms: Mapped[int] = mapped_column(Integer)
    at: Mapped[int] = mapped_column("voted_at", BigInteger)
