"""Plain CDR by the OMG's rules (DDS-RTPS 9.4, XTypes 7.4.3.5), one field after the other."""

import re
import struct

import numpy as np

_CODES = {'boolean': '?', 'octet': 'B', 'uint8': 'B', 'int8': 'b', 'uint16': 'H', 'int16': 'h',
          'uint32': 'I', 'int32': 'i', 'uint64': 'Q', 'int64': 'q', 'float': 'f', 'double': 'd'}
ENCAPSULATIONS = {'<': b'\0\1\0\0', '>': b'\0\0\0\0'}


def serialise(fields, order='<'):
    """
    Return a message's bytes, 0 between fields, and which of them are fields', bool (n,).

    fields: (kind, value) pairs; a kind is one of struct's codes, 'string', or 'uint8s'.
    """
    out = bytearray()
    is_field = []

    def number(code, value):
        size = struct.calcsize(order + code)
        padding = -len(out) % size
        out.extend(bytes(padding) + struct.pack(order + code, value))
        is_field.extend([False] * padding + [True] * size)

    for kind, value in fields:
        if kind in ('string', 'uint8s'):
            if kind == 'string':
                # rclpy hands over text up to a NUL.
                value = value.encode().split(b'\0')[0] + b'\0'
            number('I', len(value))
            out.extend(value)
            is_field.extend([True] * len(value))
        else:
            number(kind, value)
    return ENCAPSULATIONS[order] + bytes(out), np.array([True] * 4 + is_field)


def message_fields(message):
    """Yield the (kind, value) pairs of a ROS message, as its type declares them."""
    for name, kind in message.get_fields_and_field_types().items():
        yield from _fields(kind, getattr(message, name))


def _fields(kind, value):
    sequence = re.fullmatch(r'sequence<([^,]+)>', kind)
    array = re.fullmatch(r'(.+)\[\d+\]', kind)
    if sequence or array:
        if sequence:
            yield 'I', len(value)
        for element in value:
            yield from _fields((sequence or array)[1], element)
    elif kind == 'string':
        yield 'string', value
    elif kind in _CODES:
        yield _CODES[kind], value
    else:
        yield from message_fields(value)
