"""Strict reading of a small JSON or YAML file: a mapping, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Hashable
import json
import math
from pathlib import Path
import reprlib
from typing import Any

import yaml

from rdk_yolo_ros.errors import WorkConfigError

# No work configuration or class list comes near it: past this size it is some other file.
MAX_BYTES = 1 << 20

# To read or to spell out a number takes time with the square of its length, so that Python from
# 3.11 on refuses either past 4300 digits. A float ends at 309 digits.
_MAX_DIGITS = 400
_MAX_BITS = 1024


class _Shorten(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        """Return a whole number's digits, or how long it is."""
        if x.bit_length() > _MAX_BITS:
            return f'a whole number of {x.bit_length()} bits'
        return super().repr_int(x, level)


_shorten = _Shorten()
_shorten.maxstring = _shorten.maxother = 60
_shorten.maxlist = _shorten.maxtuple = _shorten.maxdict = 4
_shorten.maxlong = 40


def shown(value: object) -> str:
    """Return `value` for a message: on one line, shortened, text in quotes."""
    return ' '.join(_shorten.repr(value).split())


def shown_key(key: str) -> str:
    """Return a key for a message: as it is, where it is a short word on one line."""
    return key if key.isprintable() and 0 < len(key) <= 60 else shown(key)


def read_text(path: Path, what: str = 'file') -> str:
    """
    Return the text of a small UTF-8 file, without a byte order mark.

    Raises:
        WorkConfigError: no regular file, not readable, larger than MAX_BYTES, not UTF-8.

    """
    try:
        # A pipe or a device would block or never end, so only a regular file is opened.
        if not path.is_file():
            state = 'is not a regular file' if path.exists() else 'does not exist'
            raise WorkConfigError(f'{path}: the {what} {state}')
        with path.open('rb') as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise WorkConfigError(f'{path}: the {what} cannot be read: {reason}') from None
    if len(data) > MAX_BYTES:
        raise WorkConfigError(f'{path}: the {what} is larger than {MAX_BYTES} bytes, which no '
                              f'{what} is; check the path')
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise WorkConfigError(
            f'{path}: the {what} is not UTF-8 text (byte 0x{data[error.start]:02x} at offset '
            f'{error.start}); save it as UTF-8') from None


def read_mapping(path: Path) -> dict[str, Any]:
    """
    Return the mapping that a JSON or YAML file holds.

    The suffix tells which (.json, .yaml, .yml); with any other suffix, a text that begins with
    a brace is JSON. Stricter than the two formats: no duplicate keys, no NaN or infinity, no
    YAML aliases (which let a small file describe a huge one), text as keys.

    Raises:
        WorkConfigError: naming the file and, for a syntax error, the line and the column.

    """
    text = read_text(path, 'work configuration')
    if not text.strip():
        raise WorkConfigError(f'{path}: the work configuration is empty, expected a mapping with '
                              'at least "model_file"')
    suffix = path.suffix.lower()
    is_json = suffix == '.json' or suffix not in ('.yaml', '.yml') and text.lstrip()[0] == '{'
    try:
        value = _parse_json(text) if is_json else _parse_yaml(text)
        if not isinstance(value, dict):
            raise _Malformed(f'a {_kind(value)} at the top level, expected a mapping of keys to '
                             'values')
        _check_plain(value, '')
    except _Malformed as error:
        raise WorkConfigError(f'{path}: {error}') from None
    except RecursionError:
        raise WorkConfigError(f'{path}: nested too deeply, expected a flat mapping') from None
    return value


class _Malformed(Exception):
    """What is wrong with a text, still without the file's name."""


def _parse_json(text: str) -> Any:
    def refuse_constant(name: str) -> None:
        raise _Malformed(f'{name} is not a number that JSON or a work configuration knows')

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                raise _Malformed(f'key {shown(key)} is given twice, as {shown(result[key])} and '
                                 f'as {shown(value)}; keep one')
            result[key] = value
        return result

    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=mapping,
                          parse_int=lambda digits: int(_checked_number(digits)))
    except json.JSONDecodeError as error:
        hint = ''
        before, after = text[:error.pos].rstrip(), text[error.pos:].lstrip(', \t\r\n')
        if before.endswith(',') and after[:1] in ('}', ']') \
                or text[error.pos:error.pos + 1] == ',' and after[:1] in ('}', ']'):
            hint = ' (a comma too many before the closing bracket)'
        elif text[error.pos:error.pos + 1] in ('/', '#'):
            hint = ' (JSON has no comments; a .yaml file has)'
        raise _Malformed(f'line {error.lineno}, column {error.colno}: not JSON: '
                         f'{error.msg}{hint}') from None


def _checked_number(digits: str) -> str:
    if len(digits) > _MAX_DIGITS:
        raise _Malformed(f'{shown(digits)} has {len(digits)} digits, expected a number of at most '
                         f'{_MAX_DIGITS}')
    return digits


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, duplicate keys and endless numbers."""

    def compose_node(self, parent, index):  # type: ignore[no-untyped-def]
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise _Malformed(f'{_position(event.start_mark)}: *{event.anchor} refers to another '
                             'place; a work configuration spells every value out')
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):  # type: ignore[no-untyped-def]
        keys: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in keys:
                    raise _Malformed(f'{_position(key_node.start_mark)}: key {shown(key)} is '
                                     'given twice; keep one')
                keys.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node):  # type: ignore[no-untyped-def]
        _checked_number(str(node.value))
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node):  # type: ignore[no-untyped-def]
        _checked_number(str(node.value))
        return super().construct_yaml_float(node)


# SafeLoader's table names its own methods.
_Loader.add_constructor('tag:yaml.org,2002:int', _Loader.construct_yaml_int)
_Loader.add_constructor('tag:yaml.org,2002:float', _Loader.construct_yaml_float)


def _parse_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f'{_position(mark)}: ' if mark else ''
        problem = ' '.join(str(error.problem or error.context).split())
        hint = ' (indent with spaces)' if "'\\t'" in problem else ''
        raise _Malformed(f'{where}not YAML: {problem}{hint}') from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # ReaderError for control characters; ValueError for dates and numbers out of range.
        raise _Malformed(f'not YAML: {" ".join(str(error).split())[:160]}') from None
    except (AttributeError, LookupError, TypeError):
        # PyYAML looks for what is not there: `!!int` of an empty text, `!!timestamp` of any.
        raise _Malformed('not YAML: a tag (!!) does not fit its value; leave it out') from None


def _position(mark: Any) -> str:
    return f'line {mark.line + 1}, column {mark.column + 1}'


def _kind(value: object) -> str:
    kinds = {list: 'list', str: 'text', bool: 'boolean', int: 'number', float: 'number',
             type(None): 'null'}
    return kinds.get(type(value), type(value).__name__)


def _check_plain(value: object, where: str) -> None:
    """Refuse what YAML and Python's json can build but JSON has no word for."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _Malformed(f'key {shown(key)} is a {_kind(key)}, expected text; put it in '
                                 'quotes')
            _check_plain(item, f'{where}.{shown_key(key)}' if where else shown_key(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_plain(item, f'{where}[{i}]')
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _Malformed(f'{where} is {value}, expected a finite number')
    elif isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise _Malformed(f'{where} is {shown(value)}, expected one of {_MAX_BITS} at most')
    elif value is not None and not isinstance(value, (str, bool, int)):
        raise _Malformed(f'{where} is a YAML {type(value).__name__}, {shown(value)}; expected '
                         'text, a number, a boolean or a list; put text in quotes')
