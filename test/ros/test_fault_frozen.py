"""A node that the machine does not let run for a moment goes on with the newest image."""

import signal
import time

import pytest

pytest.importorskip('rclpy')

from fault_graph import write_colour_model  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

FREEZES, FROZEN_S, BETWEEN_S = 5, 0.4, 2.5


def test_images_that_got_lost_while_the_node_stood_still_hold_nothing_up(graph, start, tmp_path):
    # Reliable on both sides, so a lost image is asked for again, and what is behind it waits.
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    delays = []
    graph.node.create_subscription(Detection2DArray, 'yolo/detections', lambda message:
                                   delays.append(time.time() - message.header.stamp.sec
                                                 - message.header.stamp.nanosec * 1e-9), 10)
    source = start('source', width=1920, height=1080, rate=30.0)
    source.wait_for_line('on /image_raw')
    began = time.monotonic()
    while len(delays) < 30:
        assert time.monotonic() < began + 60, source.output
        time.sleep(0.05)
    delays.clear()
    for _ in range(FREEZES):
        yolo.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        yolo.signal(signal.SIGCONT)
        time.sleep(BETWEEN_S)
    assert len(delays) > FREEZES * BETWEEN_S * 30 / 3
    # Of the images that waited meanwhile at most the oldest, which was under way already.
    assert max(delays) < FROZEN_S + 1.0
