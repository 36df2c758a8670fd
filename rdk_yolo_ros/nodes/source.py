"""The source node: a camera's topics, filled from a video, pictures, a bag, or synthetic scenes."""

from __future__ import annotations

import array
import sys
import time
from typing import Any, List, Optional, Tuple, Union

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import (FloatingPointRange, IntegerRange, ParameterDescriptor,
                                SetParametersResult)
from rclpy.duration import Duration
from rclpy.exceptions import (InvalidParameterTypeException, InvalidParameterValueException,
                              ParameterUninitializedException)
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources import (ENCODINGS, Calibration, Prefetch, SourceError,
                                        SourceImage, conform, open_source)

_DEFAULT_RATE = 30.0  # Hz, for sources without a rate of their own
_REPORT_PERIOD = 5.0  # seconds

# name, default, description, (from, to) of a number
_PARAMETERS: Tuple[Tuple[str, Any, str, Optional[Tuple[float, float]]], ...] = (
    ('source', 'synthetic', "'synthetic', or the path of a video, a picture, a folder of "
     'pictures, or a rosbag2 (its directory, or one .db3 or .mcap file)', None),
    ('bag_topic', '', 'image topic of a bag; may be empty where there is only one', None),
    ('seed', 0, 'which synthetic video', (0, 2**31 - 1)),
    ('rate', 0.0, "images a second; 0: the source's own, else 30", (0.0, 1000.0)),
    ('loop', True, 'start over after the last image; else the node ends', None),
    ('max_frames', 0, 'images after which the node ends; 0: never', (0, 2**31 - 1)),
    ('width', 0, "pixels; 0: the source's own (synthetic: 640)", (0, 16384)),
    ('height', 0, "pixels; 0: the source's own (synthetic: 480)", (0, 16384)),
    ('encoding', 'nv12', f'one of {", ".join(ENCODINGS)}', None),
    ('color_range', 'full', "range of NV12: 'full' (JFIF) or 'limited' (BT.601 video)", None),
    ('stamp', 'now', "'now': time of publishing; 'source': the stamp in the bag", None),
    ('frame_id', '', "empty: the bag's own, else camera", None),
    ('image_topic', 'image_raw', 'topic of the images; jpeg goes to compressed below it', None),
    ('camera_info_topic', 'camera_info', 'topic of sensor_msgs/CameraInfo', None),
    ('reliability', 'reliable', "'reliable' (suits every subscription) or 'best_effort'", None),
    ('wait_for_subscribers', 0, 'subscriptions to the image topic to wait for at the start',
     (0, 100)),
)
_CHOICES = {'encoding': ENCODINGS, 'color_range': ('full', 'limited'),
            'stamp': ('now', 'source'), 'reliability': ('reliable', 'best_effort')}

Ready = Tuple[Union[Image, CompressedImage], CameraInfo]


class SourceNode(Node):
    """
    Publishes images and their CameraInfo at a set rate.

    Attributes:
        done: a future; its result is the process' exit code after the last image.

    """

    def __init__(self, node_name: str = 'source', **kwargs: Any) -> None:
        """
        Open the source and start publishing as soon as the node is spun.

        Raises:
            SourceError: the source cannot be read, or a parameter is none of its choices.

        """
        super().__init__(node_name, **kwargs)
        self.done = Future()
        self._prefetch: Optional[Prefetch[Ready]] = None
        try:
            self._start()
        except BaseException:
            self.destroy_node()
            raise

    def _start(self) -> None:
        for name, default, description, limits in _PARAMETERS:
            self.declare_parameter(name, default, _descriptor(name, default, description, limits))
        for name, choices in _CHOICES.items():
            if self._value(name) not in choices:
                raise SourceError(f'parameter {name} is {self._value(name)!r}, '
                                  f'expected one of {", ".join(choices)}')
        source = open_source(self._value('source'), self._value('width'), self._value('height'),
                             self._value('seed'), self._value('bag_topic'),
                             self._value('color_range'))
        self._own_rate = source.rate or _DEFAULT_RATE
        self._use_source_stamp = self._value('stamp') == 'source'
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        if self._value('reliability') == 'reliable':
            qos.reliability = ReliabilityPolicy.RELIABLE
        topic = self._value('image_topic')
        if self._value('encoding') == 'jpeg':
            self._images = self.create_publisher(CompressedImage, f'{topic}/compressed', qos)
        else:
            self._images = self.create_publisher(Image, topic, qos)
        self._infos = self.create_publisher(CameraInfo, self._value('camera_info_topic'), qos)
        self._waits_for = self._value('wait_for_subscribers')
        self._conversion = (self._value('encoding'), self._value('width'), self._value('height'),
                            self._value('color_range'))
        self._frame_id = self._value('frame_id')
        self._prefetch = Prefetch(source, self._prepare, self._value('loop'),
                                  self._value('max_frames'), on_bad=self._leave_out)
        self._published = self._reported = 0
        self._reported_at: Optional[float] = None
        self._rate = self._value('rate') or self._own_rate
        # The timer keeps to its own schedule: a late call does not shift the next one, and calls
        # that are missed are left out, never made up for.
        self._timer = self.create_timer(1 / self._rate, self._tick)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.get_logger().info(f'{source.description}: {self._value("encoding")} at '
                               f'{self._rate:g} Hz on {self._images.topic_name}')

    @property
    def published(self) -> int:
        """Images published so far."""
        return self._published

    def destroy_node(self) -> None:
        """Stop reading, then destroy the node."""
        if self._prefetch is not None:
            self._prefetch.close()
        super().destroy_node()

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _prepare(self, image: SourceImage) -> Ready:
        """Make the messages, in the reading thread: what is left for the tick is the stamp."""
        encoding, width, height, color_range = self._conversion
        frame = conform(image.frame, encoding, width, height, color_range)
        height, width = frame.hw
        message: Union[Image, CompressedImage]
        if encoding == 'jpeg':
            message = CompressedImage(format='jpeg')
        else:
            message = Image(encoding=encoding, height=height, width=width,
                            step=width * (3 if encoding == 'bgr8' else 1))
        message.data = _message_data(frame, encoding)
        message.header.frame_id = self._frame_id or image.frame_id or 'camera'
        if self._use_source_stamp and image.stamp is not None:
            message.header.stamp = Time(sec=image.stamp // 10**9, nanosec=image.stamp % 10**9)
        calibration = (image.calibration or Calibration.pinhole(*image.frame.hw[::-1])
                       ).fitted(width, height)
        info = CameraInfo(header=message.header, height=height, width=width,
                          distortion_model=calibration.model, d=calibration.d, k=calibration.k,
                          r=calibration.r, p=calibration.p)
        return message, info

    def _leave_out(self, error: RdkYoloError) -> None:
        self.get_logger().warning(f'left out: {error}', throttle_duration_sec=1.0)

    def _tick(self) -> None:
        if self.done.done() or self._prefetch is None:
            return
        if self._waits_for:
            if self._images.get_subscription_count() < self._waits_for:
                self.get_logger().info(
                    f'waiting for {self._waits_for} subscription(s) to '
                    f'{self._images.topic_name}', throttle_duration_sec=5.0)
                return
            self._waits_for = 0
        try:
            ready = self._prefetch.take()
        except StopIteration:
            self.get_logger().info(f'ended after {self._published} images')
            self.done.set_result(0)
            return
        except SourceError as error:
            self.get_logger().error(str(error))
            self.done.set_result(1)
            return
        if ready is not None:
            self._publish(*ready)
        self._report()

    def _publish(self, image: Union[Image, CompressedImage], info: CameraInfo) -> None:
        if not self._use_source_stamp or not (image.header.stamp.sec or
                                              image.header.stamp.nanosec):
            image.header.stamp = self.get_clock().now().to_msg()
            info.header = image.header
        # The smaller message first: whoever pairs the two has it when the image arrives.
        self._infos.publish(info)
        self._images.publish(image)
        self._published += 1

    def _report(self) -> None:
        """Say every few seconds when the source does not keep up with the rate."""
        now = time.monotonic()
        if self._reported_at is None:
            self._reported_at = now
        elapsed = now - self._reported_at
        if elapsed < _REPORT_PERIOD:
            return
        achieved = (self._published - self._reported) / elapsed
        if achieved < 0.9 * self._rate:
            self.get_logger().warning(
                f'{achieved:.1f} of {self._rate:g} images a second: reading and converting them '
                'takes longer; lower the rate or the size')
        self._reported, self._reported_at = self._published, now

    def _on_set_parameters(self, parameters: List[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == 'rate':
                self._rate = parameter.value or self._own_rate
                self._timer.timer_period_ns = round(1e9 / self._rate)
                self._reported, self._reported_at = self._published, None
        return SetParametersResult(successful=True)


def _descriptor(name: str, default: Any, description: str,
                limits: Optional[Tuple[float, float]]) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=description, read_only=name != 'rate')
    if limits and isinstance(default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=limits[0], to_value=limits[1])]
    elif limits:
        descriptor.integer_range = [
            IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]))]
    return descriptor


def _message_data(frame: Frame, encoding: str) -> array.array:
    """Return the pixels as the one type that rclpy takes over without looking at every byte."""
    row_bytes = frame.width * (3 if encoding == 'bgr8' else 1)
    if encoding == 'jpeg' or frame.step == row_bytes:
        pixels = frame.data
    else:
        pixels = frame.to_nv12(frame.color_range) if encoding == 'nv12' else frame.to_bgr()
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(pixels).data.cast('B'))
    return data


def main(args: Optional[List[str]] = None) -> int:
    """Run the node until its source ends or the process is told to stop; return the exit code."""
    node: Optional[SourceNode] = None
    code = 0
    try:
        rclpy.init(args=args)
        node = SourceNode()
        rclpy.spin_until_future_complete(node, node.done)
        if node.done.done():
            code = node.done.result()
            _linger(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (RdkYoloError, InvalidParameterTypeException, InvalidParameterValueException,
            ParameterUninitializedException) as error:
        print(f'source: {error}', file=sys.stderr)
        code = 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return code


def _linger(node: SourceNode) -> None:
    """Let the last images reach their readers before the publisher goes."""
    node._images.wait_for_all_acked(Duration(seconds=1.0))
    time.sleep(0.2)


if __name__ == '__main__':
    sys.exit(main())
