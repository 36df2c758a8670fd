"""Quantized heads against Ultralytics' decoding of the real numbers that they stand for."""

from functools import partial

from agreement import as_outputs, assert_same_instances, assert_same_masks
import numpy as np
from pairs import pair
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('ultralytics')
from upstream_models import random_model  # noqa: E402

from rdk_yolo_ros.decode import make_decoder  # noqa: E402
from rdk_yolo_ros.heads import identify_heads  # noqa: E402
from rdk_yolo_ros.letterbox import Letterbox  # noqa: E402

NAMES = ['yolov8n:detect-80', 'yolo11n-seg:segment-80', 'yolo12n-pose:pose-1',
         'yolo11n-obb:obb-15', 'yolov10n:detect-80', 'yolo26n:detect-80',
         'yolo26n-seg:segment-80', 'yolo26n-pose:pose-1', 'yolo26n-obb:obb-15']
# (type, bits that are used, per channel, power of two)
TYPES = {'int32-channel': ('int32', 24, True, False), 'int16-channel': ('int16', 16, True, False),
         'int8-channel': ('int8', 8, True, False), 'int8-shift': ('int8', 8, False, True),
         'uint8-zero-point': ('uint8', 8, False, False)}


def quantized(real, dtype, bits, per_channel, power_of_two):
    """Return the stored numbers, the scale and the zero point of float32 (channels, h, w)."""
    axes = (1, 2) if per_channel else None
    if dtype == 'uint8':
        low, high = min(real.min(), 0.0), max(real.max(), 0.0)
        scale = np.float32([(high - low) / 255])
        zero_point = np.int32([np.round(-low / scale[0])])
        stored = np.round(real / scale[0]) + zero_point[0]
        return stored.clip(0, 255).astype(dtype), scale, zero_point
    top = 2 ** (bits - 1) - 1
    scale = np.atleast_1d(np.abs(real).max(axis=axes)).astype(np.float32) / top
    if power_of_two:
        scale = np.exp2(np.ceil(np.log2(scale)))
    stored = np.round(real / scale[:, None, None]).clip(-top - 1, top)
    return stored.astype(dtype), scale, None


def real_values(stored, scale, zero_point):
    """Return float32 (channels, h, w): what the stored numbers stand for."""
    zero = 0.0 if zero_point is None else float(zero_point[0])
    return ((stored.astype(np.float64) - zero)
            * scale.astype(np.float64)[:, None, None]).astype(np.float32)


@pytest.fixture(autouse=True)
def _equal_scores_keep_their_order(monkeypatch):
    """
    Let upstream's NMS take the earlier anchor point of two with one score first, as ours does.

    Eight bits make many scores equal, and torch's sort leaves their order open.
    """
    argsort = torch.argsort
    monkeypatch.setattr(torch, 'argsort', partial(argsort, stable=True))
    monkeypatch.setattr(torch.Tensor, 'argsort',
                        lambda self, dim=-1, descending=False: argsort(
                            self, dim=dim, descending=descending, stable=True))


@pytest.mark.parametrize('kind', TYPES)
@pytest.mark.parametrize('name', NAMES)
def test_integers_decode_as_the_numbers_they_stand_for(name, kind):
    chosen = pair(name)
    model = random_model(chosen, (320, 320))
    stored, real, scales = {}, {}, {}
    for place, values in model.raw.items():
        stored[place], *scales[place] = quantized(values, *TYPES[kind])
        real[place] = real_values(stored[place], *scales[place])
    # ESP-DL, whose scales are powers of two, exports NCHW.
    infos, arrays = as_outputs(stored, kind != 'int8-shift', quantization=scales)
    rows = model.rows(real)
    assert 5 <= len(rows) <= 300
    ours = make_decoder(identify_heads(infos, (320, 320), **chosen.hints))(
        arrays, Letterbox.identity((320, 320)))
    partner = assert_same_instances(ours, rows, chosen, (320, 320))
    if chosen.task == 'segment':
        assert_same_masks(ours.masks, partner, model.masks(rows, real))
