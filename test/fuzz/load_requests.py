"""
The component container's requests, with arbitrary fields.

The handlers are those of a real container's node, called where its executor calls them; what
they load are real nodes, this package's own among them.
"""

from __future__ import annotations

import atexit
import os
from pathlib import Path
import shutil
import sys
import tempfile
import threading
import time
from typing import Any

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from hypothesis import strategies as st
from mutations import EDGES
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter as NodeParameter
from target import Target

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import lock_domain, loopback_environment  # noqa: E402

_FOLDER = Path(tempfile.mkdtemp(prefix='fuzz_load_requests_'))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_DOMAIN, _LOCK = lock_domain()
os.environ.update(loopback_environment(ROOT, os.environ), ROS_DOMAIN_ID=str(_DOMAIN),
                  ROS_LOG_DIR=str(_FOLDER))

_LIMIT_S = 20.0
_PACKAGE = 'fuzz_components'
_OWN = 'rdk_yolo_ros'
_PLUGINS = {
    _PACKAGE: {f'{_PACKAGE}::Quiet': 'load_requests:Quiet', 'NoNode': 'load_requests:NoNode',
               'Raises': 'load_requests:Raises', 'Exits': 'load_requests:Exits',
               'NotThere': 'load_requests:NotThere', 'NoModule': 'no_such_module:Node'},
    _OWN: {f'{_OWN}::YoloNode': f'{_OWN}.nodes.yolo:YoloNode',
           f'{_OWN}::SourceNode': f'{_OWN}.nodes.source:SourceNode',
           f'{_OWN}::OverlayNode': f'{_OWN}.nodes.overlay:OverlayNode'}}


class Quiet(Node):
    """A component with a parameter of each kind."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare them."""
        super().__init__('quiet', **kwargs)
        for name, value in (('flag', False), ('number', 1), ('real', 0.5), ('text', ''),
                            ('texts', ['a']), ('numbers', [1])):
            self.declare_parameter(name, value)


class NoNode:
    """No component."""

    def __init__(self, **kwargs: Any) -> None:
        """Take everything."""


class Raises(Node):
    """A component whose constructor fails half-way."""

    def __init__(self, **kwargs: Any) -> None:
        """Fail."""
        super().__init__('raises', **kwargs)
        raise KeyError('two\nlines of ' + 'x' * 3000)


class Exits(Node):
    """A component that wants to end the process."""

    def __init__(self, **kwargs: Any) -> None:
        """Exit."""
        super().__init__('exits', **kwargs)
        sys.exit(3)


def _install() -> None:
    """Put the entry points of both packages on Python's path, as installing them does."""
    for package, plugins in _PLUGINS.items():
        folder = _FOLDER / f'{package}-0.0.0.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {package}\nVersion: 0\n')
        (folder / 'entry_points.txt').write_text('[rclpy_components]\n' + ''.join(
            f'{name} = {value}\n' for name, value in plugins.items()))
    sys.path.insert(0, str(_FOLDER))


class Refused(Exception):
    """The container's answer to a request that it does not fulfil."""


class _Container:
    """A real container and its executor, which runs in a thread."""

    def __init__(self) -> None:
        from rdk_yolo_ros.components.container import ComponentContainer
        from rdk_yolo_ros.components.executor import ComponentExecutor
        self.uncaught: list[BaseException] = []
        context = rclpy.Context()
        rclpy.init(context=context)
        self.node = ComponentContainer(context=context, parameter_overrides=[
            NodeParameter('load_timeout', value=_LIMIT_S / 2)])
        self.executor = ComponentExecutor(self.uncaught.append, context=context)
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self.executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End: a thread in the middleware while the interpreter ends ends the process badly."""
        self.executor.stop()
        self._thread.join(_LIMIT_S)
        self.node.destroy_node()
        self.node.context.try_shutdown()

    def call(self, handler: Any, request: Any, response: Any) -> Any:
        """Return what one of the node's handlers answers."""
        task = self.executor.create_task(handler, request, response)
        done = threading.Event()
        task.add_done_callback(lambda _: done.set())
        assert done.wait(_LIMIT_S), 'no answer'
        assert not self.uncaught, self.uncaught
        return task.result()

    def load(self, request: LoadNode.Request) -> LoadNode.Response:
        """Return the answer to a load request."""
        return self.call(self.node._on_load, request, LoadNode.Response())

    def unload(self, unique_id: int) -> UnloadNode.Response:
        """Return the answer to an unload request."""
        return self.call(self.node._on_unload, UnloadNode.Request(unique_id=unique_id),
                         UnloadNode.Response())

    def loaded(self) -> list[str]:
        """Return the names of what is loaded."""
        return list(self.call(self.node._on_list, ListNodes.Request(),
                              ListNodes.Response()).full_node_names)


_install()
_container = _Container()
atexit.register(_container.close)

# What DDS can carry: no NUL, no halves of surrogate pairs.
_TEXT = st.text(st.characters(blacklist_categories=['Cs'], blacklist_characters='\0'), max_size=15)
_NAMES = st.one_of(st.sampled_from(['', 'name', '/ns', 'ns/inner', 'a//b', '9', '~', '/', 'a b',
                                    'x' * 300, '{node}', 'quiet', 'ComponentManager']), _TEXT)
_RULES = st.one_of(st.sampled_from(['a:=b', 'image_raw:=/camera', '__node:=x', '__ns:=/y', ':=',
                                    '', 'a:=', '--ros-args', '-p x:=1', '__params:=/etc/passwd',
                                    '--params-file', 'rosout:=b c', '/**:=x', '--log-level:=a',
                                    '__log_level:=debug', r'(.*)/a:=\9']), _TEXT)
_PARAMETERS = st.one_of(
    st.sampled_from(['flag', 'number', 'real', 'text', 'texts', 'numbers', 'use_sim_time',
                     'config_file', 'image_topic', 'slots', 'classes', 'score_threshold', 'rate',
                     'encoding', 'source', 'seed', 'max_frames', 'reliability', '', 'a.b', '/',
                     'qos_overrides./parameter_events.publisher.depth']), _TEXT)
_NUMBERS = st.one_of(st.integers(-3, 40), st.sampled_from(EDGES), st.integers(-2**63, 2**63 - 1))
_TYPE = st.one_of(st.integers(0, 9), st.integers(0, 255))
_VALUE = st.fixed_dictionaries({'type': _TYPE}, optional={
    'bool_value': st.booleans(), 'integer_value': _NUMBERS,
    'double_value': st.floats().map(repr),
    'string_value': st.one_of(_TEXT, st.sampled_from(['nv12', '/dev/null', 'no/such.json',
                                                      'config/coco.list', 'a b', '/a//b'])),
    'string_array_value': st.lists(_TEXT, max_size=3),
    'integer_array_value': st.lists(_NUMBERS, max_size=3),
    'byte_array_value': st.lists(st.integers(0, 255), max_size=3)})
_PLUGIN = st.one_of(
    *[st.sampled_from([(_PACKAGE, 'Quiet'), (_PACKAGE, f'{_PACKAGE}::Quiet')])] * 3,
    st.sampled_from([(package, name) for package, names in _PLUGINS.items() for name in names]),
    st.tuples(st.one_of(st.sampled_from([_PACKAGE, _OWN, 'pip', '']), _TEXT),
              st.one_of(st.sampled_from(['Quiet', 'os:system', '../x', '']), _TEXT)))
# Parameters of the nodes, of the right type at least.
_FITTING = st.one_of(
    st.tuples(st.sampled_from(['flag', 'use_sim_time', 'loop', 'autostart']),
              st.booleans().map(lambda value: {'type': 1, 'bool_value': value})),
    st.tuples(st.sampled_from(['number', 'slots', 'seed', 'max_frames', 'nms_top_k']),
              _NUMBERS.map(lambda value: {'type': 2, 'integer_value': value})),
    st.tuples(st.sampled_from(['real', 'rate', 'score_threshold', 'inference_timeout']),
              st.floats().map(lambda value: {'type': 3, 'double_value': repr(value)})),
    st.tuples(st.sampled_from(['text', 'image_topic', 'encoding', 'frame_id', 'config_file']),
              _TEXT.map(lambda value: {'type': 4, 'string_value': value})))


def _seldom(strategy: Any, usual: Any) -> Any:
    return st.one_of(*[st.just(usual)] * 4, strategy)


_EXAMPLES = st.fixed_dictionaries({
    'plugin': _PLUGIN, 'name': _seldom(_NAMES, ''), 'namespace': _seldom(_NAMES, ''),
    'rules': _seldom(st.lists(_RULES, min_size=1, max_size=2), []),
    'log_level': _seldom(st.one_of(st.sampled_from([10, 50]), st.integers(0, 255)), 0),
    'parameters': st.lists(st.one_of(_FITTING, st.tuples(_PARAMETERS, _VALUE)), max_size=2),
    'extra': _seldom(st.lists(st.tuples(
        st.one_of(st.sampled_from(['use_intra_process_comms', 'enable_rosout', 'context']), _TEXT),
        st.one_of(st.just({'type': 1, 'bool_value': True}), _VALUE)), max_size=2), []),
    'unload': st.integers(0, 2**64 - 1)})


def _parameter(name: str, fields: dict[str, Any]) -> Parameter:
    fields = dict(fields)
    if 'double_value' in fields:
        fields['double_value'] = float(fields['double_value'])
    if 'byte_array_value' in fields:
        fields['byte_array_value'] = [bytes([value]) for value in fields['byte_array_value']]
    return Parameter(name=name, value=ParameterValue(**fields))


def _run(example: dict[str, Any]) -> None:
    package, plugin = example['plugin']
    request = LoadNode.Request(
        package_name=package, plugin_name=plugin, node_name=example['name'],
        node_namespace=example['namespace'], remap_rules=example['rules'],
        log_level=example['log_level'],
        parameters=[_parameter(*pair) for pair in example['parameters']],
        extra_arguments=[_parameter(*pair) for pair in example['extra']])
    if plugin.endswith('SourceNode'):
        # Drawn scenes of the size that a request asks for may take all memory.
        request.parameters += [_parameter(name, {
            'type': ParameterType.PARAMETER_INTEGER, 'integer_value': 32})
            for name in ('width', 'height')]
    threads = threading.active_count()
    response = _container.load(request)
    if not response.success:
        assert _container.loaded() == []
        refused = _container.unload(example['unload'])
        assert not refused.success
        raise Refused(response.error_message)
    assert not response.error_message
    assert _container.loaded() == [response.full_node_name]
    ended = _container.unload(response.unique_id)
    assert ended.success, ended.error_message
    assert _container.loaded() == []
    # A component's thread answers just before it ends.
    end = time.monotonic() + _LIMIT_S
    while threading.active_count() > threads:
        assert time.monotonic() < end, f'left: {threading.enumerate()}'
        time.sleep(0.001)


TARGET = Target(_EXAMPLES, _run, (Refused,), limit=60.0)
