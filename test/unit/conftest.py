"""Make the test directory's own modules importable, whatever directory pytest starts in."""

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def bpu_libraries():
    """Have the stand-ins of the BPU's Python libraries installed, here and in workers."""
    from bpu_stand_ins import STAND_INS, installed
    with installed(STAND_INS):
        yield
