"""
Instances of a camera's image, mapped back by us and by Ultralytics.

Our letterbox rounds sizes and margins to even numbers, so that chroma stays over its pixels, where
upstream's rounds to whole ones. Where upstream's are even, too, the results agree to the bar.
Elsewhere they agree to the bar once upstream is told our margins and scales, as it can be; with
its own, a point of the input lies elsewhere in the image, by less than 2 input pixels (see
`edges_differ`). That is no error in either: each maps back what it mapped there.
"""

from agreement import as_outputs, assert_same_instances, assert_same_masks
import numpy as np
from pairs import pair
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('ultralytics')
from ultralytics.utils import ops  # noqa: E402
from upstream_models import random_model  # noqa: E402

from rdk_yolo_ros.decode import DecodeOptions, make_decoder  # noqa: E402
from rdk_yolo_ros.heads import identify_heads  # noqa: E402
from rdk_yolo_ros.letterbox import Letterbox  # noqa: E402

SOURCE = (720, 1280)
# 720 * 0.25 = 180 rows under a margin of 70: even in upstream's geometry. 720 * 0.325 = 234
# under 11 is not.
EVEN, ODD = (320, 320), (256, 416)
MASKS = 40
NAMES = ['yolov8n:detect-80', 'yolo26n:detect-80', 'yolo11n-seg:segment-80',
         'yolo26n-seg:segment-80', 'yolo12n-pose:pose-1', 'yolo26n-pose:pose-1',
         'yolo11n-obb:obb-15', 'yolo26n-obb:obb-15']


def decode(name, input_hw, source_hw=SOURCE, **options):
    """Return (the model, our Detections in the source image, the letterbox)."""
    chosen = pair(name)
    model = random_model(chosen, input_hw)
    infos, arrays = as_outputs(model.raw)
    letterbox = Letterbox.fit(source_hw, input_hw)
    decoder = make_decoder(identify_heads(infos, input_hw, **chosen.hints),
                           DecodeOptions(**options))
    return model, decoder(arrays, letterbox), letterbox


def upstream_in_source(model, ratio_pad=None, source_hw=SOURCE, **options):
    """Return upstream's rows in the source image, clipped as its predictors do."""
    rows = model.rows(**options).clone()
    task = model.pair.task
    rows[:, :4] = ops.scale_boxes(model.input_hw, rows[:, :4], source_hw, ratio_pad=ratio_pad,
                                  xywh=task == 'obb')
    if task == 'pose':
        points = rows[:, 6:].reshape(len(rows), *model.pair.kpt_shape)
        rows[:, 6:] = ops.scale_coords(model.input_hw, points, source_hw,
                                       ratio_pad=ratio_pad).flatten(1)
    return rows


def clipped(ours):
    """Clip our key points to the image, as upstream does and we do not; in place."""
    if ours.keypoints is not None:
        ours.keypoints[..., :2] = ours.keypoints[..., :2].clip(0, (SOURCE[1], SOURCE[0]))
    return ours


@pytest.mark.parametrize('name', NAMES)
def test_even_geometry_is_upstream_s_own(name):
    model, ours, _ = decode(name, EVEN)
    assert_same_instances(clipped(ours), upstream_in_source(model), model.pair, SOURCE)


@pytest.mark.parametrize('name', NAMES)
def test_our_own_geometry_maps_back_as_upstream_would_with_it(name):
    model, ours, box = decode(name, ODD)
    assert (box.top, box.resized_hw) == (10, (234, 416))
    rows = upstream_in_source(model, ((box.scale_y, box.scale_x), (box.left, box.top)))
    assert_same_instances(clipped(ours), rows, model.pair, SOURCE)


def edges_differ(box):
    """
    Return how far upstream's geometry puts a point of the input from where ours does, source px.

    Both maps are linear along an axis, so between the image's edges no point differs by more
    than one of the edges.
    """
    gain = min(box.model_hw[0] / SOURCE[0], box.model_hw[1] / SOURCE[1])
    worst = 0.0
    for size, source, first, resized in ((box.model_hw[0], SOURCE[0], box.top, box.resized_hw[0]),
                                         (box.model_hw[1], SOURCE[1], box.left,
                                          box.resized_hw[1])):
        theirs = max(round(source * gain), 1)
        edges = np.array([0.0, size])
        margin = round((size - theirs) / 2 - 0.1)
        worst = max(worst, np.abs((edges - first) * source / resized
                                  - (edges - margin) * source / theirs).max())
    return worst, 2 / gain


@pytest.mark.parametrize('name', [name for name in NAMES if 'obb' not in name])
def test_odd_geometry_differs_by_the_rounding_to_even(name):
    model, ours, box = decode(name, ODD)
    difference, bound = edges_differ(box)
    assert 1 < difference < bound
    assert_same_instances(clipped(ours), upstream_in_source(model), model.pair, SOURCE,
                          box_pixels=difference + 0.01, keypoint_pixels=difference + 0.01)


@pytest.mark.parametrize('name', [name for name in NAMES if 'seg' in name])
@pytest.mark.parametrize('source_hw', [(720, 1280), (480, 640), (640, 640), (400, 500)])
def test_native_masks(name, source_hw):
    model, ours, _ = decode(name, EVEN, source_hw, native_masks=True, max_detections=MASKS)
    rows = upstream_in_source(model, source_hw=source_hw, max_det=MASKS)
    partner = assert_same_instances(ours, rows, model.pair, source_hw)
    theirs = model.native_masks(model.rows(max_det=MASKS), source_hw)
    assert_same_masks(ours.masks, partner, theirs)


@pytest.mark.parametrize('name', [name for name in NAMES if 'seg' in name])
def test_masks_at_the_input_s_resolution(name):
    model, ours, box = decode(name, EVEN, max_detections=MASKS)
    partner = assert_same_instances(ours, upstream_in_source(model, max_det=MASKS), model.pair,
                                    SOURCE)
    # Four source pixels a side of an input pixel: each of upstream's pixels is a square of ours.
    inside = model.masks(model.rows(max_det=MASKS))[:, box.top:box.top + box.resized_hw[0],
                                                    box.left:box.left + box.resized_hw[1]]
    assert_same_masks(ours.masks, partner, inside.repeat(4, 1).repeat(4, 2))
