"""
Letterbox of an NV12 frame to a 640x640 NV12 model input, against the way through BGR.

The other way is what samples do: NV12 -> BGR -> resize -> border -> I420 -> NV12.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.timing import interleaved, machine
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.letterbox import Letterbox

MODEL_HW = (640, 640)
# Source height and width, and the bar: at least so many times as fast. 1080 and 720 lines are
# what cameras give and 544 is TROS' default; no whole ratio leads from 1600x1200 to 640.
CASES = (((1080, 1920), 6.0), ((720, 1280), None), ((544, 960), None), ((1200, 1600), None))
BURST = 5


def through_bgr(nv12: np.ndarray, box: Letterbox) -> np.ndarray:
    """Return the model input by NV12 -> BGR -> resize -> border -> I420 -> NV12."""
    model_height, model_width = box.model_hw
    height, width = box.resized_hw
    bgr = cv2.cvtColor(nv12, cv2.COLOR_YUV2BGR_NV12)
    small = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_LINEAR)
    whole = cv2.copyMakeBorder(small, box.top, model_height - height - box.top, box.left,
                               model_width - width - box.left, cv2.BORDER_CONSTANT,
                               value=(114, 114, 114))
    i420 = cv2.cvtColor(whole, cv2.COLOR_BGR2YUV_I420)
    out = np.empty_like(i420)
    out[:model_height] = i420[:model_height]
    u, v = i420[model_height:].reshape(2, model_height // 2, model_width // 2)
    uv = out[model_height:].reshape(model_height // 2, model_width // 2, 2)
    uv[..., 0], uv[..., 1] = u, v
    return out


def burst(way: Callable[[], object]) -> Callable[[], None]:
    """Return a call of BURST calls: a single one pays for the caches that the other way left."""
    def calls() -> None:
        for _ in range(BURST):
            way()
    return calls


def main() -> None:
    """Print a line for each size of source and number of OpenCV's threads."""
    threads = cv2.getNumThreads()
    print(f'letterbox to NV12 {MODEL_HW[1]}x{MODEL_HW[0]} ({machine()}, OpenCV {cv2.__version__})')
    print(f'  {"NV12 source":13}{"threads":>8}{"planes ms":>11}{"BGR way ms":>12}'
          f'{"ratio":>8}{"bar":>7}')
    for source_hw, bar in CASES:
        for count in (threads, 1):
            cv2.setNumThreads(count)
            planes, bgr = measure(source_hw)
            ratio = bgr / planes
            verdict = '' if bar is None else f'{bar:7.1f}  {"holds" if ratio >= bar else "MISSED"}'
            print(f'  {f"{source_hw[1]}x{source_hw[0]}":13}{count:8}{planes * 1e3:11.3f}'
                  f'{bgr * 1e3:12.3f}{ratio:8.1f}{verdict}')
    cv2.setNumThreads(threads)


def measure(source_hw: tuple[int, int]) -> tuple[float, float]:
    """Return seconds a frame on the planes and through BGR."""
    height, width = source_hw
    nv12 = np.random.default_rng(0).integers(0, 256, (height * 3 // 2, width), np.uint8)
    box = Letterbox.fit(source_hw, MODEL_HW)
    # The frame is made anew each time, as a node makes one of each message.
    seconds = interleaved({'planes': burst(lambda: box.apply(Frame.from_nv12(nv12))),
                           'bgr': burst(lambda: through_bgr(nv12, box))}, rounds=150)
    # The best burst: what else runs on the machine only ever makes one slower, and the longer
    # way more so, which would flatter the ratio.
    return seconds['planes'].min() / BURST, seconds['bgr'].min() / BURST


if __name__ == '__main__':
    main()
