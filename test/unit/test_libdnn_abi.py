"""The library's interface: the same structures on both sides, and words where it is not there."""

import ctypes
import os
import subprocess
import sys

import libdnn_cases
import pytest
from stand_ins.libdnn import StandIn

from rdk_yolo_ros.errors import ModelError, RuntimeLostError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes import libdnn, libdnn_abi, missing
from rdk_yolo_ros.runtimes.hb_errors import explain, hb_error
from rdk_yolo_ros.runtimes.libdnn_abi import LIBRARY_VARIABLE

# The vendor's page on debugging inference.
DOCUMENTED_CODES = [*range(-6000016, -6000000), *range(-6000131, -6000128)]


def test_sizes_and_offsets_are_the_same_on_both_sides():
    other_side = StandIn(libdnn_cases.library()).layout()
    this_side = {}
    for structure in libdnn_abi.STRUCTURES:
        this_side[structure.__name__] = ctypes.sizeof(structure)
        for field in structure._fields_:
            offset = getattr(structure, field[0]).offset
            this_side[f'{structure.__name__}.{field[0]}'] = offset
    assert this_side == other_side
    assert len(this_side) > 30


def test_the_stand_in_has_every_function_that_is_used():
    other_side = ctypes.CDLL(str(libdnn_cases.library()))
    assert [f for f in libdnn_abi.FUNCTIONS if not hasattr(other_side, f)] == []


def test_importing_loads_no_library():
    code = ('import rdk_yolo_ros.runtimes.libdnn, rdk_yolo_ros.runtimes.libdnn_abi as abi; '
            'assert not abi._loaded')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120,
                   env={**os.environ, LIBRARY_VARIABLE: '/nowhere/libdnn.so'})


# Where there is none

@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.delenv(LIBRARY_VARIABLE, raising=False)
    monkeypatch.setattr(libdnn_abi, '_PLACES', ('/usr/hobot/lib/absent.so',))
    monkeypatch.setattr(libdnn_abi, 'find_library', lambda name: None)


@pytest.mark.usefixtures('no_library')
def test_without_a_library_it_says_where_it_looked(tmp_path):
    reason = missing('libdnn')
    assert '/usr/hobot/lib/absent.so' in reason
    assert LIBRARY_VARIABLE in reason
    with pytest.raises(RuntimeUnavailableError, match='RDK X3 and X5'):
        libdnn.LibdnnRuntime(tmp_path / 'm.bin')


def test_a_library_that_is_there_is_not_missing(monkeypatch):
    monkeypatch.setenv(LIBRARY_VARIABLE, str(libdnn_cases.library()))
    assert missing('libdnn') is None


def test_one_of_the_usual_places_is_found(monkeypatch, tmp_path, no_library):
    place = tmp_path / 'libdnn.so'
    place.touch()
    monkeypatch.setattr(libdnn_abi, '_PLACES', ('/absent/libdnn.so', str(place)))
    assert libdnn_abi.find() == str(place)


def test_a_named_library_goes_before_the_usual_places(monkeypatch, tmp_path):
    monkeypatch.setenv(LIBRARY_VARIABLE, '/nowhere/libdnn.so')
    reason = missing('libdnn')
    assert '/nowhere/libdnn.so cannot be loaded' in reason
    assert f'unset {LIBRARY_VARIABLE}' in reason


def compiled(folder, source):
    (folder / 'other.c').write_text(source)
    library = folder / 'libdnn.so'
    subprocess.run(['gcc', '-shared', '-fPIC', '-o', library, folder / 'other.c'], check=True,
                   timeout=60)
    return str(library)


def test_the_s_boards_library_is_recognised(monkeypatch, tmp_path):
    libdnn_cases.library()  # skips where there is no compiler
    library = compiled(tmp_path, 'int hbDNNInferV2(void) { return 0; }\n')
    monkeypatch.setenv(LIBRARY_VARIABLE, library)
    assert 'runtime: hbm' in missing('libdnn')


def test_another_library_is_refused(monkeypatch, tmp_path):
    libdnn_cases.library()
    library = compiled(tmp_path, 'int dnn_version(void) { return 0; }\n')
    monkeypatch.setenv(LIBRARY_VARIABLE, library)
    assert 'has no hbDNNInitializeFromFiles' in missing('libdnn')


# Error codes

@pytest.mark.parametrize('code', DOCUMENTED_CODES)
def test_a_documented_code_has_a_name_a_meaning_and_what_to_check(code):
    text = explain('hbDNNInfer', code)
    assert text.startswith(f'hbDNNInfer failed with {code} (HB_')
    assert '; check ' in text
    assert '\n' not in text


def test_names_and_numbers_are_the_documented_ones():
    for code, name in ((-6000001, 'HB_DNN_INVALID_ARGUMENT'), (-6000008, 'HB_DNN_TIMEOUT'),
                       (-6000009, 'HB_DNN_TASK_NUM_EXCEED_LIMIT'),
                       (-6000014, 'HB_DNN_INCOMPATIBLE_MODEL'),
                       (-6000130, 'HB_SYS_OUT_OF_MEMORY')):
        assert f'{code} ({name})' in explain('f', code)


def test_an_unknown_code_is_shown_as_it_is():
    text = explain('hbSysFlushMem', -77)
    assert 'hbSysFlushMem failed with -77' in text
    assert 'dmesg' in text


def test_a_handle_that_is_gone_loses_the_runtime_and_a_failed_task_does_not():
    assert type(hb_error('m.bin', 'hbDNNInfer', -6000005)) is RuntimeLostError
    assert type(hb_error('m.bin', 'hbDNNWaitTaskDone', -6000012)) is ModelError
    assert str(hb_error('m.bin', 'hbDNNInfer', -6000005)).startswith('m.bin: hbDNNInfer failed')
