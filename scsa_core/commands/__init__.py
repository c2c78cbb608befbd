"""The commands of the command line, in the order its help lists them. A new one is a module here and a line below."""

from __future__ import annotations

from scsa_core.commands.base import Command, UsageError
from scsa_core.commands.batch import BATCH
from scsa_core.commands.bench import BENCH
from scsa_core.commands.checkpoints import CHECKPOINTS
from scsa_core.commands.evaluate import EVALUATE
from scsa_core.commands.precomputed import PRECOMPUTED
from scsa_core.commands.render import RENDER
from scsa_core.commands.segment import SEGMENT
from scsa_core.commands.study import STUDY

COMMANDS: tuple[Command, ...] = (RENDER, SEGMENT, BATCH, PRECOMPUTED, CHECKPOINTS, STUDY, EVALUATE, BENCH)

__all__ = ["COMMANDS", "Command", "UsageError"]
