"""What a runtime and its worker processes say to each other, over a socket."""

from __future__ import annotations

import socket
import struct
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.tensors import TensorInfo

_LENGTH = struct.Struct('<I')
_LONGEST = 1 << 26


def send(sock: socket.socket, message: bytes) -> None:
    """Send a message; OSError where nobody takes it."""
    sock.sendall(_LENGTH.pack(len(message)) + message)


def receive(sock: socket.socket) -> Optional[bytes]:
    """
    Return the next message, or None where the other side is gone.

    Raises:
        TimeoutError: nothing came within the socket's time limit.
        OSError: the socket is closed.

    """
    # One message is under way at most, so that nothing beyond it can be read here.
    data = sock.recv(1 << 16)
    while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _length(data):
        more = sock.recv(1 << 16) if data else b''
        if not more:
            return None
        data += more
    return data[_LENGTH.size:]


def _length(data: bytes) -> int:
    length, = _LENGTH.unpack_from(data)
    if length > _LONGEST:
        raise OSError(f'a message of {length} bytes came, expected {_LONGEST} at most')
    return length


def info_to_json(info: TensorInfo) -> dict[str, Any]:
    """Return a TensorInfo as JSON can hold it, exactly."""
    return {'name': info.name, 'shape': info.shape, 'dtype': info.dtype.str,
            'layout': info.layout, 'scale': _to_hex(info.scale, np.float32),
            'zero_point': _to_hex(info.zero_point, np.int32),
            'quantize_axis': info.quantize_axis, 'aligned_shape': info.aligned_shape}


def info_from_json(fields: dict[str, Any]) -> TensorInfo:
    """Return the TensorInfo that `info_to_json` wrote."""
    return TensorInfo(**{**fields, 'scale': _from_hex(fields['scale'], np.float32),
                         'zero_point': _from_hex(fields['zero_point'], np.int32)})


def _to_hex(values: Optional[np.ndarray], dtype: Any) -> Optional[str]:
    return None if values is None else values.astype(dtype).tobytes().hex()


def _from_hex(text: Optional[str], dtype: Any) -> Optional[np.ndarray]:
    return None if text is None else np.frombuffer(bytes.fromhex(text), dtype)
