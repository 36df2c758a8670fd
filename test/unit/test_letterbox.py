"""Letterbox: the geometry against its definition, the NV12 resize against a second way."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from rdk_yolo_ros import colour
from rdk_yolo_ros.errors import FrameError, ModelError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.letterbox import Letterbox

RANDOM = np.random.default_rng(7)
SIZES = [(1080, 1920), (1920, 1080), (480, 640), (720, 1280), (640, 640), (544, 960), (1, 1),
         (1, 5000), (5000, 1), (333, 500), (2160, 3840), (33, 31)] \
    + [tuple(size) for size in RANDOM.integers(1, 3000, (200, 2)).tolist()]
MODELS = [(640, 640), (384, 640), (320, 96), (2, 2), (416, 416)]


@pytest.mark.parametrize('model_hw', MODELS)
def test_fit_is_the_largest_even_picture_in_the_middle(model_hw):
    """Every number even; the nearest even size to the exact one; the margins as good as equal."""
    for source_hw in SIZES:
        box = Letterbox.fit(source_hw, model_hw)
        assert box.source_hw == source_hw
        assert box.model_hw == model_hw
        scale = min(model_hw[0] / source_hw[0], model_hw[1] / source_hw[1])
        for axis, offset in ((0, box.top), (1, box.left)):
            resized, model = box.resized_hw[axis], model_hw[axis]
            assert resized % 2 == 0
            assert offset % 2 == 0
            assert 2 <= resized <= model
            assert abs(resized - source_hw[axis] * scale) <= 1 + 1e-9 or resized == 2
            assert 0 <= (model - resized - offset) - offset <= 2
        assert model_hw[0] == box.resized_hw[0] or model_hw[1] == box.resized_hw[1]
        assert box.scale_x == box.resized_hw[1] / source_hw[1]
        assert box.scale_y == box.resized_hw[0] / source_hw[0]


@pytest.mark.parametrize(('source_hw', 'resized_hw', 'top', 'left'), [
    ((1080, 1920), (360, 640), 140, 0), ((480, 640), (480, 640), 80, 0),
    ((640, 640), (640, 640), 0, 0), ((720, 1280), (360, 640), 140, 0),
    ((544, 960), (362, 640), 138, 0), ((1920, 1080), (640, 360), 0, 140)])
def test_fit_of_the_usual_cameras(source_hw, resized_hw, top, left):
    """Worked out by hand: 544 * 640 / 960 is 362.67, and 362 is the even number next to it."""
    box = Letterbox.fit(source_hw, (640, 640))
    assert (box.resized_hw, box.top, box.left) == (resized_hw, top, left)


def test_letterboxes_of_one_geometry_are_equal():
    """So that a caller can keep one for each size of frame."""
    assert Letterbox.fit((480, 640), (640, 640)) == Letterbox.fit([480, 640], (640, 640))
    assert len({Letterbox.fit((480, 640), (640, 640)), Letterbox.fit((480, 640), (640, 640)),
                Letterbox.fit((482, 640), (640, 640))}) == 2


@pytest.mark.parametrize('source_hw', [(1080, 1920), (333, 500), (50, 20), (7, 3000)])
def test_points_come_back_from_where_the_definition_puts_them(source_hw):
    """Model = source * scale + (left, top); what follows x and y is kept, nothing is clipped."""
    box = Letterbox.fit(source_hw, (384, 640))
    source = RANDOM.uniform(-50, max(source_hw) + 50, (4, 17, 3)).astype(np.float32)
    model = source.copy()
    model[..., 0] = source[..., 0] * box.scale_x + box.left
    model[..., 1] = source[..., 1] * box.scale_y + box.top
    kept = model.copy()
    mapped = box.points_to_source(model)
    assert mapped.dtype == np.float32
    assert not np.shares_memory(mapped, model)
    np.testing.assert_array_equal(model, kept)
    np.testing.assert_allclose(mapped[..., :2], source[..., :2], atol=1e-2)
    np.testing.assert_array_equal(mapped[..., 2], source[..., 2])


def test_boxes_come_back_clipped_to_the_image():
    """The corners of the model's input are beyond the corners of the image."""
    box = Letterbox.fit((1080, 1920), (640, 640))
    boxes = np.array([[0, 0, 640, 640], [10, 150, 20, 160], [-9, -9, -3, -3]], np.float32)
    kept = boxes.copy()
    mapped = box.boxes_to_source(boxes)
    assert mapped.dtype == np.float32
    np.testing.assert_array_equal(boxes, kept)
    np.testing.assert_allclose(
        mapped, [[0, 0, 1920, 1080], [30, 30, 60, 60], [0, 0, 0, 0]], atol=1e-3)


def test_many_boxes_come_back_as_each_alone_does():
    """However many rows of the letterbox's numbers are kept."""
    box = Letterbox.fit((1080, 1920), (640, 640))
    boxes = np.random.default_rng(0).uniform(-9, 649, (300, 4)).astype(np.float32)
    alone = np.concatenate([box.boxes_to_source(one[None]) for one in boxes])
    np.testing.assert_array_equal(box.boxes_to_source(boxes), alone)


def test_no_boxes_and_no_points_come_back_as_none():
    """The usual result on an empty scene."""
    box = Letterbox.fit((1080, 1920), (640, 640))
    assert box.boxes_to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)
    assert box.points_to_source(np.zeros((0, 17, 3), np.float32)).shape == (0, 17, 3)


def test_the_identity_changes_nothing():
    """An image of the model's own size."""
    box = Letterbox.identity((384, 640))
    assert (box.source_hw, box.model_hw, box.resized_hw) == ((384, 640),) * 3
    assert (box.top, box.left, box.scale_x, box.scale_y) == (0, 0, 1.0, 1.0)
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(box.boxes_to_source(boxes), boxes)


@pytest.mark.parametrize('model_hw', [(641, 640), (640, 641), (0, 640), (640, 0), (-2, 2)])
def test_a_model_of_odd_size_is_refused(model_hw):
    """NV12 has none, and the message shows the size."""
    for make in (lambda: Letterbox.fit((480, 640), model_hw),
                 lambda: Letterbox.identity(model_hw)):
        with pytest.raises((ModelError, FrameError), match=f'{model_hw[1]}x{model_hw[0]}'):
            make()


def test_an_image_without_pixels_is_refused():
    """Before it becomes a division by zero."""
    with pytest.raises(FrameError, match='0x480'):
        Letterbox.fit((480, 0), (640, 640))


@pytest.mark.parametrize(('resized', 'top', 'left'), [((361, 640), 0, 0), ((360, 640), 1, 0),
                                                ((360, 640), 282, 0), ((360, 640), 0, 2),
                                                ((0, 640), 0, 0), ((360, 640), -2, 0)])
def test_a_geometry_that_is_uneven_or_sticks_out_is_refused(resized, top, left):
    """Chroma would slip off its pixels."""
    with pytest.raises(ValueError, match='evenly'):
        Letterbox((1080, 1920), (640, 640), resized, top, left)


def nv12_of(height, width):
    """Return smooth NV12, uint8, of colours that RGB holds: where both ways must agree."""
    y, x = np.mgrid[:height, :width]
    luma = 128 + 30 * np.sin(x * 7 / width) + 30 * np.cos(y * 5 / height)
    cy, cx = np.mgrid[:height // 2, :width // 2]
    u, v = 128 + 25 * np.sin(cx * 6 / width), 128 + 25 * np.cos(cy * 8 / height)
    return np.vstack((luma, np.dstack((u, v)).reshape(height // 2, width))).astype(np.uint8)


@pytest.mark.parametrize(('source_hw', 'model_hw'), [
    ((1080, 1920), (640, 640)), ((720, 1280), (640, 640)), ((544, 960), (640, 640)),
    ((480, 640), (640, 640)), ((1920, 1080), (640, 640)), ((480, 640), (384, 640)),
    ((96, 100), (640, 640)), ((640, 640), (320, 320))])
def test_the_planes_are_the_picture_of_the_long_way_round(source_hw, model_hw):
    """NV12 to BGR, resize, border of grey 114, back to NV12: Ultralytics' order of work."""
    nv12 = nv12_of(*source_hw)
    box = Letterbox.fit(source_hw, model_hw)
    got = box.apply(Frame.from_nv12(nv12))
    (height, width), (top, left) = box.resized_hw, (box.top, box.left)
    small = cv2.resize(colour.nv12_to_bgr(nv12, 'full'), (width, height))
    whole = cv2.copyMakeBorder(small, top, model_hw[0] - height - top, left,
                               model_hw[1] - width - left, cv2.BORDER_CONSTANT,
                               value=(114, 114, 114))
    expected = colour.bgr_to_nv12(whole, 'full')
    assert got.shape == expected.shape
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    error = np.abs(got.astype(int) - expected)
    assert error.max() <= 6
    assert error.mean() < 0.8


@pytest.mark.parametrize('source_hw', [(1080, 1920), (600, 800), (800, 600), (720, 1280)])
def test_each_plane_is_resized_with_its_centres_aligned(source_hw):
    """On noise, against the same interpolation of each plane by itself, to a rounding."""
    nv12 = RANDOM.integers(0, 256, (source_hw[0] * 3 // 2, source_hw[1]), np.uint8)
    box = Letterbox.fit(source_hw, (640, 640))
    got = box.apply(Frame.from_nv12(nv12))
    (height, width), (top, left) = box.resized_hw, (box.top, box.left)
    y = cv2.resize(nv12[:source_hw[0]], (width, height))
    uv = nv12[source_hw[0]:].reshape(source_hw[0] // 2, source_hw[1] // 2, 2)
    uv = cv2.resize(uv, (width // 2, height // 2)).reshape(height // 2, width)
    assert np.abs(got[top:top + height, left:left + width].astype(int) - y).max() <= 1
    chroma = got[640 + top // 2:640 + (top + height) // 2, left:left + width]
    assert np.abs(chroma.astype(int) - uv).max() <= 1


def test_an_edge_in_chroma_stays_on_the_edge_in_luma():
    """Half red, half blue: an offset by one chroma sample would colour a column wrong."""
    bgr = np.zeros((480, 640, 3), np.uint8)
    bgr[:, :320], bgr[:, 320:] = (0, 0, 255), (255, 0, 0)
    box = Letterbox.fit((480, 640), (320, 416))
    nv12 = box.apply(Frame.from_nv12(colour.bgr_to_nv12(bgr, 'full')))
    small = colour.nv12_to_bgr(nv12, 'full')[box.top:box.top + box.resized_hw[0],
                                             box.left:box.left + box.resized_hw[1]]
    middle = box.resized_hw[1] // 2
    assert np.abs(small[:, :middle - 2].astype(int) - (0, 0, 255)).max() <= 3
    assert np.abs(small[:, middle + 2:].astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize(('color_range', 'luma'),
                         [('full', 114), ('limited', 16 + 114 * 219 / 255)])
@pytest.mark.parametrize('source_hw', [(200, 400), (400, 200)])
def test_the_padding_is_grey_in_either_range(color_range, luma, source_hw):
    """In an array that held something else before."""
    box = Letterbox.fit(source_hw, (320, 320))
    out = np.full((480, 320), 7, np.uint8)
    frame = Frame.from_nv12(np.full((source_hw[0] * 3 // 2, source_hw[1]), 200, np.uint8))
    assert box.apply(frame, color_range, out) is out
    padding = np.full((320, 320), True)
    padding[box.top:box.top + box.resized_hw[0], box.left:box.left + box.resized_hw[1]] = False
    assert padding.sum() == 320 * 160
    assert np.abs(out[:320][padding] - luma).max() <= 0.5
    chroma = np.repeat(padding[::2, ::2], 2, axis=1)
    assert (out[320:][chroma] == 128).all()
    assert (out[:320][~padding] != 7).all()
    assert (out[320:][~chroma] != 7).all()


def test_an_array_used_before_by_another_geometry_is_written_whole():
    """One array serves a worker for all frames, of whatever size."""
    out = np.zeros((480, 320), np.uint8)
    for source_hw in ((200, 400), (400, 200), (320, 320), (100, 320)):
        frame = Frame.from_nv12(nv12_of(*source_hw))
        box = Letterbox.fit(source_hw, (320, 320))
        np.testing.assert_array_equal(box.apply(frame, out=out), box.apply(frame))


def frames_of(nv12):
    """Return one NV12 picture, full range, as frames of the other encodings."""
    height = nv12.shape[0] // 3 * 2
    y, uv = colour.split_nv12(nv12)
    bgr = colour.nv12_to_bgr(nv12, 'full')
    tall = np.repeat(uv, 2, 0)
    uyvy = np.stack((tall[..., 0], y[:, ::2], tall[..., 1], y[:, 1::2]), -1)
    yuyv = np.stack((y[:, ::2], tall[..., 0], y[:, 1::2], tall[..., 1]), -1)
    nv21 = np.vstack((y, uv[..., ::-1].reshape(height // 2, -1)))
    jpeg = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
    width = y.shape[1]
    return {'nv21': Frame('nv21', height, width, nv21.tobytes(), width),
            'uyvy': Frame('uyvy', height, width, uyvy.tobytes(), width * 2),
            'yuyv': Frame('yuyv', height, width, yuyv.tobytes(), width * 2),
            'bgr8': Frame.from_bgr(bgr),
            'rgb8': Frame('rgb8', height, width, bgr[..., ::-1].tobytes(), width * 3),
            'mono8': Frame('mono8', height, width, y.tobytes(), width),
            'jpeg': Frame('jpeg', 0, 0, jpeg.tobytes(), 0)}


@pytest.mark.parametrize('color_range', ['full', 'limited'])
@pytest.mark.parametrize('source_hw', [(480, 640), (960, 540), (320, 320)])
@pytest.mark.parametrize('encoding', ['nv21', 'uyvy', 'yuyv', 'bgr8', 'rgb8', 'mono8', 'jpeg'])
def test_every_encoding_gives_the_picture_that_nv12_gives(encoding, source_hw, color_range):
    """A model sees the same picture whatever the camera sends."""
    nv12 = nv12_of(*source_hw)
    box = Letterbox.fit(source_hw, (320, 320))
    expected = box.apply(Frame.from_nv12(nv12), color_range)
    got = box.apply(frames_of(nv12)[encoding], color_range)
    if encoding == 'mono8':
        assert (got[320:] == 128).all()
        got, expected = got[:320], expected[:320]
    error = np.abs(got.astype(int) - expected)
    assert error.max() <= (1 if encoding in ('nv21', 'mono8') else 6)
    assert error.mean() < 1


@pytest.mark.parametrize(('source', 'target'), [('full', 'limited'), ('limited', 'full')])
def test_a_difference_of_range_is_converted(source, target):
    """In either order of resizing and converting, to two roundings."""
    nv12 = colour.convert_range(nv12_of(480, 640), 'full', 'limited')
    box = Letterbox.fit((480, 640), (320, 320))
    got = box.apply(Frame.from_nv12(nv12, source), target)
    other = box.apply(Frame.from_nv12(colour.convert_range(nv12, source, target), target), target)
    assert np.abs(got.astype(int) - other).max() <= 2


def test_a_frame_that_is_ready_is_passed_on_as_it_is():
    """No copy of an NV12 frame of the model's size and range, unless an array is given."""
    nv12 = nv12_of(320, 320)
    box = Letterbox.identity((320, 320))
    view = box.apply(Frame.from_nv12(nv12))
    assert np.shares_memory(view, nv12)
    assert view.flags.c_contiguous
    np.testing.assert_array_equal(view, nv12)
    out = np.empty_like(nv12)
    assert box.apply(Frame.from_nv12(nv12), out=out) is out
    np.testing.assert_array_equal(out, nv12)
    converted = box.apply(Frame.from_nv12(nv12), 'limited')
    np.testing.assert_array_equal(converted, colour.convert_range(nv12, 'full', 'limited'))


def test_a_padded_frame_of_the_model_size_is_packed():
    """Its rows are further apart than the model's."""
    wide = np.random.default_rng(0).integers(0, 256, (480, 352), np.uint8)
    got = Letterbox.identity((320, 320)).apply(Frame.from_nv12(wide[:, :320]))
    assert not np.shares_memory(got, wide)
    np.testing.assert_array_equal(got, wide[:, :320])


def test_an_odd_frame_is_fitted_by_its_even_part():
    """321 rows of luma and then chroma: the 321st must not be taken for chroma."""
    data = RANDOM.integers(0, 256, 321 * 320 + 161 * 320, dtype=np.uint8)
    frame = Frame('nv12', 321, 320, data, 320)
    got = Letterbox.fit(frame.hw, (320, 320)).apply(frame)
    np.testing.assert_array_equal(got[:320], data[:320 * 320].reshape(320, 320))
    np.testing.assert_array_equal(got[320:], data[321 * 320:][:160 * 320].reshape(160, 320))


def test_the_frame_is_never_written_to():
    """It is the camera's memory, and other nodes may read it."""
    for frame in (Frame('nv12', 480, 640, bytes(nv12_of(480, 640)), 640),
                  *frames_of(nv12_of(480, 640)).values()):
        before = frame.data.tobytes()
        for box in (Letterbox.fit((480, 640), (320, 320)), Letterbox.identity((480, 640))):
            box.apply(frame, 'limited')
            box.apply(frame, 'limited', np.empty((box.model_hw[0] * 3 // 2, box.model_hw[1]),
                                                 np.uint8))
        assert frame.data.tobytes() == before


def test_a_frame_of_another_size_is_refused():
    """A camera that changes its size must not give boxes in the wrong place."""
    with pytest.raises(FrameError, match='frame is 640x480, expected 1280x720'):
        Letterbox.fit((720, 1280), (640, 640)).apply(Frame.from_nv12(nv12_of(480, 640)))


@pytest.mark.parametrize('out', [np.empty((640, 640), np.uint8), np.empty((960, 640), np.int8),
                                 np.empty((640, 960), np.uint8).T,
                                 np.broadcast_to(np.uint8(0), (960, 640))])
def test_an_array_that_cannot_hold_the_input_is_refused(out):
    """The message says what was found and what was expected."""
    with pytest.raises(ValueError, match=r'expected writeable C-contiguous uint8 \(960, 640\)'):
        Letterbox.fit((480, 640), (640, 640)).apply(Frame.from_nv12(nv12_of(480, 640)), out=out)


def test_an_unknown_range_is_refused():
    """Even where there is nothing to do."""
    with pytest.raises(ValueError, match="'full' or 'limited'"):
        Letterbox.identity((480, 640)).apply(Frame.from_nv12(nv12_of(480, 640)), 'regular')


def test_threads_do_not_disturb_each_other():
    """Several workers apply one letterbox at once, to frames that they share."""
    box = Letterbox.fit((480, 640), (320, 320))
    frames = list(frames_of(nv12_of(480, 640)).values()) * 8
    expected = [box.apply(frame, 'limited') for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda frame: box.apply(frame, 'limited'), frames)
        for got, want in zip(results, expected):
            np.testing.assert_array_equal(got, want)
