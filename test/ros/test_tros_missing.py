"""The node where TROS' message packages are not installed: it works, and speaks when asked to."""

from array import array
from pathlib import Path
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('onnxruntime')

from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.scenes import render_scene  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# A process in which the packages cannot be imported, whether they are installed or not.
WITHOUT_TROS = '''
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split('.')[0] in ('ai_msgs', 'hbm_img_msgs'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Missing())
from rdk_yolo_ros.nodes.yolo import main
sys.exit(main())
'''


@pytest.fixture
def yolo(processes, python):
    def start(**parameters):
        command = [python, '-c', WITHOUT_TROS, '--ros-args', '-p',
                   f'config_file:={ROOT / "config" / "demo_detect.json"}']
        for name, value in parameters.items():
            command += ['-p', f'{name}:={value}']
        return processes(*command)

    return start


@pytest.mark.parametrize(('parameters', 'said'), [
    ({}, None), ({'publish_ai_msgs': 'false', 'msg_pub_topic_name': 'results'}, None),
    ({'msg_pub_topic_name': 'results'}, 'parameter msg_pub_topic_name has no effect here')])
def test_it_works_and_says_what_is_missing_only_if_it_was_asked_for(
        graph, yolo, wait_until, parameters, said):
    results = graph.record(Detection2DArray, '/yolo/detections')
    images = graph.publisher(Image, 'image_raw')
    process = yolo(**parameters)
    process.wait_for_line('images from /image_raw')
    nv12 = Frame.from_bgr(render_scene(3, 640, 480).image).to_nv12()
    message = Image(encoding='nv12', height=480, width=640, step=640,
                    data=array('B', nv12.tobytes()))

    def answered():
        images.publish(message)
        time.sleep(0.2)
        return len(results)

    wait_until(answered, what='detections')
    assert results.messages[0].detections
    lines = [line for line in process.lines if 'ai_msgs' in line or 'hbm_img_msgs' in line]
    assert len(lines) == (said is not None), lines
    if said:
        assert said in lines[0]
        assert 'install tros-humble-ai-msgs' in lines[0]


@pytest.mark.parametrize(('parameters', 'named'), [
    ({'publish_ai_msgs': 'true'}, 'parameter publish_ai_msgs is true, but results in ai_msgs need '
                                  'the ROS package ai_msgs'),
    ({'is_shared_mem_sub': '1'}, 'need the ROS package hbm_img_msgs')])
def test_what_cannot_be_done_without_them_ends_it_with_one_line(yolo, parameters, named):
    process = yolo(**parameters)
    assert process.wait() == 1
    (line,) = [line for line in process.lines if line.startswith('yolo: ')]
    assert named in line
    assert 'source /opt/tros/humble/setup.bash' in line
    assert not any('Traceback' in line for line in process.lines)


def test_a_camera_whose_images_need_the_package_is_named(graph, yolo):
    hbm_img_msgs = pytest.importorskip('hbm_img_msgs.msg')
    graph.publisher(hbm_img_msgs.HbmMsg480P, 'image_raw')
    line = yolo().wait_for_line('hbm_img_msgs')
    assert 'install tros-humble-hbm-img-msgs' in line


def test_the_modules_are_imported_only_when_they_are_needed(processes, python):
    process = processes(python, '-c', 'import sys, rdk_yolo_ros.nodes.yolo\n'
                        'print({"ai_msgs", "hbm_img_msgs"} & set(sys.modules))')
    assert process.wait() == 0
    assert process.lines == ['set()']
