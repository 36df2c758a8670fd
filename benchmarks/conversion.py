"""
What the CPU does around a model: NV12 to the network's input, and the synthetic camera.

Both are printed without a bar: how much they matter depends on the model beside them.
"""

from __future__ import annotations

from itertools import count

import numpy as np

from benchmarks.timing import interleaved, machine
from rdk_yolo_ros.colour import COLOR_RANGES, nv12_to_rgb
from rdk_yolo_ros.runtimes.onnx import rgb_planes
from rdk_yolo_ros.scenes import SceneVideo

MODEL_HW = (640, 640)
VIDEO_HW = (480, 640)
FRAMES = 60


def main() -> None:
    """Print a line for each colour range, and one for the synthetic video."""
    height, width = MODEL_HW
    nv12 = np.random.default_rng(0).integers(0, 256, (height * 3 // 2, width), np.uint8)
    print(f'NV12 to a float32 RGB tensor, {width}x{height} ({machine()})')
    seconds = interleaved({name: lambda name=name: rgb_planes(nv12_to_rgb(nv12, name))
                           for name in COLOR_RANGES})
    for name, values in seconds.items():
        print(f'  {name:8} range{np.median(values) * 1e3:9.2f} ms')
    height, width = VIDEO_HW
    video, index = SceneVideo(0, width, height), count()
    values = interleaved({'frame': lambda: video.frame(next(index))}, rounds=FRAMES)['frame']
    print(f'synthetic video, {width}x{height}: {FRAMES / values.sum():.0f} frames a second, '
          f'{np.median(values) * 1e3:.1f} ms each')


if __name__ == '__main__':
    main()
