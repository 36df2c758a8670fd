"""Stand-in for torchvision, which has no wheel for every torch: only its version is asked."""

__version__ = '0.0.0'
