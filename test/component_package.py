"""
What the tests of the component container install: entry points, in folders on PYTHONPATH.

Those of this package come from its own setup.py, so that a checkout has them without having been
built. Those of another package come from a distribution made here, with components that behave as
badly as they can.
"""

import os
from pathlib import Path
import shutil
import subprocess
import sys

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'foreign_pkg'
PLUGINS = {
    'Talker': 'Talker', 'Nameless': 'Nameless', 'Intra': 'Intra', 'Raising': 'Raising',
    'Slow': 'Slow', 'Threads': 'Threads', 'Shutdown': 'Shutdown', 'Function': 'make_talker',
    'Text': 'make_text', 'Asker': 'Asker', 'Answerer': 'Answerer', 'Missing': 'Missing',
}


def install_foreign(folder):
    """Install foreign_pkg into a folder as pip would have, and return the folder."""
    folder = Path(folder)
    module = folder / PACKAGE
    module.mkdir(parents=True)
    (module / '__init__.py').touch()
    (module / 'broken.py').write_text('import a_module_that_nobody_has\n')
    shutil.copy(ROOT / 'test' / 'foreign_nodes.py', module / 'nodes.py')
    info = folder / f'{PACKAGE}-1.2.3.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: {PACKAGE.replace("_", "-")}\nVersion: 1.2.3\n')
    (info / 'entry_points.txt').write_text('[rclpy_components]\n' + ''.join(
        f'{PACKAGE}::{name} = {PACKAGE}.nodes:{value}\n' for name, value in PLUGINS.items())
        + f'{PACKAGE}::Broken = {PACKAGE}.broken:Broken\n')
    return folder


def install_own(folder):
    """Write this package's entry points, as its setup.py has them, and return the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', str(folder)],
                   cwd=ROOT, check=True, timeout=60.0, stdout=subprocess.DEVNULL)
    return folder


def install_container(prefix):
    """Put the container where `ros2 run` and launch_ros look for it, running this checkout."""
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'rdk_yolo_ros').touch()
    script = prefix / 'lib' / 'rdk_yolo_ros' / 'component_container'
    script.parent.mkdir(parents=True)
    script.write_text(f'#!{sys.executable}\nimport sys\n'
                      'from rdk_yolo_ros.nodes.executables import component_container\n'
                      'sys.exit(component_container())\n')
    script.chmod(0o755)
    return prefix


def python_path(*folders):
    """Return PYTHONPATH with folders, and then this checkout, before what it has."""
    return os.pathsep.join([*map(str, folders), str(ROOT),
                            *filter(None, [os.environ.get('PYTHONPATH')])])
