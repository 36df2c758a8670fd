"""Masks agree with interpolating the whole picture, wherever the image lies in the input."""

import numpy as np
import pytest
from reference_decoder import interpolation_matrix

from rdk_yolo_ros.decode.input_masks import InputMasks
from rdk_yolo_ros.decode.masks import PrototypeMasks
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

MODEL_HW = (320, 448)


def instances(seed=0, count=6):
    """Return prototypes (80, 112, 32), coefficients (N, 32) and boxes (N, 4) in model pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (11, 15, 32)).astype(np.float32)
    prototypes = np.kron(coarse, np.ones((8, 8, 1), np.float32))[:80, :112]
    corners = rng.uniform(0, 200, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 200, (count, 2))], 1)
    return (np.ascontiguousarray(prototypes), rng.normal(0, 1, (count, 32)).astype(np.float32),
            boxes.astype(np.float32))


def resampling(count, step, cells):
    """Return (count, cells): linear between the cells' centres, the outermost hold on."""
    matrix = np.zeros((count, cells))
    for i in range(count):
        at = min(max((i + 0.5) * step - 0.5, 0), cells - 1)
        low = int(at)
        matrix[i, low] += 1 - (at - low)
        matrix[i, min(low + 1, cells - 1)] += at - low
    return matrix


def axis(count, start, size, cells, finer):
    """
    Return (count, cells): what `count` pixels of the picture take from one axis' cells.

    Upstream's rule, in pixels of the model's input, four of them a cell: the image's cells from
    `start` on, `size` long, are cut out and then enlarged; all cells are by `finer`, before.
    """
    all_cells = resampling(cells * finer, 1 / finer, cells)
    image = all_cells[start * finer // 4:(start + size) * finer // 4]
    return resampling(count, len(image) / count, len(image)) @ image


def whole_picture(prototypes, coefficients, boxes, letterbox, picture_hw):
    """Interpolate every instance over the whole picture, in float64; then threshold and crop."""
    height, width = picture_hw
    ends = np.array([letterbox.top, letterbox.left]), np.array(letterbox.resized_hw)
    # Where the image does not begin and end with cells, they are enlarged by 2 or 4 first.
    finer = next(f for f in (1, 2, 4) if not ((ends[0] * f) % 4).any()
                 and not ((ends[0] + ends[1]) * f % 4).any())
    down = axis(height, letterbox.top, letterbox.resized_hw[0], prototypes.shape[0], finer)
    across = axis(width, letterbox.left, letterbox.resized_hw[1], prototypes.shape[1], finer)
    source_boxes = letterbox.boxes_to_source(boxes)
    source_boxes *= np.array([width / letterbox.source_hw[1], height / letterbox.source_hw[0]] * 2)
    y, x = np.mgrid[:height, :width]
    masks = []
    for weight, (x1, y1, x2, y2) in zip(coefficients, source_boxes):
        logits = down @ (prototypes.astype(np.float64) @ weight) @ across.T
        masks.append((logits > 0) & (x >= x1) & (x < x2) & (y >= y1) & (y < y2))
    return masks


def assert_alike(mine, expected):
    either = (mine | expected).sum()
    assert either == 0 or (mine & expected).sum() / either > 0.999


LETTERBOXES = {
    'identity': Letterbox.identity(MODEL_HW),
    'twice the size': Letterbox.fit((640, 896), MODEL_HW),
    'padding above': Letterbox.fit((480, 896), MODEL_HW),
    'padding beside': Letterbox.fit((640, 640), MODEL_HW),
    'odd scale': Letterbox.fit((333, 500), MODEL_HW),
    'enlarged': Letterbox.fit((100, 150), MODEL_HW),
}


@pytest.mark.parametrize('name', LETTERBOXES)
def test_full_masks_agree_with_the_whole_picture(name):
    letterbox = LETTERBOXES[name]
    prototypes, coefficients, boxes = instances()
    masks = PrototypeMasks.combine(prototypes, TensorInfo('p', (1, *prototypes.shape), np.float32),
                                   coefficients, boxes, letterbox)
    expected = whole_picture(prototypes, coefficients, boxes, letterbox, letterbox.source_hw)
    assert any(e.any() for e in expected)
    for i, mask in enumerate(expected):
        assert_alike(masks.full(i), mask)


@pytest.mark.parametrize('picture_hw', [(160, 224), (90, 200), (640, 896)])
def test_a_label_image_of_another_size_agrees_too(picture_hw):
    prototypes, coefficients, boxes = instances(1, count=1)
    letterbox = LETTERBOXES['identity']
    masks = PrototypeMasks.combine(prototypes, TensorInfo('p', (1, *prototypes.shape), np.float32),
                                   coefficients, boxes, letterbox)
    expected = whole_picture(prototypes, coefficients, boxes, letterbox, picture_hw)
    # A coarse picture asks for centres a little outside the kept part: a rim may differ.
    mine = masks.to_label_image(*picture_hw) == 1
    assert (mine & expected[0]).sum() / (mine | expected[0]).sum() > 0.98


def test_the_better_score_wins_where_masks_overlap():
    prototypes = np.ones((80, 112, 1), np.float32)
    boxes = np.array([[40, 40, 120, 120], [0, 0, 80, 80]], np.float32)
    masks = PrototypeMasks.combine(prototypes, TensorInfo('p', (1, 80, 112, 1), np.float32),
                                   np.ones((2, 1), np.float32), boxes, LETTERBOXES['identity'])
    labels = masks.to_label_image(*MODEL_HW)
    assert labels.dtype == np.uint8
    assert labels[60, 60] == 1
    assert labels[20, 20] == 2
    assert labels[200, 200] == 0
    assert (labels == 1).sum() == 80 * 80


def test_more_instances_than_a_byte_counts_need_two():
    prototypes = np.ones((80, 112, 1), np.float32)
    boxes = np.tile(np.array([[0, 0, 4, 4]], np.float32), (300, 1))
    boxes[:, ::2] += np.arange(300)[:, None]
    masks = PrototypeMasks.combine(prototypes, TensorInfo('p', (1, 80, 112, 1), np.float32),
                                   np.ones((300, 1), np.float32), boxes, LETTERBOXES['identity'])
    labels = masks.to_label_image(*MODEL_HW)
    assert labels.dtype == np.uint16
    assert labels.max() == 300


def test_quantized_prototypes_give_the_same_masks():
    prototypes, coefficients, boxes = instances(2)
    scale = np.linspace(1e-3, 2e-3, 32, dtype=np.float32)
    stored = np.round(prototypes / scale).astype(np.int32) + 7
    info = TensorInfo('p', (1, *stored.shape), np.int32, scale=scale, zero_point=[7],
                      quantize_axis=3)
    letterbox = LETTERBOXES['padding above']
    masks = PrototypeMasks.combine(stored, info, coefficients, boxes, letterbox)
    expected = whole_picture((stored - 7) * scale.astype(np.float64), coefficients, boxes,
                             letterbox, letterbox.source_hw)
    for i, mask in enumerate(expected):
        assert_alike(masks.full(i), mask)


def test_a_selection_has_the_masks_of_its_instances():
    prototypes, coefficients, boxes = instances(3)
    masks = PrototypeMasks.combine(prototypes, TensorInfo('p', (1, *prototypes.shape), np.float32),
                                   coefficients, boxes, LETTERBOXES['identity'])
    for index in (slice(1, 4), np.array([3, 0]), np.arange(6) % 2 == 0):
        chosen = masks[index]
        originals = np.arange(6)[index]
        assert len(chosen) == len(originals)
        for i, original in enumerate(originals):
            np.testing.assert_array_equal(chosen.full(i), masks.full(original))


def test_nothing_of_the_prototypes_is_kept():
    prototypes, coefficients, boxes = instances(4)
    masks = PrototypeMasks.combine(prototypes, TensorInfo('p', (1, *prototypes.shape), np.float32),
                                   coefficients, boxes, LETTERBOXES['identity'])
    before = masks.full(0)
    prototypes[:] = -1  # the runtime's next frame
    np.testing.assert_array_equal(masks.full(0), before)


def test_a_box_outside_the_image_has_an_empty_mask():
    prototypes = np.ones((80, 112, 1), np.float32)
    letterbox = LETTERBOXES['padding above']
    boxes = np.array([[0, 0, 100, letterbox.top - 2]], np.float32)  # in the padding
    masks = PrototypeMasks.combine(prototypes, TensorInfo('p', (1, 80, 112, 1), np.float32),
                                   np.ones((1, 1), np.float32), boxes, letterbox)
    assert not masks.full(0).any()


def test_the_references_own_interpolation_is_linear_between_centres():
    matrix = interpolation_matrix(2, 8)
    np.testing.assert_allclose(matrix[:, 1], [0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1])


# At the model input's resolution

def in_the_input(prototypes, coefficients, boxes):
    """Upstream's process_mask: enlarge to the whole input, threshold, then crop."""
    down = interpolation_matrix(prototypes.shape[0], MODEL_HW[0])
    across = interpolation_matrix(prototypes.shape[1], MODEL_HW[1])
    y, x = np.mgrid[:MODEL_HW[0], :MODEL_HW[1]]
    return [(down @ (prototypes.astype(np.float64) @ weight) @ across.T > 0)
            & (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
            for weight, (x1, y1, x2, y2) in zip(coefficients, boxes)]


def nearest(picture, letterbox, height, width):
    """Take for each pixel's centre, one by one, the input pixel in which it lies."""
    rows = [int((i + 0.5) * letterbox.resized_hw[0] / height + letterbox.top + 1e-9)
            for i in range(height)]
    columns = [int((i + 0.5) * letterbox.resized_hw[1] / width + letterbox.left + 1e-9)
               for i in range(width)]
    return picture[rows][:, columns]


def input_masks(letterbox, seed=0, **count):
    prototypes, coefficients, boxes = instances(seed, **count)
    info = TensorInfo('p', (1, *prototypes.shape), np.float32)
    return (InputMasks.combine(prototypes, info, coefficients, boxes, letterbox),
            in_the_input(prototypes, coefficients, boxes))


@pytest.mark.parametrize('name', LETTERBOXES)
def test_masks_of_the_input_are_upstreams_at_the_nearest_pixels(name):
    letterbox = LETTERBOXES[name]
    masks, expected = input_masks(letterbox)
    assert len(masks) == len(expected)
    assert any(e.any() for e in expected)
    for i, mask in enumerate(expected):
        assert masks.full(i).shape == letterbox.source_hw
        assert_alike(masks.full(i), nearest(mask, letterbox, *letterbox.source_hw))


@pytest.mark.parametrize('picture_hw', [(160, 224), (90, 200), (640, 896)])
def test_a_label_image_of_the_inputs_masks_has_the_better_score_on_top(picture_hw):
    letterbox = LETTERBOXES['padding above']
    masks, expected = input_masks(letterbox, 5)
    labels = np.zeros(MODEL_HW, np.uint8)
    for i in reversed(range(len(expected))):
        labels[expected[i]] = i + 1
    mine = masks.to_label_image(*picture_hw)
    assert mine.dtype == np.uint8
    assert mine.shape == picture_hw
    assert (mine != nearest(labels, letterbox, *picture_hw)).mean() < 1e-3


def test_a_selection_of_the_inputs_masks_is_that_of_its_instances():
    masks, _ = input_masks(LETTERBOXES['odd scale'], 3)
    chosen = masks[np.array([3, 0])]
    assert len(chosen) == 2
    np.testing.assert_array_equal(chosen.full(0), masks.full(3))


def test_thresholding_in_the_input_is_not_thresholding_in_the_source():
    letterbox = LETTERBOXES['twice the size']
    prototypes, coefficients, boxes = instances()
    info = TensorInfo('p', (1, *prototypes.shape), np.float32)
    native, coarse = (kind.combine(prototypes, info, coefficients, boxes, letterbox)
                      for kind in (PrototypeMasks, InputMasks))
    assert (native.full(0) != coarse.full(0)).any()
