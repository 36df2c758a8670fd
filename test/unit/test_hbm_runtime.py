"""HbmRuntime: what it says, what it gives up, and that it leaves nothing."""

import sys
import time

from bpu_stand_ins import (
    HW,
    STAND_INS,
    grey,
    installed,
    is_running,
    some_tensors,
    stand_in_model,
)
import numpy as np
import pytest

from rdk_yolo_ros.errors import InferenceTimeoutError, ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes import RuntimeOptions, missing, open_runtime

pytestmark = pytest.mark.usefixtures('bpu_libraries')


def opened(path, **options):
    return open_runtime(path, 'hbm', options=RuntimeOptions(**options))


def test_it_describes_itself_gives_up_what_hangs_and_leaves_nothing(tmp_path):
    tensors = some_tensors()
    path = stand_in_model.write_recorded_model(tmp_path / 'model.hbm', tensors, HW, 0.0,
                                               tensor_type='SPLIT')
    with opened(path, slots=2, timeout=0.5) as runtime:
        description = runtime.describe()
        assert 'hbm_runtime 1.0.0 in 2 worker' in description
        assert 'data_y U8 (1, 64, 96, 1) strides (6144, 96, 1, 1)' in description
        assert 'data_uv U8 (1, 32, 48, 2) strides (3072, 96, 2, 1)' in description
        assert 'box: int32 (1, 8, 8, 51), 13056 bytes, strides (13056, 1632, 204, 4)' \
            in description
        assert '51 scales' in description
        for output, (_, array, *_) in zip(runtime.run(grey()), tensors, strict=True):
            np.testing.assert_array_equal(output, array)
        stand_in_model.steer(path, 'forward', 'hang')
        start = time.monotonic()
        with pytest.raises(InferenceTimeoutError):
            runtime.run(grey())
        assert time.monotonic() - start < 2
        # The other worker goes on.
        runtime.run(grey())
        pids = runtime.worker_pids
    assert not any(map(is_running, pids))
    with pytest.raises(ModelError, match='closed'):
        runtime.run(grey())


def test_without_the_library(tmp_path):
    path = stand_in_model.write_recorded_model(tmp_path / 'model.hbm', some_tensors(), HW)
    sys.path.remove(str(STAND_INS))
    with installed():
        with pytest.raises(RuntimeUnavailableError, match='hbm_runtime cannot be imported'):
            opened(path, slots=1)
        assert 'S100' in missing('hbm')
    with installed(STAND_INS):
        assert missing('hbm') is None
