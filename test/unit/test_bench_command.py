"""rdk-yolo bench: what it measures, names as the bottleneck, and writes as a page."""

from html.parser import HTMLParser
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rdk_yolo_ros.cli import bench
from rdk_yolo_ros.cli.bench_page import page
from rdk_yolo_ros.cli.bottleneck import find_bottleneck
from rdk_yolo_ros.cli.main import main
from rdk_yolo_ros.cli.measuring import STAGES, Measured, measure
from rdk_yolo_ros.cli.process_use import ProcessUse, family
from rdk_yolo_ros.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))


# The command


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    """Run the command on a demo model as a process; (report, page, stderr)."""
    pytest.importorskip('onnxruntime')
    path = tmp_path_factory.mktemp('bench') / 'report.html'
    done = subprocess.run(
        [sys.executable, '-m', 'rdk_yolo_ros.cli', 'bench', str(ROOT / 'models/demo_detect.onnx'),
         '--slots', '2', '1', '--seconds', '1', '--size', '640x480', '--html', str(path),
         '--json'], capture_output=True, text=True, timeout=170, stdin=subprocess.DEVNULL,
        env={**os.environ, 'RDK_YOLO_ONNX_THREADS': '1', 'PYTHONPATH': PYTHONPATH})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), path.read_text(encoding='utf-8')


def test_the_demo_model_is_measured_on_one_and_two_slots(report):
    data, _ = report
    assert [one['slots'] for one in data['measurements']] == [1, 2]
    for one in data['measurements']:
        assert one['fps'] > 0
        assert one['frames'] >= 1
        assert one['failed'] == 0
        assert one['memory'] > 10e6
        assert one['latency_ms']['p50'] <= one['latency_ms']['p95']
        stages = one['stages_ms']
        assert set(stages) >= set(STAGES)
        assert all(duration >= 0 for duration in stages.values())
        # A frame is somewhere at every moment.
        assert sum(stages.values()) == pytest.approx(one['latency_ms']['mean'])
        # Little's law: frames under way = rate * time in the system. A frame that is delivered
        # gives its slot to the next one a moment earlier.
        under_way = one['fps'] * one['latency_ms']['mean'] / 1e3
        assert 0.3 * one['slots'] < under_way < 2.0 * one['slots'] + 0.5
    assert data['model'] == 'demo_detect.onnx'
    assert data['image'] == '640x480 NV12'
    assert data['bottleneck']['name'] == 'network on the CPU'


class Page(HTMLParser):
    """Checks that tags nest, and keeps the tags and the text."""

    VOID = ('meta', 'br', 'rect', 'line')

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parsed(html):
    found = Page()
    found.feed(html)
    found.close()
    assert found.open == []
    return found


def assert_stands_alone(html):
    assert not re.search(r'https?:|//[a-z]|src=|href=|@import|url\(', html)


def test_the_page_stands_alone(report):
    data, html = report
    assert_stands_alone(html)
    found = parsed(html)
    text = ' '.join(found.texts)
    for one in data['measurements']:
        assert f'{one["fps"]:.1f}' in text
        assert f'{one["latency_ms"]["mean"]:.1f}' in text
    assert 'network on the CPU' in text
    assert [tag for tag, _ in found.tags].count('svg') == 2
    assert 'prefers-color-scheme: dark' in html


def test_the_text_has_a_row_for_each_number_of_slots(report):
    data, _ = report
    lines = bench.text(data).splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:1] == ['slots'])
    assert lines[head].split()[4:10] == ['FPS', 'convert', 'letterbox', 'wait', 'infer', 'decode']
    assert [line.split()[0] for line in lines[head + 1:head + 3]] == ['1', '2']
    assert any(line.startswith('bottleneck: network on the CPU') for line in lines)
    assert any(line.startswith('publish: ') for line in lines)


@pytest.mark.parametrize(('arguments', 'code', 'says'), [
    (['none.onnx'], 1, 'there is no such model file'),
    (['m.onnx', '--slots', '0'], 1, 'from 1 to 32'),
    (['m.onnx', '--slots', '33'], 1, 'from 1 to 32'),
    (['m.onnx', '--seconds', '0'], 1, 'more than 0'),
    (['m.onnx', '--size', '641x480'], 2, 'even numbers'),
    (['m.onnx', '--size', 'big'], 2, 'WIDTHxHEIGHT'),
    (['m.onnx', '--runtime', 'cuda'], 2, 'invalid choice')])
def test_a_faulty_command_line(arguments, code, says, capsys):
    try:
        found = main(['bench', *arguments])
    except SystemExit as end:
        found = end.code
    assert found == code
    assert says in capsys.readouterr().err


def test_images_come_as_a_camera_gives_them(tmp_path):
    assert cv2.imwrite(str(tmp_path / 'a.png'), np.full((60, 80, 3), 200, np.uint8))
    for source in ('synthetic', str(tmp_path / 'a.png')):
        images = bench.read_images(source, 320, 240)
        assert {(image.encoding, image.width, image.height, image.data.shape)
                for image in images} == {('nv12', 320, 240, (360, 320))}
    with pytest.raises(bench.RdkYoloError, match='does not exist'):
        bench.read_images(str(tmp_path / 'none.png'), 320, 240)


# Measuring, with a predictor that is a stand-in: it sleeps


class SleepingPredictor:
    """A stand-in for a predictor: each stage sleeps; `fails` is what some frames raise."""

    def __init__(self, infer=0.02, decode=0.005, fails=None):
        self._infer, self._decode, self._fails = infer, decode, fails
        self._lock = threading.Lock()
        self.running = self.most = self.count = 0

    def predict(self, frame):
        with self._lock:
            self.running += 1
            self.count += 1
            self.most = max(self.most, self.running)
            count = self.count
        try:
            if self._fails is not None and self._fails(count):
                raise ModelError('the device is gone')
            time.sleep(0.001 + self._infer + self._decode)
        finally:
            with self._lock:
                self.running -= 1
        return SimpleNamespace(timings={'slot wait': 0.001, 'infer': self._infer,
                                        'decode': self._decode})


IMAGE = SimpleNamespace(encoding='nv12', height=4, width=4, step=4,
                        data=np.zeros((6, 4), np.uint8))


@pytest.mark.parametrize('slots', [1, 3])
def test_as_many_frames_are_under_way_as_slots(slots):
    predictor = SleepingPredictor()
    found = measure(predictor, [IMAGE], slots, 0.6, bpu_use=lambda: 50.0)
    assert predictor.most == slots
    assert (found.slots, found.failed, found.bpu_use) == (slots, 0, 50.0)
    # Never more than the sleeps allow; a busy machine may do less.
    assert 0 < found.fps <= 1.1 * slots / 0.025
    assert found.latency_ms['mean'] >= 25.0
    assert found.stages_ms['infer'] == pytest.approx(20.0)
    assert found.stages_ms['wait'] >= 1.0
    assert sum(found.stages_ms.values()) == pytest.approx(found.latency_ms['mean'])


def test_a_frame_that_fails_is_counted_and_the_rest_measured():
    found = measure(SleepingPredictor(fails=lambda count: count % 7 == 5), [IMAGE], 2, 0.6)
    assert found.failed >= 1
    assert found.error == 'the device is gone'
    assert found.fps > 0


def test_a_model_that_always_fails_ends_at_once():
    began = time.monotonic()
    with pytest.raises(ModelError, match='no frame came out: the device is gone'):
        measure(SleepingPredictor(fails=lambda count: True), [IMAGE], 2, 5.0)
    assert time.monotonic() - began < 10


def test_frames_longer_than_the_measurement_are_waited_for():
    for slots in (1, 3):
        found = measure(SleepingPredictor(infer=0.4), [IMAGE], slots, 0.05)
        # Frames that begin together end together, within a moment that says nothing of the rate.
        assert found.frames >= 2 * slots
        assert 0 < found.fps <= 1.6 * slots / 0.4


# What the process uses


def test_a_busy_loop_is_seen_as_a_busy_cpu():
    use, began = ProcessUse(), time.process_time()
    while time.process_time() - began < 0.3:
        sum(range(1000))
    elapsed = time.monotonic() - use._began
    assert use.cpus() * elapsed >= 0.2
    assert use.memory() > 10e6


def test_children_count_as_the_process():
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    try:
        assert child.pid in family()
    finally:
        child.kill()
        child.wait(10)
    assert os.getpid() in family()


def test_a_machine_that_does_not_tell(tmp_path):
    use = ProcessUse(tmp_path / 'none')
    assert (use.cpus(), use.memory()) == (None, None)


# The bottleneck


def measured(slots, fps, cpus=1.0, bpu=None, **stages):
    """Return a measurement with stages in milliseconds."""
    stages = {**dict.fromkeys(STAGES, 0.0), **stages}
    mean = sum(stages.values())
    return Measured(slots, 5.0, int(5 * fps), fps, {'mean': mean, 'p50': mean, 'p95': mean},
                    stages, cpus, int(2e8), bpu)


# YOLO11n-pose on an X5 as the vendor publishes it: 8.0 ms on one thread, 12.5 ms on two.
X5_POSE = [measured(1, 100.0, infer=8.0, decode=1.0, letterbox=1.0),
           measured(2, 155.0, infer=12.0, decode=1.0, letterbox=1.0),
           measured(4, 158.0, infer=22.0, decode=1.0, letterbox=1.0)]


@pytest.mark.parametrize(('runtime', 'measurements', 'name', 'advice'), [
    ('onnx', [measured(1, 20.0, cpus=4.0, infer=45.0, decode=1.0)], 'network on the CPU', 'BPU'),
    ('libdnn', X5_POSE, 'BPU', 'smaller network'),
    ('libdnn', X5_POSE[:2], 'slots', '--slots 2 4'),
    ('libdnn', X5_POSE[:1], 'none', 'measure several'),
    ('hbm', [measured(2, 150.0, bpu=96.0, infer=12.0)], 'BPU', '2 slot(s) are enough'),
    ('hbm', [measured(2, 90.0, cpus=7.5, infer=9.0, decode=10.0, letterbox=1.0)], 'CPU',
     'score_threshold'),
    ('hbm', [measured(2, 90.0, cpus=7.5, infer=9.0, decode=1.0, letterbox=10.0)], 'CPU',
     "model's own size"),
    ('hbm', [measured(2, 90.0, cpus=1.2, infer=9.0, decode=5.0, letterbox=5.0)], 'Python',
     'second process'),
    ('hbm', [measured(2, 100.0, infer=10.0), measured(4, 101.0, infer=10.0, wait=25.0)], 'order',
     'fewer slots'),
    ('hbm', [measured(1, 20.0, cpus=None, infer=20.0, decode=2.0, convert=28.0),
             measured(2, 21.0, cpus=None, infer=20.0, decode=2.0, convert=28.0)], 'none',
     'largest stage')])
def test_the_bottleneck_is_named_with_what_to_change(runtime, measurements, name, advice):
    found = find_bottleneck(runtime, measurements, cpus=8)
    assert found.name == name
    assert found.why
    assert any(advice in text for text in found.advice)


# The page


def test_what_is_strange_in_a_report_does_not_break_the_page():
    html = page({
        'rdk_yolo_bench': '1', 'time': 'now', 'machine': '<b>X5 & co', 'model': '"<script>".bin',
        'task': 'pose', 'runtime': 'hbm', 'runtime_slots': 4, 'input': '640x640',
        'image': '1280x720 NV12', 'source': '<i>', 'objects': 0, 'seconds': 1.0,
        'publish_ms': None, 'bottleneck': {'name': 'BPU', 'why': 'a < b', 'advice': ['<p>']},
        'measurements': [{
            'slots': 1, 'seconds': 1.0, 'frames': 1, 'fps': 0.0, 'memory': None, 'cpus': None,
            'latency_ms': {'mean': 0.0, 'p50': 0.0, 'p95': 0.0}, 'bpu_use': None, 'failed': 1,
            'error': '<u>', 'stages_ms': {'infer': 0.0, 'something new': 0.0}}]})
    assert_stands_alone(html)
    found = parsed(html)
    assert not {'script', 'b', 'i', 'u'} & {tag for tag, _ in found.tags}
    assert '"<script>".bin' in ' '.join(found.texts)
