"""Stand-in for torchvision, which has no wheel for every torch; Ultralytics asks for its version."""

__version__ = '0.0.0'
