"""The command line: `scsa` or `python -m scsa_core`.

Exit codes: 0 done; 1 this machine cannot do it (memory); 2 bad input, with one line on
standard error; 130 interrupted. A bug ends in a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from scsa_core import __version__
from scsa_core.commands import COMMANDS
from scsa_core.commands.base import Parser
from scsa_core.errors import Cancelled, KnobError, OutOfMemory, ScsaError
from scsa_core.threads import keep_to_allowed_cores

INTERRUPTED = 130


def build_parser() -> Parser:
    """The parser of the whole command line; a parsed command leaves its function in `run`."""
    parser = Parser(
        prog="scsa",
        description="Semantic style transfer: paint each region of a photograph like the matching region of a painting.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"scsa {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.help, allow_abbrev=False)
        command.configure(sub)
        sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, without the program's name. Returns the exit code."""
    try:
        args = build_parser().parse_args(argv)
        keep_to_allowed_cores()
        code: int = args.run(args)
        return code
    except (KeyboardInterrupt, Cancelled):
        return INTERRUPTED
    except ScsaError as error:
        print(_line(error), file=sys.stderr)
        return 1 if isinstance(error, OutOfMemory) else 2


def _line(error: ScsaError) -> str:
    """Message and hint on one line, whatever they contain."""
    message = str(error)
    if isinstance(error, KnobError):  # knobs are named as in Python; here they are options
        message = message.replace(error.knob, "--" + error.knob.replace("_", "-"), 1)
    sentence = message if message.endswith((".", "!", "?")) else f"{message}."
    return " ".join(f"scsa: {sentence} {error.hint}".split())
