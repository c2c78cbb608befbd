"""What a command is, and what several of them share."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from scsa_core.errors import ScsaError
from scsa_core.knobs import Knobs, range_of


class UsageError(ScsaError):
    """A command line that cannot be run: an unknown option, a value of the wrong kind, an output we cannot write."""


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of printing its usage and leaving."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message, hint=f"See `{self.prog} --help`.")


@dataclass(frozen=True)
class Command:
    """name: as typed. configure adds its arguments. run does the work and returns the exit code."""

    name: str
    help: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_knobs(parser: argparse.ArgumentParser) -> None:
    """One option per knob, with its words and range. Unset ones are None: the family's own default."""
    group = parser.add_argument_group("settings", "left out, each takes the model's own default")
    for f in dataclasses.fields(Knobs):
        limits = range_of(f.name)
        group.add_argument(
            option_of(f.name),
            type=type(f.default),
            metavar="N" if isinstance(f.default, int) else "X",
            help=f"{limits.help} {limits.low:.10g} to {limits.high:.10g}.",
        )


def knob_values(args: argparse.Namespace) -> dict[str, float | None]:
    """What `add_knobs` parsed, by knob name."""
    return {f.name: getattr(args, f.name) for f in dataclasses.fields(Knobs)}


def option_of(knob: str) -> str:
    """`soft_borders` -> `--soft-borders`."""
    return "--" + knob.replace("_", "-")


def positive(text: str) -> int:
    """An argument type: a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value
