"""Ultralytics as an independent truth, where it can be imported; never needed by the package."""

import atexit
import importlib.util
import os
from pathlib import Path
import re
import shutil
import sys
import tempfile

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'unit'))

# Its settings file and its look for a network stay out of the way.
if 'YOLO_CONFIG_DIR' not in os.environ:
    os.environ['YOLO_CONFIG_DIR'] = tempfile.mkdtemp(prefix='ultralytics-')
    atexit.register(shutil.rmtree, os.environ['YOLO_CONFIG_DIR'], ignore_errors=True)
os.environ.setdefault('YOLO_OFFLINE', 'true')
os.environ.setdefault('YOLO_VERBOSE', 'false')
if importlib.util.find_spec('torchvision') is None:
    sys.path.append(str(HERE / 'stand_in_torchvision'))


def pytest_terminal_summary(terminalreporter):
    """Say how many models agreed."""
    agreed = {found[1] for report in terminalreporter.stats.get('passed', ())
              if (found := re.search(r'as_upstream\[(\S+?:[a-z]+)-', report.nodeid))}
    if agreed:
        terminalreporter.write_line(f'parity: {len(agreed)} pairs of model and task agree with '
                                    'Ultralytics')
