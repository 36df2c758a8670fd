"""The `yolo` executable as a process: how it starts, what it says when it cannot, how it ends."""

from array import array
import json
import os
import signal
import time

import pytest

pytest.importorskip('rclpy')

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.nodes.image_loss import DDS_VARIABLES  # noqa: E402
from rdk_yolo_ros.share import find_file  # noqa: E402

CONFIG = 'config/demo_detect.json'
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def yolo(processes, python):
    """Start the executable with ROS arguments."""
    def start(*arguments, env=None):
        return processes(python, '-m', 'rdk_yolo_ros.nodes.yolo', '--ros-args', *arguments,
                         env=env)

    return start


def nv12(width=160, height=120):
    return Image(header=Header(frame_id='camera'), encoding='nv12', height=height, width=width,
                 step=width, data=array('B', bytes(width * height * 3 // 2)))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('busy', [False, True])
def test_a_signal_ends_it_with_0_within_two_seconds(graph, yolo, wait_until, number, busy):
    process = yolo('-p', f'config_file:={CONFIG}')
    process.wait_for_line('detect model')
    if busy:
        images = graph.publisher(Image, 'image_raw', BEST_EFFORT)
        results = graph.record(Detection2DArray, '/yolo/detections')
        image = nv12()

        def have_result():
            images.publish(image)
            return len(results) > 0

        wait_until(have_result, what='a result')
        for _ in range(5):
            images.publish(image)
    process.ends_at_once(number)


def test_two_interrupts_end_it_as_one_does(yolo):
    process = yolo('-p', f'config_file:={CONFIG}')
    process.wait_for_line('detect model')
    process.signal(signal.SIGINT)
    time.sleep(0.05)
    process.signal(signal.SIGINT)
    assert process.wait() == 0, process.output
    assert 'Traceback' not in process.output


# Runs the node; a signal comes when the call that stands for the model's opening, or rclpy.init,
# is under way.
SIGNALLED = """
import os, signal, sys, time
import rclpy
from rclpy.exceptions import NotInitializedException
from rdk_yolo_ros.nodes import spin, yolo

when, number = sys.argv[1], int(sys.argv[2])

def signal_comes():
    os.kill(os.getpid(), number)
    end = time.monotonic() + 30
    while rclpy.ok() and time.monotonic() < end:
        time.sleep(0.01)

def then_signal(function):
    def wrapped(*args, **kwargs):
        result = function(*args, **kwargs)
        signal_comes()
        return result
    return wrapped

if when == 'init':
    rclpy.init = then_signal(rclpy.init)
elif when == 'open':
    yolo.open_predictor = then_signal(yolo.open_predictor)
elif when == 'callback':
    def tick(self):
        signal_comes()
        self._publisher.publish(self.message())
    yolo.Report._tick = tick
handler = signal.getsignal(signal.SIGINT)
code = yolo.main(['--ros-args', '-p', 'config_file:=config/demo_detect.json'])
assert signal.getsignal(signal.SIGINT) is handler
sys.exit(code)
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('when', ['init', 'open', 'callback'])
def test_a_signal_at_any_time_is_no_error(processes, python, when, number):
    process = processes(python, '-c', SIGNALLED, when, int(number))
    assert process.wait() == 0, process.output
    assert 'Traceback' not in process.output
    assert 'invalid' not in process.output
    assert not any(line.startswith('yolo: ') for line in process.lines), process.output


# Runs the node; spinning fails in rclpy, and the context ends a moment later, or does not.
FAILING = """
import sys, threading
import rclpy
from rdk_yolo_ros.nodes import yolo

def spin(node):
    if sys.argv[1] == 'signal':
        threading.Timer(0.1, rclpy.try_shutdown).start()
    raise RuntimeError('Unable to convert call argument')

rclpy.spin = spin
sys.exit(yolo.main(['--ros-args', '-p', 'config_file:=config/demo_detect.json']))
"""


@pytest.mark.parametrize(('why', 'code'), [('signal', 0), ('defect', 1)])
def test_an_error_in_rclpy_is_forgiven_only_where_a_signal_is_under_way(
        processes, python, why, code):
    process = processes(python, '-c', FAILING, why)
    assert process.wait() == code, process.output
    assert ('Traceback' in process.output) == bool(code)


# Runs an executable as its script in lib/ does.
EXECUTABLE = """
import sys
from rdk_yolo_ros.nodes.executables import {name}
print('begins', flush=True)
sys.exit({name}())
"""


@pytest.mark.parametrize('name', ['yolo', 'source'])
@pytest.mark.parametrize('delay', [0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])
def test_an_early_interrupt_leaves_no_traceback(processes, python, name, delay):
    process = processes(python, '-c', EXECUTABLE.format(name=name), '--ros-args',
                        '-p', f'config_file:={CONFIG}')
    process.wait_for_line('begins')
    time.sleep(delay)
    process.signal(signal.SIGINT)
    # By the signal while modules are imported, later as the node's own end.
    assert process.wait() in (-signal.SIGINT, 128 + signal.SIGINT, 0), process.output
    assert 'Traceback' not in process.output
    assert 'KeyboardInterrupt' not in process.output


# An interrupt comes when the named module is about to be imported.
IMPORT_INTERRUPTED = """
import os, signal, sys
from rdk_yolo_ros.nodes.executables import yolo

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.exit(yolo())
"""


@pytest.mark.parametrize(('module', 'code'), [
    ('rdk_yolo_ros.nodes.yolo', -signal.SIGINT), ('rclpy', -signal.SIGINT),
    ('numpy', -signal.SIGINT), ('rdk_yolo_ros.nodes.spin', -signal.SIGINT),
    ('onnxruntime', 0)])  # with the model, in the node
def test_an_interrupt_during_an_import_ends_it_quietly(processes, python, module, code):
    pytest.importorskip('onnxruntime')
    process = processes(python, '-c', IMPORT_INTERRUPTED, module, '--ros-args',
                        '-p', f'config_file:={CONFIG}')
    assert process.wait() == code, process.output
    assert process.output == ''


def test_an_interrupt_handler_of_somebody_else_s_c_code_stays(processes, python):
    # Python calls such a handler None, and cannot set it again.
    process = processes(
        python, '-c', 'import signal, sys; signal.getsignal = lambda number: None\n'
        'from rdk_yolo_ros.nodes.executables import yolo; sys.exit(yolo())')
    assert process.wait() == 1
    line, = process.output.splitlines()
    assert 'config_file' in line


def test_what_the_configuration_s_reader_warns_of_is_in_the_log_once(yolo, tmp_path):
    (tmp_path / 'work.json').write_text(json.dumps(
        {'model_file': str(find_file('models/demo_detect.onnx')), 'is_performance': 1}))
    process = yolo('-p', f'config_file:={tmp_path}/work.json')
    process.wait_for_line('detect model')
    (line,) = [line for line in process.lines if 'without meaning here and ignored' in line]
    assert line.startswith('[WARN]')
    assert '[yolo]: ' in line
    assert 'is_performance' in line


@pytest.mark.parametrize(('arguments', 'named'), [
    (['-p', 'config_file:=no/such.json'], 'no/such.json'),
    ([], 'config_file'),
    (['-p', 'config_file:=config/coco.list'], 'coco.list'),
    (['-p', f'config_file:={CONFIG}', '-p', 'score_threshold:=1.5'], 'score_threshold'),
    (['-p', f'config_file:={CONFIG}', '-p', 'score_threshold:=high'], 'score_threshold'),
    (['-p', f'config_file:={CONFIG}', '-p', 'classes:=[unicorn]'], 'unicorn'),
    (['-p', f'config_file:={CONFIG}', '-p', 'runtime:=abacus'], 'abacus'),
    (['-p', f'config_file:={CONFIG}', '-p', 'image_topic:=two words'], 'name'),
    (['--no-such-flag'], '--no-such-flag')])
def test_what_is_wrong_at_the_start_is_one_line_and_exit_code_1(yolo, arguments, named):
    process = yolo(*arguments)
    assert process.wait() == 1, process.output
    assert len(process.lines) == 1, process.output
    assert process.lines[0].startswith('yolo: ')
    assert named in process.lines[0]


def test_a_broken_model_file_is_one_line_and_exit_code_1(yolo, tmp_path):
    (tmp_path / 'broken.onnx').write_bytes(b'not a model')
    (tmp_path / 'broken.json').write_text('{"model_file": "broken.onnx"}')
    process = yolo('-p', f'config_file:={tmp_path}/broken.json')
    assert process.wait() == 1, process.output
    assert len(process.lines) == 1, process.output
    assert 'broken.onnx' in process.lines[0]


def camera(processes, python, env=None):
    """Start a camera of 1080p NV12 images at 30 Hz."""
    return processes(python, '-c', """
import array, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera')
images = node.create_publisher(
    Image, 'image_raw', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
image = Image(encoding='nv12', height=1080, width=1920, step=1920,
              data=array.array('B', bytes(1920 * 1620)))
end = time.monotonic() + 60
while time.monotonic() < end:
    images.publish(image)
    time.sleep(1 / 30)
""", env=env)


def test_large_images_that_get_lost_without_a_profile_are_told_of_once(
        yolo, processes, python, no_profile):
    process = yolo('-p', f'config_file:={CONFIG}', env=no_profile)
    process.wait_for_line('detect model')
    camera(processes, python, env=no_profile)
    line = process.wait_for_line('were lost')
    assert '3.1 MB' in line
    assert '/image_raw' in line
    assert 'for the publisher and for this node' in line
    profile = line.split('FASTRTPS_DEFAULT_PROFILES_FILE=')[1].split()[0]
    assert os.path.isfile(profile)
    time.sleep(3.0)
    assert process.output.count('were lost') == 1


def test_large_images_arrive_with_the_profile_and_nothing_is_said(
        graph, yolo, processes, python, no_profile):
    profile = {**no_profile, 'FASTRTPS_DEFAULT_PROFILES_FILE':
               str(find_file('config/dds/shared_memory.xml'))}
    process = yolo('-p', f'config_file:={CONFIG}', env=profile)
    process.wait_for_line('detect model')
    results = graph.record(Detection2DArray, '/yolo/detections')
    camera(processes, python, env=profile)
    results.wait(5)
    time.sleep(2.0)
    assert 'lost' not in process.output


# What the tests themselves leave behind


SET_UP = """
import fcntl, json, os, sys
sys.path.insert(0, 'test/ros')
import conftest
flags = fcntl.fcntl(conftest._DOMAIN_LOCK, fcntl.F_GETFL)
print(json.dumps([dict(os.environ), flags & os.O_ACCMODE, sorted(os.listdir(sys.argv[1]))]))
"""


@pytest.fixture
def set_up(processes, python, tmp_path):
    """Return what a test process that begins in an empty temporary folder sets and makes."""
    def start(env):
        process = processes(python, '-c', SET_UP, tmp_path, env={'TMPDIR': str(tmp_path), **env})
        assert process.wait() == 0, process.output
        return json.loads(process.lines[-1])

    return start


@pytest.mark.parametrize(('distribution', 'name', 'value'), [
    ('humble', 'ROS_LOCALHOST_ONLY', '0'),
    ('jazzy', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'SYSTEM_DEFAULT')])
def test_the_tests_keep_to_this_machine_in_every_distribution(
        set_up, distribution, name, value):
    # Whatever profile the user has. These values leave the network to it.
    unset = dict.fromkeys(['ROS_LOCALHOST_ONLY', 'ROS_AUTOMATIC_DISCOVERY_RANGE'])
    environment = set_up({**unset, **dict.fromkeys(DDS_VARIABLES, 'own.xml'),
                          'ROS_DISTRO': distribution})[0]
    assert [environment.get(name) for name in DDS_VARIABLES] == [
        str(find_file('config/dds/loopback.xml')),
        str(find_file('config/dds/fast_dds_3/loopback.xml')), None]
    assert environment[name] == value
    assert len([name for name in unset if name in environment]) == 1


def test_the_tests_own_log_folder_is_removed_at_the_end(set_up, monkeypatch, tmp_path):
    monkeypatch.delenv('ROS_LOG_DIR')
    environment, _, files = set_up({})
    assert os.path.basename(environment['ROS_LOG_DIR']) in files
    assert not os.path.exists(environment['ROS_LOG_DIR'])


def test_a_log_folder_that_is_given_is_used_and_no_other_made(set_up):
    environment, _, files = set_up({'ROS_LOG_DIR': '/given'})
    assert environment['ROS_LOG_DIR'] == '/given'
    assert all(name.startswith('ros_domain_') for name in files), files


def test_a_domain_s_lock_needs_no_right_to_write(set_up):
    assert set_up({})[1] == os.O_RDONLY
