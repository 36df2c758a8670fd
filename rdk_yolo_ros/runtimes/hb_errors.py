"""
libdnn's error codes in words.

The codes: RDK documentation, "C/C++ DNN API", the page on debugging inference.
"""

from __future__ import annotations

from typing import NamedTuple

from rdk_yolo_ros.errors import ModelError, RuntimeLostError

TIMEOUT = -6000008
RUN_TASK_FAILED = -6000012


class _Meaning(NamedTuple):
    name: str
    what: str
    check: str
    lost: bool = False  # nothing can be run with what is open


_INTERNAL = 'report it with the versions that `rdk-yolo doctor` shows'
_MEANINGS = {
    -6000001: _Meaning('HB_DNN_INVALID_ARGUMENT', 'an argument is not valid',
                       'whether the libdnn of this board fits the model; ' + _INTERNAL),
    -6000002: _Meaning('HB_DNN_INVALID_MODEL', 'the file is no model that this library reads',
                       'that it was copied whole, and compiled for this board '
                       '(X3: bernoulli2, X5: bayes-e)'),
    -6000003: _Meaning('HB_DNN_MODEL_NUMBER_EXCEED_LIMIT', 'too many models are loaded',
                       'which other programs or nodes hold models'),
    -6000004: _Meaning('HB_DNN_INVALID_PACKED_DNN_HANDLE', 'the loaded file is not known any more',
                       'the messages before this one', True),
    -6000005: _Meaning('HB_DNN_INVALID_DNN_HANDLE', 'the loaded model is not known any more',
                       'the messages before this one', True),
    -6000006: _Meaning('HB_DNN_CAN_NOT_OPEN_FILE', 'the file cannot be opened',
                       'its path and its permissions'),
    -6000007: _Meaning('HB_DNN_OUT_OF_MEMORY', 'there is not enough memory',
                       'free BPU memory (the ion heap) and other programs on the BPU; use fewer '
                       '`slots`'),
    TIMEOUT: _Meaning('HB_DNN_TIMEOUT', 'it did not end in its time',
                      'the load of the BPU (hrut_somstatus)'),
    -6000009: _Meaning('HB_DNN_TASK_NUM_EXCEED_LIMIT', 'more than 32 tasks are under way',
                       'the sum of the `slots` of all models'),
    -6000010: _Meaning('HB_DNN_TASK_BATCH_SIZE_EXCEED_LIMIT', 'the batch is too large',
                       'that the model was compiled for a batch of 1'),
    -6000011: _Meaning('HB_DNN_INVALID_TASK_HANDLE', 'the task is not known', _INTERNAL),
    RUN_TASK_FAILED: _Meaning('HB_DNN_RUN_TASK_FAILED', 'the BPU failed to run it',
                              'dmesg for messages of the BPU driver, and the temperature '
                              '(hrut_somstatus)'),
    -6000013: _Meaning('HB_DNN_MODEL_IS_RUNNING', 'tasks of the model are under way', _INTERNAL),
    -6000014: _Meaning('HB_DNN_INCOMPATIBLE_MODEL', 'the model does not fit this library',
                       'that it was compiled for this board, and with a toolchain that is not '
                       'newer than the RDK OS here'),
    -6000015: _Meaning('HB_DNN_API_USE_ERROR', 'the interface was used in a wrong way',
                       _INTERNAL),
    -6000016: _Meaning('HB_DNN_MULTI_PROGRESS_USE_ERROR', 'several processes are in conflict',
                       'which other programs use the BPU, and that none was forked after it '
                       'opened a model', True),
    -6000129: _Meaning('HB_SYS_INVALID_ARGUMENT', 'an argument about memory is not valid',
                       _INTERNAL),
    -6000130: _Meaning('HB_SYS_OUT_OF_MEMORY', 'there is not enough BPU memory',
                       'free BPU memory (the ion heap) and other programs on the BPU; use fewer '
                       '`slots`'),
    -6000131: _Meaning('HB_SYS_REGISTER_MEM_FAILED', 'memory could not be registered',
                       'free BPU memory (the ion heap)'),
}


def explain(call: str, code: int) -> str:
    """Return what a call's code means and what to check, in one line."""
    meaning = _MEANINGS.get(code)
    if meaning is None:
        return (f'{call} failed with {code}, which is not among the documented codes; check dmesg '
                'for messages of the BPU driver')
    return f'{call} failed with {code} ({meaning.name}): {meaning.what}; check {meaning.check}'


def hb_error(where: object, call: str, code: int) -> ModelError:
    """
    Return the exception for a call that failed.

    Args:
        where: what the message begins with, usually the model's path.
        call: the function's name.
        code: what it returned, not 0.

    Returns:
        RuntimeLostError where the code says that nothing will run any more, else ModelError.

    """
    meaning = _MEANINGS.get(code)
    kind = RuntimeLostError if meaning is not None and meaning.lost else ModelError
    return kind(f'{where}: {explain(call, code)}')
