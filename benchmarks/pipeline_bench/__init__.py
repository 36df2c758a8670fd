"""Frames a second of the YOLO node on stand-ins of the boards' accelerator, over real DDS."""
