"""Serialised images: read in place, in either byte order, and nothing but FrameError if bad."""

import struct
import tracemalloc

import numpy as np
import pytest

pytest.importorskip('hypothesis')
from hypothesis import given, strategies as st  # noqa: E402

from rdk_yolo_ros.cdr import read_compressed_image, read_image, read_stamp  # noqa: E402
from rdk_yolo_ros.errors import FrameError  # noqa: E402

READERS = (read_image, read_compressed_image, read_stamp)


def serialised(order, *fields):
    """Return fields, as (kind, value), behind an encapsulation: the OMG's rules, by hand."""
    out = bytearray()
    for kind, value in fields:
        if kind in ('string', 'uint8s'):
            value = value.encode() + b'\0' if kind == 'string' else value
            out += bytes(-len(out) % 4) + struct.pack(order + 'I', len(value)) + value
        else:
            out += bytes(-len(out) % struct.calcsize(order + kind)) + struct.pack(
                order + kind, value)
    return {'<': b'\0\1\0\0', '>': b'\0\0\0\0'}[order] + bytes(out)


def image_bytes(order='<', stamp=(7, 8), frame_id='camera', height=2, width=3, encoding='mono8',
                is_bigendian=0, step=3, data=bytes(range(6))):
    return serialised(order, ('i', stamp[0]), ('I', stamp[1]), ('string', frame_id),
                      ('I', height), ('I', width), ('string', encoding), ('B', is_bigendian),
                      ('I', step), ('uint8s', data))


TEXT = st.text(st.characters(blacklist_characters='\0', blacklist_categories=['Cs']), max_size=20)
UINT32 = st.integers(0, 2**32 - 1)
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
    assert read_stamp(message) == (*stamp, frame_id)


@given(st.sampled_from('<>'), STAMP, TEXT, TEXT, st.binary(max_size=40))
def test_every_field_of_a_compressed_image(order, stamp, frame_id, format_, data):
    message = serialised(order, ('i', stamp[0]), ('I', stamp[1]), ('string', frame_id),
                         ('string', format_), ('uint8s', data))
    image = read_compressed_image(message)
    assert (image.stamp, image.frame_id, image.format) == (stamp, frame_id, format_)
    assert image.data.tobytes() == data


@pytest.mark.parametrize('buffer_type', [bytes, bytearray, memoryview,
                                         lambda message: np.frombuffer(message, np.uint8)])
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
    message = serialised('<', ('i', 0), ('I', 0), ('uint8s', b'\0'), ('uint8s', text),
                         ('uint8s', b''))
    assert read_compressed_image(message).format == expected
