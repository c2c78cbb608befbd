"""The start check on a busy machine."""

from gradio import networking

from demo import startup


def test_a_page_that_answers_late_is_waited_for_and_one_that_never_does_is_not_for_ever(monkeypatch):
    answers = iter([False, False, True])
    monkeypatch.setattr(networking, "url_ok", lambda url: next(answers))
    startup.be_patient()
    assert networking.url_ok("http://here")

    asked = []
    monkeypatch.setattr(networking, "url_ok", lambda url: bool(asked.append(url)))
    startup.be_patient()
    assert not networking.url_ok("http://nowhere")
    assert len(asked) == startup.TRIES
