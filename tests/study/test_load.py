"""40 people × 20 trials, 20 at a time, over HTTP, the server killed and started again in the middle."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scsa_core.study import report
from scsa_core.study.store import Store

from .conftest import design, free_port, pairs

PEOPLE, TRIALS, AT_ONCE, TRUTH = 40, 20, 20, 0.7


class Server:
    """The routes in a process of their own."""

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self._command = [sys.executable, str(Path(__file__).with_name("server.py")), str(self.port), *arguments]
        self.process = subprocess.Popen(self._command)

    def wait(self) -> None:
        for _ in range(1200):
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("/vote/api/nothing-here", None)[0] == 404:
                    return
            assert self.process.poll() is None
            time.sleep(0.05)
        raise AssertionError("the server did not start")

    def kill_and_restart(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = subprocess.Popen(self._command)

    def ask(self, path: str, body: object) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def insist(self, path: str, body: object) -> dict:
        """As the page does: again while the server is away."""
        end = time.monotonic() + 100
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, found = self.ask(path, body)
                if status < 500:
                    assert status == 200, found
                    return found
            time.sleep(0.1)
        raise AssertionError("no answer")


def test_no_vote_is_lost_or_doubled_when_the_server_is_killed(database_url, tmp_path):
    folder = tmp_path / "data"
    store = Store(folder, database_url)
    study, secret = store.create(design(trials=TRIALS, checks=4), pairs(8))
    store.publish(study, secret)
    better = {p["1"] for p in store.thumbnails(study).values()}
    plain = {p["0"] for p in store.thumbnails(study).values()}
    server = Server(str(folder), database_url)
    acknowledged: dict[tuple[str, int], int] = {}
    lock, killed = threading.Lock(), threading.Event()

    def take_part(person: int) -> str:
        rng = random.Random(person)
        wins = [k < (12 if person % 5 == 0 else 11) for k in range(TRIALS - 4)]  # 11.2 of 16: 70 % of all comparisons
        rng.shuffle(wins)
        started = server.insist(f"/vote/api/{study}/start", {})
        token = started["token"]
        for trial in started["trials"]:
            options, number = trial["options"], trial["number"]
            both = {option in better for option in options} == {True, False} and all(o in better | plain for o in options)
            liked = better | plain  # the sound picture of a check
            if both:
                liked = better if number == 0 or wins.pop() else plain
            choice = next(k for k, option in enumerate(options) if option in liked)
            vote = {"token": token, "number": number, "choice": choice, "ms": 1500}
            server.insist(f"/vote/api/{study}/vote", vote)
            with lock:
                acknowledged[token, number] = choice
                if len(acknowledged) > PEOPLE * TRIALS // 2 and not killed.is_set():
                    killed.set()
                    server.kill_and_restart()
            if rng.random() < 0.2:  # an answer that got lost on its way is asked for again, here with another choice
                assert server.insist(f"/vote/api/{study}/vote", vote | {"choice": 1 - choice})["new"] is False
        assert server.insist(f"/vote/api/{study}/resume", {"token": token})["finished"]
        return token

    try:
        server.wait()
        with ThreadPoolExecutor(AT_ONCE) as people:
            tokens = list(people.map(take_part, range(PEOPLE)))
    finally:
        server.process.kill()
        server.process.wait()
    assert killed.is_set() and len(set(tokens)) == PEOPLE
    records = store.records(study, secret)
    finished = {number for number, (_, done) in records.participants.items() if done is not None}
    kept = {(a.participant, a.ordinal): a.choice for a in records.answers}
    assert len(kept) == len(records.answers) == len(acknowledged) == PEOPLE * (TRIALS + 1) and len(finished) == PEOPLE
    by_token = {t: [acknowledged[t, n] for n in range(TRIALS + 1)] for t in tokens}
    by_number = {p: [kept[p, n] for n in range(TRIALS + 1)] for p in finished}
    assert sorted(by_token.values()) == sorted(by_number.values())
    data = report.results(records)
    assert data["exclusions"]["people"]["check"] == data["exclusions"]["people"]["fast"] == 0
    [preference] = data["all"]["preferences"]
    low, high = 1 - preference["headline"][1], 1 - preference["headline"][0]
    assert preference["decisive"] == PEOPLE * 15 and low <= TRUTH <= high and high - low < 0.15
    store.close()
