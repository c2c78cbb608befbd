"""Downloading a weights file: resumed where it stopped, checked, and put in place whole.

Bytes arrive in `<name>.part` beside the target. A cut connection continues there (HTTP
Range; If-Range makes sure that it is still the same file), a wrong file is deleted, and
only one that passed every check takes the name. A published hash makes mirrors as good as
the original.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from scsa_core import __version__
from scsa_core.checkpoints import WEB_PAGE
from scsa_core.errors import CheckpointCorrupt, FetchFailed
from scsa_core.progress import CancelToken, Progress, ProgressCallback
from scsa_core.registry import WeightsFile

CHUNK = 1 << 18
ATTEMPTS = 5  # in a row without a new byte, at each address
TIMEOUT = 30.0  # seconds without a byte
LONGEST_WAIT = 30.0
_SPARE = 64_000_000  # bytes of disk left free beyond the file
_WORTH_TRYING_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass(frozen=True)
class Settings:
    """timeout: seconds without a byte. attempts: in a row without progress, at each address. wait: seconds before try n.

    insecure: also plain http (tests, a server on this machine).
    """

    timeout: float = TIMEOUT
    attempts: int = ATTEMPTS
    wait: Callable[[int], float] = lambda n: min(LONGEST_WAIT, 2.0 ** (n - 1))
    insecure: bool = False


class _Again(Exception):
    """This address may work if tried again."""


class _Elsewhere(Exception):
    """This address will not work; another one may."""


class _Unreachable(_Again):
    """No server answered."""


class _Response(Protocol):
    headers: Any
    status: int

    def read1(self, n: int = -1, /) -> bytes: ...


def fetch(
    file: WeightsFile,
    *,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    settings: Settings | None = None,
) -> Path:
    """Download a file to its place and return that; one already there is kept.

    Progress stages: "fetch" (fraction of the bytes), then "verify". Raises FetchFailed,
    CheckpointCorrupt where the bytes are not the published ones, Cancelled at the next
    piece after `cancel`; what has arrived is then kept for the next time.
    """
    target = file.target
    if target.is_file():
        return target
    if not file.fetchable:
        raise FetchFailed(
            f"{file.name} has no direct link", hint=f"Get it from {file.page} and put it into {target.parent}. {file.note}".strip()
        )
    download = _Download(file, target, progress, cancel or CancelToken(), settings or Settings())
    with _disk_errors(target), _alone(target):
        if not target.is_file():  # another download may have finished meanwhile
            download.run()
    return target


class _Download:
    def __init__(
        self, file: WeightsFile, target: Path, progress: ProgressCallback | None, cancel: CancelToken, settings: Settings
    ) -> None:
        self.file, self.target, self.settings = file, target, settings
        self.part = target.with_name(target.name + ".part")
        self.tag = target.with_name(target.name + ".part.tag")  # the server's name for these very bytes
        self._progress, self._cancel = progress, cancel
        self._told = -1.0
        self._opener = urllib.request.build_opener(_Redirect(settings.insecure))

    def run(self) -> None:
        """Every address in turn until one gives the right bytes."""
        reasons: list[str] = []
        unreachable = 0
        corrupt: CheckpointCorrupt | None = None
        for address, is_listing in self._addresses():
            host = urllib.parse.urlsplit(address).netloc
            try:
                self._whole(address, is_listing)
                self.part.replace(self.target)
                self.tag.unlink(missing_ok=True)
                return
            except (_Again, _Elsewhere) as error:
                unreachable += isinstance(error, _Unreachable)
                reasons.append(f"{host}: {error}")
            except CheckpointCorrupt as error:
                corrupt = error
                reasons.append(f"{host}: other bytes than the published ones")
        if corrupt is not None:
            raise corrupt
        said = f"{self.file.name} cannot be fetched"
        offline = unreachable == len(reasons)
        if offline:
            said += ": this machine seems to be offline"
        where = f"Get {self.file.name} from {self.file.page} on another machine and run `scsa checkpoints import`."
        raise FetchFailed(f"{said} ({'; '.join(reasons)})", offline=offline, hint=where)

    def _whole(self, address: str, is_listing: bool) -> None:
        """Receive and check. A wrong file that began with older bytes gets a second chance from its start."""
        for continued in (self._have() > 0, False):
            self._from(address, is_listing)
            self._tell("verify", 1.0)
            try:
                verify(self.file, self.part, self._cancel)
                return
            except CheckpointCorrupt:
                self._discard()
                if not continued:
                    raise

    def _addresses(self) -> list[tuple[str, bool]]:
        f = self.file
        return [(a, False) for a in (f.url,) if a] + [(a, True) for a in (f.listing,) if a] + [(a, False) for a in f.mirrors]

    # -- one address ------------------------------------------------------------------

    def _from(self, address: str, is_listing: bool) -> None:
        """Receive all bytes, trying again as long as some arrive. Raises _Again when attempts run out, _Elsewhere."""
        failures = 0
        while True:
            self._cancel.checkpoint()
            before = self._have()
            try:
                self._receive(self._listed(address) if is_listing else address)
                return
            except _Again as error:
                failures = 1 if self._have() > before else failures + 1
                allowed = min(2, self.settings.attempts) if isinstance(error, _Unreachable) else self.settings.attempts
                if failures >= allowed:
                    raise
                self._sleep(max(self.settings.wait(failures), getattr(error, "retry_after", 0.0)))

    def _listed(self, address: str) -> str:
        """The direct link that a listing names now."""
        with self._open(urllib.request.Request(address)) as response:
            try:
                link = json.loads(response.read(1_000_000))["href"]
            except (OSError, http.client.HTTPException) as error:
                raise _Again("the connection broke") from error
            except (ValueError, KeyError, TypeError) as error:
                raise _Elsewhere("its answer names no file") from error
        if not isinstance(link, str) or not self._allowed(link):
            raise _Elsewhere("its answer names no file")
        return link

    def _receive(self, address: str) -> None:
        have = self._have()
        if have and self.file.size is not None and have >= self.file.size:
            if have == self.file.size:
                return
            self._discard()
            have = 0
        request = urllib.request.Request(address)
        if have:
            request.add_header("Range", f"bytes={have}-")
            tag = self.tag.read_text() if self.tag.exists() else ""
            if tag:
                request.add_header("If-Range", tag)
        with self._open(request) as response:
            start, total = self._placed(response, have)
            if response.status == 416:
                if total is not None and total == have:
                    return  # nothing was left to send
                self._discard()
                raise _Again("the partial file did not fit")
            self._refuse_page(response)
            if self.file.size is not None and total is not None and total != self.file.size:
                raise _Elsewhere(f"it offers {total} bytes, not the published {self.file.size}")
            self._room((total or self.file.about) - start)
            self._remember(response)
            self._write(response, start, total)

    def _placed(self, response: _Response, have: int) -> tuple[int, int | None]:
        """(offset of the first byte, total size or None) of an answer."""
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status in (206, 416):
            total = int(found[3]) if found and found[3] != "*" else None
            if response.status == 206 and (found is None or found[1] is None or int(found[1]) != have):
                self._discard()
                raise _Again("it continued at another place than asked")
            return have, total
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None

    def _write(self, response: _Response, start: int, total: int | None) -> None:
        at = start
        with self.part.open("r+b" if start else "wb") as out:
            out.truncate(start)
            out.seek(start)
            while True:
                self._cancel.checkpoint()
                try:
                    piece = response.read1(CHUNK)  # what has come by now: a stall loses nothing
                except (OSError, http.client.HTTPException) as error:
                    raise _Again(f"the connection broke after {at / 1e6:.1f} MB") from error
                if not piece:
                    break
                if at == 0 and WEB_PAGE.match(piece):
                    raise _Elsewhere("it answers with a web page instead of the file")
                self._put(out, piece)
                at += len(piece)
                self._tell("fetch", at / (total or max(self.file.about, at)))
                if self.file.size is not None and at > self.file.size:
                    self._discard()
                    raise _Elsewhere(f"it sends more than the published {self.file.size} bytes")
        if total is not None and at < total:
            raise _Again(f"the connection broke after {at / 1e6:.1f} MB")

    def _put(self, out: BinaryIO, piece: bytes) -> None:
        out.write(piece)
        out.flush()  # so that a full disk is noticed here, and what is written stays

    def _open(self, request: urllib.request.Request) -> contextlib.closing[Any]:
        """The answer to a request; 416 is an answer too. Raises _Again, _Elsewhere."""
        if not self._allowed(request.full_url):
            raise _Elsewhere("its address is not https")
        request.add_header("User-Agent", f"scsa-studio/{__version__}")
        request.add_header("Accept-Encoding", "identity")
        try:
            return contextlib.closing(self._opener.open(request, timeout=self.settings.timeout))
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return contextlib.closing(error)
            error.close()
            raise _refusal(error) from error
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, _Elsewhere):
                raise reason from error
            raise _Unreachable(f"no answer, {reason or type(reason).__name__}") from error

    def _allowed(self, address: str) -> bool:
        return address.startswith("https://") or (self.settings.insecure and address.startswith("http://"))

    def _refuse_page(self, response: _Response) -> None:
        kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            raise _Elsewhere("it answers with a web page instead of the file")

    # -- the partial file -------------------------------------------------------------

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def _remember(self, response: _Response) -> None:
        """Keep the server's strong validator, so that a changed file is not joined to the old half."""
        tag = response.headers.get("ETag", "")
        self.tag.write_text("" if tag.startswith("W/") else tag or response.headers.get("Last-Modified", ""))

    def _room(self, more: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if free < more + min(_SPARE, more):
            raise FetchFailed(
                f"the disk is too full for {self.file.name}: {more / 1e6:.0f} MB are to come, {free / 1e6:.0f} MB are free",
                hint=f"Make room in {self.target.parent}, or set SCSA_CHECKPOINTS to a folder on another disk.",
            )

    # -- talking ----------------------------------------------------------------------

    def _tell(self, stage: str, fraction: float) -> None:
        """Pass an event on, but no more than a thousand for a whole file."""
        fraction = min(1.0, fraction)
        if self._progress is not None and (stage != "fetch" or fraction == 1.0 or abs(fraction - self._told) >= 0.001):
            self._told = fraction
            self._progress(Progress(stage, fraction))

    def _sleep(self, seconds: float) -> None:
        if self._cancel.wait(seconds):
            self._cancel.checkpoint()


def verify(file: WeightsFile, path: Path, cancel: CancelToken | None = None) -> str:
    """SHA-256 of a file on disk, after comparing size and hash with the published ones. Raises CheckpointCorrupt."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise CheckpointCorrupt(f"{file.name} has {size} bytes, the published one {file.size}", hint="Fetch it again.")
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
            if cancel is not None:
                cancel.checkpoint()
    if file.sha256 and digest.hexdigest() != file.sha256:
        raise CheckpointCorrupt(f"{file.name} is not the published file (its SHA-256 differs)", hint="Fetch it again.")
    return digest.hexdigest()


def _refusal(error: urllib.error.HTTPError) -> Exception:
    if error.code in _WORTH_TRYING_AGAIN:
        again = _Again(f"it answers {error.code} {error.reason}")
        after = error.headers.get("Retry-After", "")
        again.retry_after = min(LONGEST_WAIT, float(after)) if after.isdigit() else 0.0  # type: ignore[attr-defined]
        return again
    if error.code in (401, 403):
        return _Elsewhere(f"it answers {error.code}: it wants a login, or its licence accepted first")
    return _Elsewhere(f"it answers {error.code} {error.reason}")


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from https to something open."""

    def __init__(self, insecure: bool) -> None:
        self._insecure = insecure

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> urllib.request.Request | None:
        if not newurl.startswith("https://") and not (self._insecure and newurl.startswith("http://")):
            raise urllib.error.URLError(_Elsewhere("it leads to an address that is not https"))  # type: ignore[arg-type]
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """A disk that is full or cannot be written to, in words. Nothing received is lost."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FetchFailed(
                f"the disk became full while {target.name} was fetched", hint="Make room and fetch again; it continues where it stopped."
            ) from error
        raise FetchFailed(
            f"{target.parent} cannot be written to ({error.strerror})", hint="Set SCSA_CHECKPOINTS to a folder of your own."
        ) from error


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One download of a file at a time, across processes; a lock dies with its process. Raises FetchFailed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(target.name + ".lock")
    with lock.open("w") as f:
        try:
            import fcntl
        except ImportError:  # pragma: no cover - Windows has no such lock; a second download there is the person's own
            yield
            return
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FetchFailed(f"{target.name} is being fetched already", hint="Wait for that download.") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock)
