"""Ultralytics' whole exports: tables of decoded boxes, and the classes of an image."""

from agreement import (
    PROTOTYPES,
    SCORE,
    as_outputs,
    assert_same_instances,
    assert_same_masks,
    table_info,
)
import numpy as np
from pairs import CLASSIFIERS, PAIRS
import pytest

pytest.importorskip('torch')
pytest.importorskip('ultralytics')
from upstream_models import classifier, random_model  # noqa: E402

from rdk_yolo_ros.decode import DecodeOptions, make_decoder  # noqa: E402
from rdk_yolo_ros.heads import identify_heads  # noqa: E402
from rdk_yolo_ros.letterbox import Letterbox  # noqa: E402

# A table does not say how wide its parts are: the task does, and for pose the key points' shape.
CASES = [pytest.param(p, p.sizes[i % 2], i % 4 == 3, id=f'{p}-{"x".join(map(str, p.sizes[i % 2]))}'
                      + ('-rows-first' if i % 4 == 3 else ''))
         for i, p in enumerate(p for p in PAIRS if len(p.sizes) > 1)]


@pytest.mark.parametrize(('pair', 'input_hw', 'rows_first'), CASES)
def test_the_same_instances_as_upstream(pair, input_hw, rows_first):
    model = random_model(pair, input_hw)
    table = model.table().numpy()
    if rows_first and not pair.one_to_one:
        table = np.ascontiguousarray(table.transpose(0, 2, 1))
    arrays, infos = [table], [table_info(table)]
    if pair.task == 'segment':
        more, prototypes = as_outputs({PROTOTYPES: model.raw[PROTOTYPES]}, channels_last=False)
        infos, arrays = infos + more, arrays + prototypes
    hints = {key: value for key, value in pair.hints.items() if key != 'nms'}
    if pair.task != 'segment':
        hints['task'] = pair.task
    if pair.task == 'pose':
        hints['num_keypoints'], hints['keypoint_dims'] = pair.kpt_shape
    layout = identify_heads(infos, input_hw, class_num=pair.class_num, **hints)
    form = 'end_to_end' if pair.one_to_one else 'dense'
    assert (layout.task, layout.class_num, layout.table.form) == (pair.task, pair.class_num, form)
    ours = make_decoder(layout)(arrays, Letterbox.identity(input_hw))
    rows = model.rows()
    partner = assert_same_instances(ours, rows, pair, input_hw)
    if pair.task == 'segment':
        assert_same_masks(ours.masks, partner, model.masks(rows))


@pytest.mark.parametrize('form', ['logits', 'probabilities', 'board'])
@pytest.mark.parametrize(('pair', 'input_hw'), [
    pytest.param(p, hw, id=f'{p}-{hw[0]}x{hw[1]}') for p in CLASSIFIERS for hw in p.sizes])
def test_the_same_classes_as_upstream(pair, input_hw, form):
    logits, probabilities = classifier(pair, input_hw)
    table = (probabilities if form == 'probabilities' else logits)[None]
    if form == 'board':
        table = table[:, :, None, None]
    layout = identify_heads([table_info(table)], input_hw, task='classify')
    assert (layout.task, layout.class_num) == ('classify', pair.class_num)
    ours = make_decoder(layout, DecodeOptions(top_k=5))([table], Letterbox.identity(input_hw))
    best = np.argsort(-probabilities)[:5]  # upstream's top5
    assert ours.class_ids.tolist() == best.tolist()
    np.testing.assert_allclose(ours.scores, probabilities[best], rtol=0, atol=SCORE)
    assert ours.scores[0] > 1.2 * ours.scores[-1]
