"""Make `python -m rdk_yolo_ros.cli` the same as `rdk-yolo`."""

import sys

from rdk_yolo_ros.cli.main import main

sys.exit(main())
