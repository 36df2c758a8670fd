"""
What the tests on a real ROS graph share.

Each test process has a ROS domain of its own on this machine's loopback, so that test runs side
by side do not see each other. `graph` is one test's context with helpers on it; `processes`
starts real processes and ends each, by its id, when the test is over; `start` starts a node.
"""

import atexit
import contextlib
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import DDS_VARIABLES, lock_domain, loopback_environment  # noqa: E402

LIMIT = 60.0  # seconds; every wait ends by then, on a busy machine, too


# The domain is this process' own as long as the lock's file is open.
_DOMAIN, _DOMAIN_LOCK = lock_domain()
os.environ['ROS_DOMAIN_ID'] = str(_DOMAIN)
# A profile of the user's own would open sockets beyond the loopback.
for _name in DDS_VARIABLES:
    os.environ.pop(_name, None)
os.environ.update(loopback_environment(ROOT, os.environ))
if 'ROS_LOG_DIR' not in os.environ:
    os.environ['ROS_LOG_DIR'] = tempfile.mkdtemp(prefix='ros_test_log_')
    atexit.register(shutil.rmtree, os.environ['ROS_LOG_DIR'], ignore_errors=True)
# So that a node's log lines arrive when they are written.
os.environ['PYTHONUNBUFFERED'] = '1'
os.environ['RCUTILS_LOGGING_BUFFERED_STREAM'] = '0'


def wait_until(condition, limit=LIMIT, what='the condition'):
    """Wait until `condition()` is true and return what it returned."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f'waited {limit} s in vain for {what}')
        time.sleep(0.005)


class Recorder:
    """Collects the messages of one topic."""

    def __init__(self):
        self.messages = []
        self.changed = threading.Condition()

    def __call__(self, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def __len__(self):
        return len(self.messages)

    def wait(self, count=1, limit=LIMIT, where=lambda message: True):
        """Return the first `count` messages that fit, waiting for them."""
        def fitting():
            return [message for message in self.messages if where(message)]

        with self.changed:
            if not self.changed.wait_for(lambda: len(fitting()) >= count, limit):
                pytest.fail(f'{len(fitting())} of {count} messages in {limit} s; '
                            f'{len(self.messages)} in all')
            return fitting()[:count]


class Graph:
    """One test's ROS context: a node of the test's own, and the nodes under test."""

    def __init__(self):
        import rclpy
        from rclpy.context import Context
        from rclpy.node import Node
        self.context = Context()
        rclpy.init(context=self.context)
        self._spinning = []
        self.node = self.add(Node('test', context=self.context))

    def add(self, node):
        """Spin a node in a thread of its own and destroy it at the end; returns the node."""
        from rclpy.executors import SingleThreadedExecutor
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(node)
        stop = threading.Event()

        def spin():
            while not stop.is_set() and self.context.ok():
                executor.spin_once(timeout_sec=0.05)

        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        self._spinning.append((node, executor, stop, thread))
        return node

    def record(self, message_type, topic, qos=10):
        """Subscribe to a topic and return its Recorder."""
        recorder = Recorder()
        self.node.create_subscription(message_type, topic, recorder, qos)
        return recorder

    def publisher(self, message_type, topic, qos=10):
        """Return a publisher of the test's node."""
        return self.node.create_publisher(message_type, topic, qos)

    def call(self, service_type, service, request):
        """Call a service and return its response."""
        client = self.node.create_client(service_type, service)
        try:
            assert client.wait_for_service(timeout_sec=LIMIT), f'no service {service}'
            future = client.call_async(request)
            wait_until(future.done, what=f'the response of {service}')
            return future.result()
        finally:
            self.node.destroy_client(client)

    def close(self):
        """Stop spinning, destroy the nodes, end the context."""
        for _, _, stop, _ in self._spinning:
            stop.set()
        for node, executor, _, thread in reversed(self._spinning):
            thread.join(LIMIT)
            executor.remove_node(node)
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
        self.context.try_shutdown()


class Process:
    """A process that a test started, with what it wrote; None in `env` unsets a variable."""

    def __init__(self, argv, env=None):
        self.began = time.monotonic()
        env = {**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}'
               + os.environ.get('PYTHONPATH', ''), **(env or {})}
        self._process = subprocess.Popen(
            [str(arg) for arg in argv], cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={name: value for name, value in env.items() if value is not None})
        self.pid = self._process.pid
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip('\n'))

    @property
    def output(self):
        """What the process wrote so far, stdout and stderr together."""
        return '\n'.join(self.lines)

    def wait_for_line(self, text, limit=LIMIT):
        """Return the first line with `text` in it."""
        def found():
            return next((line for line in list(self.lines) if text in line), None)

        end = time.monotonic() + limit
        while found() is None:
            if self._process.poll() is not None:
                self._reader.join(1.0)
                if found() is None:
                    pytest.fail(f'ended with {self._process.returncode} without {text!r}:\n'
                                f'{self.output}')
            elif time.monotonic() > end:
                pytest.fail(f'no {text!r} in {limit} s:\n{self.output}')
            time.sleep(0.01)
        return found()

    def is_running(self):
        """Return whether the process still runs."""
        return self._process.poll() is None

    def signal(self, number):
        """Send a signal to the process."""
        self._process.send_signal(number)

    def wait(self, limit=LIMIT):
        """Return the exit code, or fail."""
        try:
            code = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            pytest.fail(f'still running after {limit} s:\n{self.output}')
        self._reader.join(1.0)
        return code

    def ends_at_once(self, number, code=0):
        """Send a signal; fail unless the process ends cleanly, in 2 s where a core is free."""
        crowding = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        begin = time.monotonic()
        self.signal(number)
        assert self.wait() == code, self.output
        assert time.monotonic() - begin < 2.0 * crowding
        assert 'Traceback' not in self.output

    def end(self):
        """End the process, whatever it takes."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
        self._reader.join(1.0)


@pytest.fixture
def graph():
    """One test's ROS context, with a node of the test's own."""
    pytest.importorskip('rclpy')
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def outside():
    """Make a context of its own: to the nodes of `graph` what another process is."""
    pytest.importorskip('rclpy')
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def recorder():
    """Return a function that makes a Recorder, to be called with anything."""
    return Recorder


@pytest.fixture
def processes():
    """Return a function that starts a process; what it started ends with the test."""
    started = []

    def start(*argv, env=None):
        started.append(Process(argv, env))
        return started[-1]

    yield start
    for process in reversed(started):
        process.end()


@pytest.fixture
def python():
    """Return the interpreter to start nodes with."""
    return sys.executable


@pytest.fixture
def start(processes, python):
    """Return a function that starts a node, by its name, as a process with parameters."""
    def start(name, env=None, **parameters):
        command = [python, '-m', f'rdk_yolo_ros.nodes.{name}', '--ros-args']
        for key, value in parameters.items():
            command += ['-p', f'{key}:={value}']
        return processes(*command, env=env)

    return start


@pytest.fixture
def no_profile():
    """Return the environment of a process without a DDS profile, which keeps to this machine."""
    only_here = ({'ROS_LOCALHOST_ONLY': '1'} if os.environ.get('ROS_DISTRO') == 'humble' else
                 {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'})
    return {**dict.fromkeys(DDS_VARIABLES), **only_here}


@pytest.fixture(name='wait_until')
def wait_until_fixture():
    """Wait for a condition with a limit."""
    return wait_until


@pytest.fixture
def make_node(graph):
    """Return what makes a YOLO node that the graph spins; keyword arguments are parameters."""
    from rclpy.parameter import Parameter

    from rdk_yolo_ros.nodes.yolo import YoloNode

    def make(predictor=None, **parameters):
        return graph.add(YoloNode(
            predictor=predictor, context=graph.context, parameter_overrides=[
                Parameter(name, value=value) for name, value in parameters.items()]))

    return make
