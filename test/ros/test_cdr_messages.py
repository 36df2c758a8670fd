"""The bytes that are published and read are rclpy's own, whatever the results and the images."""

from array import array

import numpy as np
from plain_cdr import message_fields, serialise
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hypothesis')

from builtin_interfaces.msg import Time  # noqa: E402
from hypothesis import given, settings, strategies as st  # noqa: E402
from hypothesis.extra import numpy as hnp  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from rdk_yolo_ros import cdr  # noqa: E402
from rdk_yolo_ros.detections import Classifications, Detections  # noqa: E402
from rdk_yolo_ros.errors import FrameError  # noqa: E402
from rdk_yolo_ros.nodes import messages  # noqa: E402

# A NUL ends a text in rclpy, so it is part of what is compared.
TEXT = st.text(st.characters(blacklist_categories=['Cs']), max_size=30)
UINT32 = st.integers(0, 2**32 - 1)
STAMPS = st.tuples(st.integers(-2**31, 2**31 - 1), UINT32)
# Any bits, NaN and infinity among them.
BITS = hnp.from_dtype(np.dtype('<u4'))
NAMES = st.none() | st.lists(TEXT | st.text('n', min_size=90, max_size=600), max_size=5)


def floats(*shape):
    return hnp.arrays('<u4', shape, elements=BITS).map(lambda bits: bits.view('<f4'))


def class_ids(count):
    numbers = st.integers(0, 6) | st.integers(-2**31, 2**31 - 1)
    return hnp.arrays(np.int32, count, elements=numbers)


@st.composite
def detections(draw, extra=lambda count: st.just({})):
    count = draw(st.integers(0, 6))
    return Detections(draw(floats(count, 4)), draw(floats(count)), draw(class_ids(count)),
                      **draw(extra(count)))


def tracked(count):
    return st.fixed_dictionaries({
        'angles': st.none() | floats(count),
        'track_ids': st.none() | hnp.arrays(np.int64, count)})


class LabelledMasks:
    """N masks that are a label image already."""

    def __init__(self, count, labels):
        self.count, self.labels = count, labels

    def __len__(self):
        return self.count

    def to_label_image(self, height, width):
        assert self.labels.shape == (height, width)
        return self.labels


def header_of(stamp, frame_id):
    return Header(stamp=Time(sec=stamp[0], nanosec=stamp[1]), frame_id=frame_id)


def assert_same(ours, message):
    """Assert that bytes are a message's, for rclpy in both directions and for the standard."""
    assert isinstance(ours, bytes)
    expected, is_field = serialise(message_fields(message))
    assert ours == expected
    theirs = serialize_message(message)
    assert len(theirs) == len(ours)
    # Between fields rclpy leaves what the memory held before.
    assert (np.frombuffer(theirs, np.uint8) == np.frombuffer(ours, np.uint8))[is_field].all()
    # NaN is not equal to itself: what came back is compared by its bits.
    back = deserialize_message(ours, type(message))
    assert serialise(message_fields(back))[0] == expected


@given(detections(tracked), STAMPS, TEXT, NAMES)
def test_detections(detections, stamp, frame_id, names):
    with np.errstate(all='ignore'):
        ours = cdr.DetectionsWriter(names).write(detections, stamp, frame_id)
        message = messages.detections_message(detections, header_of(stamp, frame_id), names)
    assert_same(ours, message)


@given(st.lists(st.tuples(detections(tracked), STAMPS, TEXT), min_size=2, max_size=4), NAMES)
def test_what_a_writer_keeps_of_one_image_is_right_for_the_next(images, names):
    writer = cdr.DetectionsWriter(names)
    for detections, stamp, frame_id in images:
        with np.errstate(all='ignore'):
            ours = writer.write(detections, stamp, frame_id)
            message = messages.detections_message(detections, header_of(stamp, frame_id), names)
        assert ours == serialise(message_fields(message))[0]


@pytest.mark.parametrize('count', [50, 300])
@pytest.mark.parametrize('is_tracked', [False, True])
def test_many_detections(count, is_tracked):
    rng = np.random.default_rng(count)
    names = ['n' * int(length) for length in rng.integers(0, 20, 80)]
    many = Detections(
        rng.normal(300, 200, (count, 4)).astype(np.float32),
        rng.random(count, np.float32), rng.integers(0, 85, count, dtype=np.int32),
        track_ids=rng.integers(0, 2000, count) if is_tracked else None)
    assert_same(cdr.DetectionsWriter(names).write(many, (1, 2), 'camera'),
                messages.detections_message(many, header_of((1, 2), 'camera'), names))


@given(st.integers(0, 3).flatmap(lambda points: detections(
    lambda count: st.fixed_dictionaries({'keypoints': floats(count, points, 3)}))), STAMPS, TEXT)
def test_keypoints(detections, stamp, frame_id):
    assert_same(cdr.write_keypoints(detections, stamp, frame_id),
                messages.keypoints_message(detections, header_of(stamp, frame_id)))


@given(st.sampled_from([np.uint8, np.uint16]), st.tuples(*[st.integers(1, 5)] * 2),
       st.data(), STAMPS, TEXT)
def test_a_mask(dtype, hw, data, stamp, frame_id):
    labels = data.draw(hnp.arrays(dtype, hw))
    masks = data.draw(detections(lambda count: st.just({'masks': LabelledMasks(count, labels)})))
    ours = cdr.write_image(cdr.label_image(masks, stamp, frame_id, hw))
    assert_same(ours, messages.mask_message(masks, header_of(stamp, frame_id), hw))


@given(st.integers(0, 5).flatmap(lambda count: st.tuples(class_ids(count), floats(count))),
       STAMPS, TEXT, NAMES)
def test_a_classification(classes, stamp, frame_id, names):
    classes = Classifications(*classes)
    assert_same(cdr.write_classification(classes, stamp, frame_id, names),
                messages.classification_message(classes, header_of(stamp, frame_id), names))


@given(st.lists(TEXT, max_size=5), st.floats(0, 1) | st.floats(width=32), STAMPS,
       TEXT)
def test_label_info(names, threshold, stamp, frame_id):
    assert_same(cdr.write_label_info(names, threshold, stamp, frame_id),
                messages.label_info_message(header_of(stamp, frame_id), names, threshold))


IMAGES = st.builds(
    lambda stamp, frame_id, data, **fields: Image(
        header=header_of(stamp, frame_id), data=array('B', data), **fields),
    STAMPS, TEXT, st.binary(max_size=50), height=UINT32, width=UINT32, encoding=TEXT,
    is_bigendian=st.integers(0, 255), step=UINT32)
COMPRESSED_IMAGES = st.builds(
    lambda stamp, frame_id, data, format: CompressedImage(
        header=header_of(stamp, frame_id), data=array('B', data), format=format),
    STAMPS, TEXT, st.binary(max_size=50), TEXT)
IMAGE_FIELDS = ('height', 'width', 'encoding', 'is_bigendian', 'step')


def both_orders(message):
    """Return a message as rclpy writes it, and as a big-endian machine does."""
    return [serialize_message(message), serialise(message_fields(message), '>')[0]]


def assert_reads(read, message, fields):
    for buffer in both_orders(message):
        image = read(buffer)
        as_rclpy_reads_it = deserialize_message(buffer, type(message))
        header = as_rclpy_reads_it.header
        assert image.stamp == (header.stamp.sec, header.stamp.nanosec)
        assert image.frame_id == header.frame_id
        for name in fields:
            assert getattr(image, name) == getattr(as_rclpy_reads_it, name)
        assert image.data.tobytes() == as_rclpy_reads_it.data.tobytes() == message.data.tobytes()
        assert cdr.read_stamp(buffer) == (*image.stamp, image.frame_id)


@given(IMAGES)
def test_an_image_is_read_as_rclpy_reads_it(message):
    assert_reads(cdr.read_image, message, IMAGE_FIELDS)


@given(COMPRESSED_IMAGES)
def test_a_compressed_image_is_read_as_rclpy_reads_it(message):
    assert_reads(cdr.read_compressed_image, message, ('format',))


@given(IMAGES)
def test_an_image_that_was_read_is_written_as_rclpy_writes_it(message):
    for buffer in both_orders(message):
        assert_same(cdr.write_image(cdr.read_image(buffer)), deserialize_message(buffer, Image))


@given(COMPRESSED_IMAGES)
def test_a_compressed_image_that_was_read_is_written_as_rclpy_writes_it(message):
    for buffer in both_orders(message):
        assert_same(cdr.write_compressed_image(cdr.read_compressed_image(buffer)),
                    deserialize_message(buffer, CompressedImage))


@settings(max_examples=30)
@given(IMAGES, COMPRESSED_IMAGES)
def test_what_rclpy_writes_is_nothing_but_a_frame_error_when_it_is_cut(image, compressed):
    for read, message in ((cdr.read_image, image), (cdr.read_compressed_image, compressed)):
        for buffer in both_orders(message):
            for size in range(len(buffer)):
                with pytest.raises(FrameError, match='expected'):
                    read(buffer[:size])
