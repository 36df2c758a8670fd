"""Images from videos, pictures, bags and scenes, without ROS."""

from pathlib import Path
import sys
import time

import cv2
import numpy as np
import pytest

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources import (
    Calibration,
    ImageSource,
    Prefetch,
    SourceError,
    SourceImage,
    conform,
    open_source,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'dev' / 'demo'))
LIMIT = 20.0


def picture(value, width=64, height=48):
    return np.full((height, width, 3), value, np.uint8)


def gradient(width=64, height=48):
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 2, y * 3, x + y]).astype(np.uint8)


def read_all(source):
    images = []
    while (image := source.read()) is not None:
        images.append(image)
    return images


def bag(path, frames, **kwargs):
    pytest.importorskip('rosbags')
    from scene_bag import stamps, write_bag
    write_bag(path, zip(stamps(len(frames), 10.0), frames), **kwargs)
    return path


def write_busy_bag(path, storage, begin, frames, rate):
    """Write a bag of 30 s with text at 100 Hz, and `frames` images at `rate` from `begin` s on."""
    pytest.importorskip('rosbags')
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore
    types = get_typestore(Stores.ROS2_HUMBLE)
    make = types.types
    header = make['std_msgs/msg/Header'](make['builtin_interfaces/msg/Time'](0, 0), 'camera')
    messages = {
        '/text': ('std_msgs/msg/String', make['std_msgs/msg/String']('text'),
                  [i / 100 for i in range(3000)]),
        '/image': ('sensor_msgs/msg/Image', make['sensor_msgs/msg/Image'](
            header, 48, 64, 'nv12', 0, 64, np.zeros(72 * 64, np.uint8)),
            [begin + i / rate for i in range(frames)])}
    with Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        due = []
        for topic, (kind, message, times) in messages.items():
            connection = writer.add_connection(topic, kind, typestore=types)
            data = types.serialize_cdr(message, kind)
            due += [(10**18 + round(time * 1e9), connection, data) for time in times]
        for time, connection, data in sorted(due, key=lambda item: item[0]):
            writer.write(connection, time, data)
    return path


def nv12(value, width=64, height=48):
    return Frame.from_nv12(np.full((height * 3 // 2, width), value, np.uint8))


class Counting(ImageSource):
    """Gives 0, 1, ... `count` - 1 as grey pictures; those in `bad` are bad."""

    description = 'counting'

    def __init__(self, count, bad=()):
        self.count, self.bad, self.next, self.closed = count, bad, 0, False

    def read(self):
        if self.next == self.count:
            return None
        self.next += 1
        if self.next - 1 in self.bad:
            raise FrameError('bad')
        return SourceImage(Frame.from_bgr(picture(self.next - 1, 2, 2)))

    def rewind(self):
        self.next = 0

    def close(self):
        self.closed = True


def value_of(image):
    return int(image.frame.to_bgr()[0, 0, 0])


def take(prefetch, count):
    """Return up to `count` items, fewer if it ends before."""
    items = []
    end = time.monotonic() + LIMIT
    while len(items) < count:
        assert time.monotonic() < end
        try:
            item = prefetch.take()
        except StopIteration:
            break
        if item is None:
            time.sleep(0.001)
        else:
            items.append(item)
    return items


class TestFolder:
    def test_reads_in_the_order_of_the_numbers_in_the_names(self, tmp_path):
        for i in (10, 9, 1):
            cv2.imwrite(str(tmp_path / f'frame{i}.png'), picture(i))
        (tmp_path / 'notes.txt').write_text('not a picture')
        source = open_source(str(tmp_path))
        assert [value_of(image) for image in read_all(source)] == [1, 9, 10]
        source.rewind()
        assert value_of(source.read()) == 1

    def test_a_single_picture_is_a_source(self, tmp_path):
        cv2.imwrite(str(tmp_path / 'a.bmp'), picture(7))
        assert [value_of(image) for image in read_all(open_source(str(tmp_path / 'a.bmp')))] == [7]

    def test_a_bad_picture_among_good_ones_is_one_bad_frame(self, tmp_path):
        cv2.imwrite(str(tmp_path / 'a.png'), picture(1))
        (tmp_path / 'b.png').write_bytes(b'\x89PNG broken')
        cv2.imwrite(str(tmp_path / 'c.png'), picture(3))
        source = open_source(str(tmp_path))
        assert value_of(source.read()) == 1
        with pytest.raises(FrameError, match='b.png'):
            source.read()
        assert value_of(source.read()) == 3

    def test_says_what_is_wrong(self, tmp_path):
        with pytest.raises(SourceError, match='no picture'):
            open_source(str(tmp_path))
        (tmp_path / 'broken.jpg').write_bytes(b'nothing')
        with pytest.raises(SourceError, match='broken.jpg'):
            open_source(str(tmp_path / 'broken.jpg'))
        with pytest.raises(SourceError, match='does not exist'):
            open_source(str(tmp_path / 'nowhere'))
        with pytest.raises(SourceError, match='does not exist'):
            open_source('')


class TestVideo:
    @pytest.fixture
    def video(self, tmp_path):
        path = tmp_path / 'film.avi'
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 12.5, (64, 48))
        if not writer.isOpened():
            pytest.skip('this OpenCV writes no video')
        for i in range(5):
            writer.write(picture(40 * i))
        writer.release()
        return path

    def test_reads_every_picture_and_the_rate_twice(self, video):
        source = open_source(str(video))
        assert source.rate == pytest.approx(12.5)
        for _ in range(2):
            values = [value_of(image) for image in read_all(source)]
            assert values == pytest.approx([0, 40, 80, 120, 160], abs=4)
            source.rewind()
        source.close()

    def test_says_what_is_wrong(self, video):
        data = video.read_bytes()
        video.write_bytes(data[:300])
        with pytest.raises(SourceError, match='film.avi'):
            open_source(str(video))
        video.write_text('hello')
        with pytest.raises(SourceError, match='film.avi'):
            open_source(str(video))


class TestBag:
    @pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
    def test_images_come_as_they_were_recorded(self, tmp_path, storage):
        path = bag(tmp_path / 'bag', [nv12(i) for i in range(4)], storage=storage)
        source = open_source(str(path))
        assert source.rate == pytest.approx(10.0, rel=0.01)
        images = read_all(source)
        assert [int(image.frame.data[0]) for image in images] == [0, 1, 2, 3]
        assert {image.frame.encoding for image in images} == {'nv12'}
        assert {image.frame_id for image in images} == {'bag_camera'}
        assert np.diff([image.stamp for image in images]).tolist() == [100_000_000] * 3
        assert images[0].calibration == Calibration.pinhole(64, 48)
        source.rewind()
        assert source.read().stamp == images[0].stamp
        source.close()

    @pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
    @pytest.mark.parametrize(('begin', 'frames', 'rate'), [
        (0.0, 150, 5.0),  # as long as the bag
        (2.0, 11, 4.0),  # begins late and ends early
        (29.5, 5, 10.0)])
    def test_the_rate_is_that_of_the_image_topic_whatever_else_was_recorded(
            self, tmp_path, storage, begin, frames, rate):
        source = open_source(str(write_busy_bag(tmp_path / 'bag', storage, begin, frames, rate)))
        assert source.rate == pytest.approx(rate)
        assert len(read_all(source)) == frames

    @pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
    def test_one_image_alone_has_no_rate(self, tmp_path, storage):
        path = write_busy_bag(tmp_path / 'bag', storage, 7.0, 1, 1.0)
        assert open_source(str(path)).rate is None

    @pytest.mark.parametrize(('storage', 'suffix'), [('sqlite3', 'db3'), ('mcap', 'mcap')])
    def test_a_storage_file_alone_is_a_source(self, tmp_path, storage, suffix):
        path = bag(tmp_path / 'bag', [nv12(1), nv12(2)], storage=storage)
        file = next(path.glob(f'*.{suffix}')).rename(tmp_path / f'alone.{suffix}')
        assert len(read_all(open_source(str(file)))) == 2

    def test_compressed_images_with_their_camera_info(self, tmp_path):
        jpeg = conform(Frame.from_bgr(gradient()), 'jpeg')
        image = open_source(str(bag(tmp_path / 'bag', [jpeg]))).read()
        assert image.frame.encoding == 'jpeg'
        assert image.frame.hw == (48, 64)
        assert image.calibration == Calibration.pinhole(64, 48)

    def test_a_camera_info_of_another_size_is_not_taken(self, tmp_path):
        path = bag(tmp_path / 'bag', [nv12(1), nv12(2, 32, 24)])
        source = open_source(str(path))
        assert source.read().calibration is not None
        assert source.read().calibration is None

    def test_several_image_topics_need_a_choice(self, tmp_path):
        frames = [nv12(5), conform(Frame.from_bgr(gradient()), 'jpeg')]
        path = bag(tmp_path / 'bag', frames)
        with pytest.raises(SourceError, match='several.*bag_topic'):
            open_source(str(path))
        assert open_source(str(path), topic='/camera/image_raw').read().frame.encoding == 'nv12'
        with pytest.raises(SourceError, match='no image topic /other; it has /camera'):
            open_source(str(path), topic='/other')

    def test_an_image_that_cannot_be_is_one_bad_frame(self, tmp_path):
        short = nv12(1)
        object.__setattr__(short, 'data', short.data[:100])
        source = open_source(str(bag(tmp_path / 'bag', [short, nv12(2)])))
        with pytest.raises(FrameError):
            source.read()
        assert int(source.read().frame.data[0]) == 2

    @pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
    @pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 0.95])
    def test_a_bag_that_is_cut_off_is_an_error_of_its_own(self, tmp_path, storage, share):
        rng = np.random.default_rng(0)
        noise = [Frame.from_nv12(rng.integers(0, 255, (72, 64), np.uint8)) for _ in range(40)]
        path = bag(tmp_path / 'bag', noise, storage=storage)
        file = next(file for file in path.iterdir() if file.suffix in ('.db3', '.mcap'))
        file.write_bytes(file.read_bytes()[:int(file.stat().st_size * share)])
        with pytest.raises(SourceError, match='bag'):
            read_all(open_source(str(path)))

    def test_says_what_is_wrong(self, tmp_path):
        path = bag(tmp_path / 'empty', [])
        with pytest.raises(SourceError, match='no image topic'):
            open_source(str(path))
        path = bag(tmp_path / 'bag', [nv12(1)])
        (path / 'metadata.yaml').unlink()
        with pytest.raises(SourceError, match='metadata.yaml'):
            open_source(str(path))

    def test_names_the_missing_package(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, 'rosbags', None)
        monkeypatch.setitem(sys.modules, 'rosbags.rosbag2', None)
        (tmp_path / 'bag.mcap').write_bytes(b'')
        with pytest.raises(SourceError, match='pip install rosbags'):
            open_source(str(tmp_path / 'bag.mcap'))


class TestSynthetic:
    def test_is_the_scene_video_of_its_seed(self):
        from rdk_yolo_ros.scenes import SceneVideo
        source = open_source('synthetic', 96, 64, seed=3)
        expected = [SceneVideo(3, 96, 64).frame(i).image for i in range(2)]
        for image in expected:
            np.testing.assert_array_equal(source.read().frame.to_bgr(), image)
        source.rewind()
        np.testing.assert_array_equal(source.read().frame.to_bgr(), expected[0])


class TestConform:
    def test_what_fits_is_not_touched(self):
        frame = nv12(3)
        assert conform(frame, 'nv12') is frame
        assert conform(frame, 'nv12', 64, 48) is frame

    def test_colours_survive_the_way_to_nv12_and_back(self):
        smooth = cv2.resize(gradient(8, 6), (64, 48), interpolation=cv2.INTER_LINEAR)
        back = conform(conform(Frame.from_bgr(smooth), 'nv12'), 'bgr8').to_bgr()
        assert np.abs(back.astype(int) - smooth).mean() < 4

    @pytest.mark.parametrize('encoding', ['nv12', 'bgr8'])
    def test_resizing_keeps_the_picture(self, encoding):
        smooth = cv2.resize(gradient(8, 6), (128, 96), interpolation=cv2.INTER_LINEAR)
        frame = conform(Frame.from_bgr(smooth), encoding)
        small = conform(frame, encoding, 64, 48).to_bgr()
        expected = cv2.resize(smooth, (64, 48), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - expected).mean() < 5

    @pytest.mark.parametrize(('width', 'height', 'expected'), [
        (0, 0, (46, 62)), (31, 0, (22, 30)), (0, 23, (22, 30)), (33, 17, (16, 32))])
    def test_nv12_is_even(self, width, height, expected):
        frame = conform(Frame.from_bgr(gradient(63, 47)), 'nv12', width, height)
        assert frame.hw == expected

    def test_an_odd_row_is_cut_and_not_resampled(self):
        whole = conform(Frame.from_bgr(gradient(63, 47)), 'nv12')
        cut = Frame.from_bgr(np.ascontiguousarray(gradient(63, 47)[:46, :62]))
        np.testing.assert_array_equal(whole.to_nv12(), cut.to_nv12())

    def test_the_colour_range_is_converted(self):
        limited = conform(Frame.from_bgr(picture(255)), 'nv12', color_range='limited')
        assert limited.color_range == 'limited'
        assert abs(int(limited.data[0]) - 235) <= 1
        assert int(conform(limited, 'nv12', color_range='full').data[0]) >= 254

    def test_jpeg_is_a_jpeg_and_passes_as_it_is(self):
        jpeg = conform(Frame.from_bgr(gradient()), 'jpeg')
        decoded = cv2.imdecode(np.asarray(jpeg.data), cv2.IMREAD_COLOR)
        assert np.abs(decoded.astype(int) - gradient()).mean() < 6
        assert conform(jpeg, 'jpeg') is jpeg


class TestCalibration:
    def test_a_point_seen_stays_the_same_point_of_the_scene_after_resizing(self):
        whole = Calibration.pinhole(640, 480)
        half = whole.fitted(320, 240)
        ray = np.array([0.2, -0.1, 1.0])
        u, v, _ = np.array(whole.k).reshape(3, 3) @ ray
        # Pixel centres are whole numbers: their edges, half a pixel off, are what scales.
        expected = ((u + 0.5) / 2 - 0.5, (v + 0.5) / 2 - 0.5)
        assert np.array(half.k).reshape(3, 3)[:2] @ ray == pytest.approx(expected)
        assert (np.array(half.p).reshape(3, 4) @ [*ray, 1])[:2] == pytest.approx(expected)

    def test_cutting_moves_nothing(self):
        whole = Calibration.pinhole(641, 481)
        assert whole.fitted(640, 480).k == whole.k


class TestPrefetch:
    def test_gives_every_item_once_and_ends(self):
        source = Counting(5)
        prefetch = Prefetch(source, value_of)
        assert take(prefetch, 10) == [0, 1, 2, 3, 4]
        assert source.closed

    def test_loops_up_to_its_limit(self):
        assert take(Prefetch(Counting(3), value_of, loop=True, limit=7), 10) == [
            0, 1, 2, 0, 1, 2, 0]

    def test_leaves_bad_images_out(self):
        bad = []
        prefetch = Prefetch(Counting(4, bad=(0, 2)), value_of, on_bad=bad.append)
        assert take(prefetch, 10) == [1, 3]
        assert len(bad) == 2

    def test_a_source_of_bad_images_ends_even_when_it_loops(self):
        prefetch = Prefetch(Counting(3, bad=(0, 1, 2)), value_of, loop=True)
        with pytest.raises(SourceError, match='not one image'):
            take(prefetch, 1)

    def test_what_breaks_inside_is_told(self):
        prefetch = Prefetch(Counting(3), lambda image: 1 // 0)
        with pytest.raises(SourceError, match='counting: ZeroDivisionError'):
            take(prefetch, 1)

    def test_a_short_source_is_read_once(self):
        source = Counting(3, bad=(1,))
        assert take(Prefetch(source, value_of, loop=True, keep=3, limit=5), 9) == [0, 2, 0, 2, 0]
        assert source.next == 3

    def test_a_longer_source_is_read_again(self):
        source = Counting(3)
        assert take(Prefetch(source, value_of, loop=True, keep=2, limit=7), 9) == [
            0, 1, 2, 0, 1, 2, 0]

    def test_drawn_items_go_there_and_back(self):
        source = Counting(100)
        source.drawn = True
        assert take(Prefetch(source, value_of, keep=4, limit=12, depth=2), 20) == [
            0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1]
        assert source.next == 4

    def test_reads_no_further_ahead_than_its_depth(self):
        source = Counting(100)
        prefetch = Prefetch(source, value_of, depth=3)
        time.sleep(0.3)
        assert source.next <= 4
        assert prefetch.close()
        assert source.closed
