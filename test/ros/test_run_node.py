"""How an executable's process ends."""

import pytest

pytest.importorskip('rclpy')

HUNG = """
import sys, threading, time
import rclpy
from rclpy.node import Node
from rdk_yolo_ros.nodes.spin import run_node


def make_node():
    node = Node('ending')
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    node.create_timer(0.01, rclpy.try_shutdown)
    return node


sys.exit(run_node(make_node, 'ending', [], lambda: 3))
"""


def test_a_thread_that_hangs_changes_no_exit_code(processes, python):
    process = processes(python, '-c', HUNG)
    assert process.wait(20) == 3, process.output
