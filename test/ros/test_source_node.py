"""The source node on a real graph."""

import os
from pathlib import Path
import signal
import sys
import time

import numpy as np
import pytest

from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources import Calibration

rclpy = pytest.importorskip('rclpy')
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402

from rdk_yolo_ros.nodes.source import SourceNode, _pixels  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'dev' / 'demo'))
# A machine that has more to do than it can is given more time to do it.
BUSY = os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of four small pictures, grey 0, 60, 120, 180."""
    cv2 = pytest.importorskip('cv2')
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((48, 64, 3), 60 * i, np.uint8))
    return folder


@pytest.fixture
def bag(tmp_path):
    """Return a bag of ten NV12 images of noise, and those images."""
    pytest.importorskip('rosbags')
    from scene_bag import stamps, write_bag
    rng = np.random.default_rng(1)
    frames = [Frame.from_nv12(rng.integers(0, 255, (72, 64), np.uint8)) for _ in range(10)]
    write_bag(tmp_path / 'bag', zip(stamps(10, 20.0), frames))
    return tmp_path / 'bag', frames


@pytest.fixture
def start(graph):
    """Start a source node in the test's process, with parameters by name."""
    def start(**parameters):
        return graph.add(SourceNode(
            context=graph.context,
            parameter_overrides=[Parameter(name, value=value)
                                 for name, value in parameters.items()]))
    return start


def nanoseconds(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def argv(python, **parameters):
    command = [python, '-m', 'rdk_yolo_ros.nodes.source', '--ros-args']
    for name, value in parameters.items():
        command += ['-p', f'{name}:={value}']
    return command


def test_images_without_a_stamp_of_their_own_get_a_new_one_each_time(graph, start, pictures):
    images = graph.record(Image, 'image_raw')
    start(source=str(pictures), stamp='source', rate=100.0, wait_for_subscribers=1)
    stamps = [nanoseconds(image) for image in images.wait(12)]
    assert all(later > earlier for earlier, later in zip(stamps, stamps[1:]))


def test_an_odd_row_and_bytes_behind_the_image_are_left_out():
    rng = np.random.default_rng(0)
    # Five rows of luma and three of chroma, eight bytes each; then what a recorder left there.
    frame = Frame('nv12', 5, 8, rng.integers(0, 255, 80, np.uint8), 8)
    np.testing.assert_array_equal(_pixels(frame, 'nv12'), frame.to_nv12().ravel())


def test_an_image_and_its_camera_info_belong_together(graph, start, pictures):
    images, infos = graph.record(Image, 'image_raw'), graph.record(CameraInfo, 'camera_info')
    start(source=str(pictures), rate=50.0, wait_for_subscribers=1)
    image = images.wait(1)[0]
    assert (image.encoding, image.width, image.height, image.step) == ('nv12', 64, 48, 64)
    assert len(image.data) == 64 * 48 * 3 // 2
    assert image.header.frame_id == 'camera'
    assert abs(time.time_ns() - nanoseconds(image)) < 30e9
    info = infos.wait(1, where=lambda info: info.header == image.header)[0]
    assert (info.width, info.height, info.distortion_model) == (64, 48, 'plumb_bob')
    assert tuple(info.k) == Calibration.pinhole(64, 48).k


def test_bgr8_at_another_size(graph, start, pictures):
    images, infos = graph.record(Image, 'image_raw'), graph.record(CameraInfo, 'camera_info')
    start(source=str(pictures), encoding='bgr8', width=33, rate=50.0, frame_id='left',
          wait_for_subscribers=1)
    image = images.wait(1)[0]
    assert (image.encoding, image.width, image.height, image.step) == ('bgr8', 33, 25, 99)
    assert image.header.frame_id == 'left'
    assert set(image.data) == {0}
    assert infos.wait(1)[0].width == 33


def test_jpeg_goes_to_the_compressed_topic(graph, start, pictures):
    images = graph.record(CompressedImage, 'image_raw/compressed')
    start(source=str(pictures), encoding='jpeg', rate=50.0, wait_for_subscribers=1)
    image = images.wait(2)[1]
    assert image.format == 'jpeg'
    assert abs(int(Frame.from_compressed(image).to_bgr()[0, 0, 0]) - 60) <= 2


def test_a_bag_is_played_byte_for_byte_with_its_stamps(graph, start, bag):
    path, frames = bag
    images = graph.record(Image, 'image_raw')
    node = start(source=str(path), stamp='source', loop=False, wait_for_subscribers=1)
    received = images.wait(10)
    for image, frame in zip(received, frames):
        assert bytes(image.data) == bytes(frame.data)
    assert {image.header.frame_id for image in received} == {'bag_camera'}
    assert np.diff([nanoseconds(image) for image in received]).tolist() == [50_000_000] * 9
    assert node.published == 10


def test_stamps_follow_the_rate_without_drift(graph, start, pictures):
    images = graph.record(Image, 'image_raw')
    start(source=str(pictures), rate=40.0, wait_for_subscribers=1)
    stamps = np.array([nanoseconds(image) for image in images.wait(81)]) / 1e9
    # A busy machine delays an image, or loses one; it does not shift the schedule.
    phases = (stamps - stamps[0]) * 40.0
    late = phases - np.round(phases)
    assert np.median(np.abs(late - np.median(late))) < 0.25
    assert np.median(np.diff(stamps)) == pytest.approx(1 / 40.0, rel=0.1)


def test_the_rate_changes_while_it_runs(graph, start, pictures):
    images = graph.record(Image, 'image_raw')
    start(source=str(pictures), rate=1.0)
    response = graph.call(SetParameters, 'source/set_parameters', SetParameters.Request(
        parameters=[Parameter('rate', value=100.0).to_parameter_msg()]))
    assert response.results[0].successful
    before = len(images)
    images.wait(before + 20, limit=15.0)


def test_everybody_can_subscribe_unless_best_effort_is_asked_for(graph, start, pictures):
    for asked, expected in (('reliable', ReliabilityPolicy.RELIABLE),
                            ('best_effort', ReliabilityPolicy.BEST_EFFORT)):
        node = start(source=str(pictures), image_topic=asked, reliability=asked)
        info = node.get_publishers_info_by_topic(f'/{asked}')[0]
        assert info.qos_profile.reliability == expected


def test_it_ends_by_itself_and_loses_nothing(graph, processes, python, pictures):
    images = graph.record(Image, 'image_raw', 50)
    process = processes(*argv(python, source=pictures, rate=30.0, max_frames=30,
                              wait_for_subscribers=1))
    assert process.wait() == 0
    assert 'ended after 30 images' in process.output
    assert len(images.wait(30, limit=2.0)) == 30


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(processes, python, pictures, number):
    process = processes(*argv(python, source=pictures))
    process.wait_for_line('nv12 at 30 Hz')
    time.sleep(0.2)
    began = time.monotonic()
    process.signal(number)
    assert process.wait() == 0
    assert time.monotonic() - began < (8.0 if BUSY else 2.0)
    assert 'Traceback' not in process.output


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'source': '/no/such/film.mp4'}, '/no/such/film.mp4'),
    ({'encoding': 'rgb8'}, 'encoding'),
    ({'rate': '-1.0'}, 'rate'),
    ({'width': 16384, 'height': 16384}, '268 megapixels')])
def test_what_cannot_be_stops_the_start_with_one_line(processes, python, parameters, words):
    process = processes(*argv(python, **parameters))
    assert process.wait() == 1
    lines = process.output.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('source: ')
    assert words in lines[0]


def test_a_size_that_no_scene_can_have_ends_the_node(processes, python):
    process = processes(*argv(python, width=1, height=1))
    assert process.wait() == 1
    assert '1x1' in process.output


def test_a_source_that_breaks_off_ends_the_node(processes, python, tmp_path):
    pytest.importorskip('cv2')
    (tmp_path / 'a.png').write_bytes(b'broken')
    (tmp_path / 'b.png').write_bytes(b'broken')
    process = processes(*argv(python, source=tmp_path))
    assert process.wait() == 1
    assert 'a.png' in process.output
    assert 'not one image' in process.output
