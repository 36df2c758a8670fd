"""The machine and its software: board, operating system, versions, memory."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
import os
from pathlib import Path
import platform
import re
from typing import Optional

from rdk_yolo_ros.cli.checks.board import Board, first_text, read_text
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, WARNING, Finding
from rdk_yolo_ros.share import PACKAGE, find_file

# The vendor's packages whose versions decide which interface is there.
_PACKAGES = re.compile(r'^(?:hobot-(?:dnn|spdev|models-basic|boot|configs)|tros(?:-[a-z]+)?'
                       r'|tros-[a-z]+-(?:dnn-node|hobot-shm|mipi-cam|hobot-usb-cam|ai-msgs'
                       r'|hbm-img-msgs)|ros-[a-z]+-rmw-[a-z-]+)$')
_LARGEST_STATUS = 64 * 2 ** 20
# A robot's own nodes need some, and a model of the zoo takes up to this.
_LEAST_MEMORY = 300 * 2 ** 20
# Each process that publishes images has a segment of 16 MB (config/dds/shared_memory.xml).
_LEAST_SHM = 64 * 2 ** 20


def package_version() -> str:
    """Return this package's version, or 'unknown'."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        pass
    try:
        found = re.search(r'<version>\s*([^<\s]+)', find_file('package.xml').read_text())
    except (OSError, UnicodeDecodeError):
        found = None
    return found[1] if found else 'unknown'


def check_machine(board: Board, root: Path = Path('/')) -> Iterator[Finding]:
    """Yield what the machine is: board, operating system, memory."""
    details = {'model': board.model, 'chip': board.chip, 'kind': board.kind,
               'family': board.family, 'architecture': platform.machine(),
               'cpus': os.cpu_count()}
    if board.is_rdk:
        named = ', '.join(filter(None, (
            board.model, board.chip and f'chip {board.chip}', board.kind and f'kind {board.kind}'
        ))) or 'without a name'
        known = f'RDK {board.family}' if board.family else 'an RDK of a kind not known here'
        yield Finding('board', OK if board.family else WARNING, f'{known} ({named})',
                      '' if board.family else 'report it with this output', details=details)
    else:
        yield Finding('board', NOT_APPLICABLE,
                      f'no RDK board, but {platform.machine()} with {os.cpu_count()} CPUs'
                      + (f' ({board.model})' if board.model else ''),
                      'models run on the CPU here; a board\'s BPU cannot be checked',
                      details=details)
    release = os_release(root)
    version = first_text(root, 'etc/version')
    summary = release.get('PRETTY_NAME') or release.get('NAME') or 'an unknown system'
    if version:
        summary += f', RDK OS {version}' if board.is_rdk else f', /etc/version {version}'
    yield Finding('system', OK, f'{summary}, kernel {platform.release()}',
                  details={'os': release.get('PRETTY_NAME'), 'rdk_os': version,
                           'kernel': platform.release()})
    yield from _check_memory(root)


def os_release(root: Path = Path('/')) -> dict[str, str]:
    """Return the entries of /etc/os-release."""
    text = first_text(root, 'etc/os-release', 'usr/lib/os-release') or ''
    pairs = (line.partition('=') for line in text.splitlines() if '=' in line)
    return {key.strip(): value.strip().strip('"\'') for key, _, value in pairs}


def _check_memory(root: Path) -> Iterator[Finding]:
    # Larger than read_text takes, and not text on every kernel.
    text = read_text(root / 'proc/meminfo') or ''
    sizes = {key: int(number) * 1024
             for key, number in re.findall(r'^(\w+):\s+(\d+) kB', text, re.MULTILINE)}
    total, free = sizes.get('MemTotal'), sizes.get('MemAvailable')
    if not total or free is None:
        yield Finding('memory', NOT_APPLICABLE, '/proc/meminfo does not tell')
        return
    summary = f'{free / 1e9:.1f} of {total / 1e9:.1f} GB available'
    details = {'total': total, 'available': free}
    if sizes.get('CmaTotal'):
        details.update(cma_total=sizes['CmaTotal'], cma_free=sizes.get('CmaFree', 0))
        summary += (f"; the kernel's contiguous memory (CMA): {sizes.get('CmaFree', 0) / 1e6:.0f} "
                    f"of {sizes['CmaTotal'] / 1e6:.0f} MB free")
    shm = _free_bytes(root / 'dev/shm')
    if shm is not None:
        details['shm_free'] = shm
        summary += f'; /dev/shm: {shm / 1e6:.0f} MB free'
    advice = []
    if free < _LEAST_MEMORY:
        advice.append('end what is not needed: a model and its frames take up to 300 MB')
    if shm is not None and shm < _LEAST_SHM:
        advice.append('make room in /dev/shm (`fastdds shm clean`; in a container --shm-size or '
                      '--ipc=host): images go through it')
    yield Finding('memory', WARNING if advice else OK, summary, '; '.join(advice),
                  details=details)


def _free_bytes(folder: Path) -> Optional[int]:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def check_software(root: Path = Path('/')) -> Iterator[Finding]:
    """Yield the versions of Python, its libraries, ROS and the vendor's packages."""
    libraries = {'numpy': _version('numpy', 'numpy'), 'OpenCV': _version('cv2'),
                 'ONNX Runtime': _version('onnxruntime', 'onnxruntime')}
    summary = f'Python {platform.python_version()}'
    for name, version in libraries.items():
        summary += f', {name} {version}' if version else ''
    absent = [name for name, version in libraries.items() if not version]
    if absent:
        summary += f' (without {", ".join(absent)})'
    yield Finding('python', OK, f'{summary}; rdk_yolo_ros {package_version()}',
                  details={'python': platform.python_version(), **libraries,
                           'rdk_yolo_ros': package_version()})
    yield ros_finding(os.environ)
    packages = vendor_packages(root)
    if packages:
        yield Finding('packages', OK, ', '.join(f'{n} {v}' for n, v in packages.items()),
                      details=packages)


def _version(module: str, distribution: Optional[str] = None) -> Optional[str]:
    """Return a library's version without importing what takes long; None: it is not there."""
    try:
        if distribution is not None:
            return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        pass
    try:
        return getattr(__import__(module), '__version__', 'of unknown version')
    except Exception:  # a broken library raises what it likes
        return None


def ros_finding(environment) -> Finding:
    """Return which ROS is sourced; `environment` is like os.environ."""
    distribution = environment.get('ROS_DISTRO')
    rmw = environment.get('RMW_IMPLEMENTATION') or 'the default (rmw_fastrtps_cpp)'
    domain = environment.get('ROS_DOMAIN_ID') or '0'
    tros = 'TROS' if '/opt/tros' in environment.get('AMENT_PREFIX_PATH', '') else ''
    details = {'distribution': distribution, 'rmw': environment.get('RMW_IMPLEMENTATION'),
               'domain': domain, 'tros': bool(tros)}
    if not distribution:
        return Finding('ros', NOT_APPLICABLE, 'no ROS is sourced',
                       'source /opt/tros/humble/setup.bash (S600: jazzy) before the doctor, to '
                       'have topics checked', details=details)
    return Finding('ros', OK, f'ROS 2 {distribution}{tros and " (TROS)"}, middleware {rmw}, '
                   f'domain {domain}', details=details)


def vendor_packages(root: Path = Path('/')) -> dict[str, str]:
    """Return {name: version} of the installed packages that matter here, from dpkg's list."""
    path = root / 'var/lib/dpkg/status'
    try:
        if path.stat().st_size > _LARGEST_STATUS:
            return {}
        text = path.read_text('utf-8', 'replace')
    except OSError:
        return {}
    packages = {}
    for entry in text.split('\n\n'):
        name = re.search(r'^Package: (\S+)', entry, re.MULTILINE)
        if name is None or not _PACKAGES.match(name[1]):
            continue
        version = re.search(r'^Version: (\S+)', entry, re.MULTILINE)
        if version and re.search(r'^Status: .* installed$', entry, re.MULTILINE):
            packages[name[1]] = version[1]
    return dict(sorted(packages.items()))
