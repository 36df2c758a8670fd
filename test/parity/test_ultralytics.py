"""Our decoding against Ultralytics' own post-processing of the same raw head tensors."""

from head_tensors import SEED_ORDERS, SEED_TASKS, STRIDES, as_outputs, planted_heads
import numpy as np
import pytest

torch = pytest.importorskip('torch')
heads_module = pytest.importorskip('ultralytics.nn.modules.head')
from ultralytics.utils import nms, ops  # noqa: E402

from rdk_yolo_ros.decode import make_decoder  # noqa: E402
from rdk_yolo_ros.heads import identify_heads  # noqa: E402
from rdk_yolo_ros.letterbox import Letterbox  # noqa: E402


def upstream(heads, task, class_num, input_hw):
    """Return upstream's rows (x1 y1 x2 y2 score class extra) and, for segment, its masks."""
    def flat(role):
        return torch.cat([torch.from_numpy(np.ascontiguousarray(
            heads[role, s].transpose(2, 0, 1))).flatten(1) for s in STRIDES], 1)[None]

    kind = heads_module.Pose if task == 'pose' else heads_module.Detect
    head = kind(nc=class_num, ch=(8, 8, 8)).eval()
    head.stride = torch.tensor([float(s) for s in STRIDES])
    raw = {'boxes': flat('box'), 'scores': flat('class'),
           'feats': [torch.zeros(1, 1, input_hw[0] // s, input_hw[1] // s) for s in STRIDES]}
    if task == 'pose':
        raw['kpts'] = flat('keypoints')
    with torch.no_grad():
        decoded = head._inference(raw)
        if task == 'segment':
            decoded = torch.cat([decoded, flat('coefficients')], 1)
        rows = nms.non_max_suppression(decoded, 0.25, 0.7, nc=class_num, max_time_img=60)[0]
        masks = None
        if task == 'segment':
            prototypes = torch.from_numpy(np.ascontiguousarray(
                heads['prototypes', 4].transpose(2, 0, 1)))
            masks = ops.process_mask(prototypes, rows[:, 6:], rows[:, :4], input_hw,
                                     upsample=True).numpy().astype(bool)
    return rows.numpy(), masks


@pytest.mark.parametrize('input_hw', [(640, 640), (384, 640)], ids=['640x640', '384x640'])
@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('name', SEED_ORDERS)
def test_the_same_instances_as_upstream(name, seed, input_hw):
    task = SEED_TASKS[name]
    class_num = 1 if task == 'pose' else 80
    rng = np.random.default_rng(seed)
    heads = planted_heads(rng, task, input_hw, class_num, objects=30)
    infos, arrays = as_outputs(heads, SEED_ORDERS[name])
    layout = identify_heads(infos, input_hw)
    ours = make_decoder(layout)(arrays, Letterbox.identity(input_hw))
    rows, masks = upstream(heads, task, class_num, input_hw)

    assert len(ours) == len(rows) > 10
    boxes = rows[:, :4].clip(0, [input_hw[1], input_hw[0]] * 2)
    np.testing.assert_allclose(ours.boxes, boxes, atol=0.01)
    np.testing.assert_allclose(ours.scores, rows[:, 4], atol=1e-5)
    assert ours.class_ids.tolist() == rows[:, 5].astype(int).tolist()
    if task == 'pose':
        points = rows[:, 6:].reshape(len(rows), -1, 3)
        np.testing.assert_allclose(ours.keypoints[..., :2], points[..., :2], atol=0.01)
        np.testing.assert_allclose(ours.keypoints[..., 2], points[..., 2], atol=1e-5)
    if task == 'segment':
        compared = 0
        for i, theirs in enumerate(masks):
            mine = ours.masks.full(i)
            if theirs.any():
                compared += 1
                assert (mine & theirs).sum() / (mine | theirs).sum() > 0.999
        assert compared > 10
