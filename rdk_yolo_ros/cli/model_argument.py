"""What MODEL means on the command line: a model file, or a work configuration that names one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes.base import RuntimeOptions
from rdk_yolo_ros.work_config import WorkConfig

CONFIG_SUFFIXES = ('.json', '.yaml', '.yml')


def config_of(argument: str) -> WorkConfig:
    """
    Return the work configuration that MODEL is, or one that says nothing but the model's path.

    Raises:
        ModelError: there is no such file.
        WorkConfigError: it is a work configuration, and faulty.

    """
    path = Path(os.path.abspath(os.path.expanduser(argument)))
    if not path.exists():
        raise ModelError(f'{path}: there is no such model file or work configuration')
    if path.suffix.lower() in CONFIG_SUFFIXES:
        return WorkConfig.load(path)
    return WorkConfig.from_mapping({'model_file': str(path)}, 'the command line')


def options_of(config: WorkConfig, slots: Optional[int]) -> RuntimeOptions:
    """Return how a runtime is to run the configuration's model on so many slots."""
    given: dict[str, Any] = {'slots': slots, 'priority': config.bpu_priority,
                             'cores': config.bpu_cores, 'model_name': config.model_name}
    if config.inference_timeout is not None:
        given['timeout'] = config.inference_timeout
    return RuntimeOptions(**given)
