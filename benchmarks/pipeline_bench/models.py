"""The stand-ins' model: a pose model's nine outputs with people in them, and how to run it."""

from __future__ import annotations

import json
import os
from pathlib import Path
import sys

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# The stand-ins and the planted heads are the tests' own.
_TEST_PATHS = [str(ROOT / 'test'), str(ROOT / 'test' / 'unit')]
sys.path[:0] = [path for path in _TEST_PATHS if path not in sys.path]
# Where hobot_dnn is found: for the node alone, as this process is no board.
_STAND_INS = str(ROOT / 'test' / 'stand_ins')

INPUT_HW = (640, 640)
PEOPLE = 5
# YOLO11n-pose on two threads, as the vendor publishes it: 12.5 ms, 159 frames a second.
LATENCY_S, CONCURRENCY = 0.0125, 2
LIMIT_HZ = CONCURRENCY / LATENCY_S
RUNTIMES = ('libdnn', 'pyeasy_dnn')


def write_model(runtime: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """
    Write a runtime's model and its configuration.

    Returns:
        The configuration's path, and the variables for the process that is to use it.

    """
    from head_tensors import SEED_ORDERS, as_outputs, planted_heads
    rng = np.random.default_rng(0)
    heads = planted_heads(rng, 'pose', INPUT_HW, class_num=1, objects=PEOPLE)
    infos, arrays = as_outputs(heads, SEED_ORDERS['yolo11-pose'], quantize=('box',), rng=rng)
    model, config = folder / f'{runtime}.bin', folder / f'{runtime}.json'
    config.write_text(json.dumps({'model_file': model.name, 'runtime': runtime,
                                  'class_names': ['person']}), encoding='utf-8')
    environment = {'PYTHONPATH': os.pathsep.join(
        [str(ROOT), _STAND_INS, *_TEST_PATHS, os.environ.get('PYTHONPATH', '')])}
    if runtime == 'libdnn':
        from stand_ins.libdnn import compile_stand_in, write_recorded_model
        write_recorded_model(model, [(info.name, array, info.scale, None)
                                     for info, array in zip(infos, arrays)],
                             INPUT_HW, LATENCY_S, CONCURRENCY)
        environment['RDK_YOLO_LIBDNN'] = str(compile_stand_in(folder))
    else:
        from stand_ins.stand_in_model import write_recorded_model
        write_recorded_model(model, [
            (info.name, array) if info.scale is None else (info.name, array, info.scale)
            for info, array in zip(infos, arrays)], INPUT_HW, LATENCY_S, CONCURRENCY)
    return config, environment
