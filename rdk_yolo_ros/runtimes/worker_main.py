"""
A worker process of a BPU runtime: a model of its own, in a process of its own.

It ends by itself when its parent does: at once where it waits for work, and after its alarm where
the library hangs with Python's lock held, when nothing but the system can end it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
import json
import os
from pathlib import Path
import signal
import socket
import traceback
from typing import Optional, TypeVar

from rdk_yolo_ros.errors import ModelError, RdkYoloError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.slot_memory import SlotMemory
from rdk_yolo_ros.runtimes.worker_messages import info_to_json, receive, send

Received = TypeVar('Received')

# How often a worker without work looks whether its parent is still there; the end of the socket
# tells it at once unless a process that the parent forked holds the socket, too.
_LOOK_S = 1.0
# What a worker's alarm leaves its parent to end it first, and say so.
_ALARM_AFTER_S = 2.0
# The parent waits a minute for a model to be loaded.
_LOAD_S = 70.0


def main(fd: int, parent: int) -> None:
    """
    Load a model and run it for the parent until that closes the socket or ends.

    Args:
        fd: the worker's end of a socket. First comes JSON: module, where there is a LoadedModel;
            path, model_name, priority, cores, worker, its arguments; timeout, slots. The answer
            is what the model is, or why it could not be loaded. Then comes the memory, then the
            numbers of slots, each answered by b'' or by what failed.
        parent: the parent's process id.

    """
    # Ctrl-C goes to every process of a terminal; the parent says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with socket.socket(fileno=fd) as sock:
        try:
            _serve(sock, parent)
        except ConnectionError:
            return  # without a parent, nobody is left to be told
        except BaseException:
            # Said before the parent sees the end of the socket, and kills what takes its time.
            traceback.print_exc()
            os._exit(1)


def _serve(sock: socket.socket, parent: int) -> None:
    hello = json.loads(_next(sock, parent) or b'null')
    if hello is None:
        return
    signal.setitimer(signal.ITIMER_REAL, _LOAD_S)
    try:
        module = import_module(f'rdk_yolo_ros.runtimes.{hello["module"]}')
        model = module.LoadedModel(Path(hello['path']), hello['model_name'], hello['priority'],
                                   hello['cores'], hello['worker'])
    except RdkYoloError as error:
        kind = 'unavailable' if isinstance(error, RuntimeUnavailableError) else 'model'
        send(sock, json.dumps({'error': kind, 'message': str(error)}).encode())
        return
    sock.settimeout(None)  # the parent may still wait for other workers
    send(sock, json.dumps({
        'library': model.library, 'model': model.name, 'input_hw': model.input_hw,
        'input': model.input_text, 'outputs': [info_to_json(i) for i in model.outputs],
        'memory': model.memory_texts}).encode())
    signal.setitimer(signal.ITIMER_REAL, 0)
    sock.settimeout(_LOOK_S)
    sent = _patiently(parent, lambda: socket.recv_fds(sock, 1, 1))
    if sent is None or not sent[1]:
        return
    memory = SlotMemory(model.input_hw, model.outputs, hello['slots'], sent[1][0])
    slots = [(memory.image(i), memory.outputs(i)) for i in range(memory.slots)]
    limit = hello['timeout'] + _ALARM_AFTER_S
    while (message := _next(sock, parent)) is not None:
        image, outputs = slots[int.from_bytes(message, 'little')]
        failure = b''
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            model.run(image, outputs)
        except ModelError as error:
            failure = str(error).encode()
        signal.setitimer(signal.ITIMER_REAL, 0)
        send(sock, failure)


def _next(sock: socket.socket, parent: int) -> Optional[bytes]:
    """Return the next message, or None when the parent is gone."""
    sock.settimeout(_LOOK_S)
    return _patiently(parent, lambda: receive(sock))


def _patiently(parent: int, receive_it: Callable[[], Optional[Received]]) -> Optional[Received]:
    """Try again and again while the parent is there."""
    while True:
        try:
            return receive_it()
        except TimeoutError:
            if os.getppid() != parent:
                return None
