"""A YOLO node that is killed, and the one that takes its place."""

import signal

import numpy as np
import pytest

pytest.importorskip('rclpy')

from fault_graph import OK, Health, resident_mb  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402


def test_whoever_listened_to_a_killed_node_hears_its_successor(graph, start, tmp_path):
    cv2 = pytest.importorskip('cv2')
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((720, 1280, 3), 90, np.uint8))
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    # Large images: those in shared memory when the reader dies must not stay taken.
    source = start('source', source=tmp_path / 'grey.png', rate=20.0)
    first_mb = None
    for _ in range(3):
        yolo = start('yolo', config_file='config/demo_detect.json')
        yolo.wait_for_line('images from')
        results.wait(len(results) + 10)
        report = health.wait(lambda now: now.level == OK and now['published'] >= 10)
        assert report['lost by the middleware'] < 0.2 * report['received']
        yolo.signal(signal.SIGKILL)
        assert yolo.wait() == -signal.SIGKILL
        assert source.is_running()
        first_mb = first_mb or resident_mb(source)
    assert resident_mb(source) < first_mb + 10
