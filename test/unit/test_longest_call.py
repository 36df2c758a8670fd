"""How long a call may take at most: a runtime gives up before whoever waits for it does."""

import threading
import time

from bpu_stand_ins import STAND_INS, installed, stand_in_model, wait_until
import libdnn_cases
import numpy as np
import pytest
from stand_ins.libdnn import write_recorded_model

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.pipeline import Pipeline
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.runtimes.onnx import OnnxRuntime
from rdk_yolo_ros.work_config import WorkConfig

HW = (64, 96)
TIMEOUT = 0.4


@pytest.fixture(params=['libdnn', 'pyeasy_dnn', 'hbm'])
def hanging(request, tmp_path, monkeypatch):
    """Return a function that opens a Predictor, all of whose inferences hang."""
    name, path = request.param, tmp_path / 'model.bin'
    scores = np.linspace(0, 1, 10, dtype=np.float32)[None]

    def opened(slots):
        config = WorkConfig.from_mapping({'model_file': str(path), 'task': 'classify'})
        predictor = Predictor.from_config(config, name, slots=slots, inference_timeout=TIMEOUT)
        if name == 'libdnn':
            control.fail('hang', count=-1)
        else:
            stand_in_model.steer(path, 'forward', *['hang'] * 100)
        return predictor

    if name == 'libdnn':
        with libdnn_cases.stand_in_in_use(monkeypatch) as control:
            write_recorded_model(path, [('class', scores, None, None)], HW, 0.0, 2)
            yield opened
    else:
        stand_in_model.write_recorded_model(path, [('class', scores)], HW, 0.0)
        with installed(STAND_INS):
            yield opened


def test_whoever_waits_hears_from_the_runtime_itself(hanging):
    errors = []
    with hanging(slots=1) as predictor:
        assert predictor.give_up_after > predictor.runtime.longest_call > TIMEOUT
        pipeline = Pipeline(predictor, 1, on_error=lambda _, error: errors.append(str(error)),
                            timeout=predictor.give_up_after)
        for count in (1, 2):
            pipeline.submit(np.zeros((*HW, 3), np.uint8))
            assert wait_until(lambda n=count: len(errors) == n, 20)
        assert pipeline.stats.timed_out == pipeline.hung == 0
        assert pipeline.close(5)
    assert all('model.bin: ' in error and f'{TIMEOUT:g} s' in error for error in errors)


def test_no_call_takes_longer_than_the_longest(hanging):
    took, frame = [], np.zeros((*HW, 3), np.uint8)

    def call(predictor):
        start = time.monotonic()
        with pytest.raises(ModelError):
            predictor(frame)
        took.append(time.monotonic() - start)

    with hanging(slots=4) as predictor:
        longest = predictor.runtime.longest_call
        threads = [threading.Thread(target=call, args=(predictor,), daemon=True)
                   for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(took) == 12
    assert max(took) < longest + 1.0
    assert max(took) > TIMEOUT


def test_nothing_bounds_an_inference_on_the_processor():
    assert OnnxRuntime.longest_call is None
