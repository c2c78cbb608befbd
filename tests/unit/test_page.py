"""Every request ends in words: what does not fit the page, and what nobody expected."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.app import build_demo
from demo.compare import Compare, Notes
from demo.component import data_of
from demo.faults import TALLY
from demo.page import Answered, Page
from demo.painter import Painter
from demo.settings import Settings
from demo.text import Words, t, texts


@pytest.fixture
def page():
    def handler(choice):
        if choice == "a":
            raise ZeroDivisionError("a fault of ours")
        if choice == "b":
            raise gr.Error("said by the handler")
        return choice

    with Page(analytics_enabled=False) as made:
        chosen = gr.Dropdown(["a", "b", "c"])
        gr.on([], handler, [chosen], [chosen])
    made.language_of = lambda key: "zh" if key == "zh" else "en"
    return made


def call(page, *values, session="en"):
    return asyncio.run(page.process_api(0, list(values), session_hash=session))


def test_a_value_that_is_not_the_page_s_is_said_and_no_fault_of_ours(page, caplog):
    before = TALLY.seen()
    with caplog.at_level(logging.INFO, "scsa.demo"), pytest.raises(gr.Error, match="does not fit this page") as caught:
        call(page, "<b>nothing</b>")
    assert "<b>" not in str(caught.value) and not caught.value.print_exception
    assert not any(r.exc_info for r in caplog.records) and TALLY.seen().get("unexpected") == before.get("unexpected")
    with pytest.raises(gr.Error, match="与此页面不符"):
        call(page, "x", session="zh")
    with pytest.raises(gr.Error, match="does not fit"):
        call(page)


def test_a_fault_of_ours_is_logged_under_the_reference_that_is_shown(page, caplog):
    with caplog.at_level(logging.ERROR, "scsa.demo"), pytest.raises(gr.Error, match="on our side") as caught:
        call(page, "a")
    assert [r.exc_info[0] for r in caplog.records] == [ZeroDivisionError] and caplog.records[0].fields["reference"] in str(caught.value)
    assert "a fault of ours" not in str(caught.value)
    with pytest.raises(gr.Error, match="said by the handler") as caught:
        call(page, "b")
    assert not caught.value.print_exception
    assert call(page, "c")["data"] == ["c"]


def test_no_question_is_left_on_a_stream_that_ends(passes_in_node):
    passes_in_node("stream_test.js")


def test_an_answer_does_not_undo_the_one_before_it():
    with Page(analytics_enabled=False) as made:
        boxes = [gr.Textbox(), gr.Textbox()]
        gr.on([], lambda: None, None, boxes)
    steps = [[gr.update(value="found"), gr.skip()], [gr.skip(), gr.update(value="said")], [gr.skip(), gr.skip()]]
    sent = [made.handle_streaming_diffs(made.fns[0], list(step), "s", "run", final=False) for step in steps]
    assert sent[0] == steps[0]
    assert sent[1:] == [[[["replace", [], value]] for value in step] for step in steps[1:]]
    assert made.handle_streaming_diffs(made.fns[0], [None, None], "s", "run", final=True) == steps[-1]
    assert made.handle_streaming_diffs(made.fns[0], list(steps[0]), "s", "next", final=False) == steps[0]


def raising(error):
    async def handler(request):
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "path", "status", "kind"),
    [
        (KeyError("fn"), "/gradio_api/run/x", 400, "RequestError"), (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "/gradio_api/upload", 400, "RequestError"),
        (OSError(36, "File name too long"), "/other", 400, "RequestError"), (ValueError("embedded null byte"), "/other", 400, "RequestError"),
        (KeyError("fn"), "/other", 500, "unexpected"), (ZeroDivisionError(), "/gradio_api/run/x", 500, "unexpected"),
    ],
)  # fmt: skip
def test_what_routes_raise_is_answered(error, path, status, kind):
    app = Starlette(routes=[Route("/{path:path}", raising(error), methods=["POST"])], middleware=[Middleware(Answered)])
    before = TALLY.seen().get(kind, 0)
    answer = TestClient(app).post(path)
    assert answer.status_code == status and answer.json()["reference"] in answer.json()["error"]
    assert TALLY.seen()[kind] == before + 1


def test_other_answers_pass():
    routes = [Route("/a", lambda request: PlainTextResponse("a")), Route("/b", raising(HTTPException(404)))]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(Answered)]))
    assert client.get("/a").text == "a" and client.get("/b").status_code == 404


@pytest.mark.parametrize(("data", "seen"), [({"side": "content"}, {"side": "content"}), (None, {}), ([1], {}), ("x", {}), (5, {})])
def test_event_data_is_an_object_or_nothing(data, seen):
    assert data_of(SimpleNamespace(_data=data)) == seen


def test_the_configuration_is_plain_values_and_quickly_copied(tmp_path):
    """Gradio copies it for every visitor; an object in it that can't be copied made each page take a second longer."""
    found = build_demo(Settings(preload=False, data=tmp_path)).get_config_file()
    assert len(copy.deepcopy(found["components"])) == len(found["components"])
    ours = [c["props"] for c in found["components"] if "texts" in (c["props"].get("props") or {})]
    assert len(ours) >= 8 and all(props["props"]["texts"] for props in ours)
    assert not [name for props in ours for name, value in props.items() if callable(value)]


def test_no_event_has_the_page_tell_all_its_parts_how_far_it_is(tmp_path):
    """Gradio's page copies every component that was ever an output, and all that it holds, at each step of any event."""
    found = build_demo(Settings(preload=False, data=tmp_path)).get_config_file()
    told = {target for d in found["dependencies"] for target in d["show_progress_on"]}
    assert len(found["dependencies"]) > 50 and len(told) == 1
    (shown,) = (c for c in found["components"] if c["id"] in told)
    assert shown["type"] == "number" and shown["props"]["visible"] is False
    assert {d["show_progress"] for d in found["dependencies"]} == {"hidden"}


def test_components_are_made_anew_with_the_words_of_an_answer(tmp_path):
    """As Gradio does for each answer that changes one; these words are packed already."""
    words = Words()
    with gr.Blocks():
        made = [words.add(kind(texts=texts("en", "")), texts=lambda lang: texts(lang, "")) for kind in (Painter, Compare, Notes)]
    for component, properties in zip(made, words.updates("zh"), strict=True):
        again = type(component)(**{**component.constructor_args, **properties}, render=False)
        assert json.loads(again.props["texts"])["action.render"] == t("action.render", "zh") != t("action.render", "en")
