"""Runtimes: a model file behind one contract, whatever runs it."""

from rdk_yolo_ros.runtimes.base import ModelMetadata, Runtime, RuntimeOptions, Slot
from rdk_yolo_ros.runtimes.opening import RUNTIMES, missing, open_runtime
from rdk_yolo_ros.runtimes.restarting import RestartingRuntime

__all__ = ['RUNTIMES', 'ModelMetadata', 'RestartingRuntime', 'Runtime', 'RuntimeOptions', 'Slot',
           'missing', 'open_runtime']
