"""A log that can no longer be written."""

from pathlib import Path
import resource
import shutil
import signal
import subprocess

import pytest

pytest.importorskip('rclpy')

from fault_graph import (  # noqa: E402
    BEST_EFFORT,
    OK,
    RED,
    Camera,
    Health,
    image,
    write_colour_model,
)
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

# A file system of the process' own, which is full, and which ends with the process.
FULL = ('mount -t tmpfs -o size=64k tmpfs "$ROS_LOG_DIR" && '
        '{ head -c 1000k /dev/zero > "$ROS_LOG_DIR/rest"; exec "$@"; }')


@pytest.fixture(params=['no space', 'no larger file'])
def yolo(request, processes, python, tmp_path):
    """Start a node whose log file cannot grow."""
    log = tmp_path / 'log'
    log.mkdir()
    command = [python, '-m', 'rdk_yolo_ros.nodes.yolo', '--ros-args',
               '-p', f'config_file:={write_colour_model(tmp_path)}', '--log-level', 'yolo:=debug']
    if request.param == 'no space':
        unshare = [shutil.which('unshare') or 'unshare', '--map-root-user', '--mount']
        if not shutil.which('unshare') or subprocess.run(
                [*unshare, 'sh', '-c', 'mount -t tmpfs tmpfs /mnt'], capture_output=True,
                check=False, timeout=30).returncode:
            pytest.skip('no mount namespace of its own to be had here')
        process = processes(*unshare, 'sh', '-c', FULL, 'sh', *command,
                            env={'ROS_LOG_DIR': str(log)})
        process.wait_for_line('images from')
    else:
        process = processes(*command, env={'ROS_LOG_DIR': str(log)})
        process.wait_for_line('images from')
        # Python ignores the signal that goes with it, so that a write fails as on a full disk.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))
    # As the process sees it, whatever is mounted there.
    process.log = Path(f'/proc/{process.pid}/root{log}')
    return process


def test_a_log_that_cannot_be_written_stops_nothing(graph, yolo):
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    publisher = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    bad = image(RED)
    bad.encoding = 'bayer_rggb12'
    with Camera(publisher, lambda: bad, 30.0):
        health.wait(lambda now: now['dropped: failed'] >= 60)
    with Camera(publisher, lambda: image(RED), 30.0):
        results.wait(30)
        health.wait_for(OK)
    # What goes to the terminal is all there.
    lines = [line for line in yolo.lines if 'bayer_rggb12' in line]
    assert len(lines) >= 2
    assert len(yolo.lines) < 200
    assert yolo.is_running()
    (log,) = yolo.log.glob('*.log')
    assert 'bayer_rggb12' not in log.read_text(), 'there was room for it'
    yolo.signal(signal.SIGINT)
    assert yolo.wait(10.0) == 0
