"""A model that fails while it runs, and model files that turn into rubbish."""

import itertools
import threading

import pytest

pytest.importorskip('rclpy')
onnx = pytest.importorskip('onnx')

from fault_graph import (  # noqa: E402
    BEST_EFFORT,
    OK,
    RED,
    WARN,
    Camera,
    Health,
    image,
    nv12,
    resident_mb,
    write_colour_model,
)
import numpy as np  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

WHITE = nv12((255, 255, 255))


def fail_on_bright_images(path):
    """Make the model look up an element that is not there when an image's mean is over 0.9."""
    model = onnx.load(str(path))
    graph = model.graph
    for node in graph.node:
        node.input[:] = ['checked' if name == 'images' else name for name in node.input]
    for name, value in (('limit', np.float32(0.9)), ('zeros', np.zeros(1, np.float32))):
        graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    checks = [helper.make_node('ReduceMean', ['images'], ['mean'], keepdims=0),
              helper.make_node('Greater', ['mean', 'limit'], ['bright']),
              helper.make_node('Cast', ['bright'], ['index'], to=TensorProto.INT64),
              helper.make_node('Gather', ['zeros', 'index'], ['zero']),
              helper.make_node('Add', ['images', 'zero'], ['checked'])]
    nodes = [*checks, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))


def test_an_inference_that_fails_costs_its_image_and_is_told(graph, start, tmp_path):
    config = write_colour_model(tmp_path)
    fail_on_bright_images(tmp_path / 'model.onnx')
    yolo = start('yolo', config_file=config)
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    numbers = itertools.count()

    def half_of_them_bright():
        number = next(numbers)
        bright = number % 2
        return image(WHITE if bright else RED, frame_id='bright' if bright else 'red')

    publisher = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    with Camera(publisher, half_of_them_bright, 60.0):
        told = health.wait(lambda now: now['dropped: failed'] > 50)
        memory = resident_mb(yolo)
        later = health.wait(lambda now: now['dropped: failed'] > told['dropped: failed'] + 50)
    assert told.level == WARN
    (reason, count), = later.failures().items()
    assert 'ModelError' in reason
    assert 'inference failed' in reason
    assert 'Gather' in reason or 'index' in reason
    assert count == later['dropped: failed']
    # Every other image has its result, whose square is found.
    assert later['published'] >= 0.5 * later['dropped: failed']
    assert {result.header.frame_id for result in results.messages} == {'red'}
    assert all(len(result.detections) > 0 for result in results.messages)
    assert resident_mb(yolo) < memory + 5
    lines = [line for line in yolo.lines if 'inference failed' in line]
    assert 1 <= len(lines) < 15  # one a second, whatever the rate
    assert 'Traceback' not in yolo.output
    with Camera(publisher, lambda: image(RED), 30.0):
        health.wait_for(OK)


def test_rubbish_in_the_model_s_place_is_refused_and_the_old_model_goes_on(
        graph, start, tmp_path):
    import onnx_models
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    file = tmp_path / 'model.onnx'
    good = file.read_bytes()

    def reload():
        return graph.call(Trigger, '/yolo/reload', Trigger.Request())

    def write_another_network():
        onnx_models.echo(file)

    publisher = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    with Camera(publisher, lambda: image(RED), 30.0):
        results.wait(10)
        for turn_to_rubbish, why in (
                (lambda: file.write_bytes(b'rubbish' * 1000), 'model.onnx'),
                (lambda: file.write_bytes(good[:len(good) // 2]), 'model.onnx'),
                (write_another_network, 'echo'),
                (file.unlink, 'model.onnx'),
                (lambda: (tmp_path / 'model.json').write_text('{'), 'model.json')):
            turn_to_rubbish()
            seen = len(results)
            answer = reload()
            assert not answer.success
            assert why in answer.message
            assert '\n' not in answer.message
            results.wait(seen + 10)
            told = health.wait(lambda now, why=why: why in str(now) and 'reload' in str(now))
            # Results come as ever: that is a warning, and no error.
            assert told.level == WARN
        assert {len(result.detections) for result in results.messages} == {
            len(results.messages[0].detections)}
        write_colour_model(tmp_path)
        answer = reload()
        assert answer.success, answer.message
        results.wait(len(results) + 10)
        health.wait_for(OK)
    assert 'Traceback' not in yolo.output
    assert yolo.output.count('reload failed') == 5


def test_a_model_file_that_changes_while_it_is_read_is_taken_or_refused(graph, start, tmp_path):
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    file = tmp_path / 'model.onnx'
    good = file.read_bytes()
    stop = threading.Event()

    def write():
        """Write the model as a slow copy does, in pieces, and rubbish in between."""
        while not stop.is_set():
            for content in (good, b'rubbish' * 5000):
                with open(file, 'wb') as out:
                    for begin in range(0, len(content), 8192):
                        out.write(content[begin:begin + 8192])
                        out.flush()
                        stop.wait(0.002)
                stop.wait(0.02)

    publisher = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    writer = threading.Thread(target=write)
    with Camera(publisher, lambda: image(RED), 30.0):
        results.wait(5)
        writer.start()
        try:
            answers = [graph.call(Trigger, '/yolo/reload', Trigger.Request()) for _ in range(20)]
        finally:
            stop.set()
            writer.join(10.0)
        refused = [answer.message for answer in answers if not answer.success]
        assert refused
        assert all('model.onnx' in why for why in refused), refused
        results.wait(len(results) + 10)
    assert {len(result.detections) for result in results.messages} == {
        len(results.messages[0].detections)}
    assert 'Traceback' not in yolo.output
