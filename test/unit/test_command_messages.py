"""What a newcomer does wrong on the command line, and is told in one line."""

import json
import os
from pathlib import Path
import subprocess
import sys

import onnx_models
import pytest

from rdk_yolo_ros.cli import bench
from rdk_yolo_ros.cli.main import main
from rdk_yolo_ros.errors import FrameError, ModelError, WorkConfigError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.runtimes import open_runtime
from rdk_yolo_ros.work_config import WorkConfig

ROOT = Path(__file__).resolve().parents[2]


def test_a_report_that_cannot_be_written_is_said_before_anything_is_measured(
        tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, 'measure_all', lambda *_: pytest.fail('measured first'))
    model = onnx_models.colour_detector(tmp_path / 'm.onnx')
    for path in (tmp_path / 'nowhere' / 'x.html', tmp_path):
        assert main(['bench', str(model), '--html', str(path)]) == 1
        said = capsys.readouterr().err
        assert said.count('\n') == 1
        assert f'--html {path} cannot be written' in said


def test_inspect_of_a_work_configuration_names_its_model(tmp_path, capsys):
    model = onnx_models.colour_detector(tmp_path / 'm.onnx')
    (tmp_path / 'm.json').write_text(json.dumps({'model_file': str(model)}))
    assert main(['inspect', str(tmp_path / 'm.json')]) == 1
    assert f'is a work configuration, expected a model: rdk-yolo inspect {model}' \
        in capsys.readouterr().err


def test_a_model_in_place_of_a_work_configuration_is_recognised(tmp_path):
    model = onnx_models.colour_detector(tmp_path / 'm.onnx')
    with pytest.raises(WorkConfigError, match='m.onnx is a model, expected a work configuration'):
        WorkConfig.load(model)


@pytest.mark.parametrize('name', ['libdnn', 'hbm', 'pyeasy_dnn'])
def test_an_onnx_model_on_a_bpu_runtime_is_told_which_files_that_takes(tmp_path, name):
    model = onnx_models.colour_detector(tmp_path / 'm.onnx')
    with pytest.raises(ModelError, match=rf'runtime {name} takes .*\.bin.* files, not \.onnx'):
        open_runtime(model, name)


def test_without_opencv_the_command_says_what_to_install(tmp_path):
    (tmp_path / 'cv2.py').write_text('raise ModuleNotFoundError("No module", name="cv2")')
    done = subprocess.run(
        [sys.executable, '-m', 'rdk_yolo_ros.cli', 'doctor'], capture_output=True, text=True,
        timeout=60, cwd=ROOT, env={**os.environ, 'PYTHONPATH': os.pathsep.join(
            [str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH', '')])})
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert 'Python package cv2 is missing' in done.stderr
    assert 'rdk_yolo_ros[pc]' in done.stderr


def test_bytes_in_a_message_are_marked_as_hexadecimal():
    """So that complaints that differ by them count as one kind."""
    class Message:
        encoding, height, width, step, data = 'jpeg', 4, 4, 0, b'\xb8\xdf' * 20
    with pytest.raises(FrameError, match='begins with 0xb8df, expected 0xffd8'):
        Frame.from_image(Message())
