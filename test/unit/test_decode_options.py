"""The options of decoding reach it from the work configuration and from `set_options`."""

import numpy as np
import pytest
from test_predictor import StandInRuntime, config, stand_in  # noqa: F401  config is a fixture

from rdk_yolo_ros.detections import Classifications
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.tensors import TensorInfo

NAMES = ['red', 'green', 'blue']
GREY = np.full((64, 64, 3), 100, np.uint8)


def test_the_work_configuration_sets_them(config):  # noqa: F811
    predictor = Predictor.from_config(config(
        class_names=NAMES, class_agnostic=True, score_thresholds={'green': 0.6, '2': 0.1},
        top_k=3, softmax=False, native_masks=True), stand_in())
    options = predictor.options
    assert options.score_thresholds == {1: 0.6, 2: 0.1}
    assert options.class_agnostic is True
    assert options.top_k == 3
    assert options.softmax is False
    assert options.native_masks is True


def test_without_them_the_defaults_hold(config):  # noqa: F811
    options = Predictor.from_config(config(class_names=NAMES), stand_in()).options
    assert options.score_thresholds is None
    assert (options.class_agnostic, options.softmax, options.native_masks) == (False, None, False)
    assert options.top_k == 5


def test_thresholds_change_by_name_or_number_and_go_when_empty(config):  # noqa: F811
    predictor = Predictor.from_config(config(class_names=NAMES), stand_in())
    predictor.set_options(score_thresholds={'blue': 0.5, 0: 0.9})
    assert predictor.options.score_thresholds == {2: 0.5, 0: 0.9}
    predictor.set_options(score_thresholds=None)
    assert predictor.options.score_thresholds == {2: 0.5, 0: 0.9}
    predictor.set_options(score_thresholds={})
    assert predictor.options.score_thresholds is None


@pytest.mark.parametrize(('thresholds', 'message'), [
    ({'grene': 0.5}, "score_thresholds has 'grene'.*did you mean green"),
    ({3: 0.5}, 'score_thresholds has 3, expected a class name or a number from 0 to 2'),
    ({'red': '0.5'}, "score_thresholds has '0.5' for 'red'"), ({'red': 2.0}, 'score_thresholds'),
    (0.5, 'score_thresholds is 0.5')])
def test_faulty_thresholds_are_refused_by_name_and_change_nothing(config,  # noqa: F811
                                                                  thresholds, message):
    predictor = Predictor.from_config(config(class_names=NAMES), stand_in())
    before = predictor.options
    with pytest.raises(ValueError, match=message):
        predictor.set_options(max_detections=7, score_thresholds=thresholds)
    assert predictor.options is before


def test_a_classifier_predicts_classifications(config):  # noqa: F811
    logits = np.array([[0.5, 3.0, -1.0]], np.float32)
    runtime = StandInRuntime([TensorInfo('output0', (1, 3), np.float32)], [logits], (64, 64))
    predictor = Predictor.from_config(config(class_names=NAMES, top_k=2), runtime)
    assert predictor.task == 'classify'
    result = predictor(GREY)
    assert isinstance(result, Classifications)
    assert result.class_ids.tolist() == [1, 0]
