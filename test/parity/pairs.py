"""The models that parity is checked on: one pair for each of Ultralytics' families and tasks."""

from dataclasses import dataclass, field

SMALL = ((320, 320), (256, 416))
# The coarsest stride of a P6 model is 64, and must divide the input.
SMALL_P6 = ((320, 320), (256, 448))


@dataclass(frozen=True)
class Pair:
    """
    One model and its task.

    Attributes:
        model: the name of Ultralytics' yaml, with the scale in it.
        task: detect, segment, pose, obb or classify.
        class_num: classes; the head is built for so many.
        strides: what recognition must find.
        one_to_one: whether the branch that needs no NMS is the one that is exported.
        rules: what recognition must find, 'v8' or 'yolo26'.
        reg_max: what recognition must find.
        kpt_shape: key points and numbers of each.
        hints: what a user has to say because shapes cannot.
        sizes: input heights and widths.

    """

    model: str
    task: str = 'detect'
    class_num: int = 80
    strides: tuple = (8, 16, 32)
    one_to_one: bool = False
    rules: str = 'v8'
    reg_max: int = 16
    kpt_shape: tuple = (17, 3)
    hints: dict = field(default_factory=dict, hash=False)
    sizes: tuple = SMALL

    def __str__(self):
        text = f'{self.model}:{self.task}-{self.class_num}'
        if self.kpt_shape != (17, 3):
            text += '-{}x{}'.format(*self.kpt_shape)
        return text + ('-one2many' if self.rules == 'yolo26' and not self.one_to_one else '')


P2 = {'strides': (4, 8, 16, 32)}
P6 = {'strides': (8, 16, 32, 64), 'sizes': SMALL_P6}
# YOLOv10 has the shapes of YOLOv8: only a hint can say that its heads are one-to-one.
V10 = {'one_to_one': True, 'hints': {'nms': False}}
V26 = {'one_to_one': True, 'rules': 'yolo26', 'reg_max': 1}
# The branch that Ultralytics trains with, exported in spite of the other one.
V26_MANY = {'rules': 'yolo26', 'reg_max': 1, 'hints': {'nms': True}}
SEGMENT = {'task': 'segment'}
POSE = {'task': 'pose', 'class_num': 1}
# 15 channels beside 1 may be the classes of rotated boxes, or 5 key points of one class.
OBB = {'task': 'obb', 'class_num': 15, 'hints': {'task': 'obb'}}

# YOLOv13 has no yaml in Ultralytics; its authors' own ends in the detect head of YOLO11 and 12.
PAIRS = (
    Pair('yolov5n', sizes=(*SMALL, (640, 640))),
    Pair('yolov5n-p6', **P6),
    Pair('yolov6n'),
    Pair('yolov8n', sizes=(*SMALL, (384, 640))),
    Pair('yolov8n', class_num=1, sizes=SMALL[1:]),
    Pair('yolov8n-p2', **P2),
    Pair('yolov8n-p6', **P6),
    Pair('yolov8n-ghost', class_num=7),
    Pair('yolov8n-ghost-p2', class_num=3, **P2),
    Pair('yolov8n-ghost-p6', class_num=20, **P6),
    Pair('yolov9t'),
    Pair('yolov9s'),
    Pair('yolov10n', **V10),
    Pair('yolov10s', class_num=5, **V10),
    Pair('yolo11n'),
    Pair('yolo12n', sizes=(*SMALL, (384, 640))),
    Pair('yolo26n', **V26),
    Pair('yolo26n', **V26_MANY),
    Pair('yolo26n-p2', **P2, **V26),
    Pair('yolo26n-p6', **P6, **V26),
    Pair('yolov8n-seg', **SEGMENT),
    Pair('yolov8n-seg-p6', **SEGMENT, **P6),
    Pair('yolov9c-seg', **SEGMENT),
    Pair('yolo11n-seg', **SEGMENT),
    Pair('yolo12n-seg', **SEGMENT),
    Pair('yolo26n-seg', **SEGMENT, **V26),
    Pair('yolo26n-seg', **SEGMENT, **V26_MANY),
    Pair('yolov8n-pose', **POSE),
    Pair('yolov8n-pose', **POSE, kpt_shape=(5, 2),
         hints={'num_keypoints': 5, 'keypoint_dims': 2}),
    Pair('yolov8n-pose-p6', **{**POSE, 'class_num': 3}, **P6),
    Pair('yolo11n-pose', **POSE),
    Pair('yolo12n-pose', **POSE),
    Pair('yolo26n-pose', **POSE, **V26),
    Pair('yolo26n-pose', **POSE, **V26_MANY),
    Pair('yolov8n-obb', **OBB),
    Pair('yolo11n-obb', **OBB),
    Pair('yolo12n-obb', **OBB),
    Pair('yolo26n-obb', **OBB, **V26),
    Pair('yolo26n-obb', **{**OBB, **V26_MANY, 'hints': {'task': 'obb', 'nms': True}}),
)
CLASSIFIERS = tuple(Pair(name, 'classify', class_num=number, sizes=((224, 224), (160, 224)))
                    for name, number in (('yolov8n-cls', 1000), ('yolo11n-cls', 1000),
                                         ('yolo11s-cls', 10), ('yolo12n-cls', 80),
                                         ('yolo26n-cls', 1000)))


def pair(name):
    """Return the pair of this name."""
    return next(p for p in PAIRS if str(p) == name)
