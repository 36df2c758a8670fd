"""The overlay node on a real graph."""

from array import array
import itertools
import signal
import time

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('vision_msgs')
from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, PointCloud2  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2DArray, LabelInfo  # noqa: E402

from rdk_yolo_ros.detections import Detections  # noqa: E402
from rdk_yolo_ros.drawing import class_colour  # noqa: E402
from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.nodes.messages import (  # noqa: E402
    detections_message,
    keypoints_message,
    label_info_message,
    mask_message,
)
from rdk_yolo_ros.nodes.overlay import OverlayNode  # noqa: E402
from rdk_yolo_ros.nodes.qos import IMAGE_QOS, LATCHED_QOS, RESULT_QOS  # noqa: E402

HEIGHT, WIDTH = 240, 320
GREY = 90


class Masks:
    """The left half is instance 0, the right half instance 1."""

    def __len__(self):
        return 2

    def to_label_image(self, height, width):
        labels = np.ones((height, width), np.uint8)
        labels[:, width // 2:] = 2
        return labels


def image(number, encoding='nv12'):
    if encoding == 'nv12':
        pixels = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        pixels[:HEIGHT] = GREY
    else:
        pixels = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    return Image(header=header(number), height=HEIGHT, width=WIDTH, encoding=encoding,
                 step=pixels.strides[0], data=array('B', pixels.tobytes()))


def header(number):
    return Header(stamp=Time(sec=1000 + number, nanosec=7), frame_id='eye')


def found(boxes=((40, 60, 120, 200),), classes=(0,), **parts):
    return Detections(np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32),
                      np.array(classes, np.int32), **parts)


def picture_of(message):
    return Frame.from_image(message).to_bgr().astype(int)


@pytest.fixture
def overlay(graph):
    """Start an overlay node in the test's process, with parameters by name."""
    def overlay(use_intra_process_comms=False, **parameters):
        return graph.add(OverlayNode(
            context=graph.context, use_intra_process_comms=use_intra_process_comms,
            parameter_overrides=[Parameter(name, value=value)
                                 for name, value in parameters.items()]))
    return overlay


class Scene:
    """A camera and a YOLO node of the test's own, and who looks at the overlay."""

    def __init__(self, graph, wait_until):
        self._wait_until = wait_until
        self.images = graph.publisher(Image, 'image_raw', QoSProfile(depth=5))
        self.detections = graph.publisher(Detection2DArray, 'yolo/detections', RESULT_QOS)
        self.numbers = 0

    def is_subscribed(self):
        return self.images.get_subscription_count() > 0 \
            and self.detections.get_subscription_count() > 0

    def wait_for_subscription(self):
        self._wait_until(self.is_subscribed, what='the overlay to subscribe')

    def show(self, detections=None, names=None, encoding='nv12'):
        """Publish the next image, and what was found on it."""
        self.numbers += 1
        self.images.publish(image(self.numbers, encoding))
        if detections is not None:
            self.detections.publish(detections_message(detections, header(self.numbers), names))
        return self.numbers

    def show_until(self, recorder, detections, **settings):
        """Show images until the recorder has a picture: a match over DDS may take its time."""
        self.wait_for_subscription()
        before = len(recorder)

        def shown():
            self.show(detections, **settings)
            time.sleep(0.05)
            return len(recorder) > before

        self._wait_until(shown, what='a picture')
        return recorder.messages[before]


@pytest.fixture
def scene(graph, wait_until):
    return Scene(graph, wait_until)


@pytest.mark.parametrize('encoding', ['nv12', 'bgr8'])
@pytest.mark.parametrize('source', ['nv12', 'bgr8'])
def test_boxes_are_where_the_detections_are(graph, overlay, scene, encoding, source):
    pictures = graph.record(Image, 'overlay/image')
    overlay(encoding=encoding)
    message = scene.show_until(pictures, found(), encoding=source)
    assert (message.encoding, message.height, message.width) == (encoding, HEIGHT, WIDTH)
    assert message.step == WIDTH * (3 if encoding == 'bgr8' else 1)
    assert message.header.frame_id == 'eye'
    assert (message.header.stamp.sec - 1000, message.header.stamp.nanosec) == (scene.numbers, 7)
    picture = picture_of(message)
    for y, x in ((130, 40), (130, 120), (200, 80)):
        np.testing.assert_allclose(picture[y, x], class_colour(0), atol=25)
    untouched = np.abs(picture - GREY).max(axis=2) <= 2
    assert untouched[70:195, 50:115].all()
    assert untouched[210:].all()
    assert untouched[:, 180:].all()


def test_classes_have_the_models_names_and_colours(graph, overlay, scene, wait_until):
    pictures = graph.record(Image, 'overlay/image')
    graph.publisher(LabelInfo, 'yolo/label_info', LATCHED_QOS).publish(
        label_info_message(header(0), ['cup', 'dog', 'cat'], 0.5))
    overlay()

    def is_cat():
        message = scene.show_until(pictures, found(classes=(2,)), names=['cup', 'dog', 'cat'])
        return np.allclose(picture_of(message)[130, 40], class_colour(2), atol=25)

    wait_until(is_cat)
    by_number = scene.show_until(pictures, found(classes=(2,)))
    by_name = scene.show_until(pictures, found(classes=(2,)), names=['cup', 'dog', 'cat'])
    np.testing.assert_array_equal(picture_of(by_number), picture_of(by_name))


def test_key_points_and_masks_are_drawn(graph, overlay, scene, wait_until):
    pictures = graph.record(Image, 'overlay/image')
    keypoints = graph.publisher(PointCloud2, 'yolo/keypoints', RESULT_QOS)
    masks = graph.publisher(Image, 'yolo/mask', RESULT_QOS)
    points = np.zeros((2, 3, 3), np.float32)
    points[0] = (60, 220, 0.9), (90, 220, 0.9), (110, 220, 0.1)
    detections = found([(40, 60, 120, 200), (220, 60, 300, 200)], (0, 1), keypoints=points,
                       masks=Masks())
    overlay()
    scene.wait_for_subscription()
    wait_until(lambda: keypoints.get_subscription_count() and masks.get_subscription_count())
    time.sleep(0.6)  # until the node has looked who publishes what

    def complete():
        number = scene.show(detections)
        keypoints.publish(keypoints_message(detections, header(number)))
        masks.publish(mask_message(detections, header(number), (HEIGHT, WIDTH)))
        time.sleep(0.1)
        return len(pictures)

    wait_until(complete)
    picture = picture_of(pictures.messages[0])
    for x in (60, 90):
        assert picture[220, x].min() > 200  # white dots
    assert picture[220, 110].min() < 200  # too unsure
    # Half-way between grey and the class' colour.
    for x, class_id in ((20, 0), (310, 1)):
        np.testing.assert_allclose(picture[30, x], 0.55 * GREY + 0.45 * np.array(
            class_colour(class_id)), atol=3)


def test_a_jpeg_is_published_to_whoever_wants_one(graph, overlay, scene):
    pictures = graph.record(CompressedImage, 'overlay/image/compressed')
    overlay(encoding='nv12', jpeg_quality=95)
    message = scene.show_until(pictures, found())
    assert 'jpeg' in message.format
    assert message.header.frame_id == 'eye'
    picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture[130, 40, 2] > picture[130, 40, 1] + 60  # the class' red
    np.testing.assert_allclose(picture[130, 80], GREY, atol=6)


def test_compressed_images_are_drawn_on_too(graph, overlay, wait_until):
    pictures = graph.record(Image, 'overlay/image')
    images = graph.publisher(CompressedImage, 'image_raw/compressed', QoSProfile(depth=5))
    detections = graph.publisher(Detection2DArray, 'yolo/detections', RESULT_QOS)
    data = cv2.imencode('.jpg', np.full((HEIGHT, WIDTH, 3), GREY, np.uint8))[1]
    overlay(image_transport='compressed')
    wait_until(lambda: images.get_subscription_count() and detections.get_subscription_count())

    def shown():
        shown.number += 1
        images.publish(CompressedImage(header=header(shown.number), format='jpeg',
                                       data=array('B', data.tobytes())))
        detections.publish(detections_message(found(), header(shown.number)))
        time.sleep(0.05)
        return len(pictures)

    shown.number = 0
    wait_until(shown)
    np.testing.assert_allclose(picture_of(pictures.messages[0])[130, 40], class_colour(0),
                               atol=25)


def test_it_subscribes_only_while_somebody_listens(graph, overlay, scene, wait_until):
    overlay()
    time.sleep(0.6)
    assert not scene.is_subscribed()
    for topic, kind in (('overlay/image', Image), ('overlay/image/compressed', CompressedImage)):
        listener = graph.node.create_subscription(kind, topic, lambda _: None, 10)
        scene.wait_for_subscription()
        graph.node.destroy_subscription(listener)
        wait_until(lambda: scene.images.get_subscription_count() == 0
                   and scene.detections.get_subscription_count() == 0)


def test_without_results_images_are_shown_as_they_are(graph, overlay, scene, wait_until):
    pictures = graph.record(Image, 'overlay/image')
    overlay(result_timeout=0.3)
    scene.wait_for_subscription()
    wait_until(lambda: scene.show() and not time.sleep(0.05) and len(pictures) > 2)
    for message in pictures.messages:
        assert np.abs(picture_of(message) - GREY).max() <= 2
    stamps = [message.header.stamp.sec for message in pictures.messages]
    assert stamps == sorted(set(stamps))
    # Once results come, nothing else is shown any more.
    scene.show_until(pictures, found())
    time.sleep(0.3)
    pictures.messages.clear()
    for _ in range(10):
        scene.show()
        number = scene.show(found())
        time.sleep(0.05)
    pictures.wait(where=lambda message: message.header.stamp.sec == 1000 + number)
    for message in pictures.messages:
        assert np.abs(picture_of(message) - GREY).max() > 50


def test_the_last_images_are_shown_though_none_follows(graph, overlay, scene, wait_until):
    pictures = graph.record(Image, 'overlay/image')
    overlay(result_timeout=0.3)
    scene.show_until(pictures, found())
    time.sleep(1.0)
    number = scene.show()
    pictures.wait(where=lambda message: message.header.stamp.sec == 1000 + number)


def test_results_that_do_not_fit_cost_one_picture(graph, overlay, scene, wait_until):
    pictures = graph.record(Image, 'overlay/image')
    reports = graph.record(DiagnosticArray, '/diagnostics')
    masks = graph.publisher(Image, 'yolo/mask', RESULT_QOS)
    overlay()
    scene.wait_for_subscription()
    wait_until(lambda: masks.get_subscription_count())
    time.sleep(0.6)
    two = [(40, 60, 120, 200), (220, 60, 300, 200)], (0, 1)
    bad = found(*two, masks=Masks())

    def complained():
        number = scene.show(bad)
        masks.publish(mask_message(bad, header(number), (HEIGHT // 2, WIDTH)))
        time.sleep(0.1)
        return any('left out' in status.message for message in list(reports.messages)
                   for status in message.status)

    wait_until(complained)
    values = {pair.key: pair.value for status in reports.messages[-1].status
              for pair in status.values}
    assert any('masks are' in key for key in values)
    assert not len(pictures)
    good = found(*two, masks=Masks())

    def shown():
        number = scene.show(good)
        masks.publish(mask_message(good, header(number), (HEIGHT, WIDTH)))
        time.sleep(0.05)
        return len(pictures)

    wait_until(shown)


def test_diagnostics_say_what_it_is_doing(graph, overlay, scene, wait_until):
    reports = graph.record(DiagnosticArray, '/diagnostics')
    overlay()
    idle = reports.wait(1)[0].status[0]
    assert idle.name == 'overlay: overlay'
    assert idle.level == DiagnosticStatus.OK
    assert 'idle' in idle.message
    pictures = graph.record(Image, 'overlay/image')
    scene.show_until(pictures, found())

    def running():
        scene.show(found())
        time.sleep(0.05)
        return reports.messages[-1].status[0].message == 'running'

    wait_until(running)
    values = {pair.key: pair.value for pair in reports.messages[-1].status[0].values}
    assert values['image topic'] == '/image_raw'
    assert int(values['shown']) >= 1


def test_pictures_and_images_pass_within_the_process(graph, overlay, scene, wait_until):
    from rdk_yolo_ros.cdr import ImageArray
    from rdk_yolo_ros.components.intra_process import (
        IntraProcessPublisher,
        IntraProcessSubscription,
    )
    overlay(use_intra_process_comms=True, encoding='nv12')
    seen = []
    viewer = IntraProcessSubscription(graph.node, 'overlay/image', seen.append)
    camera = IntraProcessPublisher(graph.node, 'image_raw')
    wait_until(camera.has_local)
    pixels = np.full(HEIGHT * WIDTH * 3 // 2, GREY, np.uint8)
    pixels.flags.writeable = False

    def shown():
        shown.number += 1
        camera.publish(ImageArray((1000 + shown.number, 7), 'eye', HEIGHT, WIDTH, 'nv12', 0,
                                  WIDTH, pixels))
        scene.detections.publish(detections_message(found(), header(shown.number)))
        time.sleep(0.05)
        return seen

    shown.number = 0
    wait_until(shown)
    viewer.close()
    assert not np.shares_memory(seen[0].data, pixels)
    assert not seen[0].data.flags.writeable
    assert (seen[0].data != pixels).any()
    assert (pixels == GREY).all()


def test_a_clock_that_stands_still_keeps_nothing_back(graph, overlay, scene, wait_until):
    reports = graph.record(DiagnosticArray, '/diagnostics')
    pictures = graph.record(Image, 'overlay/image')
    overlay(use_sim_time=True, result_timeout=0.2)  # and nobody publishes /clock
    scene.show_until(pictures, found())
    time.sleep(0.5)
    number = scene.show()  # without a result
    pictures.wait(where=lambda message: message.header.stamp.sec == 1000 + number)
    reports.wait(2)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(graph, scene, start, number):
    pictures = graph.record(Image, 'overlay/image', IMAGE_QOS)
    process = start('overlay')
    process.wait_for_line('pictures on')
    scene.show_until(pictures, found())
    began = time.monotonic()
    process.signal(number)
    assert process.wait() == 0
    assert time.monotonic() - began < 8.0
    assert 'Traceback' not in process.output


def test_bytes_that_are_no_result_are_named_and_end_nothing(graph, start, wait_until):
    pictures = graph.record(Image, 'overlay/image')
    process = start('overlay')
    topics = {name: graph.publisher(kind, f'yolo/{name}', qos) for name, kind, qos in (
        ('detections', Detection2DArray, RESULT_QOS), ('keypoints', PointCloud2, RESULT_QOS),
        ('mask', Image, RESULT_QOS), ('label_info', LabelInfo, LATCHED_QOS))}
    wait_until(lambda: all(topic.get_subscription_count() for topic in topics.values()))
    for publisher in topics.values():
        for rest in (b'', bytes(7), b'\xff' * 40, bytes(16) + b'\xff' * 60):
            publisher.publish(b'\x00\x01\x00\x00' + rest)
            time.sleep(0.05)
    for name in ('detections', 'keypoints', 'mask'):
        process.wait_for_line(f'yolo/{name}: a result was left out: ')
    images = graph.publisher(Image, 'image_raw', IMAGE_QOS)

    numbers = itertools.count()

    def have_picture():
        images.publish(image(next(numbers)))
        time.sleep(0.02)
        return len(pictures) > 0

    wait_until(have_picture, what='a picture')
    assert process.is_running()
    assert 'Traceback' not in process.output


@pytest.mark.parametrize(('parameters', 'words'), [
    ({'encoding': 'rgb8'}, 'encoding'), ({'jpeg_quality': 0}, 'jpeg_quality'),
    ({'queue_size': 0}, 'queue_size'),
    ({'results': '/yolo/'}, "results is '/yolo/', expected a topic's name"),
    ({'image_topic': 'image-raw'}, "image_topic is 'image-raw', expected a topic's name")])
def test_what_cannot_be_stops_the_start_with_one_line(start, parameters, words):
    process = start('overlay', **parameters)
    assert process.wait() == 1
    line, = process.output.splitlines()
    assert words in line
