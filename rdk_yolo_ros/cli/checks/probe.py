"""
Try one runtime in a process of its own: what crashes or hangs there is not the doctor.

`python -m rdk_yolo_ros.cli.checks.probe JSON` prints a line for each step, begun by MARK; the
libraries that it loads print what they like in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
import json
from pathlib import Path
import sys
import time
from types import SimpleNamespace
from typing import Any

from rdk_yolo_ros.errors import RdkYoloError

MARK = '@rdk-yolo-doctor '


def main(arguments: Sequence[str]) -> int:
    """
    Do what the one argument says and print the steps.

    It is JSON: either `runtimes`, a list of which to say whether they are there; or `runtime`,
    `model` (a model file or a work configuration), `frame` (the golden frame's path, or null),
    `score_threshold` (what its result is recorded with, or null), `slots` (a list), `seconds`.
    """
    task = json.loads(arguments[0])
    try:
        if 'model' in task:
            run(task)
        for name in task.get('runtimes', ()):
            look(name)
    except RdkYoloError as error:
        say('error', kind=type(error).__name__, message=' '.join(str(error).split()))
        return 1
    say('end')
    return 0


def say(event: str, **fields: Any) -> None:
    """Print a step; on a line of its own, whatever was printed before."""
    sys.stdout.write(f'\n{MARK}{json.dumps({"event": event, **fields})}\n')
    sys.stdout.flush()


def look(name: str) -> None:
    """Say whether a runtime can be used here."""
    from rdk_yolo_ros.runtimes import opening
    try:
        say('runtime', runtime=name, missing=opening.missing(name))
    except ImportError as error:
        say('runtime', runtime=name, missing=f'not part of this installation ({error})')


def run(task: dict[str, Any]) -> None:
    """Open the model, say what it is, run the golden frame, measure."""
    from rdk_yolo_ros.cli.checks.clocks import bpu_use
    from rdk_yolo_ros.cli.checks.golden import golden_frame, instances
    from rdk_yolo_ros.cli.inspect import heads_in_words
    from rdk_yolo_ros.cli.measuring import measure
    from rdk_yolo_ros.cli.model_argument import config_of, options_of
    from rdk_yolo_ros.predictor import Predictor
    from rdk_yolo_ros.runtimes import open_runtime
    config = config_of(task['model'])
    options = options_of(config, max(task['slots'], default=None))
    began = time.perf_counter()
    with open_runtime(config.model_file, task['runtime'], config.nv12_range,
                      options) as runtime:
        say('opened', seconds=time.perf_counter() - began, describe=runtime.describe(),
            slots=runtime.slots, input_hw=list(runtime.input_hw))
        predictor = Predictor.from_config(config, runtime,
                                          score_threshold=task.get('score_threshold'))
        say('heads', task=predictor.task,
            rows=[list(row) for row in heads_in_words(config, runtime, predictor.layout)])
        frame = golden_frame(Path(task['frame']) if task.get('frame') else None)
        began = time.perf_counter()
        found = predictor(frame)
        say('golden', seconds=time.perf_counter() - began, task=predictor.task,
            instances=instances(found, predictor.class_names))
        height, width = frame.hw
        image = SimpleNamespace(encoding='nv12', height=height, width=width, step=width,
                                data=frame.data)
        for slots in task['slots']:
            say('speed', **asdict(measure(predictor, [image], slots, task['seconds'], bpu_use)))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
