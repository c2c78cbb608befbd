"""Gradio without the stub files that it writes for editors.

With every component class, its own ones too, Gradio parses the class's source and writes a
`.pyi` file beside it: half of the time that importing it takes, again at each start, and
files in the source folder that mislead type checkers once a class changes.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE, FUNCTION = "gradio.component_meta", "create_or_modify_pyi"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds that one module as ever, and takes the function out of it when it has loaded."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                if hasattr(module, FUNCTION):
                    setattr(module, FUNCTION, _nothing)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _nothing(*_: object) -> None:
    pass


def write_none() -> None:
    """Before Gradio is first imported; afterwards it does nothing."""
    if MODULE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
