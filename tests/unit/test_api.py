"""The named endpoints, driven by gradio_client against the running app."""

from __future__ import annotations

import json
import os
import threading
import time

import numpy as np
import pytest
from gradio import networking
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo.app import build_demo, launch_options
from demo.ending import close
from demo.settings import Settings
from demo.startup import be_patient
from scsa_core.cli import main
from scsa_core.commands import bench_load
from scsa_core.recipe import extract


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    settings = Settings(device="cpu", preload=False, data=folder / "data", max_size=256, rate=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "files"))
        patch.setattr(networking, "url_ok", networking.url_ok)
        be_patient()
        demo = build_demo(settings).queue(default_concurrency_limit=None)
        _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options(settings, host="127.0.0.1"))
        yield url, folder
        close(demo)


def connect(site, downloads):
    return Client(site[0], verbose=False, download_files=str(site[1] / downloads), httpx_kwargs={"timeout": 120})


@pytest.fixture(scope="module")
def client(site):
    return connect(site, "down")


def picture(folder, name, seed, size=(72, 56)):
    noise = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), np.uint8)
    path = folder / name
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)
    return handle_file(str(path))


def halves(folder, name, size=(72, 56)):
    path = folder / name
    Image.fromarray(np.repeat([[0, 1]], size[1], 0).repeat(size[0] // 2, 1).astype(np.uint8)).save(path)
    return handle_file(str(path))


def ask(client, folder, **changes):
    given = {
        "content": picture(folder, "c.png", 1), "style": picture(folder, "s.png", 2),
        "content_map": halves(folder, "cm.png"), "style_map": halves(folder, "sm.png"),
        "model": "lite", "method": "scsa", "knobs": {"size": 64, "alpha1": 0.25},
    }  # fmt: skip
    return client.predict(api_name="/render", **(given | changes))


def test_a_program_paints_a_picture(site, client):
    path, details = ask(client, site[1])
    found = Image.open(path)
    assert list(found.size) == details["size"] and max(found.size) == 64
    recipe = extract(found)
    assert recipe.method == "scsa" and recipe.knobs.alpha1 == 0.25 and recipe.content_map is not None
    assert details["seconds"] > 0 and "paint" in details["timings"] and details["warnings"] == []
    plain = ask(client, site[1], method="baseline", content_map=None, style_map=None)
    assert np.asarray(Image.open(plain[0])).tolist() != np.asarray(found).tolist()


def test_a_program_finds_regions(site, client):
    content, style, details = client.predict(
        content=picture(site[1], "a.png", 3), style=picture(site[1], "b.png", 4), regions="3", api_name="/segment"
    )
    ids = set(np.unique(np.asarray(Image.open(content)))) | set(np.unique(np.asarray(Image.open(style))))
    assert 1 <= len(ids) <= 3 and Image.open(content).size == (72, 56)
    assert all(isinstance(v, list) for v in details["links"].values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"content": None}, "content picture is missing"),
        ({"model": "dalle"}, "no model named 'dalle'"),
        ({"method": "magic"}, "no method named 'magic'"),
        ({"knobs": {"size": 4096}}, "size"),
        ({"knobs": {"size": 512}}, "at most 256"),
        ({"knobs": {"colour": 1}}, "colour"),
        ({"knobs": {"alpha1": "1"}}, "numbers"),
        ({"knobs": [1]}, "object of names"),
        ({"model": "sanet"}, "sanet"),
    ],
)
def test_what_cannot_be_used_is_said(site, client, changes, said):
    with pytest.raises(AppError, match=said) as caught:
        ask(client, site[1], **changes)
    assert "Traceback" not in str(caught.value)


def test_a_file_that_is_no_picture_is_refused(site, client):
    bad = site[1] / "bad.png"
    bad.write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(AppError, match="picture"):
        ask(client, site[1], content=handle_file(str(bad)))


def test_a_path_on_the_server_is_no_upload(site):
    """A hand-made file record: the endpoint may only read what was uploaded."""
    import httpx

    with httpx.Client(base_url=site[0], timeout=30) as http:
        secret = {"path": str(site[1] / "c.png"), "meta": {"_type": "gradio.FileData"}}
        data = [secret, secret, None, None, "lite", "baseline", {"size": 64}]
        event = http.post("/gradio_api/call/render", json={"data": data}).json()
        answer = http.get(f"/gradio_api/call/render/{event['event_id']}").text
    assert "event: error" in answer and "complete" not in answer


def test_programs_at_once_each_get_their_own(site, client):
    first = {seed: np.asarray(Image.open(ask(client, site[1], content=picture(site[1], f"{seed}.png", seed))[0])) for seed in (11, 12, 13)}
    again: dict[int, str] = {}

    def work(seed):
        mine = site[1] / f"own{seed}"  # no program writes a file while another one sends it
        mine.mkdir()
        again[seed] = ask(connect(site, f"down{seed}"), mine, content=picture(mine, f"{seed}.png", seed))[0]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in first]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    for seed, pixels in first.items():
        assert np.array_equal(np.asarray(Image.open(again[seed])), pixels)
    assert len({p.tobytes() for p in first.values()}) == 3


def test_the_load_bench_finds_everybody_served_their_own(site, capsys):
    arguments = ["bench", "load", "--url", site[0], "--clients", "3", "--seconds", "2", "--size", "64", "--pid", str(os.getpid())]
    assert main(arguments) == 0
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["3"])
    assert int(row[1]) >= 3 and row[2:4] == ["0", "0"] and float(row[4]) > 0


def test_the_load_bench_says_where_no_app_answers(capsys):
    assert main(["bench", "load", "--url", "http://127.0.0.1:9", "--clients", "1", "--seconds", "1"]) == 2
    assert "SCSA_RATE=0" in capsys.readouterr().err


def test_the_load_bench_counts_what_goes_wrong():
    answers = iter([b"mine", b"another's", OSError("gone")])

    def ask(alpha):
        answer = next(answers, None)
        if answer is None:
            time.sleep(0.05)
            return b"mine"
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = bench_load.Client(0, pixels=dict.fromkeys(bench_load.ALPHAS, b"mine"))
    found = bench_load._load([(client, ask)], 0.8, None)
    assert found.mixed == 1 and found.errors == ("client 0: gone",) and found.answers >= 2 and found.memory == (0, 0)


def test_the_endpoints_are_documented(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/render", "/segment"}
    assert [p["parameter_name"] for p in endpoints["/render"]["parameters"]] == [
        "content", "style", "content_map", "style_map", "model", "method", "knobs",
    ]  # fmt: skip
    assert json.dumps(endpoints)
