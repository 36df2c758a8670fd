"""Predictor: one frame in, its detections or its classes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
import difflib
import math
import numbers
import os
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from rdk_yolo_ros.decode import ClassifyDecoder, DecodeOptions, Decoder, make_decoder
from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.matching import (
    choose_class_names,
    choose_keypoint_names,
    choose_score_thresholds,
    match_model,
)
from rdk_yolo_ros.runtimes import RestartingRuntime, Runtime, RuntimeOptions, open_runtime
from rdk_yolo_ros.work_config import WorkConfig

_OPTIONS = tuple(field.name for field in fields(DecodeOptions))
# Class names in an error; COCO's 80 would fill a screen.
_MOST_LISTED = 12
_SWITCHES = ('class_agnostic', 'softmax', 'native_masks')


class Prediction(NamedTuple):
    """
    The detections of one frame, and what they took.

    Attributes:
        detections: in the frame's own pixels; a model that classifies has Classifications.
        timings: seconds for each step: 'slot wait' for the runtime's, 'letterbox', 'infer',
            'decode'.

    """

    detections: Union[Detections, Classifications]
    timings: dict[str, float]


@dataclass(frozen=True)
class _Decoding:
    """Options and the decoder made from them: replaced together, so that they always agree."""

    options: DecodeOptions
    decoder: Union[Decoder, ClassifyDecoder]


class Predictor:
    """
    A model, ready for frames; safe to call from `runtime.slots` threads at once.

    Attributes:
        runtime: what runs the model.
        layout: the model's heads.
        class_names: a name for each class.
        keypoint_names: a name for each key point; empty where the task has none.
        give_up_after: seconds after which whoever waits for `predict` may take it as hung: a
            second more than the runtime's longest call, so that the runtime gives up first;
            where it never does, the inference timeout.

    """

    def __init__(self, runtime: Runtime, layout: HeadLayout, options: DecodeOptions,
                 class_names: Sequence[str], keypoint_names: Sequence[str] = (),
                 owns_runtime: bool = True, inference_timeout: Optional[float] = None) -> None:
        """Put the parts together; `from_config` is the usual way."""
        self.runtime = runtime
        longest = runtime.longest_call
        self.give_up_after = inference_timeout or runtime.usual_timeout if longest is None \
            else longest + 1.0
        self.layout = layout
        self.class_names = tuple(class_names)
        self.keypoint_names = tuple(keypoint_names)
        self._owns_runtime = owns_runtime
        self._decoding = _Decoding(options, make_decoder(layout, options))
        self._letterbox: Optional[Letterbox] = None

    @classmethod
    def from_config(cls, config: Union[str, os.PathLike[str], WorkConfig],
                    runtime: Union[str, Runtime, None] = None,
                    slots: Optional[int] = None, inference_timeout: Optional[float] = None,
                    **option_overrides: Any) -> Predictor:
        """
        Open the model of a work configuration and check one against the other.

        A runtime that is lost later is opened again, see RestartingRuntime.

        Args:
            config: the configuration, or the path of its file.
            runtime: a runtime's name, instead of the configuration's, or an open Runtime, which
                stays the caller's to close.
            slots: how many inferences may be under way at once, 1 to 32; None: the runtime's
                choice. An open Runtime has its own.
            inference_timeout: seconds, instead of the configuration's; likewise.
            option_overrides: fields of DecodeOptions, which go before the configuration; None
                leaves a field as it is. `classes` and the keys of `score_thresholds` may be
                class names, too.

        Raises:
            WorkConfigError: the configuration is faulty, or says other things than the model.
            ModelError: the model cannot be opened, or its outputs are no YOLO heads.
            RuntimeUnavailableError: the runtime is not there.
            ValueError: an option is not known or out of its range.

        """
        if not isinstance(config, WorkConfig):
            config = WorkConfig.load(config)
        timeout = config.inference_timeout if inference_timeout is None else inference_timeout
        if isinstance(runtime, Runtime):
            return cls._from_runtime(config, runtime, False, timeout, option_overrides)
        options = RuntimeOptions(
            slots, RuntimeOptions.timeout if timeout is None else timeout, config.bpu_priority,
            config.bpu_cores, config.model_name)
        name, model, nv12_range = (runtime or config.runtime, config.model_file,
                                   config.nv12_range)
        opened = RestartingRuntime(
            lambda: open_runtime(model, name, nv12_range=nv12_range, options=options))
        try:
            return cls._from_runtime(config, opened, True, timeout, option_overrides)
        except BaseException:
            opened.close()
            raise

    @classmethod
    def _from_runtime(cls, config: WorkConfig, runtime: Runtime, owns_runtime: bool,
                      timeout: Optional[float],
                      option_overrides: dict[str, Any]) -> Predictor:
        layout = match_model(config, runtime)
        names = choose_class_names(config, runtime, layout)
        options = DecodeOptions(config.score_threshold, config.nms_threshold,
                                config.nms_top_k, config.max_detections, config.class_agnostic,
                                score_thresholds=choose_score_thresholds(config, names),
                                softmax=config.softmax, native_masks=config.native_masks)
        if config.top_k is not None:
            options = replace(options, top_k=config.top_k)
        return cls(runtime, layout, _changed(options, option_overrides, names), names,
                   choose_keypoint_names(config, runtime, layout), owns_runtime, timeout)

    @property
    def task(self) -> str:
        """One of TASKS in `rdk_yolo_ros.detections`."""
        return self.layout.task

    @property
    def options(self) -> DecodeOptions:
        """The options in force."""
        return self._decoding.options

    def set_options(self, **changes: Any) -> None:
        """
        Change fields of the options; frames that are under way keep the old ones.

        All changes or, where one is faulty, none take effect. None leaves a field as it is; for
        `classes`, an empty list means all classes, for `score_thresholds` an empty mapping none.

        Raises:
            ValueError: an option is not known or out of its range.

        """
        options = _changed(self.options, changes, self.class_names)
        self._decoding = _Decoding(options, make_decoder(self.layout, options))

    def __call__(self, frame: Union[Frame, np.ndarray],
                 extras: bool = True) -> Union[Detections, Classifications]:
        """Return the detections in a frame, or its classes; see `predict`."""
        return self.predict(frame, extras).detections

    def predict(self, frame: Union[Frame, np.ndarray], extras: bool = True) -> Prediction:
        """
        Find the objects in one frame.

        Args:
            frame: a Frame, or a BGR image, uint8 (h, w, 3). A model that classifies looks at the
                largest part in its middle that has the shape of the model's input.
            extras: False leaves masks and key points out.

        Raises:
            FrameError: the frame is malformed.
            ModelError: the model failed, or the predictor is closed.
            InferenceTimeoutError: the runtime gave this inference up.
            RuntimeLostError: the runtime is being opened again.

        """
        if not isinstance(frame, Frame):
            frame = Frame.from_bgr(frame)
        decoder = self._decoding.decoder
        start = perf_counter()
        if self.layout.task == 'classify':
            # As in training: a classifier sees no padding, but the middle of the picture.
            frame = frame.middle(self.runtime.input_hw)
        letterbox = self._letterbox_for(frame.hw)
        asked = perf_counter()
        with self.runtime.slot() as slot:
            held = perf_counter()
            nv12 = letterbox.apply(frame, color_range=self.runtime.nv12_range, out=slot.image)
            fed = perf_counter()
            tensors = slot.infer(nv12)
            inferred = perf_counter()
            # Inside, as the tensors may be the accelerator's own memory.
            detections = decoder(tensors, letterbox, extras=extras)
            decoded = perf_counter()
        return Prediction(detections, {
            'slot wait': held - asked, 'letterbox': asked - start + fed - held,
            'infer': inferred - fed, 'decode': decoded - inferred})

    def close(self) -> None:
        """Close the runtime, unless it was passed in open. Calling it again does nothing."""
        if self._owns_runtime:
            self.runtime.close()

    def __enter__(self) -> Predictor:
        """Return the predictor itself."""
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        """Close the predictor."""
        self.close()

    def _letterbox_for(self, hw: tuple[int, int]) -> Letterbox:
        letterbox = self._letterbox  # another thread may replace it meanwhile
        if letterbox is None or letterbox.source_hw != hw:
            letterbox = self._letterbox = Letterbox.fit(hw, self.runtime.input_hw)
        return letterbox


def _changed(options: DecodeOptions, changes: dict[str, Any],
             class_names: Sequence[str]) -> DecodeOptions:
    """Return the options with changes, or raise ValueError."""
    unknown = [key for key in changes if key not in _OPTIONS]
    if unknown:
        near = difflib.get_close_matches(unknown[0], _OPTIONS, n=1)
        advice = f'did you mean {near[0]}?' if near else 'expected ' + ', '.join(_OPTIONS)
        raise ValueError(f'unknown option {unknown[0]!r}, {advice}')
    changes = {key: value for key, value in changes.items() if value is not None}
    if 'classes' in changes:
        ids = _class_ids(changes.pop('classes'), class_names)
        options = replace(options, classes=ids or None)
    if 'score_thresholds' in changes:
        thresholds = _thresholds(changes.pop('score_thresholds'), class_names)
        options = replace(options, score_thresholds=thresholds or None)
    for key, value in changes.items():
        if key in _SWITCHES:
            if not isinstance(value, (bool, np.bool_)):
                raise ValueError(f'{key} is {value!r}, expected true or false')
        elif not isinstance(value, numbers.Real) or isinstance(value, bool) \
                or not math.isfinite(value):
            raise ValueError(f'{key} is {value!r}, expected a finite number')
        elif isinstance(getattr(options, key), int) and float(value).is_integer():
            value = int(float(value))  # 300.0 would not do as a limit
        options = replace(options, **{key: value})
    return options


def _thresholds(thresholds: Mapping[Union[int, str], float],
                class_names: Sequence[str]) -> dict[int, float]:
    """Return the thresholds of classes given by name or id, by id."""
    if not isinstance(thresholds, Mapping):
        raise ValueError(f'score_thresholds is {thresholds!r}, expected a threshold for each of '
                         'some class names or ids')
    by_id: dict[int, float] = {}
    for item, threshold in thresholds.items():
        if not isinstance(threshold, numbers.Real) or isinstance(threshold, bool):
            raise ValueError(f'score_thresholds has {threshold!r} for {item!r}, expected a number '
                             'from 0 to 1')
        ids = _class_ids([item], class_names, 'score_thresholds')
        by_id.update(dict.fromkeys(ids, float(threshold)))
    return by_id


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence holds them, as many as one reads."""
    more = len(names) - _MOST_LISTED
    return ', '.join(names[:_MOST_LISTED]) + (f' and {more} more' if more > 0 else '')


def _class_ids(classes: Iterable[Union[int, str]], class_names: Sequence[str],
               option: str = 'classes') -> tuple[int, ...]:
    """Return the ids of classes given by name or id."""
    if isinstance(classes, (str, bytes)) or not isinstance(classes, Iterable):
        raise ValueError(f'classes is {classes!r}, expected a list of class names or ids')
    ids: list[int] = []
    for item in classes:
        if isinstance(item, str) and item in class_names:
            ids += [i for i, name in enumerate(class_names) if name == item]
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool) \
                and 0 <= item < len(class_names):
            ids.append(int(item))
        else:
            near = difflib.get_close_matches(str(item), class_names, n=3)
            advice = (f'; did you mean {" or ".join(near)}?' if near else
                      f'; the classes are {_listed(class_names)}')
            raise ValueError(f'{option} has {item!r}, expected a class name or a number from 0 '
                             f'to {len(class_names) - 1}{advice}')
    return tuple(dict.fromkeys(ids))
