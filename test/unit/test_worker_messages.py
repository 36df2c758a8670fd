"""What goes between a runtime and its workers arrives whole, or not at all."""

import socket
import struct
import threading

import pytest

from rdk_yolo_ros.runtimes.worker_messages import receive, send


@pytest.fixture
def ends():
    pair = socket.socketpair()
    for end in pair:
        end.settimeout(10)
    yield pair
    for end in pair:
        end.close()


@pytest.mark.parametrize('size', [0, 1, 4, 65_532, 65_536, 1_000_000])
def test_a_message_arrives_whole(ends, size):
    message = bytes(range(256)) * (size // 256) + b'x' * (size % 256)
    sender = threading.Thread(target=send, args=(ends[0], message))
    sender.start()
    assert receive(ends[1]) == message
    sender.join(10)


def test_a_message_in_pieces(ends):
    data = struct.pack('<I', 5) + b'hello'
    for i in range(len(data) - 1):
        ends[0].sendall(data[i:i + 1])
    timer = threading.Timer(0.05, ends[0].sendall, (data[-1:],))
    timer.start()
    assert receive(ends[1]) == b'hello'
    timer.join(10)


@pytest.mark.parametrize('begun', [b'', b'\x05', b'\x05\0\0\0he'])
def test_an_end_is_no_message(ends, begun):
    ends[0].sendall(begun)
    ends[0].close()
    assert receive(ends[1]) is None


def test_a_wait_has_a_limit(ends):
    ends[1].settimeout(0.05)
    with pytest.raises(TimeoutError):
        receive(ends[1])


def test_no_memory_is_taken_for_a_length_that_cannot_be(ends):
    ends[0].sendall(b'\xff' * 8)
    with pytest.raises(OSError, match='4294967295 bytes'):
        receive(ends[1])
