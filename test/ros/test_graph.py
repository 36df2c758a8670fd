"""The whole graph: source and YOLO node as processes of their own, on real DDS."""

import contextlib
import json
import os
from pathlib import Path
import re
import signal
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('onnxruntime')
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.scenes import CLASS_NAMES, SceneVideo  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import DDS_VARIABLES, loopback_environment  # noqa: E402
from received import detections_from, keypoints_from  # noqa: E402

# A machine that has more to do than it can is given more time to do it.
BUSY = os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
RESULTS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
# Two seconds of images: what gets lost is lost on the way, not for want of processor time here.
IMAGES = QoSProfile(depth=60, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def dds(monkeypatch):
    """Return the environment in which large images arrive, on the loopback only."""
    for name in DDS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return loopback_environment(ROOT, {'ROS_DISTRO': os.environ.get('ROS_DISTRO', '')})


@pytest.fixture
def start(processes, python, dds):
    """Return a function that starts a node, by its name, as a process with parameters."""
    def start(name, env=dds, **parameters):
        command = [python, '-m', f'rdk_yolo_ros.nodes.{name}', '--ros-args']
        for key, value in parameters.items():
            command += ['-p', f'{key}:={value}']
        return processes(*command, env=env)
    return start


def config(task):
    return ROOT / 'config' / f'demo_{task}.json'


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def scene_bag(path, width, height, frames, rate, storage):
    """Write a film's frames, a second apart in the film, and return the truth by stamp."""
    pytest.importorskip('rosbags')
    from scene_bag import stamps, write_bag
    video = SceneVideo(7, width, height)
    times = list(stamps(frames, rate))
    scenes = [video.frame(30 * i) for i in range(frames)]
    write_bag(path, ((stamp, Frame.from_nv12(Frame.from_bgr(scene.image).to_nv12()))
                     for stamp, scene in zip(times, scenes)), storage)
    return {stamp: scene.instances for stamp, scene in zip(times, scenes)}


def iou(boxes, others):
    """Return every box's IoU with every other, (n, m)."""
    top = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (bottom - top).clip(0).prod(axis=2)
    area, other_area = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    return shared / (area[:, None] + other_area[None] - shared)


def match(detections, truth):
    """Pair detections with instances of their class: [(detection, instance)], best score first."""
    pairs, free = [], set(range(len(truth)))
    if not truth:
        return pairs
    overlaps = iou(detections.boxes, np.stack([instance.box for instance in truth]))
    for i, class_id in enumerate(detections.class_ids):
        rivals = [j for j in free if truth[j].class_id == class_id and overlaps[i, j] >= 0.5]
        if rivals:
            best = max(rivals, key=lambda j: overlaps[i, j])
            free.remove(best)
            pairs.append((i, best))
    return pairs


@pytest.mark.parametrize(('task', 'size', 'storage', 'rate'), [
    ('pose', (640, 480), 'sqlite3', 6.0), ('detect', (1920, 1080), 'mcap', 4.0)])
def test_recorded_scenes_are_recognised(graph, start, tmp_path, wait_until, task, size, storage,
                                        rate):
    # A prime number: whoever takes every n-th image of the loop gets to see them all.
    truth = scene_bag(tmp_path / 'bag', *size, 23, rate, storage)
    if task == 'pose':
        truth = {stamp: [instance for instance in instances
                         if CLASS_NAMES[instance.class_id] == 'person']
                 for stamp, instances in truth.items()}
    results = graph.record(Detection2DArray, 'yolo/detections', RESULTS)
    clouds = graph.record(PointCloud2, 'yolo/keypoints', RESULTS)
    start('yolo', config_file=config(task), score_threshold=0.5)
    start('source', source=tmp_path / 'bag', stamp='source', wait_for_subscribers=1)
    # Round and round: a machine that is slower than the bag meets all of its images in the end.
    wait_until(lambda: len({stamp_of(message) for message in list(results.messages)}) >= 18,
               what='the results of 18 of the 23 images')
    time.sleep(0.2)

    found = matched = true = 0
    errors = []
    keypoints = {stamp_of(cloud): keypoints_from(cloud) for cloud in clouds.messages}
    first = {stamp_of(message): message for message in reversed(results.messages)}
    for message in first.values():
        if task == 'pose' and stamp_of(message) not in keypoints:
            continue  # under way when the test ended
        instances = truth[stamp_of(message)]
        detections = detections_from(message, CLASS_NAMES)
        pairs = match(detections, instances)
        found, matched, true = found + len(detections), matched + len(pairs), true + len(instances)
        for i, j in pairs if task == 'pose' else ():
            points = keypoints[stamp_of(message)][i]
            visible = instances[j].keypoints[:, 2] == 2
            side = np.sqrt(np.prod(instances[j].box[2:] - instances[j].box[:2]))
            errors += list(np.linalg.norm(
                points[visible, :2] - instances[j].keypoints[visible, :2], axis=1) / side)
    print(f'{len(first)} of {len(truth)} images; recall {matched / true:.3f}, '
          f'precision {matched / max(found, 1):.3f}, key points off by '
          f'{np.median(errors) if errors else 0:.3f} of a side')
    assert matched / true >= 0.85
    assert matched / found >= 0.85
    if task == 'pose':
        assert np.median(errors) < 0.05


def test_a_publisher_may_come_late_go_and_come_back(graph, start):
    results = graph.record(Detection2DArray, 'yolo/detections', RESULTS)
    yolo = start('yolo', config_file=config('detect'))
    yolo.wait_for_line('images from')
    for number in (signal.SIGINT, signal.SIGKILL, signal.SIGINT):
        source = start('source', rate=10.0, width=320, height=240)
        results.wait(len(results) + 3)
        source.signal(number)
        source.wait()
    assert yolo.is_running()


def test_no_socket_is_open_beyond_the_loopback(start):
    processes = [start('source', width=320, height=240),
                 start('yolo', config_file=config('detect'))]
    processes[0].wait_for_line('nv12 at')
    processes[1].wait_for_line('images from')
    addresses = [address for process in processes for address in udp_addresses(process.pid)]
    assert addresses
    # 224.0.0.0/4 is multicast, joined on the loopback.
    assert all(address.startswith('127.') or 224 <= int(address.split('.')[0]) < 240
               for address in addresses), addresses


def udp_addresses(pid):
    """Return the local addresses of a process' UDP sockets."""
    links = []
    for descriptor in Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(descriptor))
    inodes = {found.group(1) for found in (re.match(r'socket:\[(\d+)\]', link) for link in links)
              if found}
    addresses = []
    for line in Path(f'/proc/{pid}/net/udp').read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            value = fields[1].split(':')[0]
            addresses.append('.'.join(str(int(value[i:i + 2], 16)) for i in (6, 4, 2, 0)))
    return addresses


@pytest.fixture
def large_bag(tmp_path):
    """Return a bag of two 1920x1080 NV12 images."""
    pytest.importorskip('rosbags')
    from scene_bag import stamps, write_bag
    frame = Frame.from_nv12(np.full((1620, 1920), 90, np.uint8))
    write_bag(tmp_path / 'bag', zip(stamps(2, 30.0), [frame] * 2))
    return tmp_path / 'bag'


def test_1080p_arrives(graph, start, large_bag):
    stamps = []  # and not the images: 300 of them are 900 MB
    graph.node.create_subscription(
        Image, 'image_raw', lambda image: stamps.append(stamp_of(image)), IMAGES)
    source = start('source', source=large_bag, rate=30.0, max_frames=300,
                   wait_for_subscribers=1)
    assert source.wait() == 0
    time.sleep(0.5)
    seconds = (stamps[-1] - stamps[0]) / 1e9
    print(f'{len(stamps)} of 300 in {seconds:.1f} s')
    if len(stamps) < 295 and seconds > 11.0:
        pytest.skip(f'this machine is too busy: it took {seconds:.1f} s to publish 10 s of images')
    assert len(stamps) >= 295


def test_without_the_profile_the_log_says_what_is_lost(start, large_bag):
    local = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    yolo = start('yolo', env=local, config_file=config('detect'))
    start('source', env=local, source=large_bag, rate=30.0, wait_for_subscribers=1)
    line = yolo.wait_for_line('FASTRTPS_DEFAULT_PROFILES_FILE', limit=60.0)
    assert 'shared_memory.xml' in line
    assert 'WARN' in line


class TestDemo:
    @pytest.fixture
    def demo(self, processes, python, tmp_path):
        """Return a function that starts the demo with settings; its results go to tmp_path."""
        def demo(**settings):
            return processes(python, ROOT / 'dev' / 'demo' / 'run.py',
                             env={'OUT': str(tmp_path), **settings})
        return demo

    def test_ends_after_its_frames_with_a_summary_and_a_picture(self, demo, tmp_path):
        process = demo(FRAMES='15', TASK='segment')
        assert process.wait(limit=90.0) == 0, process.output
        summary = json.loads((tmp_path / 'summary.json').read_text())
        assert list(summary) == ['task', 'frames_in', 'frames_out', 'detections', 'keypoints',
                                 'latency_ms_p50', 'latency_ms_p95', 'result_fps']
        assert summary['task'] == 'segment'
        assert summary['frames_out'] == 15
        assert summary['frames_in'] >= 10
        assert 0 < summary['latency_ms_p50'] <= summary['latency_ms_p95']
        assert (tmp_path / 'overlay.png').stat().st_size > 1000

    def test_ctrl_c_ends_it_and_its_processes_within_two_seconds(self, demo, tmp_path):
        process = demo(FRAMES='100000')
        process.wait_for_line('results', limit=60.0)
        process.wait_for_line('/s   latency p50, p95    ', limit=60.0)
        children = child_ids(process.pid)
        assert len(children) == 2
        began = time.monotonic()
        process.signal(signal.SIGINT)
        assert process.wait() == 0, process.output
        assert time.monotonic() - began < (8.0 if BUSY else 2.0)
        assert not any(Path(f'/proc/{pid}').exists() for pid in children)
        assert (tmp_path / 'summary.json').exists()

    def test_says_which_process_failed_and_why(self, demo, tmp_path):
        (tmp_path / 'film.mp4').write_text('no film')
        process = demo(SOURCE=str(tmp_path / 'film.mp4'))
        assert process.wait(limit=60.0) == 1
        assert 'source process ended with code 1' in process.output
        assert 'film.mp4 is no picture, bag or video' in process.output

    @pytest.mark.parametrize(('name', 'value'), [
        ('TASK', 'fly'), ('SOURCE', '/no/such/film.mp4'), ('FRAMES', '0'), ('FRAMES', 'many')])
    def test_a_setting_that_makes_no_sense_is_one_line(self, demo, name, value):
        process = demo(**{name: value})
        assert process.wait() == 2
        assert len(process.lines) == 1
        assert name in process.output
        assert value in process.output


def child_ids(pid):
    """Return the ids of a process' children."""
    return [int(child) for task in Path(f'/proc/{pid}/task').iterdir()
            for child in (task / 'children').read_text().split()]
