"""WorkConfig.load on files that were work configurations, and on what YAML and JSON can hold."""

from __future__ import annotations

import atexit
import json
import math
from pathlib import Path
import shutil
import tempfile
from typing import Any

from hypothesis import strategies as st
from mutations import mutated
from target import Target
import yaml

from rdk_yolo_ros.detections import TASKS
from rdk_yolo_ros.errors import WorkConfigError
from rdk_yolo_ros.work_config import WorkConfig, known_keys

ROOT = Path(__file__).resolve().parents[2]
_FOLDER = Path(tempfile.mkdtemp(prefix='fuzz_work_configs_'))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
# What the loader must never make or run, whatever a file says.
_TRACE = _FOLDER / 'executed'

_CONFIGS = [path.read_bytes() for path in sorted((ROOT / 'config').glob('*.json'))
            if 'schema' not in path.name]
_MAPPINGS = [{**json.loads(data), 'model_file': 'models/demo_detect.onnx'} for data in _CONFIGS]
_TEXTS = [*_CONFIGS, *(yaml.safe_dump(m, sort_keys=False).encode() for m in _MAPPINGS),
          *(json.dumps(m).encode() for m in _MAPPINGS)]

# Values as YAML and JSON spell them.
_SPELLINGS = [
    '1e999', '-1e999', '.nan', 'NaN', '-.inf', 'Infinity', '1_000', '0x10', '0o17', '017', '0b11',
    '1:30:00', '9' * 400, '9' * 5000, '1e-400', '-0', '+1', '1.', '.5', '1e5', '1.0e+5', '~',
    'null', 'yes', 'No', 'on', 'TRUE', '2001-12-14', '2001-99-99', '2001-12-14t21:59:43.10-05:00',
    '=', '<<', '[1, 2', '{a: b}', '{a: b, a: c}', '[]', '{}', '""', "''", '|\n  text', '>-\n  a',
    '? a', '- a\n- b', '&a 1', '*a', '&a [*a]', '!!binary aGVsbG8=', '!!binary =', '!!set {a, b}',
    '!!omap [a: 1]', '!!pairs [a: 1]', '!!float 1', '!!int a', '!!int ""', '!!bool 1', '!!null a',
    '!!timestamp x', '!!str 1', '!!map []', '!!seq {}', '!unknown 1', '!<tag:yaml.org,2002:int> 3',
    f'!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ["{_TRACE}"]]',
    '!!python/object/new:os.system ["true"]', '!!python/name:os.system', '!!python/tuple [1]',
    '!!python/module:os', '"\\ud800"', '"\\u0000"', '"a\\nb"', '"\\x7f"', '%TAG ! x', '--- 1',
    '...', '\t1', '@', '`', '#', '[' * 100, '{a: ' * 60, '- ' * 90,
]
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 100), st.integers(), st.floats(),
    st.text(max_size=20), st.sampled_from([*TASKS, 'full', 'limited', 'person', 'auto', '../x',
                                           '/dev/zero', '/etc/passwd', '~/x', 'a\0b', 'x' * 5000]))
_VALUES = st.recursive(_SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=8)
_KEYS = st.one_of(st.sampled_from(sorted(known_keys())), st.text(max_size=12))


@st.composite
def _changed_mappings(draw) -> bytes:
    mapping = dict(draw(st.sampled_from(_MAPPINGS)))
    for _ in range(draw(st.integers(0, 4))):
        mapping[draw(_KEYS)] = draw(_VALUES)
    if draw(st.booleans()):
        mapping['cls_names_list'] = 'names.list'
    if draw(st.booleans()):
        return json.dumps(mapping, ensure_ascii=draw(st.booleans())).encode('utf-8',
                                                                            'surrogatepass')
    return yaml.dump(mapping, sort_keys=False).encode('utf-8', 'surrogatepass')


@st.composite
def _spelled(draw) -> bytes:
    """Draw a YAML or JSON text of known keys whose values are spelled in odd ways."""
    spelling = st.one_of(st.sampled_from(_SPELLINGS), st.text(max_size=12))
    lines = [(draw(st.sampled_from(sorted(known_keys()))), draw(spelling))
             for _ in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        text = '{"model_file": "models/demo_detect.onnx", ' + ', '.join(
            f'"{key}": {value}' for key, value in lines) + '}'
    else:
        text = 'model_file: models/demo_detect.onnx\n' + ''.join(
            f'{key}: {value}\n' for key, value in lines)
    coding = draw(st.sampled_from(['utf-8', 'utf-8', 'utf-8', 'utf-8-sig', 'utf-16', 'utf-32']))
    return text.encode(coding, 'surrogatepass')


_EXAMPLES = st.fixed_dictionaries({
    'suffix': st.sampled_from(['.json', '.yaml', '.yml', '.txt', '']),
    'data': st.one_of(mutated(_TEXTS), _changed_mappings(), _changed_mappings(), _spelled(),
                      _spelled(), st.binary(max_size=200)),
    'names': st.one_of(st.just(b'ball\nbox\ncone\nperson\n'), st.binary(max_size=80),
                       mutated([b'ball\nbox\ncone\nperson\n']))})


def _run(files: dict[str, Any]) -> None:
    path = _FOLDER / f'work_config{files["suffix"]}'
    path.write_bytes(files['data'])
    (_FOLDER / 'names.list').write_bytes(files['names'])
    try:
        config = WorkConfig.load(path)
        assert config.model_file.is_file()
        assert config.task in (None, *TASKS)
        for number in (config.score_threshold, config.nms_threshold):
            assert 0 <= number <= 1
        assert all(math.isfinite(t) for t in (config.score_thresholds or {}).values())
        for names in (config.class_names, config.keypoint_names):
            assert names is None or all(isinstance(name, str) for name in names)
    finally:
        assert not _TRACE.exists(), 'the file was executed'


def _yaml(text: str) -> dict[str, Any]:
    return {'suffix': '.yaml', 'data': text.encode(), 'names': b''}


def _json(text: str) -> dict[str, Any]:
    return {'suffix': '.json', 'data': text.encode(), 'names': b''}


_BOMB = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{new}: &{new} [{", ".join([f"*{old}"] * 9)}]\n' for old, new in zip('abcdefgh', 'bcdefghi'))
TARGET = Target(_EXAMPLES, _run, (WorkConfigError,), limit=20.0, explicit=(
    _yaml(_BOMB), _yaml(_BOMB.replace('&', '&x').replace('*', '*x')),
    *(_json(text) for text in (
        '[' * 200_000, '{"a":' * 100_000, '9' * 1_000_000, '{"a": 1' + '0' * 5000 + '}',
        '{' + ', '.join(f'"key{i}": {i}' for i in range(20_000)) + '}',
        '{"class_names": ["' + '", "'.join(map(str, range(70_000))) + '"]}')),
    *(_yaml(text) for text in (
        '[' * 200_000, '{a: ' * 100_000, '- ' * 200_000, '? ' * 200_000, 'a: ' * 100_000,
        '!!str ' * 150_000, '&a ' * 300_000, '"' + 'x' * 1_000_000, '#' * 400_000,
        '\n' * 1_000_000, '[x,' * 100_000, 'x, ' * 100_000, 'a: ' + '9' * 1_000_000,
        # Sexagesimal numbers, and as many digits as pass: both take time with their square.
        'a: 0x' + 'f' * 1_000_000, 'a: 1' + ':1' * 400_000, 'a: 1' + ':1' * 400_000 + '.5',
        'a: 1' + ':1' * 190, ''.join(f'key{i}: {i}\n' for i in range(5_000)),
        'class_names: [' + ', '.join(f'c{i}' for i in range(8_000)) + ']')),
))
