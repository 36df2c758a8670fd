"""Model files that were damaged on their way: opened by ONNX Runtime and run once, or refused."""

from __future__ import annotations

import atexit
from pathlib import Path
import shutil
import sys
import tempfile

from hypothesis import strategies as st
from mutations import mutated
from target import Target

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.runtimes import open_runtime

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'unit'))
import onnx_models  # noqa: E402

_FOLDER = Path(tempfile.mkdtemp(prefix='fuzz_onnx_files_'))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_MODEL = _FOLDER / 'model.onnx'


def _models() -> list[bytes]:
    metadata = {'names': "{0: 'red', 1: 'green', 2: 'blue'}", 'imgsz': '[64, 64]',
                'task': 'detect', 'nv12_range': 'limited'}
    return [onnx_models.colour_detector(_MODEL, metadata=metadata).read_bytes(),
            onnx_models.colour_detector(_MODEL, quantized=True).read_bytes(),
            onnx_models.echo(_MODEL).read_bytes()]


_FILES = _models()


def _run(data: bytes) -> None:
    _MODEL.write_bytes(data)
    runtime = open_runtime(_MODEL)
    try:
        identify_heads(runtime.outputs, runtime.input_hw)
    finally:
        runtime.close()


TARGET = Target(st.one_of(mutated(_FILES, most=2), mutated(_FILES), st.binary(max_size=60)), _run,
                (ModelError,), limit=20.0)
