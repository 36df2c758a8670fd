"""The component containers, as processes, with another package's components, good and bad."""

import signal
import threading
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('composition_interfaces')

from component_package import install_foreign, install_own, python_path  # noqa: E402
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode  # noqa: E402
from conftest import Graph  # noqa: E402
from rcl_interfaces.msg import Parameter as ParameterMessage, ParameterValue  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from rdk_yolo_ros.components.container import ComponentContainer  # noqa: E402

FOREIGN = 'foreign_pkg'


class Container:
    """A container's process, and a client of its services."""

    def __init__(self, graph, process, name):
        self.graph, self.process, self.name = graph, process, name

    def wait_for_answers(self, limit=60.0):
        """
        Ask until an answer comes, or the process has ended.

        While two DDS participants are still getting to know each other, a request may be lost.
        """
        client = self.graph.node.create_client(ListNodes, f'{self.name}/_container/list_nodes')
        end = time.monotonic() + limit
        answered = False
        while not answered and self.process.is_running():
            assert time.monotonic() < end, self.process.output
            if client.wait_for_service(timeout_sec=0.2):
                future = client.call_async(ListNodes.Request())
                asked = time.monotonic()
                while not future.done() and time.monotonic() - asked < 1.0:
                    time.sleep(0.01)
                answered = future.done()
        self.graph.node.destroy_client(client)

    def load(self, plugin, package=FOREIGN, parameters=(), extra=(), **fields):
        """Return the response to a load request."""
        return self.graph.call(LoadNode, f'{self.name}/_container/load_node', LoadNode.Request(
            package_name=package, plugin_name=plugin, parameters=messages(parameters),
            extra_arguments=messages(extra), **fields))

    def loaded(self, *args, **fields):
        """Load a component and return its unique id."""
        response = self.load(*args, **fields)
        assert response.success, response.error_message
        return response.unique_id

    def unload(self, unique_id):
        """Return the response to an unload request."""
        return self.graph.call(UnloadNode, f'{self.name}/_container/unload_node',
                               UnloadNode.Request(unique_id=unique_id))

    def list(self):
        """Return {unique id: full name}."""
        response = self.graph.call(ListNodes, f'{self.name}/_container/list_nodes',
                                   ListNodes.Request())
        return dict(zip(response.unique_ids, response.full_node_names))


def messages(parameters):
    """Return parameter messages of {name: value}."""
    return [Parameter(name, value=value).to_parameter_msg()
            for name, value in dict(parameters).items()]


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """Return PYTHONPATH with both packages' entry points."""
    folder = tmp_path_factory.mktemp('installed')
    return python_path(install_own(folder / 'own'), install_foreign(folder / 'foreign'))


@pytest.fixture
def start_container(graph, processes, python, installed):
    """Return a function that starts a container; a test that fails shows what it wrote."""
    started = []

    def start(*ros_arguments, executable='component_container', name='/ComponentManager',
              **env):
        process = processes(
            python, '-c', f'import sys; from rdk_yolo_ros.nodes.executables import {executable}; '
            f'sys.exit({executable}())', '--ros-args', *ros_arguments,
            env={'PYTHONPATH': installed, **env})
        started.append(process)
        container = Container(graph, process, name)
        container.wait_for_answers()
        return container

    yield start
    for process in started:
        print(process.output)


@pytest.fixture
def container(start_container):
    """Return a running container."""
    return start_container()


def test_a_component_has_the_name_namespace_remaps_and_parameters_it_was_loaded_with(
        container, graph):
    said = graph.record(String, '/front/left')
    parameters = {'flag': True, 'count': -3, 'size': 0.5, 'text': 'a b', 'bytes': [b'\1', b'\2'],
                  'flags': [True, False], 'counts': [1, 2], 'sizes': [0.5, 1.5],
                  'texts': ['x', 'y']}
    response = container.load('foreign_pkg::Talker', node_name='left', node_namespace='/front',
                              remap_rules=['chatter:=left'], parameters=parameters)
    assert response.success, response.error_message
    assert response.full_node_name == '/front/left'
    assert container.list() == {response.unique_id: '/front/left'}
    values = eval(said.wait()[0].data, {'array': lambda _, items: items})
    assert {name: list(value) if isinstance(value, list) else value
            for name, value in values.items()} == parameters


def test_plugins_are_found_by_their_class_alone_and_by_the_package_name_with_dashes(container):
    container.loaded('Talker')
    container.loaded('foreign_pkg::Function', package='foreign-pkg', node_name='other')


def test_ids_are_never_used_again(container):
    first = container.loaded('foreign_pkg::Talker')
    assert container.unload(first).success
    second = container.loaded('foreign_pkg::Talker')
    assert second > first
    assert container.list() == {second: '/talker'}


def test_a_constructor_that_raises_leaves_no_node_behind(container, graph, wait_until):
    container.load('foreign_pkg::Raising', parameters={'where': 'constructor'})
    wait_until(lambda: 'raising' not in graph.node.get_node_names(), limit=5.0)
    container.loaded('foreign_pkg::Raising')
    wait_until(lambda: 'raising' in graph.node.get_node_names())


def test_an_unloaded_component_is_gone_from_the_graph(container, graph, wait_until):
    unique_id = container.loaded('foreign_pkg::Talker')
    wait_until(lambda: graph.node.get_publishers_info_by_topic('/chatter'))
    assert container.unload(unique_id).success
    wait_until(lambda: not graph.node.get_publishers_info_by_topic('/chatter'))
    assert container.list() == {}


def test_what_the_containers_own_command_line_says_is_not_for_its_components(
        start_container, graph):
    container = start_container(
        '-r', '__node:=box', '-r', '__ns:=/robot', '-r', 'chatter:=elsewhere', '-p', 'leaked:=1',
        name='/robot/box')
    said = graph.record(String, '/chatter')
    container.loaded('foreign_pkg::Talker')
    assert list(container.list().values()) == ['/talker']
    assert said.wait()[0].data == '{}'


def test_forward_global_arguments_lets_them_through(start_container, graph):
    container = start_container('-r', 'chatter:=elsewhere')
    said = graph.record(String, '/elsewhere')
    container.loaded('foreign_pkg::Talker', node_name='talker',
                     extra={'forward_global_arguments': True})
    said.wait()


def test_intra_process_comms_are_told_to_who_takes_them(container, graph):
    extra = {'use_intra_process_comms': True}
    container.loaded('foreign_pkg::Intra', node_name='intra', extra=extra)
    container.loaded('foreign_pkg::Talker', extra=extra)
    container.process.wait_for_line('takes no use_intra_process_comms')
    response = graph.call(GetParameters, '/intra/get_parameters',
                          GetParameters.Request(names=['intra']))
    assert response.values[0].bool_value


def test_a_log_level_is_the_components_own(container):
    container.loaded('foreign_pkg::Raising', node_name='quiet', log_level=40)
    container.loaded('foreign_pkg::Raising', node_name='chatty', log_level=10)
    container.process.wait_for_line('chatty says debug')
    assert 'quiet says' not in container.process.output


BAD_REQUESTS = {
    'unknown package': (
        {'package': 'nobodys', 'plugin': 'nobodys::Node'},
        ["package 'nobodys' has no Python components", 'foreign-pkg, rdk_yolo_ros', 'sourced?']),
    'no package': ({'package': '', 'plugin': ''}, ["package ''"]),
    'unknown plugin': (
        {'plugin': 'foreign_pkg::Tolker'},
        ["has no plugin 'foreign_pkg::Tolker'", "is 'foreign_pkg::Talker'", 'foreign_pkg::Slow']),
    'another package': ({'package': 'rdk_yolo_ros', 'plugin': 'foreign_pkg::Talker'},
                        ['has no plugin', 'rdk_yolo_ros::YoloNode']),
    'import error': (
        {'plugin': 'foreign_pkg::Broken'},
        ['foreign_pkg.broken:Broken', "No module named 'a_module_that_nobody_has'",
         'broken.py:1']),
    'no such class': ({'plugin': 'foreign_pkg::Missing'}, ['foreign_pkg.nodes:Missing',
                                                           "no attribute 'Missing'"]),
    "none of Node's arguments": ({'plugin': 'foreign_pkg::Nameless'},
                                 ["must take rclpy Node's keyword arguments"]),
    'no node': ({'plugin': 'foreign_pkg::Text'}, ['makes a str, and not an rclpy Node']),
    'raising constructor': (
        {'plugin': 'foreign_pkg::Raising', 'parameters': {'where': 'constructor'}},
        ['the constructor of foreign_pkg::Raising failed', 'ValueError: the lens cap is on',
         'nodes.py:']),
    'exiting constructor': (
        {'plugin': 'foreign_pkg::Raising', 'parameters': {'where': 'constructor exit'}},
        ['sys.exit(3) was called', 'nodes.py:']),
    'wrong parameter type': (
        {'plugin': 'foreign_pkg::Raising', 'parameters': {'where': 5}},
        ['foreign_pkg::Raising: ', 'where']),
    'unknown extra argument': (
        {'plugin': 'foreign_pkg::Talker', 'extra': {'use_magic': True}},
        ["extra argument 'use_magic' is not supported", 'use_intra_process_comms']),
    'wrong extra argument': (
        {'plugin': 'foreign_pkg::Talker', 'extra': {'use_intra_process_comms': 'yes'}},
        ["'use_intra_process_comms' must be true or false, not 'yes'"]),
    'bad name': ({'plugin': 'foreign_pkg::Talker', 'node_name': 'a b'}, ['node_name', "'a b'"]),
    'bad namespace': ({'plugin': 'foreign_pkg::Talker', 'node_namespace': '/a//b'},
                      ['node_namespace', '/a//b']),
    'no remap rule': ({'plugin': 'foreign_pkg::Talker', 'remap_rules': ['chatter']},
                      ["remap rule 'chatter'", "'from:=to'"]),
    'bad remap rule': ({'plugin': 'foreign_pkg::Talker', 'remap_rules': ['a b:=c']},
                       ["'-r a b:=c'"]),
    'bad log level': ({'plugin': 'foreign_pkg::Talker', 'log_level': 7},
                      ['log_level 7', '10 DEBUG']),
    "the container's own name": (
        {'plugin': 'foreign_pkg::Talker', 'node_name': 'ComponentManager'},
        ['/ComponentManager is the name of the container already']),
    'a faulty configuration': ({'package': 'rdk_yolo_ros', 'plugin': 'rdk_yolo_ros::YoloNode'},
                               ['config_file', 'not set']),
}


def test_what_is_wrong_with_a_request_is_answered(container):
    for name, (request, said) in BAD_REQUESTS.items():
        response = container.load(**request)
        assert not response.success, name
        assert response.unique_id == 0, name
        assert '\n' not in response.error_message
        for text in said:
            assert text in response.error_message, name
    assert container.list() == {}
    container.loaded('foreign_pkg::Talker')


def test_a_parameter_of_no_type_is_answered(container, graph):
    message = ParameterMessage(name='odd', value=ParameterValue(type=42))
    response = graph.call(
        LoadNode, '/ComponentManager/_container/load_node', LoadNode.Request(
            package_name=FOREIGN, plugin_name='foreign_pkg::Talker', parameters=[message]))
    assert not response.success
    assert "parameter 'odd' has a value of type 42" in response.error_message


def test_a_name_that_is_taken_is_refused_until_it_is_free(container, graph, wait_until):
    first = container.loaded('foreign_pkg::Talker', node_name='twin')
    response = container.load('foreign_pkg::Talker', node_name='twin')
    assert not response.success
    assert f'/twin is the name of component {first}' in response.error_message
    wait_until(lambda: len(graph.node.get_publishers_info_by_topic('/chatter')) == 1)
    assert container.unload(first).success
    container.loaded('foreign_pkg::Talker', node_name='twin')


def test_an_unknown_id_is_answered_with_those_that_are_known(container):
    unique_id = container.loaded('foreign_pkg::Talker')
    response = container.unload(4711)
    assert not response.success
    assert 'unique id 4711' in response.error_message
    assert f'component {unique_id} (/talker)' in response.error_message


def test_without_entry_points_the_answer_says_how_to_get_them(graph, processes, python):
    process = processes(
        python, '-c', 'import sys, importlib.metadata; importlib.metadata.entry_points = '
        'lambda **_: (); from rdk_yolo_ros.nodes.container import main; sys.exit(main())')
    container = Container(graph, process, '/ComponentManager')
    container.wait_for_answers()
    response = container.load('rdk_yolo_ros::YoloNode', 'rdk_yolo_ros')
    assert 'no Python component is installed here' in response.error_message
    assert 'colcon' in response.error_message


@pytest.mark.parametrize('executable', ['component_container', 'component_container_mt'])
@pytest.mark.parametrize(('where', 'said'), [
    ('timer', 'RuntimeError: no such gear'), ('coroutine', 'RuntimeError: no such gear'),
    ('interrupt', 'KeyboardInterrupt')])
def test_a_callback_that_raises_is_told_once_a_second_and_goes_on(
        start_container, graph, where, said, executable):
    container = start_container(executable=executable)
    container.loaded('foreign_pkg::Talker')
    unique_id = container.loaded('foreign_pkg::Raising', node_name='bad',
                                 parameters={'where': where})
    began = time.monotonic()
    line = container.process.wait_for_line('more failures since the last line')
    assert f'component {unique_id} (/bad): a callback failed: {said}' in line
    lines = [line for line in container.process.lines if 'a callback failed' in line]
    assert len(lines) <= 2 + (time.monotonic() - began)
    graph.record(String, 'chatter').wait(5)
    assert '/bad' in container.list().values()
    assert container.unload(unique_id).success


def test_a_service_callback_that_raises_leaves_its_component_running(container, graph):
    container.loaded('foreign_pkg::Raising', node_name='bad')
    client = graph.node.create_client(Trigger, '/bad/fail')
    assert client.wait_for_service(timeout_sec=20.0)
    client.call_async(Trigger.Request())
    container.process.wait_for_line('RuntimeError: asked to')
    response = graph.call(GetParameters, '/bad/get_parameters',
                          GetParameters.Request(names=['where']))
    assert response.values[0].string_value == ''
    graph.node.destroy_client(client)


@pytest.mark.parametrize('executable', ['component_container', 'component_container_mt'])
def test_a_component_that_exits_ends_alone(start_container, graph, executable, wait_until):
    container = start_container(executable=executable)
    talker = container.loaded('foreign_pkg::Talker')
    container.loaded('foreign_pkg::Raising', node_name='bad', parameters={'where': 'exit'})
    container.process.wait_for_line('(/bad) ended itself: sys.exit(4) was called')
    wait_until(lambda: container.list() == {talker: '/talker'})
    graph.record(String, 'chatter').wait(3)


def test_a_component_that_does_not_let_go_is_gone_all_the_same(container, graph, wait_until):
    unique_id = container.loaded('foreign_pkg::Raising', node_name='bad',
                                 parameters={'where': 'destroy'})
    response = container.unload(unique_id)
    assert response.success
    assert 'RuntimeError: does not let go' in response.error_message
    wait_until(lambda: 'bad' not in graph.node.get_node_names())
    assert container.list() == {}


@pytest.mark.parametrize('executable', ['component_container', 'component_container_mt'])
def test_a_component_that_hangs_stops_no_other_and_not_the_end(
        start_container, graph, executable):
    container = start_container(executable=executable)
    unique_id = container.loaded('foreign_pkg::Raising', node_name='bad',
                                 parameters={'where': 'hang'})
    container.process.wait_for_line('hangs')
    talker = container.loaded('foreign_pkg::Talker')
    response = container.unload(unique_id)
    assert not response.success
    assert 'does not return' in response.error_message
    graph.record(String, 'chatter').wait(3)
    assert container.list() == {unique_id: '/bad', talker: '/talker'}
    began = time.monotonic()
    container.process.signal(signal.SIGINT)
    assert container.process.wait() == 0
    assert time.monotonic() - began < 2.5
    assert f'component {unique_id} (/bad) still runs' in container.process.output


def test_a_slow_constructor_delays_nobody(start_container, graph):
    container = start_container(SLOW_SECONDS='4.0')
    container.loaded('foreign_pkg::Talker')
    said = graph.record(String, 'chatter')
    said.wait()
    client = graph.node.create_client(LoadNode, '/ComponentManager/_container/load_node')
    assert client.wait_for_service(timeout_sec=20.0)
    slow = client.call_async(LoadNode.Request(package_name=FOREIGN,
                                              plugin_name='foreign_pkg::Slow'))
    before = len(said)
    fast = container.loaded('foreign_pkg::Talker', node_name='fast', remap_rules=['chatter:=x'])
    said.wait(before + 10)
    assert not slow.done()
    assert fast in container.list()
    assert '/slow' not in container.list().values()
    container.process.wait_for_line('(/slow)')
    assert slow.result().success
    graph.node.destroy_client(client)


def test_a_constructor_that_does_not_return_is_given_up(start_container, wait_until):
    container = start_container('-p', 'load_timeout:=0.5', SLOW_SECONDS='3.0')
    response = container.load('foreign_pkg::Slow')
    assert not response.success
    assert 'its constructor has not returned for 0.5 s' in response.error_message
    container.process.wait_for_line('was given up while it loaded')
    assert container.list() == {}
    container.process.signal(signal.SIGTERM)
    assert container.process.wait() == 0


def test_a_component_that_gets_no_thread_is_answered_and_leaves_nothing(monkeypatch):
    graph = Graph()
    graph.add(ComponentContainer(context=graph.context))
    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith('component-'):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, 'start', refuse)
    try:
        response = graph.call(
            LoadNode, '/ComponentManager/_container/load_node',
            LoadNode.Request(package_name=FOREIGN, plugin_name='foreign_pkg::Talker'))
        assert not response.success
        assert "can't start new thread" in response.error_message
        assert 'ulimit' in response.error_message
    finally:
        graph.close()  # which the container must survive


def test_several_threads_run_a_components_callbacks_at_once(start_container, graph):
    container = start_container('-p', 'thread_num:=2', executable='component_container_mt')
    met = graph.record(String, '/threads/met')
    container.loaded('foreign_pkg::Threads')
    met.wait(2)


def test_one_thread_runs_a_components_callbacks_one_by_one(container, graph):
    met = graph.record(String, '/threads/met')
    container.loaded('foreign_pkg::Threads')
    time.sleep(3.0)
    assert len(met) == 0


@pytest.mark.parametrize('executable', ['component_container', 'component_container_mt'])
def test_coroutines_wait_for_other_components_and_threads(start_container, graph, executable):
    container = start_container(executable=executable)
    container.loaded('foreign_pkg::Asker')
    container.loaded('foreign_pkg::Answerer')
    answers = graph.record(String, '/asker/answered').wait(200)
    assert {answer.data for answer in answers} == {'forty-two'}


@pytest.mark.parametrize('executable', ['component_container', 'component_container_mt'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_container_and_components(start_container, number, executable):
    container = start_container(executable=executable)
    container.loaded('rdk_yolo_ros::SourceNode', package='rdk_yolo_ros',
                     parameters={'source': 'synthetic'})
    container.loaded('rdk_yolo_ros::YoloNode', package='rdk_yolo_ros',
                     parameters={'config_file': 'config/demo_detect.json'})
    container.loaded('foreign_pkg::Talker')
    began = time.monotonic()
    container.process.signal(number)
    assert container.process.wait() == 0
    assert time.monotonic() - began < 2.0
    assert 'Traceback' not in container.process.output
    assert 'ERROR' not in container.process.output


def test_a_signal_while_a_component_loads_ends_the_container(start_container, graph):
    container = start_container(SLOW_SECONDS='30.0')
    client = graph.node.create_client(LoadNode, '/ComponentManager/_container/load_node')
    assert client.wait_for_service(timeout_sec=20.0)
    client.call_async(LoadNode.Request(package_name=FOREIGN, plugin_name='foreign_pkg::Slow'))
    container.process.wait_for_line('loading')
    began = time.monotonic()
    container.process.signal(signal.SIGINT)
    assert container.process.wait() == 0
    assert time.monotonic() - began < 2.5
    graph.node.destroy_client(client)


def test_a_component_that_ends_ros_ends_the_container_cleanly(container):
    container.loaded('foreign_pkg::Shutdown')
    assert container.process.wait() == 0


def test_a_wrong_argument_is_one_line_and_exit_code_1(start_container):
    container = start_container('-p', 'load_timeout:=soon')
    assert container.process.wait() == 1
    assert 'component_container: ' in container.process.lines[-1]
    assert 'load_timeout' in container.process.lines[-1]
