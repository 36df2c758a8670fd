"""The soak's figures from records of known growth, and the record that a broken-off run leaves."""

from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('cv2')

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from benchmarks.soak.figures import figures, theil_sen  # noqa: E402
from benchmarks.soak.page import page  # noqa: E402
from benchmarks.soak.plot import draw  # noqa: E402
from benchmarks.soak.readings import Reading, read  # noqa: E402
from benchmarks.soak.record import NODES, Minute, Recorder, Sample, read_record  # noqa: E402

FACTS = {'machine': '2-core test', 'task': 'detect', 'width': 1920, 'height': 1080, 'rate': 30.0,
         'minutes': 60.0}


def samples(seconds=3600, grows_mb=0.0, threads=20, more_threads=0, descriptors=19):
    """Return a look a second at two processes; `grows_mb` an hour, with frames on their way."""
    rng = np.random.default_rng(0)
    result = []
    for at in range(seconds):
        mb = 230 + grows_mb * at / 3600 + 3.1 * (rng.random() < 0.2) + 0.02 * rng.random()
        shared = 16.0 + 6.2 * (at > 0.5 * seconds)  # an image lands on pages that are new
        late = at > 0.8 * seconds
        yolo = Reading(round((mb + shared) * 1e6), round(shared * 1e6), round(mb * 0.6e6),
                       threads + more_threads * late, descriptors, at * 0.75)
        source = Reading(320_000_000, 17_000_000, 200_000_000, 20, 19, at * 0.25)
        result.append(Sample(float(at), {'source': source, 'yolo': yolo}))
    return result


def minutes(count=60, latency=lambda i: 18.0, failed=0, lost=0):
    return [Minute((i + 1) * 60.0, 60.0, 1790, latency(i), 2 * latency(i), 3 * latency(i), 140.0,
                   120.0, 1800, 10, failed, lost) for i in range(count)]


def test_the_slope_is_the_line_s_whatever_a_quarter_of_the_points_does():
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 200)
    y = 5 + 0.7 * x
    y[rng.permutation(200)[:50]] += 100
    assert theil_sen(x, y) == pytest.approx(0.7, abs=0.1)
    assert theil_sen(x, 5 + 0.7 * x) == pytest.approx(0.7)


@pytest.mark.parametrize('seconds', [600, 3600])
@pytest.mark.parametrize(('grows_mb', 'misses'), [(0.0, False), (0.8, False), (1.3, True),
                                                  (30.0, True), (-2.0, False)])
def test_growth_past_the_bar_is_a_miss_and_is_told_as_it_is(seconds, grows_mb, misses):
    found = figures(samples(seconds, grows_mb), minutes(seconds // 60))
    yolo = next(one for one in found.nodes if one.node == 'yolo')
    assert yolo.slope == pytest.approx(grows_mb, abs=0.15)
    assert yolo.cpus == pytest.approx(0.75)
    assert bool(found.missed) == misses, found.missed
    assert all('yolo' in text and 'MB an hour' in text for text in found.missed)


def test_what_the_warm_up_allocates_is_left_out():
    record = samples()
    warm = [Sample(one.at_s, {**one.readings, 'yolo': Reading(
        int(100e6 + 0.2e6 * one.at_s), 0, 0, 20, 19, one.at_s * 0.75)}) for one in record[:600]]
    assert figures(warm + record[600:], minutes()).missed == []


@pytest.mark.parametrize(('latency', 'misses'), [
    (lambda i: 18.0 + 0.02 * i, False), (lambda i: 18.0 + 0.2 * i, True),
    (lambda i: 18.0 if i != 40 else 200.0, False), (lambda i: 30.0 - 0.2 * i, False)])
def test_latency_that_grows_is_a_miss(latency, misses):
    found = figures(samples(), minutes(latency=latency))
    assert any('latency' in text for text in found.missed) == misses


@pytest.mark.parametrize(('change', 'told'), [
    ({'more_threads': 1}, 'yolo: threads from 20 to 21'),
    ({'failed': 1}, '50 images failed'),
    ({'lost': 20}, '1000 of 91000 images lost')])
def test_threads_and_failures_are_misses(change, told):
    counts = {name: change.pop(name, 0) for name in ('failed', 'lost')}
    found = figures(samples(**change), minutes(**counts))
    assert found.missed == [told]


def test_too_short_a_run_says_so():
    with pytest.raises(ValueError, match='too few'):
        figures(samples(5), minutes(1))
    with pytest.raises(ValueError, match='too few'):
        figures([], [])


def test_a_record_comes_back_and_a_line_that_was_cut_short_is_left_out(tmp_path):
    recorder = Recorder(tmp_path, FACTS)
    for sample in samples(30):
        recorder.add_sample(sample)
    for minute in minutes(2):
        recorder.add_minute(minute)
    # Nobody has closed anything: what a kill leaves is what is there now.
    with open(tmp_path / 'samples.csv', 'a', encoding='utf-8') as file:
        file.write('30.0,3200')
    looks, minute_lines, facts = read_record(tmp_path)
    assert looks == samples(30)
    assert minute_lines == minutes(2)
    assert facts == FACTS


def test_a_second_run_s_record_replaces_the_first(tmp_path):
    for count in (9, 3):
        recorder = Recorder(tmp_path, FACTS)
        for sample in samples(count):
            recorder.add_sample(sample)
    assert len(read_record(tmp_path)[0]) == 3


def test_page_and_picture_have_the_figures(tmp_path):
    import cv2
    found = figures(samples(grows_mb=1.5), minutes())
    text = page(found, FACTS, 'interrupted')
    assert '2-core test' in text
    assert 'broken off: interrupted' in text
    assert 'MISSED: yolo: +1.' in text
    draw(samples(grows_mb=1.5), minutes(), found, tmp_path / 'images' / 'soak.png')
    assert cv2.imread(str(tmp_path / 'images' / 'soak.png')).shape == (990, 1100, 3)


def test_a_process_is_read_as_it_is(tmp_path):
    more = "held = b'x' * 50_000_000; files = [open('/dev/null') for _ in range(30)]; "
    wait = "print('ready', flush=True); input()"
    before = None
    for argument in (wait, more + wait):
        with subprocess.Popen([sys.executable, '-c', argument], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == 'ready\n'
            reading = read(process.pid)
            process.communicate('\n', timeout=30)
        if before is None:
            before = reading
    assert reading.heap - before.heap == pytest.approx(50e6, rel=0.02)
    assert reading.resident - before.resident == pytest.approx(50e6, rel=0.05)
    assert reading.descriptors - before.descriptors == 30
    assert reading.threads == 1
    with pytest.raises(OSError, match='No such'):
        read(process.pid)


def test_the_record_s_nodes_are_those_that_run():
    assert NODES == ('source', 'yolo')
