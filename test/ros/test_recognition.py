"""Real demo models in real processes: what they find in synthetic scenes, against the truth."""

from array import array
from itertools import count, cycle
from pathlib import Path
import re
import sys
import time

from builtin_interfaces.msg import Time
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('onnxruntime')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from scene_truth import match, scene_bag, stamp_of  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.scenes import CLASS_NAMES, SceneVideo  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from received import detections_from, keypoints_from  # noqa: E402

RESULTS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


def config(task):
    return ROOT / 'config' / f'demo_{task}.json'


def by_stamp(recorder):
    """Return the first message of each stamp."""
    return {stamp_of(message): message for message in reversed(recorder.messages)}


@pytest.mark.parametrize(('task', 'size', 'storage', 'rate'), [
    ('pose', (640, 480), 'sqlite3', 6.0), ('detect', (1920, 1080), 'mcap', 4.0)])
def test_recorded_scenes_are_recognised(graph, start, tmp_path, wait_until, task, size, storage,
                                        rate):
    # A prime number: whoever takes every n-th image of the loop gets to see them all.
    truth = scene_bag(tmp_path / 'bag', *size, 23, rate, storage)
    if task == 'pose':
        truth = {stamp: [instance for instance in instances
                         if CLASS_NAMES[instance.class_id] == 'person']
                 for stamp, instances in truth.items()}
    results = graph.record(Detection2DArray, 'yolo/detections', RESULTS)
    clouds = graph.record(PointCloud2, 'yolo/keypoints', RESULTS)
    start('yolo', config_file=config(task), score_threshold=0.5)
    start('source', source=tmp_path / 'bag', stamp='source', wait_for_subscribers=1)
    # Round and round: a machine that is slower than the bag meets all of its images in the end.
    wait_until(lambda: len({stamp_of(message) for message in list(results.messages)}) >= 18,
               what='the results of 18 of the 23 images')
    time.sleep(0.2)

    found = matched = true = 0
    errors = []
    keypoints = {stamp_of(cloud): keypoints_from(cloud) for cloud in clouds.messages}
    for stamp, message in by_stamp(results).items():
        if task == 'pose' and stamp not in keypoints:
            continue  # under way when the test ended
        instances = truth[stamp]
        detections = detections_from(message, CLASS_NAMES)
        pairs = match(detections, instances)
        found, matched, true = found + len(detections), matched + len(pairs), true + len(instances)
        for i, j in pairs if task == 'pose' else ():
            visible = instances[j].keypoints[:, 2] == 2
            side = np.sqrt(np.prod(instances[j].box[2:] - instances[j].box[:2]))
            errors += list(np.linalg.norm(
                keypoints[stamp][i, visible, :2] - instances[j].keypoints[visible, :2], axis=1)
                / side)
    print(f'recall {matched / true:.3f}, precision {matched / max(found, 1):.3f}, key points off '
          f'by {np.median(errors) if errors else 0:.3f} of a side')
    assert matched / true >= 0.85
    assert matched / found >= 0.85
    if task == 'pose':
        assert np.median(errors) < 0.05


def test_a_mask_s_value_leads_to_its_detection_and_covers_the_thing(
        graph, start, tmp_path, wait_until):
    width, height = 640, 480
    truth = scene_bag(tmp_path / 'bag', width, height, 23, 6.0, 'sqlite3')
    results = graph.record(Detection2DArray, 'yolo/detections', RESULTS)
    masks = graph.record(Image, 'yolo/mask', RESULTS)
    start('yolo', config_file=config('segment'), score_threshold=0.5)
    start('source', source=tmp_path / 'bag', stamp='source', wait_for_subscribers=1)

    def complete():
        return set(by_stamp(results)) & set(by_stamp(masks))

    wait_until(lambda: len(complete()) >= 18, what='results and masks of 18 of the 23 images')
    overlaps, true = [], 0
    for stamp in complete():
        mask = by_stamp(masks)[stamp]
        assert (mask.encoding, mask.width, mask.height) == ('mono8', width, height)
        labels = np.frombuffer(mask.data, np.uint8).reshape(height, width)
        detections = detections_from(by_stamp(results)[stamp], CLASS_NAMES)
        assert labels.max() <= len(detections)
        for i, (x1, y1, x2, y2) in enumerate(detections.boxes):
            rows, columns = np.nonzero(labels == i + 1)
            # A mask ends where its own box does, to the pixel that the edge runs through.
            assert np.all((columns > x1 - 1) & (columns < x2) & (rows > y1 - 1) & (rows < y2))
        true += len(truth[stamp])
        for i, j in match(detections, truth[stamp]):
            found, whole = labels == i + 1, truth[stamp][j].full_mask(height, width)
            overlaps.append((found & whole).sum() / (found | whole).sum())
    print(f'{len(overlaps)} of {true} instances, mask IoU mean {np.mean(overlaps):.3f}, '
          f'lowest tenth {np.quantile(overlaps, 0.1):.3f}')
    assert len(overlaps) / true >= 0.85
    assert np.mean(overlaps) >= 0.85


def nv12_image(scene, seq):
    """Return a scene's picture as a message whose stamp is `seq` nanoseconds."""
    nv12 = Frame.from_bgr(scene.image).to_nv12()
    height, width = scene.image.shape[:2]
    return Image(header=Header(stamp=Time(nanosec=seq), frame_id='camera'), encoding='nv12',
                 height=height, width=width, step=width, data=array('B', nv12.tobytes()))


def random_image(rng):
    encodings = ['nv12', 'bgr8', 'rgb8', 'mono8', 'yuv422', '16UC1', '', 'jpeg', 'é' * 20]
    return Image(encoding=str(rng.choice(encodings)), height=int(rng.choice([0, 1, 480, 2**31])),
                 width=int(rng.choice([0, 1, 640, 2**32 - 1])), step=int(rng.choice([0, 1, 640])),
                 data=array('B', rng.bytes(int(rng.integers(0, 5000)))))


def test_bad_images_are_counted_by_reason_and_the_next_good_one_is_recognised(
        graph, start, wait_until):
    scenes = [SceneVideo(7, 640, 480).frame(30 * i) for i in range(6)]
    truncated, unknown = nv12_image(scenes[0], 0), nv12_image(scenes[0], 0)
    truncated.data = truncated.data[:1000]
    unknown.encoding = 'bayer_rggb12'
    bad = {'has # bytes': truncated, 'is not understood': unknown,
           'has no pixels': Image(encoding='nv12')}
    images = graph.publisher(Image, 'image_raw', 10)
    results = graph.record(Detection2DArray, 'yolo/detections', RESULTS)
    reports = graph.record(DiagnosticArray, '/diagnostics')
    yolo = start('yolo', config_file=config('detect'), score_threshold=0.5)
    stamps = count(1)

    def report():
        """Return the newest report's values."""
        return {pair.key: pair.value for pair in reports.messages[-1].status[0].values}

    def failed():
        return int(report()['dropped: failed'])

    def found(scene):
        """Publish a good image, once, and return what the node finds in it."""
        stamp = next(stamps)
        images.publish(nv12_image(scene, stamp))
        message, = results.wait(where=lambda message: stamp_of(message) == stamp)
        return detections_from(message, CLASS_NAMES)

    def same(detections, others):
        return all(np.array_equal(getattr(detections, name), getattr(others, name))
                   for name in ('boxes', 'scores', 'class_ids'))

    yolo.wait_for_line('images from')
    wait_until(lambda: images.get_subscription_count() and reports.messages
               and graph.node.count_publishers('/yolo/detections'), what='the YOLO node')
    time.sleep(0.5)  # the node's own discovery of the test's subscription
    before = [found(scene) for scene in scenes]
    matched = sum(len(match(detections, scene.instances))
                  for detections, scene in zip(before, scenes))
    assert matched >= 0.85 * sum(len(scene.instances) for scene in scenes)
    assert matched >= 0.85 * sum(map(len, before))

    # One by one: a bad image, and a good one.
    for i, message in enumerate([*bad.values()] * 2):
        images.publish(message)
        wait_until(lambda expected=i + 1: failed() == expected, what='the report on a bad image')
        assert same(found(scenes[i]), before[i])
    for text in bad:
        (reason, number), = ((key, value) for key, value in report().items() if text in key)
        assert reason.startswith('failed: /image_raw: an image was left out: ')
        assert number == '2'

    # Many in a row: of each reason a line a second at most, and none is silent.
    time.sleep(1.1)
    seen, begin = len(yolo.lines), time.monotonic()
    for message in cycle(bad.values()):
        if time.monotonic() > begin + 3.0:
            break
        images.publish(message)
        time.sleep(0.02)
    assert same(found(scenes[0]), before[0])
    time.sleep(0.2)
    lines, seconds = yolo.lines[seen:], time.monotonic() - begin
    for text in bad:
        like_it = [line for line in lines if text in re.sub(r'\d+', '#', line)]
        assert 2 <= len(like_it) <= 1 + seconds
        assert 'more like this since the last line' in like_it[-1]

    # Whatever may come.
    rng = np.random.default_rng(7)
    failed_before = failed()
    for _ in range(20):
        images.publish(random_image(rng))
        time.sleep(0.05)
    for scene, expected in zip(scenes, before):
        assert same(found(scene), expected)
    wait_until(lambda: failed() >= failed_before + 10, what='the report on random images')
    reasons = {key: int(value) for key, value in report().items() if key.startswith('failed: ')}
    assert sum(reasons.values()) == failed()
    assert 'Traceback' not in yolo.output
    assert yolo.is_running()
