"""Every error the library raises on purpose.

::

    ScsaError                   carries `hint`: what the person can do next
    ├── ImageError              a picture cannot be used
    │   ├── UnreadableImage     not a picture, a type we refuse, or damaged
    │   └── ImageSizeError      too large or too small
    ├── LabelError              a semantic map cannot be used
    ├── KnobError               a setting outside its range
    ├── ShapeError              tensors that do not fit (a caller's mistake)
    ├── CheckpointError         weights
    │   ├── CheckpointMissing   the file is not there
    │   ├── CheckpointCorrupt   the file is damaged, truncated or hostile
    │   ├── CheckpointMismatch  the file holds another network: keys or shapes differ
    │   └── FetchFailed         a download did not succeed; what has arrived is kept
    ├── MissingPackage          an optional package is not installed
    ├── RecipeError             settings embedded in a picture cannot be used
    ├── OutOfMemory             the picture does not fit this machine
    ├── NoGpu                   a GPU that is borrowed for a render was not to be had, or was taken back
    ├── StudyError              a user study, or its database
    │   ├── StudyUnknown        no such study, or not with this secret
    │   ├── StudyClosed         it takes no answers now
    │   └── StudyFull           as many people as the host wanted take part
    ├── TooMany                 one client asks for more than its share
    ├── RequestError            what a client sent is not what the page sends
    ├── LinkGone                a kept render is not here (any more)
    └── Cancelled               the caller asked to stop; nothing is wrong

The page maps classes to words (`demo/text.py`); the command line prints `str(error)` and
the hint. Messages name the thing and the limit, never a traceback.
"""

from __future__ import annotations

from typing import Any


class ScsaError(Exception):
    """Base of the family. `hint` says what to do next, or is empty. Travels between processes whole."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args), self.__dict__


class ImageError(ScsaError):
    """A picture cannot be used."""


class UnreadableImage(ImageError):
    """Not a picture we read, or a damaged one. `looks_like` names what it seems to be, or is empty."""

    def __init__(self, message: str, *, hint: str = "", looks_like: str = "") -> None:
        super().__init__(message, hint=hint)
        self.looks_like = looks_like


class ImageSizeError(ImageError):
    """Width or height outside the limits. `size` is (width, height) in pixels, (0, 0) where it is not known."""

    def __init__(self, message: str, *, size: tuple[int, int], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.size = size


class LabelError(ScsaError):
    """A semantic map cannot be used."""


class KnobError(ScsaError):
    """A setting outside its range. `knob` is its name."""

    def __init__(self, message: str, *, knob: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.knob = knob


class ShapeError(ScsaError):
    """Tensors that do not fit each other."""

    def __init__(self, message: str, *, expected: str, actual: str) -> None:
        super().__init__(f"{message}: expected {expected}, got {actual}")
        self.expected, self.actual = expected, actual


class CheckpointError(ScsaError):
    """Weights cannot be used."""


class CheckpointMissing(CheckpointError):
    """A weights file is not there. `path` is where it was looked for."""

    def __init__(self, message: str, *, path: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class CheckpointCorrupt(CheckpointError):
    """A weights file is damaged, truncated, or holds more than tensors."""


class CheckpointMismatch(CheckpointError):
    """Another network's weights. `missing`, `unexpected`: keys; `misshapen`: key -> (expected, actual)."""

    def __init__(
        self,
        message: str,
        *,
        missing: tuple[str, ...] = (),
        unexpected: tuple[str, ...] = (),
        misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.missing, self.unexpected, self.misshapen = missing, unexpected, misshapen or {}


class FetchFailed(CheckpointError):
    """A download did not succeed. `offline`: no server answered at all."""

    def __init__(self, message: str, *, offline: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offline = offline


class MissingPackage(ScsaError):
    """An optional package that a feature needs is not installed. `package` is its name."""

    def __init__(self, message: str, *, package: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.package = package


class RecipeError(ScsaError):
    """Settings embedded in a picture cannot be used."""


class OutOfMemory(ScsaError):
    """The picture does not fit this machine."""


class NoGpu(ScsaError):
    """A GPU that is borrowed for one render was not to be had, or was taken back in the middle."""


class StudyError(ScsaError):
    """A user study cannot be made, shown or kept.

    reason: what is wrong, as a word for programs ("no_question"), or empty; values: the
    numbers and names in the message, for one who says it in another language.
    """

    def __init__(self, message: str, *, hint: str = "", reason: str = "", **values: Any) -> None:
        super().__init__(message, hint=hint)
        self.reason, self.values = reason, values


class StudyUnknown(StudyError):
    """No such study, or not with this secret: the two are not told apart."""


class StudyClosed(StudyError):
    """The study takes no answers now."""


class StudyFull(StudyError):
    """As many people as the host wanted take part already."""


class LinkGone(ScsaError):
    """A kept render is not here: unknown, expired, or given up for newer ones."""


class TooMany(ScsaError):
    """One client asks for more than its share. `seconds`: until it may ask again."""

    def __init__(self, message: str, *, seconds: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class RequestError(ScsaError):
    """What a client sent is not what the page sends."""


class Cancelled(ScsaError):
    """The caller asked to stop."""

    def __init__(self, message: str = "cancelled") -> None:
        super().__init__(message)


def _made_again(kind: type[ScsaError], args: tuple[Any, ...]) -> ScsaError:
    """An error as it came through a pickle: pickle itself would call `kind` without its keywords."""
    return kind.__new__(kind, *args)
