"""The variables that choose how Fast DDS transports images stand in three files, the same."""

import ast
from pathlib import Path

import pytest

from rdk_yolo_ros.nodes.image_loss import DDS_VARIABLES

ROOT = Path(__file__).parents[2]


def constant(path, name):
    """Return a module's constant without importing the module."""
    for statement in ast.parse((ROOT / path).read_text(encoding='utf-8')).body:
        if isinstance(statement, ast.Assign) and name in [
                target.id for target in statement.targets if isinstance(target, ast.Name)]:
            return ast.literal_eval(statement.value)
    raise AssertionError(f'{path} has no {name}')


# Neither may import the package's nodes: launch files run without them, the demo before them.
@pytest.mark.parametrize('path', ['launch/yolo.launch.py', 'dev/demo/processes.py'])
def test_a_copy_of_the_dds_variables_equals_the_package_s(path):
    assert constant(path, 'DDS_VARIABLES') == DDS_VARIABLES
