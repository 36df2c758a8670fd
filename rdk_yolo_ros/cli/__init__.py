"""The command line: `rdk-yolo`, or `python -m rdk_yolo_ros.cli`; one file a subcommand."""
