"""The floors of docs/architecture.md: nothing imports what is above it, and the core no ROS."""

import ast
import dataclasses
import importlib
import inspect
from pathlib import Path
import re

import pytest

from rdk_yolo_ros.pipeline import PipelineStats
from rdk_yolo_ros.work_config import WorkConfig

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'rdk_yolo_ros'
ROS = {'rclpy', 'sensor_msgs', 'std_msgs', 'vision_msgs', 'diagnostic_msgs', 'geometry_msgs',
       'builtin_interfaces', 'rcl_interfaces', 'cv_bridge', 'ament_index_python', 'launch',
       'composition_interfaces', 'lifecycle_msgs', 'std_srvs', 'rosgraph_msgs'}
WITH_ROS = {'nodes', 'components'}


def documented_floors():
    """Return {module: floor} from the page's own table."""
    floors = {}
    for line in (ROOT / 'docs' / 'architecture.md').read_text().splitlines():
        row = re.match(r'\| (\d) \| (.+?) \|', line)
        if row:
            floors.update({name: int(row[1]) for name in re.findall(r'`(\w+)`', row[2])})
    return floors


def imports_of(path):
    """Yield the dotted names that a file imports anywhere, inside functions, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f'{path}: relative import'
            yield node.module
            if node.module == 'rdk_yolo_ros':
                yield from (f'rdk_yolo_ros.{alias.name}' for alias in node.names)


FILES = sorted(p for p in PACKAGE.rglob('*.py') if p != PACKAGE / '__init__.py')


def module_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_what_is_below_it(path):
    floors = documented_floors()
    own = module_of(path)
    assert own in floors, f'{own} is not in the table of docs/architecture.md'
    for name in imports_of(path):
        parts = name.split('.')
        if parts[0] == 'rdk_yolo_ros' and len(parts) > 1 and parts[1] != own:
            assert floors[parts[1]] < floors[own], f'{own} imports {parts[1]}'


@pytest.mark.parametrize('path', [p for p in FILES if module_of(p) not in WITH_ROS],
                         ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_core_imports_no_ros(path):
    assert not {name.split('.')[0] for name in imports_of(path)} & ROS


def test_no_file_is_named_for_nothing():
    names = {p.stem for p in PACKAGE.rglob('*.py')}
    assert not names & {'utils', 'util', 'helpers', 'helper', 'manager', 'misc', 'common'}


def test_every_public_name_can_be_imported():
    import rdk_yolo_ros
    for name in rdk_yolo_ros.__all__:
        assert getattr(rdk_yolo_ros, name).__module__.startswith('rdk_yolo_ros.')
    with pytest.raises(AttributeError, match='Prediktor'):
        rdk_yolo_ros.Prediktor  # noqa: B018


# The signatures that the page lists

OBJECTS = {'frame': 'Frame', 'letterbox': 'Letterbox', 'runtime': 'Runtime', 'decoder': 'Decoder',
           'predictor': 'Predictor', 'pipeline': 'Pipeline', 'masks': 'InstanceMasks',
           'video': 'SceneVideo', 'slot': 'Slot', 'restarting': 'RestartingRuntime'}


def documented_signatures():
    """Yield (modules, name, arguments) of each call in the page's contracts."""
    modules = []
    for line in (ROOT / 'docs' / 'architecture.md').read_text().splitlines():
        if line.startswith('### '):
            modules = ['rdk_yolo_ros.' + path.removesuffix('.py').strip('/').replace('/', '.')
                       for path in re.findall(r'`([\w/]+(?:\.py)?)`', line)]
        call = re.match(r'    ([\w.]+)\(([^()]*)\)', line)
        if call and modules and call[1] != 'len':
            yield modules, call[1], call[2]


SIGNATURES = list(documented_signatures())


def found(modules, name):
    """Return what a name on the page stands for: a class, its method, a function, an instance."""
    first, _, rest = name.partition('.')
    for module in modules:
        target = getattr(importlib.import_module(module), OBJECTS.get(first, first), None)
        if target is not None:
            if first in OBJECTS:
                return getattr(target, rest or '__call__')
            return getattr(target, rest) if rest else target
    raise AssertionError(f'{name} is in none of {modules}')


@pytest.mark.parametrize(('modules', 'name', 'arguments'), SIGNATURES,
                         ids=[name for _, name, _ in SIGNATURES])
def test_a_documented_signature_is_the_codes(modules, name, arguments):
    if any(module.split('.')[1] in WITH_ROS for module in modules):
        pytest.importorskip('rclpy')
        pytest.importorskip('vision_msgs')
        pytest.importorskip('composition_interfaces')
    parameters = [p.replace(annotation=inspect.Parameter.empty)
                  for p in inspect.signature(found(modules, name)).parameters.values()
                  if p.name != 'self']
    assert arguments == ', '.join(map(str, parameters))


def test_the_pages_signatures_are_seen():
    assert len(SIGNATURES) > 30
    names = {name for _, name, _ in SIGNATURES}
    assert names >= {'Frame', 'letterbox.apply', 'predictor', 'Pipeline', 'Detections',
                     'mask_message', 'runtime.run'}


def test_the_documented_fields_of_a_work_configuration_are_the_codes():
    page = (ROOT / 'docs' / 'architecture.md').read_text()
    listed, = re.findall(r'    fields: (.*?)\n\n', page, re.DOTALL)
    listed = re.sub(r'\(.*?\)', '', listed).split()
    assert sorted(listed) == sorted(field.name for field in dataclasses.fields(WorkConfig))


def test_every_count_of_the_pipeline_is_explained():
    page = (ROOT / 'docs' / 'architecture.md').read_text()
    for field in dataclasses.fields(PipelineStats):
        assert f'`{field.name}`' in page
