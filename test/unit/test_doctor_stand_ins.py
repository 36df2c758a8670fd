"""The doctor on a board that is a stand-in: a file tree, and the vendor's libraries' stand-ins."""

import json
import os
from pathlib import Path

from bpu_stand_ins import STAND_INS, stand_in_model
from doctor_process import examined, findings_of, report_of
import pytest
from sysfs_trees import X5, write_tree

from rdk_yolo_ros.cli.checks.finding import OK, PROBLEM, WARNING

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def board(tmp_path):
    """Return the doctor's arguments and environment on an X5, and a model compiled for it."""
    pytest.importorskip('onnxruntime')
    root = write_tree(tmp_path / 'root', X5)
    model = tmp_path / 'demo_pose.bin'
    stand_in_model.write_network_model(model, ROOT / 'models' / 'demo_pose_int32.onnx')
    path = os.pathsep.join(filter(None, [str(ROOT), str(STAND_INS), os.environ.get('PYTHONPATH')]))
    return model, [model, '--root', root, '--seconds', '0.1', '--json'], {'PYTHONPATH': path}


def test_a_board_where_all_is_well(board):
    model, arguments, environment = board
    done = examined(*arguments, **environment)
    report = report_of(done)
    assert done.returncode == 0, done.stdout
    usable = {finding['details']['runtime'] for finding in findings_of(report, 'runtime')
              if finding['status'] == OK}
    assert {'hbm', 'pyeasy_dnn'} <= usable
    golden = findings_of(report, 'golden frame')
    assert [finding['status'] for finding in golden] == [OK] * 3
    assert 'as demo_pose.onnx found on a PC, within what 8 bits allow' in golden[0]['summary']
    assert golden[2]['summary'] == 'pyeasy_dnn and hbm find the same'
    speed = findings_of(report, 'speed')
    assert [len(finding['details']['measurements']) for finding in speed] == [4, 1]
    heads, = findings_of(report, 'heads')
    assert heads['details']['task'] == 'pose'
    # The made-up board's CPU saves power.
    assert [finding['check'] for finding in report['findings']
            if finding['status'] == WARNING] == ['cpu clock']


def test_a_library_that_crashes_is_reported_and_the_other_one_checked(board):
    model, arguments, environment = board
    # The first to load it is hbm; its worker dies while it loads.
    stand_in_model.steer(model, 'load', 'crash')
    done = examined(*arguments, **environment)
    assert done.returncode == 1
    report = report_of(done)
    problems = [finding for finding in findings_of(report, 'model')
                if finding['status'] == PROBLEM]
    assert len(problems) == 1
    assert problems[0]['summary'].startswith('hbm: ')
    golden = findings_of(report, 'golden frame')
    assert [finding['status'] for finding in golden] == [OK]
    assert golden[0]['summary'].startswith('pyeasy_dnn: 4 object(s)')
    assert json.dumps(report).count('Traceback') == 0
