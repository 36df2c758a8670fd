"""The ROS 2 nodes and executables; with `components`, the only part that imports ROS."""
