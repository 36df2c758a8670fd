"""
Write constraints.txt: every package of `.ros_env/` at one version, for each supported Python.

First `lock.py resolve FOLDER` with each supported Python, then `lock.py merge FOLDER` once.
"""

import json
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import venv

HERE = Path(__file__).resolve().parent
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
# colcon's `build --symlink-install` needs a command that later ones do not have.
SETUPTOOLS = 'setuptools<80'


def resolve(folder: Path) -> None:
    """Ask pip what it would install for this Python, and leave the answer in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    python = f'{sys.version_info.major}.{sys.version_info.minor}'
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True)
        report = Path(scratch, 'report.json')
        subprocess.run(
            [f'{scratch}/bin/python', '-m', 'pip', 'install', '--quiet', '--dry-run',
             '--ignore-installed', '--report', str(report), SETUPTOOLS,
             '--requirement', str(HERE / 'requirements.txt'),
             '--requirement', str(HERE / 'requirements-python.txt')],
            check=True)
        packages = [item['metadata'] for item in json.loads(report.read_text())['install']]
    versions = {re.sub('[-_.]+', '-', package['name']).lower(): package['version']
                for package in packages}
    (folder / f'{python}.json').write_text(json.dumps(versions, indent=1, sort_keys=True))


def merge(folder: Path) -> None:
    """Put the answers for all Pythons into one file, with markers where they differ."""
    versions = {python: json.loads((folder / f'{python}.json').read_text()) for python in PYTHONS}
    lines = ['# Every package of .ros_env/ at one version for each Python; written by lock.py.']
    for name in sorted(set().union(*versions.values())):
        by_version: dict = {}
        for python in PYTHONS:
            if name in versions[python]:
                by_version.setdefault(versions[python][name], []).append(python)
        for version, pythons in by_version.items():
            lines.append(f'{name}=={version}{marker(pythons)}')
    (HERE / 'constraints.txt').write_text('\n'.join(lines) + '\n')


def marker(pythons: list) -> str:
    """Return the environment marker that stands for a run of neighbouring Python versions."""
    terms = []
    if pythons[0] != PYTHONS[0]:
        terms.append(f'python_version >= "{pythons[0]}"')
    if pythons[-1] != PYTHONS[-1]:
        terms.append(f'python_version < "{PYTHONS[PYTHONS.index(pythons[-1]) + 1]}"')
    return ' ; ' + ' and '.join(terms) if terms else ''


if __name__ == '__main__':
    if len(sys.argv) != 3 or sys.argv[1] not in ('resolve', 'merge'):
        sys.exit(__doc__)
    {'resolve': resolve, 'merge': merge}[sys.argv[1]](Path(sys.argv[2]))
