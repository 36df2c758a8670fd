"""The ROS 2 nodes; nothing outside of this package imports ROS."""
