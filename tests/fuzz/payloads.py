"""Random requests to the launched app: every event of the page, named or not, its other routes, and bodies that are none."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .files import junk, noise
from .maps import areas, legend, side_of

JSON = {"content-type": "application/json"}


@dataclass
class Plan:
    """A request. event: a body for the queue, its answer followed to the end; None: a plain request."""

    event: dict[str, Any] | None = None
    method: str = "POST"
    path: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Make = Callable[[random.Random, Mapping[str, Any], Mapping[str, str]], Plan]
_MAKE: dict[str, Make] = {}


def kind(make: Make) -> Make:
    _MAKE[make.__name__] = make
    return make


def kinds() -> tuple[str, ...]:
    return tuple(_MAKE)


def payload(name: str, rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """config: the page's own description of itself. uploaded: two pictures that this client may name, by side."""
    return _MAKE[name](rng, config, uploaded)


def dumps(value: Any) -> bytes:
    """JSON, with NaN, and lone surrogates as escapes."""
    return json.dumps(value).encode()


# -- events ---------------------------------------------------------------------------------


def _events(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Events with a handler on the server."""
    return [d for d in config["dependencies"] if d.get("backend_fn")]


def _usual(config: Mapping[str, Any], event: Mapping[str, Any], rng: random.Random, uploaded: Mapping[str, str]) -> list[Any]:
    """What the page would send: its components' values, and a painter with two pictures and maps."""
    known = {c["id"]: c for c in config["components"]}
    found = []
    for number in event["inputs"]:
        component = known[number]
        props = component["props"]
        found.append(painter(rng, uploaded) if props.get("elem_id") == "painter" else props.get("value"))
    return found


def painter(rng: random.Random, uploaded: Mapping[str, str]) -> dict[str, Any]:
    sides = {
        side: {"picture": {"path": path, "meta": {"_type": "gradio.FileData"}}, **side_of(areas(rng, (80, 56), [0, 1, 2]))} for side, path in uploaded.items()
    }
    return {"v": 3, **sides, "regions": legend(0, 1, 2), "links": {"1": [2]}, "by": "paint", "error": None, "incoming": None}


def _body(event: Mapping[str, Any], data: Any, event_data: Any = None, **more: Any) -> dict[str, Any]:
    trigger = (event.get("targets") or [[None]])[0][0]
    return {"data": data, "event_data": event_data, "fn_index": event["id"], "trigger_id": trigger, "session_hash": secrets.token_hex(5), **more}


def _spoilt(value: Any, rng: random.Random) -> Any:
    """One place in a value, however deep, becomes anything."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        return {**value, key: _spoilt(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], _spoilt(value[at], rng), *value[at + 1 :]]
    return junk(rng)


@kind
def one_value_wrong(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """What the page would send, but for one thing."""
    event = rng.choice(_events(config))
    return Plan(_body(event, _spoilt(_usual(config, event, rng, uploaded), rng), _event_data(rng)))


@kind
def event_data_wrong(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """Sound values, and anything for what happened."""
    event = rng.choice(_events(config))
    return Plan(_body(event, _usual(config, event, rng, uploaded), junk(rng)))


@kind
def any_values(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """Anything for everything."""
    event = rng.choice(_events(config))
    return Plan(_body(event, [junk(rng) for _ in event["inputs"]], junk(rng)))


@kind
def wrong_count(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """Too few or too many values, or no list of them."""
    event = rng.choice(_events(config))
    data = rng.choice([[], [None], [junk(rng)] * (len(event["inputs"]) + 1), [junk(rng)] * 300, None, "x", {"a": 1}])
    return Plan(_body(event, data))


@kind
def named(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """The endpoints for programs, with wrong values; and names that there are none of."""
    public = [d for d in _events(config) if d.get("api_name") and d.get("api_visibility", "public") != "private"] or _events(config)
    event = rng.choice(public)
    name = event.get("api_name") or "none"
    if rng.random() < 0.15:
        name = rng.choice(["none", "../config", "%00", "a" * 3000, "predict", "lambda"])
    usual = _usual(config, event, rng, uploaded)
    data = rng.choice([_spoilt(usual, rng), [junk(rng) for _ in event["inputs"]], usual])
    route = rng.choice(["run", "call", "api"])
    return Plan(path=f"/gradio_api/{route}/{name}", body=dumps({"data": data, "session_hash": secrets.token_hex(5)}), headers=JSON)


def _event_data(rng: random.Random) -> Any:
    return rng.choice([None, {"side": rng.choice(["content", "style"])}, {"name": "x"}, {"family": "lite", "method": "scsa"}, {"cells": [["lite", "scsa"]]}, {"lang": "zh"}, {"knobs": {"alpha1": 0.4}, "automatic": True}])


# -- other routes ---------------------------------------------------------------------------


@kind
def bodies(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """Bodies that are not what the route reads."""
    path = rng.choice(["queue/join", "run/predict", "component_server", "reset", "cancel", "call/none", "upload", "queue/join?__theme=x"])
    body = rng.choice(
        [b"", b"{", b"null", b"[]", b'"x"', b"9" * 6000, b"[" * 50_000, b'{"data":', b"\xff\xfe\0", dumps({"data": [junk(rng)], "fn_index": junk(rng)}),
         dumps({"data": [], "fn_index": 10**9, "session_hash": "x"}), dumps({"data": [], "fn_index": -1, "session_hash": "x"}), dumps({"data": {}, "session_hash": {}}),
         dumps({"session_hash": "x", "component_id": junk(rng), "fn_name": junk(rng), "data": junk(rng)}), dumps({"event_id": junk(rng), "session_hash": junk(rng), "fn_index": 0}),
         dumps({"data": ["x" * 2_000_000], "fn_index": 0, "session_hash": "y"}), b"x=1&y=2"]
    )  # fmt: skip
    headers = rng.choice([JSON, JSON, {"content-type": "text/plain"}, {}, {"content-type": "multipart/form-data; boundary=x"}])
    return Plan(path=f"/gradio_api/{path}", body=body, headers=headers)


@kind
def uploads(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """Uploads with odd names, no end, or no file."""
    mark = "xYz"
    name = rng.choice(["a.png", "../../a.png", "a\0.png", "", "a" * 400, "тест.png", "..", ".", "/etc/passwd", 'a".png', "con.png", "-"])
    field_name = rng.choice(["files", "file", "", "files[]"])
    head = f'--{mark}\r\nContent-Disposition: form-data; name="{field_name}"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'.encode()
    body = head + noise(rng, rng.choice([0, 10, 3000])).tobytes() + rng.choice([f"\r\n--{mark}--\r\n".encode(), b"", b"\r\n--other--\r\n"])
    kind_of = rng.choice([f"multipart/form-data; boundary={mark}"] * 4 + ["multipart/form-data", "application/json"])
    return Plan(path="/gradio_api/upload", body=body, headers={"content-type": kind_of})


@kind
def studies(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """The study's own routes: votes, results, pictures of studies that are none."""
    study = rng.choice(["x", "a" * 300, "%2e%2e", "..%2f..", "😀", "0", secrets.token_urlsafe(16)])
    method, path = rng.choice(
        [("GET", f"/vote/api/{study}"), ("POST", f"/vote/api/{study}/start"), ("POST", f"/vote/api/{study}/resume"), ("POST", f"/vote/api/{study}/vote"),
         ("GET", f"/vote/picture/{study}/{study}"), ("POST", f"/results/api/{study}"), ("POST", f"/results/api/{study}/{rng.choice(['csv', 'close', 'delete', 'x'])}"),
         ("GET", "/results/words?lang=" + study), ("PUT", f"/vote/api/{study}/vote")]
    )  # fmt: skip
    body = rng.choice([b"", b"{", b"[]", b"[" * 9000, b"9" * 5000, dumps({"token": junk(rng), "number": junk(rng), "choice": junk(rng), "ms": junk(rng)}), dumps({"token": "x", "number": 1, "choice": 0, "ms": 5}), b"x" * 40_000])
    headers = {**rng.choice([JSON, JSON, {}]), "authorization": rng.choice(["Bearer x", "x" * 3000, ""])}
    return Plan(method=method, path=path, body=body if method != "GET" else b"", headers=headers)


@kind
def addresses(rng: random.Random, config: Mapping[str, Any], uploaded: Mapping[str, str]) -> Plan:
    """Pages that there are none of, with odd queries."""
    path = rng.choice(["/?r=", "/?study=", "/nothing/", "/gradio_api/file=", "/gradio_api/info?", "/config?", "/gradio_api/queue/status?", "/static/", "/theme.css?", "/gradio_api/upload_progress?upload_id=", "/healthz?", "/metrics?"])
    tail = rng.choice(["../../etc/passwd", "%00", "a" * 4000, "x", "%ff%fe", "😀", "1&x=2", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "${7*7}"])
    return Plan(method="GET", path=path + tail)
