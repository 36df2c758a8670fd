"""The YOLO node on a runtime that hangs or dies: what it does, and what it says of itself."""

from array import array
import json
from pathlib import Path
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'test' / 'unit'))
from head_tensors import as_outputs, planted_heads  # noqa: E402
from stand_ins.libdnn import compile_stand_in, write_recorded_model  # noqa: E402

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
HW = (64, 64)


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    return compile_stand_in(tmp_path_factory.mktemp('library'))


@pytest.fixture
def board(tmp_path, library, processes, python):
    """Start the node on the libdnn stand-in; faults as RDK_STAND_IN_FAULTS has them."""
    def start(faults, **keys):
        rng = np.random.default_rng(0)
        heads = planted_heads(rng, 'detect', HW, class_num=2, objects=2)
        infos, arrays = as_outputs(heads, list(heads))
        write_recorded_model(tmp_path / 'm.bin',
                             [(info.name, values, None, None)
                              for info, values in zip(infos, arrays)], HW, 0.001, 2)
        (tmp_path / 'm.json').write_text(json.dumps(
            {'model_file': 'm.bin', 'runtime': 'libdnn', 'class_num': 2, **keys}))
        process = processes(python, '-m', 'rdk_yolo_ros.nodes.yolo', '--ros-args',
                            '-p', f'config_file:={tmp_path}/m.json',
                            env={'RDK_YOLO_LIBDNN': str(library), 'RDK_STAND_IN_FAULTS': faults})
        process.wait_for_line('detect model')
        return process

    return start


@pytest.fixture
def camera(graph):
    """Publish small images at 50 Hz until the test is over."""
    publisher = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    image = Image(header=Header(frame_id='camera'), encoding='nv12', height=HW[0], width=HW[1],
                  step=HW[1], data=array('B', bytes(HW[0] * HW[1] * 3 // 2)))
    stop = threading.Event()

    def publish():
        while not stop.wait(0.02):
            publisher.publish(image)

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    stop.set()
    thread.join(5.0)


def values_of(message):
    return {pair.key: pair.value for pair in message.status[0].values}


def test_an_inference_that_hangs_is_given_up_and_told_of(graph, board, camera):
    process = board('hang:40:1:1', inference_timeout=0.5)
    results = graph.record(Detection2DArray, '/yolo/detections')
    statuses = graph.record(DiagnosticArray, '/diagnostics')

    def gave_up(message):
        return int(values_of(message)['inference timeouts']) > 0

    told = statuses.wait(where=gave_up)[0]
    assert told.status[0].level == DiagnosticStatus.WARN
    values = values_of(told)
    assert any(key.startswith('failed: /image_raw') and 'InferenceTimeoutError' in key
               for key in values)
    assert (values['runtime state'], values['runtime restarts']) == ('running', '0')
    # The slot is back.
    results.wait(len(results) + 40)
    statuses.wait(where=lambda m: m.status[0].level == DiagnosticStatus.OK and gave_up(m))
    assert 'was given up' in process.output
    assert 'is lost' not in process.output


def test_a_runtime_that_dies_is_opened_again_and_both_are_logged_once(graph, board, camera):
    process = board('hbDNNInfer:40:4:-6000012')
    results = graph.record(Detection2DArray, '/yolo/detections')
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    process.wait_for_line('is lost and will be opened again')
    process.wait_for_line('is back')
    seen = len(results)
    results.wait(seen + 40)
    values = values_of(statuses.wait(where=lambda m: values_of(m)['runtime restarts'] == '1')[0])
    assert values['runtime state'] == 'running'
    assert 'hbDNNInfer' in values['runtime last error']
    (reason, count), = [(key, value) for key, value in values.items()
                        if 'is being opened again' in key]
    assert reason.startswith('failed: /image_raw')
    assert int(count) > 5  # half a second of frames, counted
    lines = process.lines
    assert sum('is lost and will be' in line for line in lines) == 1
    assert sum('is back' in line for line in lines) == 1
    assert not any('is being opened again' in line for line in lines)


def test_a_runtime_that_does_not_come_back_is_an_error_until_it_does(
        graph, board, camera, tmp_path):
    process = board('hbDNNInfer:40:4:-6000012')
    hidden = tmp_path / 'hidden.bin'
    results = graph.record(Detection2DArray, '/yolo/detections')
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    (tmp_path / 'm.bin').rename(hidden)
    process.wait_for_line('cannot be opened again yet')
    status = statuses.wait(
        where=lambda m: m.status[0].level == DiagnosticStatus.ERROR)[0].status[0]
    assert 'the runtime is reopening' in status.message
    hidden.rename(tmp_path / 'm.bin')
    process.wait_for_line('is back')
    seen = len(results)
    results.wait(seen + 20)
    begin = time.monotonic()
    statuses.wait(where=lambda m: m.status[0].level == DiagnosticStatus.OK
                  and values_of(m)['runtime restarts'] == '1')
    assert time.monotonic() - begin < 30.0
    assert sum('cannot be opened again yet' in line for line in process.lines) == 1
