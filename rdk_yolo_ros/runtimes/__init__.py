"""Runtimes: a model file behind one contract, whatever runs it."""

from rdk_yolo_ros.runtimes.base import ModelMetadata, Runtime, open_runtime

__all__ = ['ModelMetadata', 'Runtime', 'open_runtime']
