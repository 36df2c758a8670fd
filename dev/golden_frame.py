"""
Draw the golden frame and write its NV12 planes as a grey picture: config/golden/frame.png.

Scenes come out slightly different with other versions of OpenCV, so the picture is shipped. After
drawing another one, and after training the demo models, record their results anew:

    for task in detect segment pose; do
      rdk-yolo doctor models/demo_$task.onnx --record config/golden/demo_$task.json; done
"""

from pathlib import Path
import sys

import cv2

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.scenes import render_scene  # noqa: E402

# Four people, a box and a cone, all of them found with scores far from any threshold.
SEED = 20


def main() -> None:
    """Write the frame."""
    planes = Frame.from_bgr(render_scene(SEED, 640, 480).image).to_nv12()
    path = ROOT / 'config' / 'golden' / 'frame.png'
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), planes, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f'{path}: {path.stat().st_size} bytes')


if __name__ == '__main__':
    main()
