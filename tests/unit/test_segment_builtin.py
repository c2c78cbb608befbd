"""The built-in segmenter and the matcher on made pictures, through the public functions and the command line."""

import numpy as np
import pytest
from PIL import Image

from scsa_core.cli import main
from scsa_core.commands import bench_maps, bench_maps_ssl
from scsa_core.errors import Cancelled, ImageError, KnobError
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.progress import CancelToken
from scsa_core.segment import builtin, compare_regions, features, match_regions, segment_pair


def scene(width, height, seed):
    """Blue smooth top, green grainy bottom."""
    random = np.random.default_rng(seed)
    picture = np.empty((height, width, 3))
    picture[:] = (90, 140, 230)
    picture[height // 2 :] = (40, 120, 30)
    picture[height // 2 :] += random.normal(0, 40, (height - height // 2, width, 3))
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def halves(width, height, top=1, bottom=2):
    ids = np.full((height, width), top)
    ids[height // 2 :] = bottom
    return LabelMap.from_ids(ids)


def test_two_regions_are_found_and_shared():
    content, style = scene(160, 120, 0), scene(100, 140, 1)
    a, b, pairing = segment_pair(content, style, regions=2)
    assert a.size == content.size and b.size == style.size
    assert a.region_ids == b.region_ids == (1, 2)
    assert a.ids[5, 80] == b.ids[5, 50] != a.ids[115, 80] == b.ids[135, 50]
    assert pairing.links == {1: (1,), 2: (2,)}


def test_one_analysis_serves_every_number():
    found = builtin.analyse(scene(96, 96, 0), scene(96, 96, 1))
    for k in (1, 3, 30):
        a, b = found.maps(k)
        assert len(set(a.region_ids) | set(b.region_ids)) <= k
    assert found.maps(1)[0].region_ids == (1,)
    with pytest.raises(KnobError):
        found.maps(0)


@pytest.mark.parametrize("size", [(64, 64), (2000, 1), (1, 2000)])
def test_uniform_pictures_and_strips(size):
    picture = Image.new("RGB", size, (120, 130, 140))
    a, b, pairing = segment_pair(picture, picture)
    assert a.size == b.size == size
    assert set(pairing.links) == set(a.region_ids)
    assert np.array_equal(a.ids, b.ids)


def test_segmenting_can_be_stopped_and_tells_how_far_it_is():
    picture, token, seen = scene(64, 64, 0), CancelToken(), []

    def stop(event):
        seen.append(event.fraction)
        if event.stage == "encode_style":
            token.cancel()

    with pytest.raises(Cancelled):
        segment_pair(picture, picture, progress=stop, cancel=token)
    assert seen == sorted(seen) and len(seen) == 2
    with pytest.raises(KnobError):
        segment_pair(picture, picture, method="magic")


def test_hidden_ids_are_matched():
    content, style = scene(160, 120, 0), scene(100, 140, 1)
    assert match_regions(content, style, halves(160, 120), halves(100, 140, 9, 4)).links == {1: (9,), 2: (4,)}


def test_bench_counts_tiny_regions_only_where_asked():
    ids = np.ones((100, 100), dtype=int)
    ids[:9, :10] = 2
    truth = LabelMap.from_ids(ids), LabelMap.from_ids(np.where(ids == 2, 1, ids))
    assert bench_maps.true_number(truth) == 2
    assert bench_maps.true_number(truth, bench_maps.LEAST) == 1


def test_a_short_run_takes_pairs_from_end_to_end():
    assert bench_maps_ssl.spread(list("abcdefg"), 3) == ["a", "d", "g"]
    assert bench_maps_ssl.spread(list("abc"), 9) == ["a", "b", "c"]
    low, high = bench_maps_ssl.ratio_interval(np.array([1.1, 2.2, 3.3]), np.array([1.0, 2.0, 3.0]))
    assert low == pytest.approx(1.1) and high == pytest.approx(1.1)


def test_several_regions_may_share_one():
    picture = scene(128, 128, 0)
    ids = halves(128, 128).ids.copy()
    ids[64:, 64:] = 3
    many = LabelMap.from_ids(ids)
    to_one = match_regions(picture, picture, many, LabelMap.from_ids(np.where(ids == 1, 1, 2)))
    assert to_one.links[1][0] == 1 and {to_one.links[2], to_one.links[3]} <= {(2,), ()}
    whole = LabelMap.from_ids(np.ones((128, 128)).astype(int))
    assert match_regions(picture, picture, whole, whole).links == {1: (1,)}


def test_where_nothing_else_tells_them_apart_the_frame_does():
    plain = features.describe(Image.new("RGB", (96, 96), (120, 130, 140)))
    ids = halves(96, 96).ids.copy()
    wide, narrow = ids.copy(), ids.copy()
    wide[30:60, 30:60] = narrow[36:54, 20:50] = 3
    mixed = np.choose(narrow, [0, 9, 4, 7])
    links = compare_regions(plain, plain, LabelMap.from_ids(wide), LabelMap.from_ids(mixed)).pairing.links
    assert {k: v[0] for k, v in links.items()} == {1: 9, 2: 4, 3: 7}


def test_unmatched_regions_have_a_suggestion():
    picture = scene(96, 96, 0)
    seen = features.describe(picture)
    ids = np.arange(96 * 96).reshape(96, 96) // (96 * 96 // 30 + 1) + 1
    found = compare_regions(seen, seen, LabelMap.from_ids(ids), halves(96, 96))
    assert set(found.pairing.links) == set(np.unique(ids).tolist())
    empty = {k for k, v in found.pairing.links.items() if not v}
    assert set(found.nearest) == empty and set(found.nearest.values()) <= {1, 2}
    same = compare_regions(seen, seen, LabelMap.from_ids(ids), LabelMap.from_ids(ids))
    assert all(v[0] == k for k, v in same.pairing.links.items())


def test_segment_command_writes_every_file(tmp_path, capsys):
    scene(96, 64, 0).save(tmp_path / "c.png")
    scene(64, 80, 1).save(tmp_path / "s.png")
    out = tmp_path / "maps"
    command = ["segment", "--content", str(tmp_path / "c.png"), "--style", str(tmp_path / "s.png"), "--out-dir", str(out)]
    assert main([*command, "--regions", "2"]) == 0
    labels = Image.open(out / "content_labels.png")
    assert labels.mode == "L" and labels.size == (96, 64) and set(np.unique(np.asarray(labels))) == {1, 2}
    assert Image.open(out / "style_labels.png").size == (64, 80)
    assert Image.open(out / "style_colours.png").mode == "RGB"
    assert Image.open(out / "overlay.png").size == (1032, 512)
    assert Pairing.from_json((out / "pairing.json").read_text()).links == {1: (1,), 2: (2,)}
    assert main([*command, "--regions", "99"]) == 2
    capsys.readouterr()


def test_bench_maps_reads_pairs_and_draws_a_sheet(tmp_path, capsys):
    folder = tmp_path / "pairs" / "7"
    folder.mkdir(parents=True)
    for k, name in enumerate(("7", "7_paint")):
        scene(96, 96, k).save(folder / f"{name}.jpg", quality=95)
        LabelMap.from_ids(halves(96, 96).ids).to_colour_image().save(folder / f"{name}_sem.png")
    assert main(["bench", "maps", "--pairs", str(folder.parent), "--out", str(tmp_path / "sheet")]) == 0
    printed = capsys.readouterr().out
    assert "100.0%" in printed and "mean" in printed
    assert Image.open(tmp_path / "sheet" / "maps.png").size == (3 * 780, 134)
    assert main(["bench", "maps", "--pairs", str(folder.parent), "--ssl", "1", "--size", "96", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.split()[:1] == ["7"])
    given, automatic, without = (float(x) for x in row.split()[1:])
    assert min(given, automatic, without) > 0
    assert "of 1 pairs" in printed and "95 % bootstrap" in printed
    with pytest.raises(ImageError):
        bench_maps.find_pairs(tmp_path / "nothing")
    assert main(["bench", "maps"]) == 2
