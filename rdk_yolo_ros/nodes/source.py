"""The source node: a camera's topics, filled from a video, pictures, a bag, or drawn scenes."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import sys
import time
from typing import Any, NamedTuple, Optional

from builtin_interfaces.msg import Time
import numpy as np
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from rdk_yolo_ros.cdr import CompressedImageArray, ImageArray
from rdk_yolo_ros.components.intra_process import AnyImage
from rdk_yolo_ros.components.ros_services import answer_always
from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources import (
    ENCODINGS,
    Calibration,
    Prefetch,
    SourceError,
    SourceImage,
    conform,
    open_source,
)
from rdk_yolo_ros.nodes.image_publisher import ImagePublisher
from rdk_yolo_ros.nodes.opencv_threads import keep_to_own_threads
from rdk_yolo_ros.nodes.parameters import ParameterSpec, declare
from rdk_yolo_ros.nodes.spin import run_node

_DEFAULT_RATE = 30.0  # Hz, for sources without a rate of their own
_REPORT_PERIOD = 5.0  # seconds
# To draw a scene takes most of a core at a camera's rate: so much is drawn, then repeated.
_MOST_KEPT = 150  # images
_KEPT_BYTES = 128e6
_MOST_PIXELS = 64_000_000
_FEW = 8  # images of another source that need not be read again and again

_PARAMETERS = (
    ParameterSpec('source', 'synthetic',
                  "'synthetic', or the path of a video, a picture, a folder of pictures, or a "
                  'rosbag2 (its directory, or one .db3 or .mcap file).'),
    ParameterSpec('bag_topic', '',
                  'Image topic of a bag; may be empty where there is only one.'),
    ParameterSpec('seed', 0, 'Which synthetic video.', value_range=(0, 2**31 - 1)),
    ParameterSpec('rate', 0.0, "Images a second; 0: the source's own, else 30.",
                  value_range=(0, 1000), changeable=True),
    ParameterSpec('loop', True, 'Start over after the last image; else the node ends.'),
    ParameterSpec('max_frames', 0, 'Images after which the node ends; 0: never.',
                  value_range=(0, 2**31 - 1)),
    ParameterSpec('width', 0, "Pixels; 0: the source's own (synthetic: 640).",
                  value_range=(0, 16384)),
    ParameterSpec('height', 0, "Pixels; 0: the source's own (synthetic: 480).",
                  value_range=(0, 16384)),
    ParameterSpec('encoding', 'nv12', 'Encoding of the images.', choices=ENCODINGS),
    ParameterSpec('color_range', 'full',
                  'Range of NV12, and of the YUV images of a bag. full: Y from 0 to 255 (JFIF). '
                  'limited: 16 to 235 (BT.601 video).', choices=('full', 'limited')),
    ParameterSpec('stamp', 'now',
                  'now: the time of publishing. source: the stamp in the bag, where it has one.',
                  choices=('now', 'source')),
    ParameterSpec('frame_id', '', "Coordinate frame; empty: the bag's own, else camera."),
    ParameterSpec('image_topic', 'image_raw',
                  'Topic of the images; jpeg goes to /compressed below it.', is_topic=True),
    ParameterSpec('camera_info_topic', 'camera_info', 'Topic of sensor_msgs/CameraInfo.',
                  is_topic=True),
    ParameterSpec('reliability', 'reliable',
                  'reliable matches every subscription, best_effort only such ones.',
                  choices=('reliable', 'best_effort')),
    ParameterSpec('wait_for_subscribers', 0,
                  'Subscriptions to the image topic to wait for before the first image.',
                  value_range=(0, 100)),
)


class _Ready(NamedTuple):
    image: AnyImage
    info: CameraInfo  # without its header, which is the image's
    stamped: bool  # whether the image's stamp is the source's own


class SourceNode(Node):
    """
    Publishes images and their CameraInfo at a set rate.

    Args:
        node_name: the node's name.
        use_intra_process_comms: hand images over to nodes of the same process as they are. DDS
            gets them, too, while somebody else subscribes.
        kwargs: rclpy Node's own keyword arguments.

    Attributes:
        done: a future; its result is the process' exit code after the last image.

    """

    def __init__(self, node_name: str = 'source', *, use_intra_process_comms: bool = False,
                 **kwargs: Any) -> None:
        """
        Open the source and start publishing as soon as the node is spun.

        Raises:
            SourceError: the source cannot be read.
            rclpy.exceptions.ParameterException: a parameter's value does not fit.

        """
        super().__init__(node_name, **kwargs)
        answer_always(self)
        keep_to_own_threads()
        self.done = Future()
        self._prefetch: Optional[Prefetch[_Ready]] = None
        self._images: Optional[ImagePublisher] = None
        try:
            self._start(use_intra_process_comms)
        except BaseException:
            self.destroy_node()
            raise

    def _start(self, use_intra_process_comms: bool) -> None:
        for spec in _PARAMETERS:
            declare(self, spec)
        width, height = self._value('width'), self._value('height')
        if width * height > _MOST_PIXELS:
            raise SourceError(
                f'parameters width and height are {width} and {height}, '
                f'{width * height / 1e6:.0f} megapixels, expected at most '
                f'{_MOST_PIXELS / 1e6:.0f}: give smaller ones')
        source = open_source(self._value('source'), self._value('width'), self._value('height'),
                             self._value('seed'), self._value('bag_topic'),
                             self._value('color_range'))
        self._own_rate = source.rate or _DEFAULT_RATE
        self._use_source_stamp = self._value('stamp') == 'source'
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        if self._value('reliability') == 'reliable':
            qos.reliability = ReliabilityPolicy.RELIABLE
        topic = self._value('image_topic')
        compressed = self._value('encoding') == 'jpeg'
        self._images = ImagePublisher(self, f'{topic}/compressed' if compressed else topic,
                                      compressed, qos, use_intra_process_comms)
        self._infos = self.create_publisher(CameraInfo, self._value('camera_info_topic'), qos)
        self._waits_for = self._value('wait_for_subscribers')
        self._conversion = (self._value('encoding'), self._value('width'), self._value('height'),
                            self._value('color_range'))
        self._frame_id = self._value('frame_id')
        self._prefetch = Prefetch(source, self._prepare, self._value('loop'),
                                  self._value('max_frames'), on_bad=self._leave_out,
                                  keep=min(self._images_to_keep(),
                                           _MOST_KEPT if source.drawn else _FEW))
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

    def flush(self) -> None:
        """Let the last images reach their readers; takes a second at most."""
        assert self._images is not None
        self._images.wait_for_all_acked(1.0)
        # A best-effort reader acknowledges nothing.
        time.sleep(0.2)

    def destroy_node(self) -> bool:
        """Stop reading, then destroy the node; return whether the reading thread has ended."""
        stopped = self._prefetch is None or self._prefetch.close()
        if self._images is not None:
            self._images.close()
        super().destroy_node()
        return stopped

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _images_to_keep(self) -> int:
        encoding, width, height, _ = self._conversion
        size = (width or 640) * (height or 480) * (3 if encoding == 'bgr8' else 1.5)
        return min(_MOST_KEPT, max(1, int(_KEPT_BYTES / size)))

    def _prepare(self, image: SourceImage) -> _Ready:
        """Make, in the reading thread, what the tick only stamps and publishes."""
        encoding, width, height, color_range = self._conversion
        frame = conform(image.frame, encoding, width, height, color_range)
        height, width = frame.hw
        stamp, stamped = (0, 0), False
        if self._use_source_stamp and image.stamp:
            stamp, stamped = divmod(image.stamp, 10**9), True
        frame_id = self._frame_id or image.frame_id or 'camera'
        data = _pixels(frame, encoding)
        ready: AnyImage
        if encoding == 'jpeg':
            ready = CompressedImageArray(stamp, frame_id, 'jpeg', data)
        else:
            ready = ImageArray(stamp, frame_id, height, width, encoding, 0,
                               width * (3 if encoding == 'bgr8' else 1), data)
        calibration = (image.calibration or Calibration.pinhole(*image.frame.hw[::-1])
                       ).fitted(width, height)
        info = CameraInfo(height=height, width=width, distortion_model=calibration.model,
                          d=calibration.d, k=calibration.k, r=calibration.r, p=calibration.p)
        return _Ready(ready, info, stamped)

    def _leave_out(self, error: RdkYoloError) -> None:
        self.get_logger().warning(f'left out: {error}', throttle_duration_sec=1.0)

    def _tick(self) -> None:
        if self.done.done() or self._prefetch is None or self._images is None:
            return
        if self._waits_for:
            if self._images.subscription_count() < self._waits_for:
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
            self._publish(self._images, ready)
        self._report()

    def _publish(self, images: ImagePublisher, ready: _Ready) -> None:
        image = ready.image
        if not ready.stamped:
            now = self.get_clock().now().nanoseconds
            image = dataclasses.replace(image, stamp=divmod(now, 10**9))
        # The smaller message first: whoever pairs the two has it when the image arrives.
        if self._infos.get_subscription_count():
            seconds, nanoseconds = image.stamp
            ready.info.header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds),
                                       frame_id=image.frame_id)
            self._infos.publish(ready.info)
        images.publish(image)
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

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == 'rate':
                self._rate = parameter.value or self._own_rate
                self._timer.timer_period_ns = round(1e9 / self._rate)
                self._reported, self._reported_at = self._published, None
        return SetParametersResult(successful=True)


def _pixels(frame: Frame, encoding: str) -> np.ndarray:
    """Return what an image message's data are, uint8 (n,), read-only."""
    height, width = frame.hw
    row_bytes = width * (3 if encoding == 'bgr8' else 1)
    if encoding == 'jpeg':
        pixels = frame.data
    elif frame.step == row_bytes and (frame.height, frame.width) == frame.hw:
        # Some recorders leave bytes behind the image.
        pixels = frame.data[:row_bytes * (height if encoding == 'bgr8' else height * 3 // 2)]
    else:
        pixels = frame.to_nv12(frame.color_range) if encoding == 'nv12' else frame.to_bgr()
    # A view, so that nothing of whoever made the pixels becomes read-only.
    data = np.ascontiguousarray(pixels).reshape(-1).view()
    data.flags.writeable = False
    return data


def main(args: Optional[Sequence[str]] = None) -> int:
    """Run the node until its source ends or the process is told to stop; return the exit code."""
    codes: list[int] = []

    def make_node() -> SourceNode:
        node = SourceNode()
        node.done.add_done_callback(lambda done: end(node, done.result()))
        return node

    def end(node: SourceNode, code: int) -> None:
        codes.append(code)
        node.flush()
        rclpy.try_shutdown()

    return run_node(make_node, 'source', args, lambda: sum(codes))


if __name__ == '__main__':
    sys.exit(main())
