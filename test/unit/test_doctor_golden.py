"""The golden frame: the shipped results are the shipped models', and a difference is found."""

import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from rdk_yolo_ros.cli.checks import golden
from rdk_yolo_ros.cli.checks.child import ChildReport
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING
from rdk_yolo_ros.cli.checks.runtimes import Trial, check_golden
from rdk_yolo_ros.cli.main import main
from rdk_yolo_ros.cli.model_argument import config_of
from rdk_yolo_ros.detections import Classifications
from rdk_yolo_ros.predictor import Predictor

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / 'config' / 'golden'
TASKS = ('detect', 'segment', 'pose')


@pytest.fixture(scope='module')
def frame():
    return golden.golden_frame()


def shipped(task):
    return golden.load(GOLDEN / f'demo_{task}.json')


def found_by(name, frame):
    with Predictor.from_config(config_of(str(ROOT / 'models' / name))) as predictor:
        return predictor.task, golden.instances(predictor(frame), predictor.class_names)


def test_the_frame_is_640x480_and_small(frame):
    assert frame.hw == (480, 640)
    assert (ROOT / golden.FRAME).stat().st_size < 100_000


@pytest.mark.parametrize('task', TASKS)
def test_the_shipped_results_are_the_shipped_models(task, frame):
    pytest.importorskip('onnxruntime')
    recorded = shipped(task)
    again = f'rdk-yolo doctor models/demo_{task}.onnx --record config/golden/demo_{task}.json'
    digest = hashlib.sha256((ROOT / 'models' / f'demo_{task}.onnx').read_bytes()).hexdigest()
    assert recorded['model_sha256'] == digest, f'the model is another one: {again}'
    assert golden.is_recorded_on(recorded, frame), f'the frame is another one: {again}'
    assert len(recorded['instances']) >= 4
    found = found_by(f'demo_{task}.onnx', frame)
    assert golden.differences(recorded, *found, golden.SAME_NETWORK) == []


@pytest.mark.parametrize('task', TASKS)
def test_the_integer_twin_agrees_as_a_quantized_model_must(task, frame):
    pytest.importorskip('onnxruntime')
    path = ROOT / 'models' / f'demo_{task}_int32.onnx'
    assert golden.shipped_for(path) == GOLDEN / f'demo_{task}.json'
    assert golden.differences(shipped(task), *found_by(path.name, frame), golden.QUANTIZED) == []


def test_another_model_has_no_shipped_result():
    assert golden.shipped_for(Path('yolo11n.bin')) is None
    assert golden.shipped_for(Path('demo_nothing.onnx')) is None


# What counts as a difference


def test_what_is_recorded_has_no_difference_from_itself():
    for task in TASKS:
        recorded = shipped(task)
        assert golden.differences(recorded, task, recorded['instances'],
                                  golden.SAME_NETWORK) == []


def changed(index, **changes):
    recorded = shipped('pose')
    found = copy.deepcopy(recorded['instances'])
    found[index].update(changes)
    return recorded, found


def shifted(values, by):
    return (np.asarray(values) + by).tolist()


def moved(pixels):
    recorded, found = changed(0)
    found[0]['box'] = shifted(found[0]['box'], pixels)
    return recorded, found


def points_moved(pixels):
    recorded, found = changed(0)
    found[0]['keypoints'] = shifted(found[0]['keypoints'], [pixels, 0, 0])
    return recorded, found


@pytest.mark.parametrize(('pair', 'words'), [
    (changed(0, score=0.5), 'its score is 0.50'),
    (changed(0, class_id=3), 'is missing'),
    (changed(0, class_id=3), 'was not expected'),
    (moved(40.0), 'is missing; the nearest overlaps'),
    (points_moved(30.0), 'its key points are 30.0 pixels off'),
    (changed(0, keypoints=[[0.0, 0.0, 1.0]]), 'it has 1 key points, expected 17')])
def test_a_difference_is_found(pair, words):
    recorded, found = pair
    for tolerance in (golden.SAME_NETWORK, golden.QUANTIZED):
        assert any(words in text for text in golden.differences(recorded, 'pose', found,
                                                                tolerance))


def scored(difference):
    recorded, found = changed(0)
    found[0]['score'] += difference
    return recorded, found


@pytest.mark.parametrize('pair', [scored(-0.1), moved(5.0), points_moved(6.0)])
def test_what_quantization_does_is_none(pair):
    recorded, found = pair
    assert golden.differences(recorded, 'pose', found, golden.QUANTIZED) == []


def test_one_more_and_one_less():
    recorded = shipped('detect')
    instances = recorded['instances']
    assert any('is missing' in text for text in golden.differences(
        recorded, 'detect', instances[1:], golden.QUANTIZED))
    more = [*instances, {**instances[0], 'box': [0.0, 0.0, 20.0, 20.0]}]
    assert any('was not expected' in text for text in golden.differences(
        recorded, 'detect', more, golden.QUANTIZED))


def test_what_is_near_the_threshold_may_come_and_go():
    recorded = shipped('detect')
    near = {**recorded['instances'][0], 'box': [0.0, 0.0, 20.0, 20.0],
            'score': recorded['score_threshold'] + 0.1}
    assert golden.differences(recorded, 'detect', [*recorded['instances'], near],
                              golden.QUANTIZED) == []
    recorded['instances'].append(near)
    assert golden.differences(recorded, 'detect', recorded['instances'][:-1],
                              golden.QUANTIZED) == []


def test_a_masks_area_and_an_angle():
    one = {'class': 'x', 'class_id': 0, 'score': 0.9, 'box': [0.0, 0.0, 50.0, 50.0],
           'mask_area': 1000, 'angle': 1.55}
    recorded = {'task': 'segment', 'score_threshold': 0.4, 'instances': [one]}

    def words(**changes):
        return golden.differences(recorded, 'segment', [{**one, **changes}], golden.SAME_NETWORK)

    assert words() == []
    assert 'its mask has 500 pixels' in words(mask_area=500)[0]
    # Half a turn further is the same rectangle.
    assert words(angle=1.55 - np.pi + 0.01) == []
    assert 'its angle is 1.00' in words(angle=1.0)[0]


def test_classes_go_by_the_best():
    recorded = {'task': 'classify', 'score_threshold': 0.4,
                'instances': [{'class': 'cat', 'class_id': 0, 'score': 0.8},
                              {'class': 'dog', 'class_id': 1, 'score': 0.1}]}
    tolerance = golden.QUANTIZED
    # A compiled model does not know its classes' names.
    assert golden.differences(recorded, 'classify', [{'class': '0', 'class_id': 0, 'score': 0.7}],
                              tolerance) == []
    assert 'the best class is dog' in golden.differences(
        recorded, 'classify', [{'class': 'dog', 'class_id': 1, 'score': 0.7}], tolerance)[0]
    assert golden.differences(recorded, 'classify', [], tolerance)
    assert 'task is pose' in golden.differences(recorded, 'pose', [], tolerance)[0]
    assert golden.instances(
        Classifications(np.array([1], np.int32), np.array([0.5], np.float32)), ('cat', 'dog')
    ) == [{'class': 'dog', 'class_id': 1, 'score': 0.5}]


# Files that are none


@pytest.mark.parametrize('text', ['', '{', '[]', '{"format": 1}', '{"format": 2}', '[' * 5000, '{'
                                  '"format": 1, "model": "m", "model_sha256": "x", "task": "pose",'
                                  ' "score_threshold": 0.4, "frame_sha256": "y", "instances": '
                                  '[{"class": "a", "score": 0.5, "box": [1, 2, 3]}]}'])
def test_a_file_that_is_no_recorded_result(tmp_path, text):
    (tmp_path / 'g.json').write_text(text)
    with pytest.raises(golden.GoldenError, match='is no recorded result'):
        golden.load(tmp_path / 'g.json')


def test_a_file_or_a_frame_that_is_missing(tmp_path):
    with pytest.raises(golden.GoldenError, match='No such file'):
        golden.load(tmp_path / 'none.json')
    with pytest.raises(golden.GoldenError, match='no picture of NV12 planes'):
        golden.golden_frame(tmp_path / 'none.png')


def test_record_writes_what_golden_reads(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    path = tmp_path / 'g.json'
    model = str(ROOT / 'models' / 'demo_detect.onnx')
    assert main(['doctor', model, '--record', str(path)]) == 0
    assert 'object(s) that demo_detect.onnx finds' in capsys.readouterr().out
    again, known = golden.load(path), shipped('detect')
    assert {**again, 'instances': []} == {**known, 'instances': []}
    assert golden.differences(known, 'detect', again['instances'], golden.SAME_NETWORK) == []
    assert main(['doctor', model, '--record', str(tmp_path / 'none' / 'g.json')]) == 1
    assert 'cannot be written' in capsys.readouterr().err


# The findings


def trial(**results):
    """Return a trial with a golden step of each runtime."""
    return Trial(list(results), {name: ChildReport(({'event': 'golden', **result},), '', ())
                                 for name, result in results.items()})


@pytest.fixture
def model(tmp_path):
    path = tmp_path / 'net.bin'
    path.write_bytes(b'model')
    return path


def result_of(recorded):
    return {'task': recorded['task'], 'instances': copy.deepcopy(recorded['instances'])}


def test_a_mismatch_is_a_problem_and_says_where(model):
    recorded = shipped('pose')
    bad = result_of(recorded)
    del bad['instances'][0]
    good, = check_golden(model, trial(libdnn=result_of(recorded)), recorded, True)
    assert good.status == OK
    assert 'within what 8 bits allow' in good.summary
    wrong, = check_golden(model, trial(libdnn=bad), recorded, True)
    assert wrong.status == PROBLEM
    line, = wrong.lines
    assert line.startswith('person 0.')
    assert 'is missing' in line


def test_two_runtimes_that_disagree_on_one_file(model):
    recorded = shipped('pose')
    other = result_of(recorded)
    other['instances'][0]['score'] -= 0.12
    findings = list(check_golden(model, trial(libdnn=result_of(recorded), hbm=other), None, False))
    assert [finding.status for finding in findings] == [NOT_APPLICABLE, PROBLEM]
    assert 'hbm and libdnn find different things' in findings[1].summary
    findings = list(check_golden(model, trial(libdnn=other, hbm=other), None, False))
    assert findings[1].summary == 'hbm and libdnn find the same'


def test_another_frame_or_another_model_is_a_warning(model, tmp_path):
    recorded = shipped('pose')
    finding, = check_golden(model, trial(hbm=result_of(recorded)), recorded, False)
    assert finding.status == WARNING
    (tmp_path / 'demo_pose.onnx').write_bytes(b'another')
    first, second = check_golden(tmp_path / 'demo_pose.onnx', trial(onnx=result_of(recorded)),
                                 recorded, True)
    assert (first.status, second.status) == (WARNING, OK)
    assert 'recorded with another' in first.summary


def test_nothing_was_run(model):
    finding, = check_golden(model, Trial([], {}), None, False)
    assert finding.status == NOT_APPLICABLE


def test_the_shipped_files_are_what_record_would_write_again():
    for path in GOLDEN.glob('*.json'):
        text = path.read_text(encoding='utf-8')
        assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + '\n'
