"""Raw heads of every family and task, decoded by us and by Ultralytics itself."""

import numpy as np
from pairs import CLASSIFIERS, PAIRS, pair
import pytest

pytest.importorskip('torch')
pytest.importorskip('ultralytics')
from agreement import as_outputs, assert_same_instances, assert_same_masks  # noqa: E402
from upstream_models import SCORE_THRESHOLD, random_model  # noqa: E402

from rdk_yolo_ros.decode import DecodeOptions, make_decoder  # noqa: E402
from rdk_yolo_ros.heads import identify_heads  # noqa: E402
from rdk_yolo_ros.letterbox import Letterbox  # noqa: E402

CASES = [pytest.param(p, hw, id=f'{p}-{hw[0]}x{hw[1]}') for p in PAIRS for hw in p.sizes]


def test_there_are_enough_pairs():
    assert len({(p.model, p.task) for p in (*PAIRS, *CLASSIFIERS)}) >= 30
    assert all(any(h != w for h, w in p.sizes) for p in PAIRS)


@pytest.mark.parametrize(('pair', 'input_hw'), CASES)
def test_the_same_instances_as_upstream(pair, input_hw):
    model = random_model(pair, input_hw)
    rows = model.rows()
    assert 5 <= len(rows) <= 300
    # Square inputs the way the model zoo exports them, others the way ESP-DL does, in any order.
    square = input_hw[0] == input_hw[1]
    infos, arrays = as_outputs(model.raw, square, seed=None if square else 1)
    layout = identify_heads(infos, input_hw, **pair.hints)
    found = (layout.task, layout.class_num, layout.strides, layout.reg_max, layout.rules)
    assert found == (pair.task, pair.class_num, pair.strides, pair.reg_max, pair.rules)
    ours = make_decoder(layout)(arrays, Letterbox.identity(input_hw))
    partner = assert_same_instances(ours, rows, pair, input_hw)
    if pair.task == 'segment':
        assert_same_masks(ours.masks, partner, model.masks(rows))


@pytest.mark.parametrize('name', [
    'yolov8n:detect-80', 'yolo11n-seg:segment-80', 'yolo12n-pose:pose-1', 'yolov8n-obb:obb-15',
    'yolov10n:detect-80', 'yolo26n-obb:obb-15', 'yolo26n-pose:pose-1'])
@pytest.mark.parametrize('options', [
    {'nms_threshold': 0.3}, {'nms_threshold': 0.3, 'class_agnostic': True},
    {'max_detections': 12}, {'score_threshold': 0.6}, {'score_threshold': 0.001},
    {'classes': (0, 2, 3, 41)}], ids=lambda options: '-'.join(options))
def test_the_same_instances_with_options(name, options):
    chosen = pair(name)
    model = random_model(chosen, (320, 320))
    theirs = {'double': True, **options}
    if 'class_agnostic' in theirs:
        theirs['agnostic'] = theirs.pop('class_agnostic')
    if 'max_detections' in theirs:
        theirs['max_det'] = theirs.pop('max_detections')
    rows = model.rows(**theirs)
    infos, arrays = as_outputs(model.raw)
    layout = identify_heads(infos, (320, 320), **chosen.hints)
    ours = make_decoder(layout, DecodeOptions(**options))(arrays, Letterbox.identity((320, 320)))
    assert len(rows) >= 1
    assert_same_instances(ours, rows, chosen, (320, 320))


@pytest.mark.parametrize('name', ['yolov10n:detect-80', 'yolo26n:detect-80',
                                  'yolo26n-seg:segment-80'])
def test_one_to_one_heads_give_the_best_pairs_of_anchor_and_class(name):
    chosen = pair(name)
    model = random_model(chosen, (320, 320), candidates=600)
    rows = model.rows()
    infos, arrays = as_outputs(model.raw)
    ours = make_decoder(identify_heads(infos, (320, 320), **chosen.hints))(
        arrays, Letterbox.identity((320, 320)))
    assert len(rows) == 300
    assert rows[-1, 4] > SCORE_THRESHOLD
    assert len(np.unique(rows[:, :4], axis=0)) < 300  # some anchors come with two classes
    assert_same_instances(ours, rows, chosen, (320, 320))


def test_nms_has_something_to_drop():
    model = random_model(pair('yolov8n:detect-80'), (320, 320))
    assert len(model.rows()) < len(model.rows(nms_threshold=1.0))
