"""config/diagnostics/aggregator.yaml against what the nodes publish, in every state."""

from pathlib import Path
import re

import pytest
import yaml

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from stand_in_predictor import StandInPredictor  # noqa: E402

from rdk_yolo_ros.nodes.overlay import OverlayNode  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ANALYZERS = {
    name: analyzer for name, analyzer in yaml.safe_load(
        (ROOT / 'config/diagnostics/aggregator.yaml').read_text(encoding='utf-8'))
    ['analyzers']['ros__parameters'].items() if isinstance(analyzer, dict)}
# Every parameter by which a diagnostic_aggregator/GenericAnalyzer chooses, and how it does.
CHOOSES = {'expected': lambda name, texts: name in texts,
           'name': lambda name, texts: name in texts,
           'startswith': lambda name, texts: name.startswith(tuple(texts)),
           'contains': lambda name, texts: any(text in name for text in texts),
           'regex': lambda name, texts: any(re.fullmatch(text, name) for text in texts)}
OTHERS = {'type', 'path', 'timeout', 'num_items', 'discard_stale', 'remove_prefix'}


def takers(name):
    """Return the analyzers that take a status, as a GenericAnalyzer decides."""
    return [key for key, analyzer in ANALYZERS.items()
            if any(chooses(name, analyzer.get(parameter, []))
                   for parameter, chooses in CHOOSES.items())]


def test_the_analyzers_have_only_parameters_that_there_are():
    for analyzer in ANALYZERS.values():
        assert analyzer['type'] == 'diagnostic_aggregator/GenericAnalyzer'
        assert set(analyzer) <= OTHERS | set(CHOOSES)
        assert isinstance(analyzer['timeout'], float)


@pytest.mark.parametrize('leads_to', ['unconfigured', 'inactive', 'active', 'finalized'])
def test_what_is_expected_of_the_yolo_node_is_there_in_every_state(graph, leads_to):
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    node = graph.add(YoloNode(
        predictor=StandInPredictor(), context=graph.context,
        parameter_overrides=[Parameter('autostart', value=leads_to == 'active')]))
    if leads_to == 'inactive':
        node.trigger_configure()
    if leads_to == 'finalized':
        node.trigger_shutdown()
    (message,) = statuses.wait()
    names = [status.name for status in message.status]
    assert names == ANALYZERS['yolo']['expected']
    assert [takers(name) for name in names] == [['yolo'], ['yolo']]
    values = {pair.key: pair.value for pair in message.status[0].values}
    assert values['lifecycle state'] == leads_to


def test_nodes_of_other_names_are_taken_too(graph):
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    graph.add(YoloNode('eyes', predictor=StandInPredictor(), context=graph.context,
                       namespace='/robot'))
    graph.add(OverlayNode(context=graph.context))
    heard = [statuses.wait(where=lambda m, name=name: m.status[0].name.startswith(name))[0]
             for name in ('robot', 'overlay')]
    taken = {status.name: takers(status.name) for message in heard for status in message.status}
    assert taken == {'robot/eyes: inference': ['yolo'], 'robot/eyes: images': ['yolo'],
                     'overlay: overlay': ['overlay']}
