"""What the store takes and hands out: no session, no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image

from scsa_core.errors import StudyError
from scsa_core.study.design import Plan
from scsa_core.study.stats import Answer

MAX_TRIALS, MAX_PAIRS, MAX_ARMS, MAX_PARTICIPANTS = 100, 100, 4, 10_000

State = Literal["draft", "open", "closed"]


@dataclass(frozen=True)
class Design:
    """What a host decides. arms: {"name": …, and the settings it was rendered with}."""

    question: str
    consent: str
    end_text: str
    arms: Sequence[Mapping[str, Any]]
    title: str = ""
    shown: int = 2
    trials: int = 20
    checks: int = 4
    repeat: bool = True
    ties: bool = False
    max_participants: int = 500

    def plan(self, pairs: int) -> Plan:
        """Checked. Raises StudyError."""
        for name, limit in (("question", 500), ("consent", 4000), ("end_text", 2000), ("title", 200)):
            text = getattr(self, name)
            if len(text) > limit:
                said = f"the {name.replace('_', ' ')} is longer than {limit} characters"
                raise StudyError(said, hint="Shorten it.", reason="too_long", limit=limit)
        if not self.question.strip():
            raise StudyError("a study needs a question", hint="Write one.", reason="no_question")
        if not 1 <= self.max_participants <= MAX_PARTICIPANTS:
            raise StudyError(f"participants lie between 1 and {MAX_PARTICIPANTS}", reason="participants", most=MAX_PARTICIPANTS)
        if self.trials > MAX_TRIALS or pairs > MAX_PAIRS or len(self.arms) > MAX_ARMS:
            raise StudyError(
                f"a study has at most {MAX_PAIRS} pairs, {MAX_ARMS} methods and {MAX_TRIALS} trials a person",
                hint="Take fewer.", reason="too_many", pairs=MAX_PAIRS, methods=MAX_ARMS, trials=MAX_TRIALS,
            )  # fmt: skip
        return Plan(pairs, len(self.arms), self.shown, self.trials, self.checks, self.repeat)


@dataclass(frozen=True)
class PairPictures:
    """One pair to judge: its name, its pictures, and one render for each method."""

    name: str
    content: Image.Image
    style: Image.Image
    renders: Sequence[Image.Image]


@dataclass(frozen=True)
class StudyInfo:
    """A study as its participants may know it, and for its host."""

    id: str
    state: State
    design: Design
    pairs: tuple[str, ...]
    created: int
    closed: int | None


@dataclass(frozen=True)
class Shown:
    """A trial as the browser gets it: picture ids only. number 0 is the practice."""

    number: int
    content: str
    style: str
    options: tuple[str, ...]
    answered: bool


@dataclass(frozen=True)
class Progress:
    """Where a participant stands."""

    trials: tuple[Shown, ...]
    finished: bool


@dataclass(frozen=True)
class Records:
    """Everything that was answered. participants: number -> (started, finished or None)."""

    info: StudyInfo
    answers: tuple[Answer, ...]
    at: Mapping[tuple[int, int], int] = field(default_factory=dict)
    participants: Mapping[int, tuple[int, int | None]] = field(default_factory=dict)
