"""Tensors kept on disk between runs: safetensors files in one folder, bounded in bytes, least recently used first out.

Nothing in a cache is worth an error: a file that is damaged, half written or gone is a
miss, and a folder that cannot be written keeps nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, isfinite

VARIABLE = "SCSA_CACHE"
LEFT_OVER = 3600  # seconds
_KEY = re.compile(r"[0-9a-f]{8,128}")


def root() -> Path | None:
    """The cache folder: $SCSA_CACHE ("off": none), else `scsa` in the system's own place for caches."""
    named = os.environ.get(VARIABLE, "").strip()
    if named.lower() == "off":
        return None
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    try:
        return (Path(base) if base else Path.home() / ".cache") / "scsa"
    except RuntimeError:  # no home
        return Path(tempfile.gettempdir()) / "scsa"


class DiskCache:
    """One folder of entries named by their keys (hex digits). folder None: nothing is kept."""

    def __init__(self, folder: Path | None, limit: int = 2_000_000_000) -> None:
        self.folder, self.limit = folder, limit

    def get(self, key: str) -> dict[str, Tensor] | None:
        """The tensors of an entry, or None. An entry that cannot be read or holds NaN is removed."""
        path = self._path(key)
        if path is None:
            return None
        try:
            tensors: dict[str, Tensor] = load(path.read_bytes())
            if not tensors or not all(isfinite(x).all() for x in tensors.values()):
                raise ValueError("not finite")
            os.utime(path)  # the newest is evicted last
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, TypeError, KeyError):
            self.drop(key)
            return None
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep an entry, whole or not at all, then drop the oldest until the bound holds."""
        path = self._path(key)
        size = sum(x.nbytes for x in tensors.values())
        if path is None or size > self.limit // 2:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as f:
                temporary = Path(f.name)
            try:
                temporary.write_bytes(save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}))
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._evict()

    def drop(self, key: str) -> None:
        path = self._path(key)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path | None:
        assert _KEY.fullmatch(key), key
        return None if self.folder is None else self.folder / f"{key}.safetensors"

    def _evict(self) -> None:
        assert self.folder is not None
        entries = []
        for path in self.folder.glob("*.safetensors"):
            with contextlib.suppress(OSError):  # another process may have dropped it
                found = path.stat()
                entries.append((found.st_mtime_ns, found.st_size, path))
        for path in self.folder.glob(".*"):  # what a process that was killed had begun to write
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - LEFT_OVER:
                    path.unlink()
        held = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if held <= self.limit:
                break
            path.unlink(missing_ok=True)
            held -= size
