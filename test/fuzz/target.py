"""Target: one thing to fuzz, and the targets that there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import importlib
from typing import Any

from hypothesis.strategies import SearchStrategy

# By the module that describes it.
PLAIN_TARGETS = ('images', 'compressed_images', 'work_configs', 'head_outputs', 'onnx_metadata',
                 'onnx_files', 'model_outputs', 'cdr_reader')
ROS_TARGETS = ('cdr_writer', 'hbm_images', 'overlay_results', 'load_requests')
TARGETS = (*PLAIN_TARGETS, *ROS_TARGETS)


@dataclass(frozen=True)
class Target:
    """
    One thing to fuzz.

    Attributes:
        examples: makes inputs. An input is a Python literal, so that a file can hold one as text.
        run: uses one input, and asserts what must hold of the outcome.
        refusals: the exceptions that the package documents for a bad input.
        explicit: inputs that are always tried, too large or too regular to be kept as files.
        limit: seconds that one input may take.

    """

    examples: SearchStrategy[Any]
    run: Callable[[Any], None]
    refusals: tuple[type[Exception], ...]
    explicit: tuple[Any, ...] = ()
    limit: float = 10.0


def load(name: str) -> Target:
    """Return a target by its name."""
    return importlib.import_module(name).TARGET
