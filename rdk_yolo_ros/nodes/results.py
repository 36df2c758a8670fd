"""ResultPublishers: the topics that carry a YOLO node's results, and who listens to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from rdk_yolo_ros import cdr
from rdk_yolo_ros.components.intra_process import IntraProcessPublisher
from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.nodes.images import stamp_of
from rdk_yolo_ros.nodes.local_results import LocalResult
from rdk_yolo_ros.nodes.perception import Work
from rdk_yolo_ros.nodes.perception_publisher import PerceptionPublisher
from rdk_yolo_ros.nodes.qos import LATCHED_QOS, RESULT_QOS
from rdk_yolo_ros.nodes.qos_overrides import create_publisher


class ResultPublishers:
    """
    Publishes results to whoever listens, and writes no message for nobody.

    Messages are written as the bytes that the middleware sends; `nodes.messages` builds the same
    ones field by field.

    Attributes:
        perception: publishes the results in TROS' messages, too, or None.

    Args:
        node: the node that the topics belong to.
        task: the model's task: 'pose' adds key points to the detections, 'segment' masks;
            'classify' has classes instead.
        names: the model's class names, by number.
        class_id_format: 'name' or 'index'.
        perception: see above.
        before: whose topics are taken over, so that their subscribers miss nothing; `release`
            then ends those of its topics that this one does not have.
        intra_process: hand detections to nodes of the same process as they are; messages are
            written while anybody else listens.

    """

    def __init__(self, node: Node, task: str, names: Sequence[str], class_id_format: str,
                 perception: Optional[PerceptionPublisher] = None,
                 before: Optional[ResultPublishers] = None, *,
                 intra_process: bool = False) -> None:
        self._node = node
        self.perception = perception
        # What is in ai_msgs beyond boxes and classes.
        self._perceives_extras = perception is not None and task in ('pose', 'segment')
        self._names = tuple(names)
        self._class_ids: Optional[Sequence[str]] = (
            self._names if class_id_format == 'name' else None)
        self._detections_writer = cdr.DetectionsWriter(self._class_ids)
        wanted: dict[str, Any] = {
            'classification': Classification if task == 'classify' else None,
            'detections': Detection2DArray if task != 'classify' else None,
            'keypoints': PointCloud2 if task == 'pose' else None,
            'mask': Image if task == 'segment' else None}
        had = {} if before is None else before._topics
        self._topics: dict[str, Publisher] = {
            name: had.get(name) or create_publisher(node, kind, f'~/{name}', RESULT_QOS)
            for name, kind in wanted.items() if kind is not None}
        self._topics['label_info'] = had.get('label_info') or create_publisher(
            node, LabelInfo, '~/label_info', LATCHED_QOS)
        self._local = {
            name: IntraProcessPublisher(node, f'~/{name}') for name in self._topics
            if intra_process and name in ('detections', 'keypoints', 'mask')}
        self._detections = self._topics.get('detections')
        self._classification = self._topics.get('classification')
        self._keypoints = self._topics.get('keypoints')
        self._mask = self._topics.get('mask')
        self._label_info = self._topics['label_info']

    def release(self, heir: Optional[ResultPublishers] = None) -> None:
        """End the topics, but for those that `heir` has taken over."""
        kept = set() if heir is None else set(map(id, heir._topics.values()))
        for publisher in self._topics.values():
            if id(publisher) not in kept:
                self._node.destroy_publisher(publisher)
        if self.perception is not None:
            self.perception.release(None if heir is None else heir.perception)

    def is_watched(self) -> bool:
        """Return whether anybody listens to any result."""
        return (_has_listener(self._detections) or _has_listener(self._classification)
                or self._is_perception_watched() or self.needs_extras())

    def needs_extras(self) -> bool:
        """Return whether anybody listens to key points or masks."""
        return (_has_listener(self._keypoints) or _has_listener(self._mask)
                or (self._perceives_extras and self._is_perception_watched()))

    def _is_perception_watched(self) -> bool:
        return self.perception is not None and self.perception.is_watched()

    def publish(self, result: Union[Detections, Classifications], header: Header,
                hw: tuple[int, int], work: Work) -> None:
        """
        Publish one frame's result.

        Args:
            result: detections, without key points or masks those are not published; or classes.
            header: the image's header.
            hw: the image's height and width.
            work: what the frame took.

        """
        stamp, frame_id = stamp_of(header), header.frame_id
        if isinstance(result, Classifications):
            if self._classification is not None and _has_listener(self._classification):
                self._classification.publish(
                    cdr.write_classification(result, stamp, frame_id, self._class_ids))
        else:
            self._publish_detections(result, stamp, frame_id, hw)
        if self.perception is not None:
            self.perception.publish(result, header, hw, work)

    def _publish_detections(self, detections: Detections, stamp: tuple[int, int], frame_id: str,
                            hw: tuple[int, int]) -> None:
        written: dict[str, Callable[[], bytes]] = {
            'detections': lambda: self._detections_writer.write(detections, stamp, frame_id)}
        if detections.keypoints is not None:
            written['keypoints'] = lambda: cdr.write_keypoints(detections, stamp, frame_id)
        if detections.masks is not None:
            written['mask'] = lambda: cdr.write_image(
                cdr.label_image(detections, stamp, frame_id, hw))
        for name, write in written.items():
            publisher, local = self._topics.get(name), self._local.get(name)
            if publisher is None or not _has_listener(publisher):
                continue
            if local is not None and local.has_local():
                local.publish(LocalResult(stamp, frame_id, detections, self._names))
                if not local.dds_listeners(publisher):
                    continue
            publisher.publish(write())

    def publish_label_info(self, header: Header, threshold: float) -> None:
        """Publish the class names and the threshold; whoever subscribes later gets them, too."""
        self._label_info.publish(cdr.write_label_info(
            self._names, threshold, stamp_of(header), header.frame_id))


def _has_listener(publisher: Optional[Publisher]) -> bool:
    return publisher is not None and publisher.get_subscription_count() > 0
