"""The overlay node: images and their detections in; pictures out. See docs/overlay_node.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import sys
import time
from typing import Any, Optional

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from rdk_yolo_ros.components.ros_services import answer_always
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.drawing import ClassNames
from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics
from rdk_yolo_ros.nodes.image_publisher import ImagePublisher
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
from rdk_yolo_ros.nodes.images import ImageMessage, frame_from_message, header_of, stamp_of
from rdk_yolo_ros.nodes.local_results import LocalResult
from rdk_yolo_ros.nodes.opencv_threads import keep_to_own_threads
from rdk_yolo_ros.nodes.overlay_inputs import KEYPOINTS, MASK, OverlayInputs
from rdk_yolo_ros.nodes.overlay_matching import DETECTIONS, Match, Matcher
from rdk_yolo_ros.nodes.overlay_picture import ENCODINGS, Picture
from rdk_yolo_ros.nodes.overlay_report import OverlayReport
from rdk_yolo_ros.nodes.overlay_results import ClassNumbers, detections_from_messages
from rdk_yolo_ros.nodes.parameters import IMAGE_PARAMETERS, ParameterSpec, declare
from rdk_yolo_ros.nodes.spin import run_node
from rdk_yolo_ros.pipeline import Pipeline

# Reliable, so that every viewer gets it; two, so that one that is slow costs little memory.
_PICTURE_QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=2,
                          reliability=ReliabilityPolicy.RELIABLE)
_LOOK_S = 0.25  # how often the node looks whether somebody listens

PARAMETERS = (
    *IMAGE_PARAMETERS,
    ParameterSpec('results', 'yolo',
                  "The YOLO node's name: detections, keypoints, mask and label_info below it are "
                  'subscribed to.', is_topic=True),
    ParameterSpec('draw_keypoints', True, 'Subscribe to key points and draw them.'),
    ParameterSpec('draw_masks', True, 'Subscribe to masks and draw them.'),
    ParameterSpec('encoding', 'bgr8',
                  'Encoding of ~/image. bgr8: what viewers show. nv12: what costs least, where '
                  'the images are nv12.', choices=ENCODINGS),
    ParameterSpec('jpeg_quality', 80, 'Quality of ~/image/compressed.', value_range=(1, 100)),
    ParameterSpec('result_timeout', 0.5,
                  'Seconds without any result after which images are shown as they are.',
                  value_range=(0, 60)),
    ParameterSpec('queue_size', 16, 'How many images wait for their results at most.',
                  value_range=(1, 1000)),
)


class OverlayNode(Node):
    """
    Draws detections, key points and masks on the images that they belong to.

    Args:
        node_name: the node's name.
        use_intra_process_comms: take images from nodes of the same process as they are, and hand
            pictures over in the same way.
        kwargs: rclpy Node's own keyword arguments.

    Raises:
        rclpy.exceptions.ParameterException: a parameter's value does not fit.

    """

    def __init__(self, node_name: str = 'overlay', *, use_intra_process_comms: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        answer_always(self)
        keep_to_own_threads()
        self._pipeline: Optional[Pipeline[Match[ImageMessage], None]] = None
        self._inputs: Optional[OverlayInputs] = None
        self._outputs: list[ImagePublisher] = []
        try:
            self._start(use_intra_process_comms)
        except BaseException:
            self.destroy_node()
            raise

    def _start(self, intra_process: bool) -> None:
        given = {spec.name: declare(self, spec) for spec in PARAMETERS}
        self._color_range = given['image_color_range']
        self._encoding = given['encoding']
        self._quality = given['jpeg_quality']
        self._statistics = Statistics()
        self._complaints = Complaints(self.get_logger().error)
        self._classes = ClassNumbers()
        self._matcher: Matcher[ImageMessage] = Matcher(
            given['queue_size'], given['result_timeout'])
        self._picture = ImagePublisher(self, '~/image', False, _PICTURE_QOS, intra_process)
        self._jpeg = ImagePublisher(self, '~/image/compressed', True, _PICTURE_QOS, intra_process)
        self._outputs = [self._picture, self._jpeg]
        self._pipeline = Pipeline(self._show, on_error=self._on_error)
        images = ImageSubscription(self, given['image_topic'], given['image_transport'],
                                   self._on_image, intra_process, on_malformed=self._complain)
        kinds = {DETECTIONS} | ({KEYPOINTS} if given['draw_keypoints'] else set()) \
            | ({MASK} if given['draw_masks'] else set())
        self._inputs = OverlayInputs(self, images, given['results'], frozenset(kinds),
                                     self._on_result, self._classes.learn, intra_process,
                                     self._on_malformed)
        self._report = OverlayReport(self, self._statistics, self._complaints, self._inputs,
                                     self._matcher)
        self._timer = self.create_timer(
            _LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(
            f"images from {images.topic_name}, results from {given['results']}; pictures on "
            f'{self._picture.topic_name} ({self._encoding}) and {self._jpeg.topic_name} while '
            'somebody subscribes')

    def destroy_node(self) -> bool:
        """Stop drawing, then destroy the node; return whether every thread has ended."""
        for output in self._outputs:
            output.close()
        if self._inputs is not None:
            self._inputs.close()
        stopped = self._pipeline is None or self._pipeline.close()
        super().destroy_node()
        return stopped

    # In the executor's thread:

    def _look(self) -> None:
        """Subscribe while somebody listens, and show what has waited too long."""
        assert self._inputs is not None
        watched = any(output.is_watched() for output in self._outputs)
        if watched and not self._inputs.is_open:
            self._inputs.open()
        elif not watched and self._inputs.is_open:
            self._inputs.close()
            self._matcher.clear()
        if watched:
            self._matcher.wanted = self._inputs.published_kinds()
            self._submit(self._matcher.expire())

    # In the executor's thread, or that of what comes from the same process:

    def _on_result(self, stamp: tuple[int, int], parts: Mapping[str, Any]) -> None:
        for kind in parts:
            self._statistics.count(kind)
        self._submit(self._matcher.add_parts(stamp, parts))

    def _on_malformed(self, topic: str, error: Exception) -> None:
        text = ' '.join(str(error).split())
        self._complaints.report(f'{topic}: a result was left out: {text}')

    def _on_image(self, message: ImageMessage) -> None:
        self._statistics.count('received')
        self._submit(self._matcher.add_image(stamp_of(header_of(message)), message))

    def _submit(self, matches: Sequence[Match[ImageMessage]]) -> None:
        for match in matches:
            if self._pipeline is not None and self._pipeline.submit(match) is not None:
                self._statistics.count('dropped')

    # In the pipeline's threads:

    def _show(self, match: Match[ImageMessage]) -> None:
        began = time.monotonic()
        header = header_of(match.image)
        stamp, frame_id = stamp_of(header), header.frame_id
        frame = frame_from_message(match.image, self._color_range)
        wants_picture, wants_jpeg = (output.is_watched() for output in self._outputs)
        if not wants_picture and not wants_jpeg:
            return
        picture = Picture(frame, self._encoding)
        if match.parts:
            picture.draw(*self._detections(match.parts))
        drawn = time.monotonic()
        if wants_picture:
            self._picture.publish(picture.image(stamp, frame_id))
        if wants_jpeg:
            self._jpeg.publish(picture.jpeg(stamp, frame_id, self._quality))
        self._statistics.latencies({'draw': drawn - began, 'publish': time.monotonic() - drawn})
        self._statistics.count('shown')

    def _detections(self, parts: Mapping[str, Any]) -> tuple[Detections, ClassNames]:
        result = parts[DETECTIONS]
        if not isinstance(result, LocalResult):
            return detections_from_messages(result, parts.get(KEYPOINTS), parts.get(MASK),
                                            self._classes)
        found = result.detections
        return dataclasses.replace(
            found, keypoints=found.keypoints if KEYPOINTS in parts else None,
            masks=found.masks if MASK in parts else None), result.names

    def _on_error(self, _match: Match[ImageMessage], error: Exception) -> None:
        if not self.context.ok():
            return  # a signal ended the context while a picture was on its way
        self._complain(error)

    # In any thread:

    def _complain(self, error: Exception) -> None:
        self._statistics.count('failed')
        text = ' '.join(str(error).split())
        if not isinstance(error, FrameError):
            text = f'{type(error).__name__}: {text}'
        self._complaints.report(f'an image was left out: {text}')


def main(args: Optional[Sequence[str]] = None) -> int:
    """Run the node; `ros2 run rdk_yolo_ros overlay`."""
    return run_node(OverlayNode, 'overlay', args)


if __name__ == '__main__':
    sys.exit(main())
