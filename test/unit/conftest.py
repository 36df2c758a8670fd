"""Make the test directory's own modules importable, whatever directory pytest starts in."""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).parent))
