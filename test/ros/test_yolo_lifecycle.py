"""The YOLO node's states: what each transition takes and frees, on a real graph."""

import json
import re
import threading
import time

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.exceptions import ParameterException  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from stand_in_predictor import StandInPredictor, nv12_image  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402
from vision_msgs.msg import Detection2DArray, LabelInfo  # noqa: E402

from rdk_yolo_ros.nodes import report  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402
from rdk_yolo_ros.share import find_file  # noqa: E402

CONFIG = 'config/demo_detect.json'
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# What deactivating is promised to take; a transition's service call adds the graph's own time.
PROMISED_S = 0.1


@pytest.fixture
def images(graph):
    return graph.publisher(Image, 'image_raw', 10)


@pytest.fixture
def results(graph):
    return graph.record(Detection2DArray, '/yolo/detections')


def change(graph, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return graph.call(ChangeState, '/yolo/change_state', request).success


def state_of(graph):
    return graph.call(GetState, '/yolo/get_state', GetState.Request()).current_state.label


def enable(graph, wanted):
    return graph.call(SetBool, '/yolo/enable', SetBool.Request(data=wanted))


def publish_until(images, results, wait_until, what, seq=1):
    """Publish images until a result of one of them is there."""
    def have_result():
        images.publish(nv12_image(seq=seq))
        time.sleep(0.02)
        return any(r.header.frame_id == f'camera_{seq}' for r in list(results.messages))

    wait_until(have_result, what=what)


def pipeline_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith('pipeline-')]


def test_a_node_brings_itself_to_active(graph, make_node, images, results, wait_until):
    make_node(StandInPredictor())
    assert state_of(graph) == 'active'
    publish_until(images, results, wait_until, 'a result')


def test_without_autostart_each_transition_takes_and_frees_what_it_should(
        graph, make_node, images, results, wait_until):
    before = len(pipeline_threads())
    node = make_node(config_file=CONFIG, autostart=False)
    assert state_of(graph) == 'unconfigured'
    assert graph.node.count_publishers('/yolo/detections') == 0
    for _ in range(2):
        assert change(graph, Transition.TRANSITION_CONFIGURE)
        assert state_of(graph) == 'inactive'
        runtime = node._inference.model.predictor.runtime
        assert runtime.state == 'running'
        assert images.get_subscription_count() == 0
        assert len(pipeline_threads()) == before
        assert change(graph, Transition.TRANSITION_ACTIVATE)
        assert len(pipeline_threads()) > before
        publish_until(images, results, wait_until, 'a result')
        assert change(graph, Transition.TRANSITION_DEACTIVATE)
        wait_until(lambda: images.get_subscription_count() == 0)
        wait_until(lambda: len(pipeline_threads()) == before)
        assert runtime.state == 'running'
        assert change(graph, Transition.TRANSITION_CLEANUP)
        assert runtime.state == 'closed'
        wait_until(lambda: graph.node.count_publishers('/yolo/detections') == 0)
        results.messages.clear()
    assert change(graph, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert state_of(graph) == 'finalized'


@pytest.mark.parametrize('transitions', [
    [], [Transition.TRANSITION_CONFIGURE],
    [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE]])
def test_shutdown_frees_everything_in_any_state(graph, make_node, images, transitions, wait_until):
    node = make_node(config_file=CONFIG, autostart=False)
    for transition in transitions:
        assert change(graph, transition)
    runtime = node._inference.model.predictor.runtime if transitions else None
    assert change(graph, [Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
                          Transition.TRANSITION_INACTIVE_SHUTDOWN,
                          Transition.TRANSITION_ACTIVE_SHUTDOWN][len(transitions)])
    assert state_of(graph) == 'finalized'
    assert runtime is None or runtime.state == 'closed'
    wait_until(lambda: images.get_subscription_count() == 0)


def test_a_failed_configure_says_why_and_can_be_tried_again(
        graph, make_node, tmp_path, capfd, wait_until):
    path = tmp_path / 'work.json'
    make_node(config_file=str(path), autostart=False)
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    assert not change(graph, Transition.TRANSITION_CONFIGURE)
    assert state_of(graph) == 'unconfigured'
    line, = [line for line in capfd.readouterr().err.splitlines() if 'not inactive' in line]
    assert line.startswith('[ERROR]')
    assert 'work.json' in line
    told = statuses.wait(where=lambda m: m.status[0].level == DiagnosticStatus.ERROR)[0].status[0]
    assert told.message.startswith('unconfigured: ')
    assert 'work.json' in told.message
    path.write_text(json.dumps({'model_file': str(find_file('models/demo_detect.onnx'))}))
    assert change(graph, Transition.TRANSITION_CONFIGURE)
    assert state_of(graph) == 'inactive'
    told = statuses.wait(where=lambda m: m.status[0].message == 'inactive')[0].status[0]
    assert told.level == DiagnosticStatus.OK


def test_a_configure_that_fails_at_a_topic_leaves_no_other_topic(graph, make_node):
    node = make_node(StandInPredictor('pose'), **{
        'autostart': False, 'qos_overrides./yolo/keypoints.publisher.depth': 0})
    publishers, timers = set(node.publishers), set(node.timers)
    assert not change(graph, Transition.TRANSITION_CONFIGURE)
    assert (set(node.publishers), set(node.timers)) == (publishers, timers)


def test_a_parameter_cannot_be_deleted(graph, make_node):
    node = make_node(StandInPredictor())
    deleted = [Parameter(name).to_parameter_msg() for name in
               ('classes', 'score_threshold', 'is_shared_mem_sub', 'publish_ai_msgs')]
    results = graph.call(SetParameters, '/yolo/set_parameters',
                         SetParameters.Request(parameters=deleted)).results
    assert not any(result.successful for result in results)
    assert results[0].reason == \
        "parameter classes cannot be deleted; set it to [''] for all classes"
    assert all(node.has_parameter(parameter.name) for parameter in deleted)


def test_a_defect_while_configuring_leaves_a_node_that_can_be_configured(
        graph, make_node, capfd, monkeypatch):
    predictor = StandInPredictor()
    make_node(predictor, autostart=False)
    monkeypatch.setattr(predictor, 'options', None)  # an AttributeError in the node
    assert not change(graph, Transition.TRANSITION_CONFIGURE)
    assert state_of(graph) == 'unconfigured'
    assert 'AttributeError' in capfd.readouterr().err
    monkeypatch.undo()
    assert change(graph, Transition.TRANSITION_CONFIGURE)


def test_a_wrong_parameter_is_an_error_with_and_without_autostart(graph, make_node):
    with pytest.raises(ParameterException, match='slots'):
        make_node(StandInPredictor(), autostart=False, slots=-1)


def test_an_inactive_node_has_said_nothing_yet(graph, make_node, wait_until):
    infos = graph.record(LabelInfo, '/yolo/label_info', LATCHED)
    make_node(StandInPredictor(), autostart=False)
    assert change(graph, Transition.TRANSITION_CONFIGURE)
    request = SetParameters.Request(parameters=[
        Parameter('score_threshold', value=0.75).to_parameter_msg()])
    assert graph.call(SetParameters, '/yolo/set_parameters', request).results[0].successful
    time.sleep(0.5)
    assert len(infos) == 0
    assert change(graph, Transition.TRANSITION_ACTIVATE)
    assert infos.wait()[0].threshold == 0.75


@pytest.mark.parametrize('ends', [True, False])
def test_deactivating_takes_no_longer_when_an_inference_is_under_way_or_hangs(
        graph, make_node, images, results, wait_until, ends):
    predictor = StandInPredictor(slots=2)
    node = make_node(predictor)
    publish_until(images, results, wait_until, 'a result')
    predictor.gate.clear()
    begun = predictor.calls
    wait_until(lambda: images.publish(nv12_image(seq=2)) or predictor.calls >= begun + 2)
    assert change(graph, Transition.TRANSITION_DEACTIVATE)
    assert state_of(graph) == 'inactive'
    seen = len(results)
    if ends:
        predictor.gate.set()
        time.sleep(0.3)
    # What was under way is published no more.
    assert len(results) == seen
    assert change(graph, Transition.TRANSITION_ACTIVATE)
    begin = time.monotonic()
    node.on_deactivate(None)
    assert time.monotonic() - begin < PROMISED_S
    node.on_activate(None)
    predictor.gate.set()
    publish_until(images, results, wait_until, 'a result of the node that is active again', 3)


def test_deactivating_with_a_hung_inference_keeps_the_promise(
        graph, make_node, images, results, wait_until):
    predictor = StandInPredictor(slots=4)
    node = make_node(predictor)
    publish_until(images, results, wait_until, 'a result')
    predictor.gate.clear()
    begun = predictor.calls
    wait_until(lambda: images.publish(nv12_image(seq=2)) or predictor.calls >= begun + 4)
    begin = time.monotonic()
    node.on_deactivate(None)
    took = time.monotonic() - begin
    predictor.gate.set()
    assert took < PROMISED_S


def test_an_inference_that_was_left_behind_is_a_warning_and_no_error(
        graph, make_node, images, results, wait_until, monkeypatch):
    monkeypatch.setattr(report, '_HUNG_S', 0.5)
    predictor = StandInPredictor()
    node = make_node(predictor)
    publish_until(images, results, wait_until, 'a result')
    predictor.gate.clear()
    begun = predictor.calls
    wait_until(lambda: images.publish(nv12_image(seq=2)) or predictor.calls > begun)
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    statuses.wait(where=lambda m: m.status[0].level == DiagnosticStatus.ERROR)
    node.trigger_deactivate()
    node.trigger_activate()
    statuses.messages.clear()
    told = [message.status[0] for message in statuses.wait(3)]
    assert {(status.level, status.message[:21]) for status in told} \
        == {(DiagnosticStatus.WARN, '1 inference(s) were g')}
    predictor.gate.set()
    publish_until(images, results, wait_until, 'a result after it returned', 3)
    statuses.wait(where=lambda m: m.status[0].message == 'running')


def test_a_node_that_was_destroyed_is_gone_from_the_graph(graph, wait_until):
    node = YoloNode(predictor=StandInPredictor(), context=graph.context)
    wait_until(lambda: 'yolo' in graph.node.get_node_names())
    node.destroy_node()
    wait_until(lambda: 'yolo' not in graph.node.get_node_names(), limit=5.0)


# ~/enable


def test_a_disabled_node_has_no_image_subscription_and_keeps_its_model(
        graph, make_node, images, results, wait_until):
    predictor = StandInPredictor()
    node = make_node(predictor)
    publish_until(images, results, wait_until, 'a result')
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    response = enable(graph, False)
    assert (response.success, response.message) == (True, 'disabled: the model stays loaded')
    wait_until(lambda: images.get_subscription_count() == 0)
    assert state_of(graph) == 'active'
    assert node._inference.model.predictor is predictor
    told = statuses.wait(where=lambda m: 'disabled' in m.status[0].message)[0].status[0]
    assert told.level == DiagnosticStatus.OK
    assert {'enabled': 'False', 'lifecycle state': 'active'}.items() <= {
        pair.key: pair.value for pair in told.values}.items()
    assert enable(graph, True).message == 'enabled'
    publish_until(images, results, wait_until, 'a result after enabling', 2)


def test_enabling_twice_changes_nothing(graph, make_node, images, results, wait_until):
    node = make_node(StandInPredictor())
    for wanted in (True, True, False, False, True):
        assert enable(graph, wanted).success
    wait_until(lambda: images.get_subscription_count() == 1)
    assert len(list(node.subscriptions)) == 1
    publish_until(images, results, wait_until, 'a result')


def test_a_disabled_node_is_activated_without_images_until_it_is_enabled(
        graph, make_node, images, results, wait_until):
    make_node(StandInPredictor(), autostart=False)
    assert re.search('disabled.*unconfigured', enable(graph, False).message)
    assert change(graph, Transition.TRANSITION_CONFIGURE)
    assert change(graph, Transition.TRANSITION_ACTIVATE)
    time.sleep(0.3)
    assert images.get_subscription_count() == 0
    assert enable(graph, True).success
    publish_until(images, results, wait_until, 'a result')


# As a process


def test_a_process_without_autostart_waits_and_a_lifecycle_manager_leads_it(
        graph, processes, python):
    process = processes(python, '-m', 'rdk_yolo_ros.nodes.yolo', '--ros-args', '-p',
                        'autostart:=false', '-p', 'config_file:=no/such.json')
    assert not change(graph, Transition.TRANSITION_CONFIGURE)
    process.wait_for_line('no/such.json')
    assert process.is_running()
    assert state_of(graph) == 'unconfigured'
    assert 'Traceback' not in process.output
