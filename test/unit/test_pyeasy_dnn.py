"""PyeasyDnnRuntime: its workers, their shared memory, and which outputs it takes."""

from pathlib import Path
import sys
import threading
import time

from bpu_stand_ins import (
    HW,
    STAND_INS,
    assert_recorded,
    grey,
    installed,
    is_running,
    mapping_of,
    recorded_model,
    some_tensors,
    stand_in_model,
    worker_command_lines,
)
import numpy as np
import pytest

from rdk_yolo_ros.errors import (
    FrameError,
    ModelError,
    RuntimeUnavailableError,
)
from rdk_yolo_ros.runtimes import RuntimeOptions, missing, open_runtime

pytestmark = pytest.mark.usefixtures('bpu_libraries')


@pytest.fixture
def model(tmp_path):
    return recorded_model(tmp_path / 'model.bin')


def opened(path, **options):
    return open_runtime(path, 'pyeasy_dnn', options=RuntimeOptions(**options))


def test_slots_lie_in_memory_that_the_workers_share(model):
    with opened(model, slots=2) as runtime:
        pids = runtime.worker_pids
        assert len(pids) == 2
        with runtime.slot() as one, runtime.slot() as other:
            assert one.image.shape == (96, 96)
            assert not np.shares_memory(one.image, other.image)
            one.image[...] = grey()
            outputs = one.infer(one.image)
            assert_recorded(outputs)
            assert not any(output.flags.writeable for output in outputs)
            # Another slot's outputs lie elsewhere.
            for output, its in zip(outputs, other.infer(grey()), strict=True):
                assert not np.shares_memory(output, its)
            # By now each worker has had a turn.
            for array in (one.image, *outputs):
                name, inode = mapping_of(array)
                # Without a name there is nothing to be left behind.
                assert name.endswith('(deleted)')
                for pid in pids:
                    assert f' {inode} ' in Path(f'/proc/{pid}/maps').read_text()
        with pytest.raises(ModelError, match='left'):
            one.infer(one.image)
        first, second = runtime.run(grey()), runtime.run(grey())
        assert_recorded(first)
        assert not np.shares_memory(first[0], second[0])
        assert inode != mapping_of(first[0])[1]
        with pytest.raises(FrameError, match='64'):
            runtime.run(grey((64, 64)))
        description = runtime.describe()
        assert 'NV12 (1, 3, 64, 96) NCHW' in description
        assert 'hobot_dnn.pyeasy_dnn in 2 worker' in description
    assert not any(map(is_running, pids))
    # The memory lives as long as someone looks at it.
    assert_recorded(outputs)


def padded(path, **details):
    return stand_in_model.write_recorded_model(path, some_tensors(), HW, 0.0, align=16, **details)


def test_padding_is_cropped(tmp_path):
    with opened(padded(tmp_path / 'm.bin'), slots=1) as runtime:
        assert 'in memory (1, 8, 8, 64)' in runtime.describe()
        assert_recorded(runtime.run(grey()))


def test_a_padded_output_that_comes_in_disorder_is_refused_when_opened(tmp_path):
    path = padded(tmp_path / 'm.bin', buffer='valid')
    with pytest.raises(ModelError, match=r"output 'box' is \(1, 8, 8, 64\) in memory, but "
                       r'.* 3264 of its numbers.*`runtime: libdnn` or `runtime: hbm`'):
        opened(path, slots=1)
    assert worker_command_lines() == []


def test_workers_take_turns_on_the_cores(model):
    stand_in_model.record_calls(model)
    with opened(model, slots=2, cores=(1, 0), priority=7) as runtime:
        with runtime.slot() as one, runtime.slot() as other:
            one.infer(grey())
            other.infer(grey())
        pids = runtime.worker_pids
    calls = stand_in_model.recorded_calls(model)
    assert {(call['core_id'], call['priority']) for call in calls} == {(2, 7), (1, 7)}
    assert sorted(call['pid'] for call in calls) == pids


def test_inferences_overlap_though_each_holds_the_lock(tmp_path):
    path = stand_in_model.write_recorded_model(tmp_path / 'slow.bin', some_tensors(), HW,
                                               latency_s=0.4, concurrency=2)
    with opened(path) as runtime:
        assert runtime.slots == 4
        threads = [threading.Thread(target=runtime.run, args=(grey(),)) for _ in range(6)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Three rounds of two on the accelerator; one after another it would be 2.4 s.
        assert 1.2 <= time.monotonic() - start < 2.0


def test_both_names_of_the_library(model, tmp_path):
    (tmp_path / 'hobot_dnn_rdkx5').symlink_to(STAND_INS / 'hobot_dnn')
    sys.path.remove(str(STAND_INS))
    with installed(tmp_path), opened(model, slots=1) as runtime:
        assert 'hobot_dnn_rdkx5.pyeasy_dnn' in runtime.describe()


def test_without_the_library(model):
    sys.path.remove(str(STAND_INS))
    with installed():
        with pytest.raises(RuntimeUnavailableError) as caught:
            opened(model, slots=1)
        for said in ('hobot_dnn.pyeasy_dnn', 'hobot_dnn_rdkx5.pyeasy_dnn', 'PyPI'):
            assert said in str(caught.value)
        assert missing('pyeasy_dnn') in str(caught.value)
    with installed(STAND_INS):
        assert missing('pyeasy_dnn') is None
