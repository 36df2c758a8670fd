"""The components of a package that is not ours, well and ill behaved; see component_package.py."""

import os
import sys
import threading
import time

import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger


class Talker(Node):
    """Says what its parameters are, ten times a second, on `chatter`."""

    def __init__(self, **kwargs):
        super().__init__('talker', automatically_declare_parameters_from_overrides=True, **kwargs)
        self._publisher = self.create_publisher(String, 'chatter', 10)
        self.create_timer(0.1, self._say)

    def _say(self):
        values = {name: parameter.value
                  for name, parameter in sorted(self.get_parameters_by_prefix('').items())
                  if name != 'use_sim_time' and not name.startswith('start_type_description')}
        self._publisher.publish(String(data=repr(values)))


class Nameless(Node):
    """Takes none of Node's arguments."""

    def __init__(self):
        super().__init__('nameless')


class Intra(Talker):
    """Says whether it was asked to hand images over within the process."""

    def __init__(self, *, use_intra_process_comms=False, **kwargs):
        super().__init__(**kwargs)
        self.declare_parameter('intra', use_intra_process_comms)


class Raising(Node):
    """Fails where its parameter `where` says, each time it gets there."""

    def __init__(self, **kwargs):
        super().__init__('raising', **kwargs)
        self._where = self.declare_parameter('where', '').value
        self.create_service(Trigger, '~/fail', self._on_request)
        self.create_timer(0.02, self._coroutine if self._where == 'coroutine' else self._tick)
        if self._where == 'constructor':
            raise ValueError('the lens cap is on')
        if self._where == 'constructor exit':
            sys.exit(3)

    def _tick(self):
        self.get_logger().debug(f'{self.get_name()} says debug', throttle_duration_sec=0.5)
        if self._where == 'timer':
            raise RuntimeError('no such gear')
        if self._where == 'exit':
            sys.exit(4)
        if self._where == 'interrupt':
            raise KeyboardInterrupt
        if self._where == 'hang':
            self.get_logger().info('hangs')
            time.sleep(1000.0)

    async def _coroutine(self):
        raise RuntimeError('no such gear')

    def _on_request(self, request, response):
        raise RuntimeError('asked to')

    def destroy_node(self):
        if self._where == 'destroy':
            raise RuntimeError('does not let go')
        super().destroy_node()


class Slow(Node):
    """Takes as long as the environment says to be constructed."""

    def __init__(self, **kwargs):
        super().__init__('slow', **kwargs)
        time.sleep(float(os.environ.get('SLOW_SECONDS', '2.0')))


class Threads(Node):
    """Tells the threads that its callbacks run in, two of which run at once if they may."""

    def __init__(self, **kwargs):
        super().__init__('threads', **kwargs)
        self._meet = threading.Barrier(2, timeout=2.0)
        self._publisher = self.create_publisher(String, '~/met', 10)
        for _ in range(2):
            self.create_timer(0.1, self._tick, ReentrantCallbackGroup())

    def _tick(self):
        try:
            self._meet.wait()
            self._publisher.publish(String(data='met'))
        except threading.BrokenBarrierError:
            self._meet.reset()


class Asker(Node):
    """Asks another component's service in a coroutine, and tells that it was answered."""

    def __init__(self, **kwargs):
        super().__init__('asker', **kwargs)
        # In the timer's group the response would wait for the timer's callback to end.
        self._client = self.create_client(Trigger, '/answerer/ask',
                                          callback_group=ReentrantCallbackGroup())
        self._publisher = self.create_publisher(String, '~/answered', 10)
        self.create_timer(0.01, self._ask)

    async def _ask(self):
        if self._client.service_is_ready():
            response = await self._client.call_async(Trigger.Request())
            self._publisher.publish(String(data=response.message))


class Answerer(Node):
    """Answers from a coroutine that waits for another thread."""

    def __init__(self, **kwargs):
        super().__init__('answerer', **kwargs)
        self.create_service(Trigger, '~/ask', self._on_request)

    async def _on_request(self, request, response):
        future = Future(executor=self.executor)

        def answer():
            future.set_result('forty-two')
            self.executor.wake()

        threading.Timer(0.005, answer).start()
        response.message = await future
        return response


class Shutdown(Node):
    """Ends ROS 2 in the whole process."""

    def __init__(self, **kwargs):
        super().__init__('shutdown', **kwargs)
        self.create_timer(0.1, rclpy.try_shutdown)


def make_talker(**kwargs):
    """Return a node without being a class."""
    return Talker(**kwargs)


def make_text(**kwargs):
    """Return what is no node."""
    return 'a text'
