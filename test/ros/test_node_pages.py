"""Each node's page in docs/ says what the node really has: parameters, topics, services."""

import json
from pathlib import Path
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('onnxruntime')
from node_page import NodePage, code  # noqa: E402
from rclpy.lifecycle import LifecycleNode  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402

from rdk_yolo_ros.components.container import ComponentContainer  # noqa: E402
from rdk_yolo_ros.nodes.overlay import OverlayNode  # noqa: E402
from rdk_yolo_ros.nodes.parameters import ALIASES  # noqa: E402
from rdk_yolo_ros.nodes.source import SourceNode  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'unit'))

TYPES = {Parameter.Type.BOOL: 'boolean', Parameter.Type.INTEGER: 'integer',
         Parameter.Type.DOUBLE: 'double', Parameter.Type.STRING: 'string',
         Parameter.Type.STRING_ARRAY: 'string array'}
# What every node has.
ROSS_PARAMETERS = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')
ROSS_TOPICS = {'/rosout', '/parameter_events', '/clock'}
MADE_BY_RCL = ['~/transition_event']
ROSS_SERVICES = {'describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
                 'set_parameters', 'set_parameters_atomically', 'get_type_description'}
# Each node in the variations that together have everything; somebody listens to `watched`.
VARIATIONS = {
    'source_node': (SourceNode, [
        {'width': 64, 'height': 48}, {'width': 64, 'height': 48, 'encoding': 'jpeg',
                                      'reliability': 'best_effort'}]),
    'overlay_node': (OverlayNode, [{}, {'image_transport': 'compressed'}]),
    'component_container': (ComponentContainer, [{}]),
    'yolo_node': (YoloNode, [
        {'config_file': 'config/demo_pose.json'},
        {'config_file': 'config/demo_segment.json', 'image_transport': 'compressed'},
        {'config_file': 'CLASSIFIER', 'is_shared_mem_sub': 1}]),
}
# Parameters whose default a file decides, and what says so.
DECIDED_ELSEWHERE = ('(must be given)', "the configuration's",
                     'the number of processor cores, at least 2')
pages = pytest.mark.parametrize('page', sorted(VARIATIONS))


@pytest.fixture
def make(graph, tmp_path, wait_until):
    """Return a function that makes a page's nodes, one for each variation, and watches them."""
    def make(page):
        kind, variations = VARIATIONS[page]
        for i, parameters in enumerate(variations):
            if parameters.get('config_file') == 'CLASSIFIER':
                parameters = {**parameters, 'config_file': str(classifier(tmp_path))}
            node = graph.add(kind(
                f'node_{i}', context=graph.context,
                parameter_overrides=[Parameter(n, value=v) for n, v in parameters.items()]))
            if kind is OverlayNode:  # it subscribes while somebody listens
                from sensor_msgs.msg import Image
                graph.record(Image, f'/node_{i}/image')
                wait_until(lambda node=node: any(
                    not is_ross(s.topic_name) for s in node.subscriptions))
            yield node

    return make


def classifier(folder):
    import onnx_models
    onnx_models.constant(folder / 'model.onnx', {'scores': np.zeros((1, 5), np.float32)})
    (folder / 'classify.json').write_text(json.dumps(
        {'model_file': 'model.onnx', 'task': 'classify'}))
    return folder / 'classify.json'


def interface_of(kind):
    """Return a message's or a service's class as the pages write it, package/Name."""
    return f'{kind.__module__.split(".")[0]}/{kind.__name__}'


def is_ross(topic):
    return topic in ROSS_TOPICS


def found_topics(node, entities):
    """Return {name: (type, reliability, durability, depth)} of publishers or subscriptions."""
    return {entity.topic_name: (
        interface_of(entity.msg_type),
        {ReliabilityPolicy.RELIABLE: 'reliable', ReliabilityPolicy.BEST_EFFORT: 'best effort'}[
            entity.qos_profile.reliability],
        {DurabilityPolicy.TRANSIENT_LOCAL: 'transient local',
         DurabilityPolicy.VOLATILE: 'volatile'}[entity.qos_profile.durability],
        entity.qos_profile.depth) for entity in entities if not is_ross(entity.topic_name)}


@pages
@pytest.mark.parametrize(('heading', 'attribute'), [
    ('Published topics', 'publishers'), ('Subscribed topics', 'subscriptions')])
def test_topics(page, heading, attribute, make):
    documented = NodePage(page).topics(heading)
    met, reliabilities = set(), {}
    for node in make(page):
        said = {node.resolve_topic_name(name): (name, *rest) for name, rest in documented.items()}
        # rclpy has no object for what rcl's lifecycle publishes.
        for topic in MADE_BY_RCL:
            name = said.pop(node.resolve_topic_name(topic), ('',))[0]
            assert bool(name) is (attribute == 'publishers' and isinstance(node, LifecycleNode))
            met |= {name} - {''}
        for topic, (kind, reliability, durability, depth) in found_topics(
                node, getattr(node, attribute)).items():
            assert topic in said, f'{topic} is not on the page'
            name, said_kind, (_, said_durability, said_depth) = said[topic]
            assert (kind, durability, depth) == (said_kind, said_durability, said_depth), name
            met.add(name)
            reliabilities.setdefault(name, set()).add(reliability)
    assert met == set(documented)
    # A row may share its QoS with the one above, and each of them show one of several.
    for name, kinds in reliabilities.items():
        said_kinds = documented[name][1][0]
        assert kinds <= said_kinds, name
        # What a subscription becomes depends on the publishers that it finds.
        assert attribute == 'subscriptions' or said_kinds == {
            kind for other, found in reliabilities.items()
            if documented[other][1][0] == said_kinds for kind in found}, name


@pages
def test_services(page, make):
    documented = NodePage(page).services()
    for node in make(page):
        found = {node.resolve_service_name(service.srv_name): interface_of(service.srv_type)
                 for service in node.services}
        assert {name: kind for name, kind in found.items()
                if name.rpartition('/')[2] not in ROSS_SERVICES} \
            == {node.resolve_service_name(name): kind for name, kind in documented.items()}


@pages
def test_parameters(page, make):
    documented = NodePage(page).parameters()
    node = next(make(page))
    given = VARIATIONS[page][1][0]
    declared = {name: parameter for name, parameter in node.get_parameters_by_prefix('').items()
                if not name.startswith(ROSS_PARAMETERS)}
    if page == 'component_container':
        threads = ComponentContainer(context=node.context, multi_threaded=True)
        declared['thread_num'] = threads.get_parameter('thread_num')
    assert set(documented) == set(declared)
    for name, parameter in declared.items():
        changeable, kind, default, limits = documented[name]
        owner = threads if name == 'thread_num' else node
        descriptor = owner.describe_parameter(name)
        assert changeable is not descriptor.read_only, name
        assert kind == TYPES[parameter.type_], name
        assert descriptor.description, name
        if default not in DECIDED_ELSEWHERE and name not in given:
            assert default == spelled(parameter.value), name
        assert limits.replace('`', '') == range_of(descriptor), name
    if page == 'component_container':
        threads.destroy_node()


def spelled(value):
    """Return a default as the pages write it, `ros2 param` style."""
    if isinstance(value, bool):
        return str(value).lower()
    return '(empty)' if value == '' else str(value)


def range_of(descriptor):
    """Return what a descriptor allows, as the pages write it."""
    for limits in (*descriptor.integer_range, *descriptor.floating_point_range):
        return f'{limits.from_value} to {limits.to_value}'
    return descriptor.additional_constraints.removeprefix('one of ')


def test_the_yolo_node_s_page_has_dnn_node_example_s_names():
    assert set(ALIASES) <= set(code(NodePage('yolo_node').text))


def test_every_page_of_a_node_is_held_to_the_code():
    found = {path.stem for path in (Path(__file__).resolve().parents[2] / 'docs').glob('*.md')
             if NodePage(path.stem).rows('Parameters')}
    assert found == set(VARIATIONS)
