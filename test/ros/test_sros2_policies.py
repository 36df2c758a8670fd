"""The SROS 2 policies allow what the nodes use, seen from another node, and nothing else."""

from pathlib import Path
import sys
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('onnxruntime')
from sensor_msgs.msg import Image  # noqa: E402
from sros2_policy import enclaves  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'test' / 'unit'))
LIMIT = 60.0  # seconds
POLICIES = ROOT / 'config' / 'sros2'
# What Humble's rclpy does not have; a policy may allow what is not there.
NEWER = {'get_type_description'}
# How each node is started: together, the variations use all that the node can use.
VARIATIONS = {
    'source': [{'width': 64, 'height': 48, 'use_sim_time': True}, {'encoding': 'jpeg'}],
    # Its timer does not run without a clock.
    'overlay': [{'use_sim_time': True}, {}, {'image_transport': 'compressed'}],
    'container': [{'use_sim_time': True}],
    'yolo': [{'config_file': 'config/demo_detect.json', 'use_sim_time': True},
             {'config_file': 'config/demo_pose.json', 'image_transport': 'compressed'},
             {'config_file': 'config/demo_segment.json', 'is_shared_mem_sub': 1},
             {'config_file': 'CLASSIFIER'}],
}
# What somebody has to listen to, so that the node listens to its inputs.
WATCHED = {'overlay': ['/overlay/image']}


@pytest.fixture
def classifier(tmp_path):
    """Return the work configuration of a model that classifies."""
    np = pytest.importorskip('numpy')
    onnx_models = pytest.importorskip('onnx_models')
    onnx_models.constant(tmp_path / 'model.onnx', {'scores': np.zeros((1, 5), np.float32)})
    path = tmp_path / 'classify.json'
    path.write_text('{"model_file": "model.onnx", "task": "classify"}')
    return path


def used(observer, name, process):
    """Return {rule: names} of what a process' node has in the graph, once that is all."""
    questions = {'publish': observer.get_publisher_names_and_types_by_node,
                 'subscribe': observer.get_subscriber_names_and_types_by_node,
                 'reply': observer.get_service_names_and_types_by_node,
                 'request': observer.get_client_names_and_types_by_node}
    end = time.monotonic() + LIMIT
    before, since = None, time.monotonic()
    while time.monotonic() < end:
        now = None
        assert process.is_running(), process.output
        if (name, '/') in observer.get_node_names_and_namespaces():
            now = {rule: {topic for topic, _ in ask(name, '/')}
                   for rule, ask in questions.items()}
        if now != before:
            before, since = now, time.monotonic()
        elif now is not None and time.monotonic() - since > 1.0:
            return now
        time.sleep(0.05)
    return pytest.fail(f'/{name} does not settle: {before}\n{process.output}')


@pytest.mark.parametrize('module', sorted(VARIATIONS))
def test_a_policy_is_what_its_node_uses(graph, start, classifier, module):
    name = {'container': 'component_container'}.get(module, module)
    ((enclave, profiles),) = enclaves(POLICIES / f'{name}.policy.xml').items()
    assert enclave == f'/rdk_yolo_ros/{name}'
    node = {'container': 'ComponentManager'}.get(module, module)
    total = {rule: set() for rule in profiles[f'/{node}']}
    for parameters in VARIATIONS[module]:
        if parameters.get('config_file') == 'CLASSIFIER':
            parameters = {'config_file': classifier}
        process = start(module, **parameters)
        watching = [graph.node.create_subscription(Image, topic, lambda _: None, 10)
                    for topic in WATCHED.get(module, ())]
        for rule, names in used(graph.node, node, process).items():
            total[rule] |= names
        process.end()
        for subscription in watching:
            graph.node.destroy_subscription(subscription)
        end = time.monotonic() + LIMIT
        while (node, '/') in graph.node.get_node_names_and_namespaces():
            assert time.monotonic() < end
            time.sleep(0.05)
    allowed = profiles[f'/{node}']
    for rule, names in total.items():
        assert names - allowed[rule] == set(), f'{rule}: used and not allowed'
        missing = {name for name in allowed[rule] - names
                   if name.rpartition('/')[2] not in NEWER}
        assert missing == set(), f'{rule}: allowed and not used'


def test_a_container_s_enclave_may_do_what_each_of_its_components_may():
    ((_, profiles),) = enclaves(POLICIES / 'component_container.policy.xml').items()
    del profiles['/ComponentManager']
    for name in ('yolo', 'source', 'overlay'):
        ((_, alone),) = enclaves(POLICIES / f'{name}.policy.xml').items()
        assert profiles.pop(f'/{name}') == alone[f'/{name}']
    assert not profiles


def test_a_policy_that_says_something_else_is_not_taken_for_one(tmp_path):
    text = (POLICIES / 'source.policy.xml').read_text()
    for old, new in (('publish="ALLOW"', 'publish="DENY"'), ('0.2.0', '0.1.0'),
                     ('<topic>/rosout</topic>', '<topic>/rosout</topic><topic>/rosout</topic>'),
                     ('ns="/"', 'ns="/" other="x"'), ('<topics ', '<subjects ')):
        (tmp_path / 'policy.xml').write_text(text.replace(old, new).replace(
            '</topics>', '</subjects>' if new == '<subjects ' else '</topics>'))
        with pytest.raises(ValueError, match='policy.xml'):
            enclaves(tmp_path / 'policy.xml')
