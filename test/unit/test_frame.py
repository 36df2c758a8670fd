"""Frame: messages of every encoding, without a copy; malformed ones refused in words."""

from array import array
import time
from types import SimpleNamespace
import zlib

import cv2
import numpy as np
import pytest

from rdk_yolo_ros import colour, frame
from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame, UnsupportedEncoding

CHANNELS = {'bgr8': 3, 'rgb8': 3, 'mono8': 1, 'uyvy': 2, 'yuyv': 2}


def image(encoding, height, width, data, step):
    """Return what a sensor_msgs/Image looks like to Python: data as rclpy gives it."""
    return SimpleNamespace(encoding=encoding, height=height, width=width, is_bigendian=0,
                           step=step, data=array('B', bytes(data)))


def picture(height=24, width=40):
    """Return a smooth colour picture, BGR: chroma at half the size keeps nearly all of it."""
    y, x = np.mgrid[:height, :width]
    return np.dstack((40 + 150 * x / width, 200 - 120 * y / height,
                      60 + 90 * (x + y) / (width + height))).astype(np.uint8)


def message_of(encoding, bgr, padding=0):
    """Return a picture as a message, and the planes by hand, in full range."""
    height, width = bgr.shape[:2]
    nv12 = colour.bgr_to_nv12(bgr, 'full')
    y, uv = nv12[:height], nv12[height:].reshape(height // 2, width // 2, 2)
    if encoding in ('nv12', 'nv21'):
        pairs = uv if encoding == 'nv12' else uv[..., ::-1]
        rows = np.vstack((y, pairs.reshape(height // 2, width)))
    elif encoding in ('uyvy', 'yuyv'):
        tall = np.repeat(uv, 2, 0)
        order = (tall[..., 0], y[:, ::2], tall[..., 1], y[:, 1::2])
        if encoding == 'yuyv':
            order = (y[:, ::2], tall[..., 0], y[:, 1::2], tall[..., 1])
        rows = np.stack(order, -1).reshape(height, width * 2)
    else:
        rows = {'bgr8': bgr, 'rgb8': bgr[..., ::-1], 'mono8': y}[encoding].reshape(height, -1)
    padded = np.full((rows.shape[0], rows.shape[1] + padding), 0xEE, np.uint8)
    padded[:, :rows.shape[1]] = rows
    return image(encoding, height, width, padded.tobytes(), padded.shape[1]), nv12


ALL = ('nv12', 'nv21', 'uyvy', 'yuyv', 'bgr8', 'rgb8', 'mono8')


@pytest.mark.parametrize('encoding', ALL)
def test_the_pixels_of_a_message_are_not_copied(encoding):
    """They share the memory of the message, in all planes."""
    message, _ = message_of(encoding, picture())
    whole = np.frombuffer(message.data, np.uint8)
    view = Frame.from_image(message)
    for plane in view.planes:
        assert np.shares_memory(plane, whole)
    for at in (0, len(message.data) - 1):
        message.data[at] ^= 0xFF
    assert view.planes[0].flat[0] == message.data[0]
    assert view.planes[-1].flat[-1] == message.data[-1]


@pytest.mark.parametrize('padding', [0, 8, 7])
@pytest.mark.parametrize('encoding', ALL)
def test_every_encoding_reads_back_as_the_picture(encoding, padding):
    """Padded rows included; what NV12 itself rounds away is the tolerance."""
    bgr = picture()
    message, nv12 = message_of(encoding, bgr, padding)
    view = Frame.from_image(message)
    assert view.encoding == encoding
    assert view.hw == (24, 40)
    expected = bgr if encoding != 'mono8' else np.repeat(nv12[:24, :, None], 3, 2)
    exact = encoding in ('bgr8', 'rgb8', 'mono8')
    assert np.abs(view.to_bgr().astype(int) - expected).max() <= (0 if exact else 10)


@pytest.mark.parametrize('padding', [0, 8, 7])
@pytest.mark.parametrize('encoding', ALL)
def test_every_encoding_becomes_the_same_nv12(encoding, padding):
    """The planes were made by hand; 4:2:2 rows were repeated, so nothing is lost."""
    message, nv12 = message_of(encoding, picture(), padding)
    if encoding == 'mono8':
        nv12[24:] = 128
    converted = Frame.from_image(message).to_nv12()
    assert converted.dtype == np.uint8
    assert converted.flags.c_contiguous
    np.testing.assert_array_equal(converted, nv12)


@pytest.mark.parametrize('encoding', ['nv12', 'nv21', 'uyvy', 'yuyv'])
def test_a_limited_frame_is_told_apart_from_a_full_one(encoding):
    """The same bytes mean another picture, and become other NV12."""
    message, nv12 = message_of(encoding, picture())
    full, limited = Frame.from_image(message), Frame.from_image(message, 'limited')
    assert (full.color_range, limited.color_range) == ('full', 'limited')
    np.testing.assert_array_equal(limited.to_nv12('limited'), nv12)
    np.testing.assert_array_equal(limited.to_nv12('full'),
                                  colour.convert_range(nv12, 'limited', 'full'))
    np.testing.assert_array_equal(full.to_nv12('limited'),
                                  colour.convert_range(nv12, 'full', 'limited'))
    expected = colour.nv12_to_bgr(nv12, 'limited')
    assert np.abs(limited.to_bgr().astype(int) - expected).max() <= 2


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'mono8'])
def test_rgb_and_mono_frames_have_the_full_range(encoding):
    """Whatever the camera's parameter says: it is about YUV."""
    message, nv12 = message_of(encoding, picture())
    view = Frame.from_image(message, 'limited')
    assert view.color_range == 'full'
    if encoding == 'mono8':
        nv12[24:] = 128
    np.testing.assert_array_equal(view.to_nv12('limited'),
                                  colour.convert_range(nv12, 'full', 'limited'))


def test_an_unknown_range_is_refused():
    """A typing error in a parameter must not pass for a range."""
    with pytest.raises(ValueError, match="'full' or 'limited'"):
        Frame.from_image(message_of('nv12', picture())[0], 'video')


@pytest.mark.parametrize(('name', 'meaning'), [('yuv422', 'uyvy'), ('yuv422_yuy2', 'yuyv'),
                                           ('NV12', 'nv12'), ('BGR8', 'bgr8')])
def test_encodings_have_the_names_that_ros_and_drivers_use(name, meaning):
    """Humble says yuv422, Jazzy uyvy, and some drivers shout."""
    message, _ = message_of(meaning, picture())
    message.encoding = name
    assert Frame.from_image(message).encoding == meaning


@pytest.mark.parametrize('name', ['bayer_rggb8', 'mono16', 'rgba8', '8UC3', 'rgb16', '', 'nv24'])
def test_an_encoding_that_is_not_understood_says_what_to_do(name):
    """The nodes catch this one and ask cv_bridge."""
    with pytest.raises(UnsupportedEncoding, match='nv12.*cv_bridge') as caught:
        Frame.from_image(image(name, 2, 2, bytes(32), 8))
    assert caught.value.encoding == name
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize('convert', [bytes, bytearray, memoryview, list, tuple,
                                     lambda data: np.frombuffer(bytes(data), np.uint8),
                                     lambda data: np.frombuffer(bytes(data), np.uint8)[None]])
def test_data_may_be_any_buffer_of_bytes(convert):
    """Rclpy gives an array, other transports give other things."""
    message, nv12 = message_of('nv12', picture())
    message.data = convert(message.data)
    np.testing.assert_array_equal(Frame.from_image(message).to_nv12(), nv12)


@pytest.mark.parametrize('data', [None, 7, 'text', [1, 300], [0.5]])
def test_data_that_are_no_bytes_are_refused(data):
    """Whatever it is, it ends as a FrameError."""
    message = image('mono8', 1, 2, b'', 2)
    message.data = data
    with pytest.raises(FrameError, match='bytes'):
        Frame.from_image(message)


@pytest.mark.parametrize(('height', 'width'), [(0, 4), (4, 0), (0, 0), (-2, 4), (4, -2)])
@pytest.mark.parametrize('encoding', ALL)
def test_an_image_without_pixels_is_refused(encoding, height, width):
    """A camera that is still starting publishes such."""
    with pytest.raises(FrameError, match=f'{width}x{height} has no pixels'):
        Frame.from_image(image(encoding, height, width, bytes(64), 16))


@pytest.mark.parametrize('encoding', ALL)
def test_a_step_shorter_than_a_row_is_refused(encoding):
    """Found, expected and where to look are in the message."""
    message, _ = message_of(encoding, picture())
    row = message.step
    message.step = row - 1
    with pytest.raises(FrameError, match=f'step {row - 1}.*{row}'):
        Frame.from_image(message)


@pytest.mark.parametrize('encoding', ALL)
def test_data_a_byte_short_are_refused(encoding):
    """The last pixel is the measure."""
    message, _ = message_of(encoding, picture())
    needed = len(message.data)
    message.data = message.data[:-1]
    with pytest.raises(FrameError, match=f'{needed - 1} bytes.*{needed}'):
        Frame.from_image(message)
    message.data = array('B')
    with pytest.raises(FrameError, match=f'0 bytes.*{needed}'):
        Frame.from_image(message)


@pytest.mark.parametrize('encoding', ALL)
def test_the_last_row_need_not_be_padded(encoding):
    """Some drivers leave the padding of the last row out; the pixels are all there."""
    message, nv12 = message_of(encoding, picture(), padding=8)
    expected = Frame.from_image(message).to_nv12()
    message.data = message.data[:-8]
    np.testing.assert_array_equal(Frame.from_image(message).to_nv12(), expected)
    message.data = message.data[:-1]
    with pytest.raises(FrameError, match='cut short'):
        Frame.from_image(message)


def test_bytes_after_the_image_do_no_harm():
    """A shared-memory message holds more than its image."""
    message, nv12 = message_of('nv12', picture())
    message.data.extend([9] * 1000)
    np.testing.assert_array_equal(Frame.from_image(message).to_nv12(), nv12)


def test_a_step_of_zero_means_packed_only_where_the_data_say_so():
    """Otherwise the rows may begin anywhere."""
    message, nv12 = message_of('nv12', picture())
    message.step = 0
    assert Frame.from_image(message).step == 40
    np.testing.assert_array_equal(Frame.from_image(message).to_nv12(), nv12)
    message.data.extend([0] * 60)
    with pytest.raises(FrameError, match='step 0'):
        Frame.from_image(message)


@pytest.mark.parametrize('encoding', ALL)
def test_absurd_sizes_are_short_data_and_no_overflow(encoding):
    """The fields are 32 bits wide and a corrupt message may hold anything in them."""
    for height, width, step in ((2**32 - 1, 4, 2**32 - 1), (2**31, 2**30, 2**32 - 1)):
        with pytest.raises(FrameError):
            Frame.from_image(image(encoding, height, width, bytes(64), step))


def test_a_height_that_counts_the_chroma_rows_is_explained():
    """OpenCV users publish the shape of the array."""
    message, _ = message_of('nv12', picture())
    message.height = 36
    with pytest.raises(FrameError, match='height of the picture, 24'):
        Frame.from_image(message)


@pytest.mark.parametrize('encoding', ['nv12', 'nv21'])
def test_an_odd_nv12_image_is_cut_to_its_even_part(encoding):
    """Chroma begins after all rows of luma, the odd one included."""
    message, nv12 = message_of(encoding, picture(26, 42))
    full = np.frombuffer(message.data, np.uint8).reshape(39, 42)
    # 25 rows of luma, 13 of chroma: the 26th row of luma is not there.
    odd = image(encoding, 25, 41, np.vstack((full[:25], full[26:])).tobytes(), 42)
    view = Frame.from_image(odd)
    assert view.hw == (24, 40)
    expected = np.vstack((nv12[:24, :40], nv12[26:38, :40]))
    np.testing.assert_array_equal(view.to_nv12(), expected)
    odd.data = odd.data[:-1]
    with pytest.raises(FrameError, match='cut short'):
        Frame.from_image(odd)


def test_an_odd_nv12_width_without_padding_is_ambiguous():
    """A chroma row of 41 pixels takes 42 bytes, and the step says 41."""
    with pytest.raises(FrameError, match='even width'):
        Frame.from_image(image('nv12', 4, 41, bytes(41 * 6), 41))


@pytest.mark.parametrize('encoding', ['uyvy', 'yuyv'])
def test_an_odd_422_width_is_cut_and_an_odd_height_is_not(encoding):
    """Two pixels of a row share chroma, rows share nothing."""
    message, nv12 = message_of(encoding, picture(26, 42))
    message.width, message.height = 41, 25
    view = Frame.from_image(message)
    assert view.hw == (25, 40)
    assert view.to_bgr().shape == (25, 40, 3)
    np.testing.assert_array_equal(view.to_nv12()[:24], nv12[:24, :40])


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'mono8'])
def test_rgb_and_mono_images_may_be_odd(encoding):
    """NV12 of it leaves the odd row and column out."""
    message, nv12 = message_of(encoding, picture(26, 42))
    message.width, message.height = 41, 25
    view = Frame.from_image(message)
    assert view.hw == (25, 41)
    assert view.to_bgr().shape == (25, 41, 3)
    np.testing.assert_array_equal(view.to_nv12()[:24], nv12[:24, :40])


def test_an_image_too_small_for_chroma_is_refused():
    """One pixel has no even part."""
    for encoding, step in (('nv12', 2), ('yuyv', 2)):
        with pytest.raises(FrameError, match='2x2'):
            Frame.from_image(image(encoding, 1, 1, bytes(8), step))
    with pytest.raises(FrameError, match='2x2'):
        Frame.from_image(image('mono8', 1, 1, bytes(1), 1)).to_nv12()


def test_to_bgr_gives_a_picture_of_its_own():
    """An overlay draws on it; the frame's memory is the camera's."""
    bgr = picture()
    for view in (Frame.from_bgr(bgr), Frame('jpeg', 0, 0, jpeg(bgr), 0)):
        before = view.to_bgr().copy()
        view.to_bgr()[...] = 0
        np.testing.assert_array_equal(view.to_bgr(), before)


def test_from_bgr_views_a_crop_and_copies_what_it_must():
    """A crop of a larger picture has padded rows; a mirrored one has none that can be viewed."""
    bgr = picture()
    crop = bgr[3:20, 5:31]
    view = Frame.from_bgr(crop)
    assert np.shares_memory(view.planes[0], bgr)
    np.testing.assert_array_equal(view.to_bgr(), crop)
    for odd in (bgr[:, ::-1], bgr[::-1], bgr[..., ::-1], bgr[:, ::2], bgr[:1, :1]):
        np.testing.assert_array_equal(Frame.from_bgr(odd).to_bgr(), odd)


def test_from_nv12_views_a_crop():
    """Columns cut off leave padded rows."""
    wide = np.random.default_rng(0).integers(0, 256, (36, 50), np.uint8)
    view = Frame.from_nv12(wide[:, :40], 'limited')
    assert view.hw == (24, 40)
    assert view.color_range == 'limited'
    assert all(np.shares_memory(plane, wide) for plane in view.planes)
    np.testing.assert_array_equal(view.to_nv12('limited'), wide[:, :40])


@pytest.mark.parametrize('value', [None, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8),
                                   np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_bgr_picture_is_refused(value):
    """A greyscale picture read by mistake is the usual case."""
    with pytest.raises(FrameError):
        Frame.from_bgr(value)


@pytest.mark.parametrize('value', [None, np.zeros((4, 4), np.uint8), np.zeros((3, 3), np.uint8),
                                   np.zeros((3, 4), np.int8), np.zeros((0, 4), np.uint8)])
def test_what_is_no_nv12_array_is_refused(value):
    """Rows come in threes, columns in pairs."""
    with pytest.raises(FrameError):
        Frame.from_nv12(value)


def jpeg(bgr, suffix='.jpg', parameters=()):
    """Return a picture compressed, as bytes."""
    return cv2.imencode(suffix, bgr, list(parameters))[1].tobytes()


def compressed(data, text='bgr8; jpeg compressed bgr8'):
    """Return what a sensor_msgs/CompressedImage looks like to Python."""
    return SimpleNamespace(format=text, data=array('B', data))


@pytest.mark.parametrize('text', ['jpeg', 'bgr8; jpeg compressed bgr8', ''])
def test_a_jpeg_knows_its_size_before_it_is_decoded(text, monkeypatch):
    """A frame that is dropped is never decoded, and one that is used is decoded once."""
    decoded = []
    decode = cv2.imdecode
    monkeypatch.setattr(frame.cv2, 'imdecode', lambda *a: decoded.append(1) or decode(*a))
    bgr = picture(25, 41)
    view = Frame.from_compressed(compressed(jpeg(bgr), text))
    assert view.encoding == 'jpeg'
    assert view.hw == (25, 41)
    assert not decoded
    assert np.abs(view.to_bgr().astype(int) - bgr).mean() < 3
    assert view.to_nv12().shape == (36, 40)
    assert len(decoded) == 1


def test_a_jpeg_may_come_as_an_image():
    """TROS' USB camera publishes MJPEG this way; the sizes in the message are not needed."""
    data = jpeg(picture())
    view = Frame.from_image(image('jpeg', 1080, 1920, data + bytes(50), 1920))
    assert view.hw == (24, 40)
    assert view.to_bgr().shape == (24, 40, 3)
    assert view.color_range == 'full'


@pytest.mark.parametrize('parameters', [(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
                                        (cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
                                        (cv2.IMWRITE_JPEG_OPTIMIZE, 1)])
def test_jpegs_of_every_make_are_read(parameters):
    """The header differs, the picture does not."""
    view = Frame.from_compressed(compressed(jpeg(picture(), parameters=parameters)))
    assert np.abs(view.to_bgr().astype(int) - picture()).mean() < 3


def test_an_exif_rotation_is_not_applied():
    """Boxes are in the pixels as they are stored, and the header's size is that of those."""
    data = jpeg(picture())
    tiff = b'II*\0\x08\0\0\0' + b'\x01\0' + b'\x12\x01\x03\0\x01\0\0\0\x06\0\0\0' + bytes(4)
    exif = b'Exif\0\0' + tiff
    data = data[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (40, 24, 3)
    view = Frame.from_compressed(compressed(data))
    assert view.hw == (24, 40)
    assert view.to_bgr().shape == (24, 40, 3)


def test_fill_bytes_between_markers_are_allowed():
    """ITU-T T.81, B.1.1.2."""
    data = jpeg(picture())
    assert Frame('jpeg', 0, 0, data[:2] + b'\xff\xff' + data[2:], 0).hw == (24, 40)


def test_a_truncated_jpeg_is_refused_at_every_length():
    """OpenCV would fill the missing part with grey, and the robot would see a grey wall."""
    data = jpeg(picture(96, 128))
    for length in range(len(data)):
        with pytest.raises(FrameError):
            Frame.from_compressed(compressed(data[:length]))


def test_a_corrupt_jpeg_is_a_frame_error_or_a_picture():
    """Any byte may be wrong: never another exception, never a picture of another size."""
    data = bytearray(jpeg(picture()))
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        broken = data.copy()
        for at in random.integers(2, min(len(data), 400), 3):
            broken[at] = random.integers(0, 256)
        try:
            view = Frame.from_compressed(compressed(broken))
            assert view.to_bgr().shape == (*view.hw, 3)
        except FrameError:
            refused += 1
    assert refused > 50


def test_a_jpeg_that_claims_an_absurd_size_is_refused_undecoded():
    """65535x65535 in the header is 12 GB of pixels."""
    data = bytearray(jpeg(picture()))
    at = data.index(b'\xff\xc0')
    data[at + 5:at + 9] = b'\xff' * 4
    with pytest.raises(FrameError, match='65535x65535'):
        Frame.from_compressed(compressed(data))


def test_a_jpeg_of_many_passes_over_a_large_picture_is_refused_undecoded():
    """A scan of a progressive JPEG may take 40 bytes, and each costs a pass over the picture."""
    data = cv2.imencode('.jpg', picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert 2 < data.count(b'\xff\xda') < 20
    begin = data.index(b'\xff\xda')
    scan = data[begin:data.index(b'\xff', begin + 2)]
    with pytest.raises(FrameError, match='has 5[0-9][0-9] scans, expected at most 100'):
        Frame.from_compressed(compressed(data[:begin] + scan * 500 + data[begin:]))


def test_a_png_s_texts_are_not_unpacked():
    """A thousand texts of 8 kB in the file would unpack to 8 GB, and change no pixel."""
    data = jpeg(picture(), '.png')
    body = b'zTXt' + b'title\0\0' + zlib.compress(bytes(7_900_000), 9)
    text = (len(body) - 4).to_bytes(4, 'big') + body + zlib.crc32(body).to_bytes(4, 'big')
    began = time.process_time()
    view = Frame.from_compressed(compressed(data[:33] + text * 1000 + data[33:]))
    assert time.process_time() - began < 3.0  # 35 s where they are
    np.testing.assert_array_equal(view.to_bgr(), picture())


def test_an_8_bit_png_is_read_and_a_16_bit_one_is_not():
    """Depth images come as 16-bit PNG; their high bytes are no picture."""
    bgr = picture()
    view = Frame.from_compressed(compressed(jpeg(bgr, '.png'), 'bgr8; png compressed '))
    np.testing.assert_array_equal(view.to_bgr(), bgr)
    with pytest.raises(FrameError, match='16 bits'):
        Frame.from_compressed(compressed(jpeg(bgr.astype(np.uint16), '.png'), '16UC1; png'))
    for length in (10, 24, 40):
        with pytest.raises(FrameError):
            Frame.from_compressed(compressed(jpeg(bgr, '.png')[:length]))


@pytest.mark.parametrize('data', [b'', b'\xff', b'GIF89a', bytes(100)])
def test_compressed_data_that_are_neither_are_refused(data):
    """The format field alone proves nothing, but the message quotes it."""
    with pytest.raises(FrameError, match="'webp'"):
        Frame.from_compressed(compressed(data, 'webp'))


@pytest.mark.parametrize('encoding', ALL)
@pytest.mark.parametrize(('aspect', 'part'), [
    ((1, 1), (slice(0, 24), slice(8, 32))), ((24, 40), (slice(0, 24), slice(0, 40))),
    ((10, 40), (slice(6, 16), slice(0, 40)))], ids=['square', 'all', 'wide'])
def test_the_middle_of_a_frame_is_a_view_on_its_pixels(encoding, aspect, part):
    """As one cuts it out of the converted whole, in every encoding, padded rows included."""
    message, _ = message_of(encoding, picture(24, 40), padding=6)
    whole = Frame.from_image(message)
    middle = whole.middle(aspect)
    expected = whole.to_bgr()[part]
    assert middle.hw == expected.shape[:2]
    assert whole.hw == (24, 40)
    for mine, all_of_it in zip(middle.planes, whole.planes):
        assert np.shares_memory(mine, all_of_it)
    np.testing.assert_allclose(middle.to_bgr().astype(int), expected, atol=2)
    np.testing.assert_array_equal(middle.to_nv12().shape,
                                  (expected.shape[0] * 3 // 2, expected.shape[1]))


def test_a_frame_too_narrow_for_its_middle_is_refused():
    with pytest.raises(FrameError, match='less than 2x2'):
        Frame.from_bgr(np.zeros((2, 40, 3), np.uint8)).middle((40, 1))
