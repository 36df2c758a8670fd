"""rdk-yolo doctor as a real process, and what it makes of runtimes that fail."""

import getpass
import json
from pathlib import Path
import platform
import re
import time

from doctor_process import examined, findings_of, report_of
import onnx_models
import pytest
from sysfs_trees import X5, write_tree

from rdk_yolo_ros.cli import doctor
from rdk_yolo_ros.cli.checks import runtimes
from rdk_yolo_ros.cli.checks.board import read_board
from rdk_yolo_ros.cli.checks.child import ChildReport
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, PROBLEM, STATUSES, WARNING
from rdk_yolo_ros.cli.checks.runtimes import Trial, check_model, check_runtimes, check_speed
from rdk_yolo_ros.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


needs_onnxruntime = pytest.mark.usefixtures('onnxruntime')


@pytest.fixture(name='onnxruntime')
def onnxruntime_fixture():
    return pytest.importorskip('onnxruntime')


@needs_onnxruntime
def test_this_machine_as_text(monkeypatch):
    done = examined(HOME='/home/some-body')
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith('rdk-yolo doctor ')
    for start in ('ok      system: ', 'ok      python: Python ',
                  'ok      runtime: onnx: can be used',
                  'ok      model: demo_pose.onnx, ', 'ok      heads: pose, recognised on onnx',
                  'ok      golden frame: onnx: 4 object(s), as demo_pose.onnx found on a PC',
                  'ok      speed: onnx: ', 'verdict: no problem found'):
        assert any(line.startswith(start) for line in lines), (start, done.stdout)
    for slots in (1, 2, 3, 4):
        assert re.search(rf'^ +{slots} slot\(s\): [\d.]+ ms \(p95 [\d.]+\), [\d.]+ frames/s',
                         done.stdout, re.MULTILINE)
    # A PC lacks the BPU's runtimes, which is no fault.
    assert re.search(r'^- +runtime: libdnn: ', done.stdout, re.MULTILINE)
    for private in (platform.node(), '/home/', '/root', str(Path.home())):
        assert not private or private in ('localhost', '/') or private not in done.stdout
    user = getpass.getuser()
    assert user == 'root' or not re.search(rf'\b{re.escape(user)}\b', done.stdout)
    assert not re.search(r'\b(?:10|127|192|172)\.\d+\.\d+\.\d+\b', done.stdout)


@needs_onnxruntime
def test_a_model_as_json(tmp_path):
    path = onnx_models.colour_detector(tmp_path / 'colours.onnx', (64, 128),
                                       metadata={'names': "['red', 'green', 'blue']"})
    done = examined(path, '--json')
    assert (done.returncode, done.stderr) == (0, '')
    report = report_of(done)
    assert set(report) == {'rdk_yolo_doctor', 'time', 'seconds', 'verdict', 'findings'}
    assert {finding['status'] for finding in report['findings']} <= set(STATUSES)
    heads, = findings_of(report, 'heads')
    assert heads['details']['task'] == 'detect'
    speed, = findings_of(report, 'speed')
    assert [one['slots'] for one in speed['details']['measurements']] == [1, 2, 3, 4]
    assert all(one['fps'] > 0 and one['failed'] == 0 for one in speed['details']['measurements'])
    golden, = findings_of(report, 'golden frame')
    assert golden['status'] == NOT_APPLICABLE
    assert '--record FILE' in golden['advice']


@needs_onnxruntime
def test_a_golden_result_that_does_not_fit_is_a_problem(tmp_path):
    shipped = json.loads((ROOT / 'config/golden/demo_detect.json').read_text())
    shipped['instances'][0]['box'] = [0.0, 0.0, 30.0, 30.0]
    (tmp_path / 'g.json').write_text(json.dumps(shipped))
    done = examined(ROOT / 'models/demo_detect.onnx', '--golden', tmp_path / 'g.json', '--json')
    assert done.returncode == 1
    report = report_of(done)
    golden, = findings_of(report, 'golden frame')
    assert golden['status'] == PROBLEM
    assert any('is missing' in line for line in golden['lines'])
    assert report['verdict']['problems'] == 1
    assert any('nv12_range' in advice for advice in report['verdict']['to_do'])


@needs_onnxruntime
def test_a_broken_model_is_a_problem_and_the_rest_is_checked(tmp_path):
    (tmp_path / 'broken.onnx').write_bytes(b'rubbish')
    done = examined(tmp_path / 'broken.onnx', '--json')
    assert done.returncode == 1
    report = report_of(done)
    assert any(finding['status'] == PROBLEM and 'broken.onnx' in finding['summary']
               for finding in findings_of(report, 'model'))
    assert findings_of(report, 'system')
    assert str(tmp_path) not in done.stdout or not str(tmp_path).startswith('/home')


def test_a_board_without_its_runtimes_is_told_what_to_install(tmp_path):
    root = write_tree(tmp_path, {**X5, 'opt/hobot/model/x5/basic/yolov8_640x640_nv12.bin': 'm'})
    (tmp_path / 'x.bin').write_bytes(b'model')
    done = examined(tmp_path / 'x.bin', '--root', root, '--json')
    assert done.returncode == 1
    report = report_of(done)
    assert any('sudo apt install hobot-dnn hobot-spdev' in advice
               for advice in report['verdict']['to_do'])
    assert any('no runtime that can be used here takes .bin' in finding['summary']
               for finding in findings_of(report, 'model'))
    board, = findings_of(report, 'board')
    assert 'RDK X5' in board['summary']


@pytest.mark.parametrize(('arguments', 'code', 'says'), [
    (['none.onnx'], 1, 'there is no such model file'),
    (['--golden', 'none.json'], 1, 'is no recorded result'),
    (['--seconds', '0'], 2, 'at most 60'),
    (['--limit', '1'], 2, 'not from 5 to 600')])
def test_a_faulty_command_line(arguments, code, says, capsys):
    try:
        found = main(['doctor', *arguments])
    except SystemExit as end:
        found = end.code
    assert found == code
    assert says in capsys.readouterr().err


# The findings on runtimes, from what their processes report


def children(monkeypatch, *reports):
    """Answer each start of a child process with the next report; returns the tasks."""
    tasks = []
    answers = iter(reports)

    def run_child(module, arguments, mark, limit, environment=None):
        tasks.append(json.loads(arguments[0]))
        return next(answers)

    monkeypatch.setattr(runtimes, 'run_child', run_child)
    return tasks


def looked(**missing):
    return tuple({'event': 'runtime', 'runtime': name, 'missing': reason}
                 for name, reason in missing.items())


def test_a_runtime_that_crashes_when_looked_for(monkeypatch, tmp_path):
    tasks = children(
        monkeypatch,
        ChildReport(looked(onnx=None), 'it crashed (SIGSEGV)', ('Illegal instruction',)),
        ChildReport((*looked(hbm='not here', pyeasy_dnn=None), {'event': 'end'}), '', ()))
    trial = Trial([], {})
    findings = list(check_runtimes(read_board(tmp_path), trial))
    assert [task['runtimes'] for task in tasks] == [
        ['onnx', 'libdnn', 'hbm', 'pyeasy_dnn'], ['hbm', 'pyeasy_dnn']]
    assert trial.usable == ['onnx', 'pyeasy_dnn']
    assert [finding.status for finding in findings] == [OK, PROBLEM, NOT_APPLICABLE, OK]
    assert 'libdnn: looking for it failed: it crashed (SIGSEGV)' in findings[1].summary


def test_a_machine_without_any_runtime(monkeypatch, tmp_path):
    reasons = dict.fromkeys(('onnx', 'libdnn', 'hbm', 'pyeasy_dnn'), 'not here')
    children(monkeypatch, ChildReport((*looked(**reasons), {'event': 'end'}), '', ()))
    *_, last = check_runtimes(read_board(tmp_path), Trial([], {}))
    assert (last.status, last.advice) == (PROBLEM, 'pip install onnxruntime')


def test_a_board_with_only_the_cpus_runtime(monkeypatch, tmp_path):
    reasons = {'onnx': None, **dict.fromkeys(('libdnn', 'hbm', 'pyeasy_dnn'), 'not here')}
    children(monkeypatch, ChildReport((*looked(**reasons), {'event': 'end'}), '', ()))
    *_, last = check_runtimes(read_board(write_tree(tmp_path, X5)), Trial([], {}))
    assert last.status == PROBLEM
    assert 'hobot-spdev' in last.advice


OPENED = {'event': 'opened', 'seconds': 0.5, 'describe': 'm on libdnn\n  [0] box', 'slots': 4,
          'input_hw': [640, 640]}


@pytest.mark.parametrize(('steps', 'fate', 'where'), [
    ((), 'it crashed (SIGSEGV)', 'opening the model: it crashed'),
    ((OPENED,), 'it had not ended after 9 s and was stopped', 'recognising the heads: it had'),
    ((OPENED, {'event': 'heads', 'task': 'pose', 'rows': [['task', 'pose'], ['nms', 'yes']]}),
     'it had not ended after 9 s and was stopped', 'inferring the first frame: it had')])
def test_where_a_model_was_when_it_failed(tmp_path, steps, fate, where):
    (tmp_path / 'm.bin').write_bytes(b'model')
    findings = list(check_model(tmp_path / 'm.bin', Trial(['libdnn'], {
        'libdnn': ChildReport(steps, fate, ('[BPU] lost',))})))
    assert findings[-1].status == PROBLEM
    assert where in findings[-1].summary
    assert findings[-1].lines == ('[BPU] lost',)
    assert 'X5 bayes-e' in findings[-1].advice
    assert sum('opened in 0.50 s' in finding.summary for finding in findings) == bool(steps)


def test_every_runtime_that_takes_the_file_is_tried(monkeypatch):
    done = ChildReport(({'event': 'end'},), '', ())
    tasks = children(monkeypatch, done, done)
    trial = Trial(['onnx', 'libdnn', 'pyeasy_dnn'], {})
    runtimes.try_model('m.bin', '.bin', trial, (1, 2), 0.5, {'score_threshold': 0.4}, 30.0)
    assert list(trial.reports) == ['libdnn', 'pyeasy_dnn']
    # The one that auto chooses is measured on every number of slots.
    assert [task['slots'] for task in tasks] == [[1, 2], [2]]
    assert tasks[0]['score_threshold'] == 0.4


def test_frames_that_fail_are_a_problem():
    speed = {'event': 'speed', 'slots': 2, 'fps': 100.0, 'latency_ms': {'mean': 15.0, 'p95': 20.0},
             'cpus': None, 'bpu_use': 97.0, 'failed': 0, 'error': ''}
    report = ChildReport((speed,), '', ())
    finding, = check_speed(Trial(['hbm'], {'hbm': report}))
    assert finding.status == OK
    assert finding.lines == ('2 slot(s): 15.0 ms (p95 20.0), 100.0 frames/s, BPU 97 %',)
    report = ChildReport(({**speed, 'failed': 3, 'error': 'given up'},), '', ())
    finding, = check_speed(Trial(['hbm'], {'hbm': report}))
    assert finding.status == PROBLEM
    assert '3 frame(s) failed: given up' in finding.summary


# The whole, without processes


def arguments(tmp_path, **changes):
    parser = doctor.argparse.ArgumentParser()
    doctor.add_command(parser.add_subparsers())
    parsed = parser.parse_args(['doctor', '--no-topics', '--root', str(tmp_path)])
    for name, value in changes.items():
        setattr(parsed, name, value)
    return parsed


def test_what_is_not_reached_in_time_is_said_not_to_be_checked(monkeypatch, tmp_path):
    examination = doctor.Doctor(arguments(tmp_path))
    examination._end = time.monotonic()
    findings = examination.examine()
    assert {finding.status for finding in findings} == {WARNING}
    assert all('not checked' in finding.summary for finding in findings)


def test_a_board_is_told_to_try_a_model_for_its_bpu(monkeypatch, tmp_path):
    root = write_tree(tmp_path, {**X5, 'opt/hobot/model/x5/basic/yolov8_640x640_nv12.bin': 'm'})
    examination = doctor.Doctor(arguments(root))
    finding, = examination._given_model(read_board(root), None)
    assert finding.status == WARNING
    assert finding.advice == (
        'rdk-yolo doctor /opt/hobot/model/x5/basic/yolov8_640x640_nv12.bin')
    assert examination._given_model(read_board(tmp_path / 'none'), None) == []
