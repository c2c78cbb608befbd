"""Segment Anything: the real code with a small random model, and clicks against a predictor with known masks."""

import numpy as np
import pytest
import torch
from PIL import Image
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from scsa_core.errors import Cancelled, CheckpointMissing, KnobError, LabelError
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.segment import sam, segment_pair


def small_model(depth=1):
    torch.manual_seed(0)
    width, side = 32, 128
    return Sam(
        ImageEncoderViT(img_size=side, embed_dim=16, depth=depth, num_heads=2, out_chans=width, window_size=4, global_attn_indexes=(0,)),
        PromptEncoder(embed_dim=width, image_embedding_size=(8, 8), input_image_size=(side, side), mask_in_chans=4),
        MaskDecoder(transformer_dim=width, transformer=TwoWayTransformer(depth=1, embedding_dim=width, mlp_dim=32, num_heads=2)),
    )


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def segmenter():
    return sam.Segmenter(small_model())


def test_real_path_gives_full_maps(segmenter, picture):
    seen = []
    content, style, links = sam.segment_both(segmenter, picture, picture.rotate(90, expand=True), 5, lambda s, f: seen.append(f))
    assert content.size == (64, 48) and style.size == (48, 64)
    assert 1 <= len(content.region_ids) <= 5 and min(content.region_ids) == 1
    assert set(links.links) == set(content.region_ids)
    assert seen == sorted(seen)


def test_embedding_is_computed_once(picture, monkeypatch):
    ours = sam.Segmenter(small_model())
    calls = []
    ours._model.image_encoder.register_forward_hook(lambda *a: calls.append(1))
    ours.select(picture, [sam.Click(10, 10)])
    mask = ours.select(picture, [sam.Click(10, 10), sam.Click(40, 30, positive=False)], box=(0, 0, 30, 30))
    assert mask.shape == (48, 64) and mask.dtype == bool
    ours.masks(picture, lambda f: None, points_per_side=4)
    assert len(calls) == 1
    one = ours.embedded_bytes
    monkeypatch.setattr(sam, "MOST_BYTES", 3 * one)
    for k in range(5):
        ours.predictor(Image.new("RGB", (8, 8), (k, k, k)))
    assert len(ours._predictors) == 3 and ours.embedded_bytes == 3 * one
    calls.clear()
    ours.predictor(picture, key="named")
    ours.select(picture, [sam.Click(1, 1)], key="named")
    assert len(calls) == 1


def test_masks_can_be_stopped_between_batches(segmenter, picture):
    def step(fraction):
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        segmenter.masks(picture, step)


class Known:
    """A predictor that answers every question with three known masks and remembers what it was asked."""

    original_size = (20, 30)

    def predict(self, points, inside, box, multimask_output):
        self.asked = points, inside, box, multimask_output
        masks = np.zeros((3, 20, 30), dtype=bool)
        masks[1, :, :15] = True
        return masks, np.array([0.1, 0.9, 0.2]), None


def test_clicks_and_boxes_reach_the_predictor_in_its_pixels(segmenter, monkeypatch):
    known = Known()
    monkeypatch.setattr(segmenter, "predictor", lambda *a: known)
    large = Image.new("RGB", (60, 40))
    mask = segmenter.select(large, [sam.Click(30, 20), sam.Click(6, 8, positive=False)], box=(0, 2, 60, 40))
    points, inside, box, several = known.asked
    assert points.tolist() == [[15, 10], [3, 4]] and inside.tolist() == [1, 0]
    assert box.tolist() == [0, 1, 30, 20] and not several
    assert mask[:, :30].all() and not mask[:, 30:].any()
    segmenter.select(large, [sam.Click(1, 1)])
    assert known.asked[3] and known.asked[2] is None
    with pytest.raises(LabelError):
        segmenter.select(large)


def test_a_mask_is_given_at_the_size_that_the_clicks_are_in(segmenter, monkeypatch):
    known = Known()
    monkeypatch.setattr(segmenter, "predictor", lambda *a: known)
    mask = segmenter.select(Image.new("RGB", (600, 400)), [sam.Click(30, 20)], size=(60, 40))
    assert mask.shape == (40, 60) and known.asked[0].tolist() == [[15, 10]]


def test_the_embedding_tells_its_progress_and_can_be_stopped(picture):
    ours, seen = sam.Segmenter(small_model(depth=4)), []
    ours.predictor(picture, seen.append)
    assert seen == [0.0, 0.0, 0.25, 0.5, 0.75]
    ours.predictor(picture, seen.append)
    assert len(seen) == 5  # it is there

    def stop(fraction):
        if fraction >= 0.5:
            raise Cancelled

    other = Image.new("RGB", (20, 20), (1, 2, 3))
    with pytest.raises(Cancelled):
        ours.predictor(other, stop)
    assert len(ours._predictors) == 1
    assert ours.select(other, [sam.Click(3, 3)]).shape == (20, 20)  # nothing is left hanging from the stop


def test_vit_b_with_random_weights_embeds_in_its_true_shape_and_stops_between_blocks(picture):
    """The real size once: 89.7 M parameters, blocks stopped early so that it takes seconds."""
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        shapes = sam_model_registry["vit_b"](checkpoint=None).state_dict()
    assert sum(t.numel() for t in shapes.values()) == 93_735_728
    ours = sam.Segmenter(sam_model_registry["vit_b"](checkpoint=None))
    done = []

    def stop(fraction):
        done.append(fraction)
        if fraction >= 2 / 12:
            raise Cancelled

    with pytest.raises(Cancelled):
        ours.predictor(picture, stop)
    assert done == [0.0, 0.0, 1 / 12, 2 / 12] and ours.embedded_bytes == 0
    for block in ours._model.image_encoder.blocks:  # the remaining shapes, without the minutes of attention
        block.forward = lambda x: x
    predictor = ours.predictor(picture)
    assert predictor.features.shape == (1, 256, 64, 64) and ours.embedded_bytes == 4 * 256 * 64 * 64
    assert ours.select(picture, [sam.Click(10, 10)]).shape == (48, 64)


def test_a_mask_adds_and_cuts():
    before = LabelMap.from_ids(np.array([[1, 1, 2, 2]]))
    mask = np.array([[False, True, True, False]])
    assert sam.apply_mask(before, mask, 1).ids.tolist() == [[1, 1, 1, 2]]
    assert sam.apply_mask(before, mask, 7).ids.tolist() == [[1, 7, 7, 2]]
    assert sam.apply_mask(before, mask, 2, "cut").ids.tolist() == [[1, 1, 0, 2]]
    with pytest.raises(LabelError):
        sam.apply_mask(before, mask.T, 1)
    with pytest.raises(LabelError):
        sam.apply_mask(before, mask, 1, "paint")


def test_linked_regions_share_an_id():
    content, style = LabelMap.from_ids([[1, 2, 3]]), LabelMap.from_ids([[1, 2, 3, 4]])
    a, b, links = sam.share_ids(content, style, Pairing({1: (4, 2), 2: (4,), 3: ()}))
    assert a is content
    assert b.ids[0, 3] == 1 and 2 not in b.ids[0] and 3 not in b.ids[0]
    assert links.links == {1: (1, int(b.ids[0, 1])), 2: (1,), 3: ()}
    assert len(set(b.ids[0].tolist())) == 4


def test_near_doubles_and_doubtful_masks_are_dropped():
    logits = torch.full((3, 8, 8), -9.0)
    logits[:, 2:6, 2:6] = 9
    logits[2, 2:6, 2:6] = 0.5  # vanishes at a slightly higher threshold
    quality = torch.tensor([0.9, 0.95, 0.99])
    assert sam._sure(logits, quality, 0.0).tolist() == [True, True, False]
    kept = [sam.ScoredMask((m > 0).numpy(), float(q)) for m, q in zip(logits[:2], quality[:2], strict=True)]
    assert [round(m.quality, 2) for m in sam._distinct(kept)] == [0.95]


def test_missing_weights_say_where_to_put_them(tmp_path, monkeypatch, picture):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointMissing, match="sam_vit_b"):
        segment_pair(picture, picture, method="sam")
    with pytest.raises(KnobError):
        sam.load("vit_x")
