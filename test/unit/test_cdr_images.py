"""Serialised images: read in place, in either byte order, and nothing but FrameError if bad."""

from array import array
import struct
import tracemalloc
from types import SimpleNamespace

import cv2
import numpy as np
from plain_cdr import serialise
import pytest

pytest.importorskip('hypothesis')
from hypothesis import given, strategies as st  # noqa: E402

from rdk_yolo_ros.cdr import (  # noqa: E402
    read_compressed_image,
    read_image,
    read_stamp,
    write_compressed_image,
    write_image,
)
from rdk_yolo_ros.errors import FrameError  # noqa: E402
from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.letterbox import Letterbox  # noqa: E402

READERS = (read_image, read_compressed_image, read_stamp)


def image_bytes(order='<', stamp=(7, 8), frame_id='camera', height=2, width=3, encoding='mono8',
                is_bigendian=0, step=3, data=bytes(range(6))):
    return serialise([('i', stamp[0]), ('I', stamp[1]), ('string', frame_id), ('I', height),
                      ('I', width), ('string', encoding), ('B', is_bigendian), ('I', step),
                      ('uint8s', data)], order)[0]


TEXT = st.text(st.characters(blacklist_characters='\0', blacklist_categories=['Cs']), max_size=20)
UINT32 = st.integers(0, 2**32 - 1)
BUFFERS = [bytes, bytearray, memoryview, lambda message: np.frombuffer(message, np.uint8)]
STAMP = st.tuples(st.integers(-2**31, 2**31 - 1), UINT32)


@given(st.sampled_from('<>'), STAMP, TEXT, UINT32, UINT32, TEXT, st.integers(0, 255), UINT32,
       st.binary(max_size=40), st.binary(max_size=3))
def test_every_field_of_an_image(order, stamp, frame_id, height, width, encoding, is_bigendian,
                                 step, data, padding):
    message = image_bytes(order, stamp, frame_id, height, width, encoding, is_bigendian, step,
                          data) + padding
    image = read_image(message)
    assert (image.stamp, image.frame_id) == (stamp, frame_id)
    assert (image.height, image.width, image.encoding) == (height, width, encoding)
    assert (image.is_bigendian, image.step) == (is_bigendian, step)
    assert image.data.dtype == np.uint8
    assert image.data.tobytes() == data
    if order == '<':
        assert write_image(image) + padding == message
    assert read_stamp(message) == (*stamp, frame_id)


@given(st.sampled_from('<>'), STAMP, TEXT, TEXT, st.binary(max_size=40))
def test_every_field_of_a_compressed_image(order, stamp, frame_id, format_, data):
    message = serialise([('i', stamp[0]), ('I', stamp[1]), ('string', frame_id),
                         ('string', format_), ('uint8s', data)], order)[0]
    image = read_compressed_image(message)
    assert (image.stamp, image.frame_id, image.format) == (stamp, frame_id, format_)
    assert image.data.tobytes() == data
    if order == '<':
        assert write_compressed_image(image) == message


@pytest.mark.parametrize('buffer_type', BUFFERS)
def test_the_pixels_are_a_read_only_view_on_the_buffer(buffer_type):
    buffer = buffer_type(image_bytes())
    data = read_image(buffer).data
    assert np.shares_memory(data, np.frombuffer(buffer, np.uint8))
    with pytest.raises(ValueError, match='read-only'):
        data[0] = 1


@pytest.mark.parametrize('order', ['<', '>'])
def test_wherever_an_image_is_cut_the_error_names_the_field(order):
    message = image_bytes(order)
    for size in range(len(message)):
        with pytest.raises(FrameError, match=rf'^serialised image has {size} bytes.*expected'):
            read_image(message[:size])
    with pytest.raises(FrameError, match='ends in its data, expected 58 or more, 6 of them'):
        read_image(message[:-1])


@given(st.sampled_from(READERS), st.binary(max_size=80),
       st.sampled_from([b'', b'\0\1\0\0', b'\0\0\0\0']))
def test_random_bytes_are_a_frame_error_or_a_view_on_them(reader, message, encapsulation):
    message = encapsulation + message
    try:
        image = reader(message)
    except FrameError:
        return
    assert reader is read_stamp or image.data.size <= len(message)


@pytest.mark.parametrize('at', [12, 28, 44], ids=['frame_id', 'encoding', 'data'])
def test_a_claimed_length_allocates_nothing(at):
    message = bytearray(image_bytes(frame_id='abc', encoding='mono8'))
    struct.pack_into('<I', message, at, 2**32 - 1)
    tracemalloc.start()
    try:
        with pytest.raises(FrameError, match='4294967295 of them'):
            read_image(message)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('kind', [b'\0\2', b'\0\7', b'\1\1', b'ab'])
def test_another_encapsulation_is_named(kind):
    with pytest.raises(FrameError, match=f'begins with {kind.hex(" ")}, expected 00 00 or 00 01'):
        read_image(kind + image_bytes()[2:])


@pytest.mark.parametrize(('text', 'expected'), [
    (b'', ''), (b'nv12', 'nv12'), (b'nv\x0012\0', 'nv'), (b'\xff12\0', '\ufffd12')],
    ids=['no NUL and nothing else', 'no NUL', 'NUL inside', 'no UTF-8'])
def test_text_is_read_as_rclpy_reads_it(text, expected):
    message = serialise([('i', 0), ('I', 0), ('uint8s', b'\0'), ('uint8s', text),
                         ('uint8s', b'')])[0]
    assert read_compressed_image(message).format == expected


@pytest.mark.parametrize('buffer_type', BUFFERS)
def test_nothing_at_all_is_a_frame_error(buffer_type):
    with pytest.raises(FrameError, match='serialised image has 0 bytes, expected 4 or more'):
        read_image(buffer_type(b''))


# Frames

HW = (48, 64)
PIXELS = np.random.default_rng(0).integers(0, 256, (*HW, 3), np.uint8)


def picture(encoding):
    """Return the bytes of a picture in some encoding, and its step."""
    per_pixel = {'nv12': 1.5, 'nv21': 1.5, 'yuv422': 2, 'yuyv': 2, 'bgr8': 3, 'rgb8': 3,
                 'mono8': 1}[encoding]
    data = np.resize(PIXELS, int(HW[0] * HW[1] * per_pixel)).tobytes()
    return data, int(HW[1] * (1 if per_pixel == 1.5 else per_pixel))


@pytest.mark.parametrize('odd', range(4), ids=lambda odd: f'text of {odd}')
@pytest.mark.parametrize('encoding', ['nv12', 'nv21', 'yuv422', 'yuyv', 'bgr8', 'rgb8', 'mono8'])
def test_a_frame_on_the_buffer_is_the_frame_on_an_array_of_its_own(encoding, odd):
    data, step = picture(encoding)
    buffer = image_bytes(frame_id='n' * odd, height=HW[0], width=HW[1], encoding=encoding,
                         step=step, data=data)
    frame = Frame.from_image(read_image(buffer), 'limited')
    own = Frame(encoding, *HW, np.frombuffer(bytearray(data), np.uint8), step, 'limited')
    assert all(np.shares_memory(plane, np.frombuffer(buffer, np.uint8)) for plane in frame.planes)
    assert frame.color_range == own.color_range
    for model_hw in ((96, 96), (32, 40), HW):
        box = Letterbox.fit(HW, model_hw)
        np.testing.assert_array_equal(box.apply(frame), box.apply(own))
    np.testing.assert_array_equal(frame.to_bgr(), own.to_bgr())
    np.testing.assert_array_equal(frame.to_nv12(), own.to_nv12())
    np.testing.assert_array_equal(frame.middle((1, 1)).to_bgr(), own.middle((1, 1)).to_bgr())


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_a_compressed_frame_on_the_buffer(suffix):
    data = cv2.imencode(suffix, PIXELS)[1].tobytes()
    buffer = serialise([('i', 0), ('I', 0), ('string', 'c'), ('string', suffix[1:]),
                        ('uint8s', data)])[0]
    frame = Frame.from_compressed(read_compressed_image(buffer))
    np.testing.assert_array_equal(frame.to_bgr(),
                                  cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    box = Letterbox.fit(HW, (96, 96))
    np.testing.assert_array_equal(box.apply(frame), box.apply(Frame.from_bgr(frame.to_bgr())))


def test_a_jpeg_frame_copies_nothing_before_it_is_decoded():
    data = cv2.imencode('.jpg', PIXELS)[1].tobytes()
    buffer = serialise([('i', 0), ('I', 0), ('string', 'c'), ('string', 'jpeg'),
                        ('uint8s', data)])[0]
    frame = Frame.from_compressed(read_compressed_image(buffer))
    assert np.shares_memory(frame.data, np.frombuffer(buffer, np.uint8))


@pytest.mark.parametrize('fields', [
    {'height': 0}, {'width': 4}, {'encoding': 'nv12'}, {'step': 1}, {'data': b'ab'},
    {'encoding': '16UC1'}])
def test_a_frame_s_errors_are_those_of_the_message_itself(fields):
    image = read_image(image_bytes(**fields))
    message = SimpleNamespace(**{name: getattr(image, name) for name in
                                 ('height', 'width', 'encoding', 'step')},
                              data=array('B', image.data.tobytes()))
    with pytest.raises(FrameError) as of_the_message:
        Frame.from_image(message)
    with pytest.raises(FrameError) as of_the_array:
        Frame.from_image(image)
    assert str(of_the_array.value) == str(of_the_message.value)
