"""The decode benchmark compares ways that do the same, and says so where they do not."""

from pathlib import Path
import shutil
import sys

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from reference_decoder import reference_decode  # noqa: E402

from benchmarks.decode_bench import page, plot, table  # noqa: E402
from benchmarks.decode_bench.board import compile_loop  # noqa: E402
from benchmarks.decode_bench.cases import CASES, Frame, Measured, disagreement  # noqa: E402
from benchmarks.decode_bench.frames import make_heads  # noqa: E402


@pytest.fixture(scope='session')
def library(tmp_path_factory):
    if shutil.which('g++') is None:
        pytest.skip('g++ is missing')
    return compile_loop(tmp_path_factory.mktemp('board'))


def made_up(case=CASES[0], objects=10, ours=1.0, plain=5.0, board=2.0, peak=1_000_000):
    """Return figures of one line, seconds of three turns."""
    return Measured(case, objects, objects,
                    {way: np.full(3, seconds) for way, seconds in (
                        ('ours', ours), ('plain', plain), ('board', board))}, peak)


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_the_ways_find_the_same(library, case):
    frame = Frame(case, 30, library)
    results = frame.results()
    assert set(results) == set(frame.ways)
    for parts in results.values():
        assert len(parts[0]) >= 25
        assert not disagreement(parts, results['plain'], case.masks)


@pytest.mark.parametrize('case', [CASES[0], CASES[3]], ids=lambda case: case.name)
def test_the_loop_finds_what_the_slow_reference_finds(library, case):
    frame = Frame(case, 8, library)
    boxes, scores, class_ids = frame.results()['board'][:3]
    heads = make_heads(case.task, case.class_num, case.input_hw, 8)
    levels = [(s, heads['class', s].astype(float), heads['box', s].astype(float),
               heads['keypoints', s].astype(float) if case.task == 'pose' else None)
              for s in (8, 16, 32)]
    expected = reference_decode(levels, 0.25, 0.7)
    assert len(boxes) == len(expected) == 8
    for box, score, class_id, instance in zip(boxes, scores, class_ids, expected):
        np.testing.assert_allclose(box, np.clip(instance['box'], 0, 640), atol=0.01)
        assert score == pytest.approx(instance['score'], abs=1e-5)
        assert class_id == instance['class_id']


def test_a_difference_is_named():
    parts = [np.zeros((2, 4)), np.full(2, 0.5), np.zeros(2, int)]
    moved = [parts[0] + 1, *parts[1:]]
    assert disagreement(moved, parts, masks=False) == 'boxes by up to 1'
    assert disagreement([part[:1] for part in parts], parts, False) == '1 and 2 instances'


def test_a_ratio_over_its_bar_is_a_miss():
    assert made_up().missed == []
    assert made_up(ours=1.5).missed == ['plain']  # 0.3 of plain, with a bar of 0.25
    assert made_up(ours=1.5, objects=50).missed == []  # where it is 0.3
    assert made_up(board=0.5).missed == ['board']
    assert made_up(peak=3_000_000).missed == ['memory']
    assert 'MISSED: board' in table.line(made_up(board=0.5))


def test_the_page_keeps_what_people_wrote(tmp_path):
    path = tmp_path / 'page.md'
    path.write_text(f'before\n{page.BEGIN}\nold\n{page.END}\nafter\n')
    for _ in range(2):
        page.write_page(path, [made_up(ours=1.5)], 'machine')
    text = path.read_text()
    assert text.startswith(f'before\n{page.BEGIN}\n')
    assert text.endswith(f'\n{page.END}\nafter\n')
    assert 'old' not in text
    assert text.count('| detect-80 | 10 |') == 1
    assert '**0.30** (0.25)' in text
    path.write_text('no marks')
    with pytest.raises(SystemExit, match='page.md'):
        page.write_page(path, [], 'machine')


def test_slower_is_higher_in_the_picture(tmp_path):
    path = tmp_path / 'picture.png'
    plot.draw([made_up(objects=n, ours=1e-3, plain=1e-1, board=1e-2) for n in (0, 10)], path)
    picture = cv2.imread(str(path))[70:]  # below the legend
    heights = {way: np.nonzero((picture == colour).all(axis=2))[0].mean()
               for way, (_, colour) in plot.WAYS.items()}
    assert heights['plain'] < heights['board'] < heights['ours']
