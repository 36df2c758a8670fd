"""The YOLO node: images in; detections, key points and masks out. See docs/yolo_node.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import sys
import time
import traceback
from typing import Any, Optional

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from rdk_yolo_ros.components.ros_services import answer_always
from rdk_yolo_ros.components.start_errors import USER_ERRORS, one_line
from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
from rdk_yolo_ros.nodes.images import ImageMessage
from rdk_yolo_ros.nodes.inference import Inference
from rdk_yolo_ros.nodes.library_log import LibraryLog
from rdk_yolo_ros.nodes.opencv_threads import keep_to_own_threads
from rdk_yolo_ros.nodes.opening import open_while_up
from rdk_yolo_ros.nodes.options import OptionParameters
from rdk_yolo_ros.nodes.parameters import START_PARAMETERS, declare, take_aliases
from rdk_yolo_ros.nodes.reloading import Reloading
from rdk_yolo_ros.nodes.report import Condition, Report
from rdk_yolo_ros.nodes.served_model import ServedModel, open_predictor, serve
from rdk_yolo_ros.nodes.spin import run_node
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.runtimes import Runtime

# Deactivating is promised to take less than 100 ms, so an inference under way gets this long.
_STOPPING_S = 0.05
# The end has no such promise, and what ends in time needs no killing.
_ENDING_S = 0.8
_SUCCESS = TransitionCallbackReturn.SUCCESS


class YoloNode(LifecycleNode):
    """
    Subscribes to images, predicts off the executor's thread, publishes the results.

    A managed node: configured it has the model, active it has the image subscription. It brings
    itself to active, unless its parameter `autostart` is false.

    Args:
        node_name: the node's name.
        predictor: what to predict with, a Predictor or anything with its interface, in place of
            the one that the parameter `config_file` describes; the caller closes it.
        use_intra_process_comms: whether images of nodes in this process that ask for the same
            come without the middleware.
        kwargs: rclpy LifecycleNode's own keyword arguments.

    Raises:
        RdkYoloError: the work configuration or its model cannot be used; without `autostart`
            configuring fails instead.
        rclpy.exceptions.ParameterException: a parameter's value does not fit.

    """

    def __init__(self, node_name: str = 'yolo', *, predictor: Optional[Predictor] = None,
                 use_intra_process_comms: bool = False, **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        answer_always(self)
        keep_to_own_threads()
        self._passed_in = predictor
        self._intra_process = use_intra_process_comms
        self._inference: Optional[Inference] = None
        self._images: Optional[ImageSubscription] = None
        self._reloading: Optional[Reloading] = None
        self._fault: Optional[Exception] = None
        self._is_starting = True
        self._library_log = LibraryLog(self)
        try:
            self._set_up()
            if self._given['autostart']:
                self._start()
        except BaseException:
            self.destroy_node()
            raise
        self._is_starting = False

    def _set_up(self) -> None:
        given = {spec.name: declare(self, spec) for spec in START_PARAMETERS}
        given.update(take_aliases(self, given))
        self._given: dict[str, Any] = given
        self._options = OptionParameters(self, self._publish_label_info)
        self._statistics = Statistics()
        self._complaints = Complaints(self.get_logger().error)
        self._condition = Condition()
        self._report = Report(self, self._condition, self._statistics, self._complaints,
                              self._every_second)
        self._enable_service = self.create_service(SetBool, '~/enable', self._on_enable)
        self._reloading = Reloading(self, lambda: open_predictor(self._given), self._take_over,
                                    self._why_not_reload)
        self._condition.reloading = self._reloading

    def _start(self) -> None:
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != _SUCCESS:
                assert self._fault is not None
                raise self._fault

    # Transitions, in the executor's thread:

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; on a faulty configuration stay unconfigured and say why."""
        return self._attempt(self._configure, self._clean_up, 'inactive')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to images, unless disabled."""
        outcome = self._attempt(self._resume, self._pause, 'active')
        self._publish_label_info(self._options.score_threshold)
        return outcome

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and free the slots, within 100 ms, whatever the model does."""
        return self._attempt(self._pause, self._pause, 'inactive')

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        return self._attempt(self._clean_up, self._clean_up, 'unconfigured')

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, in whatever state the node is."""
        return self._attempt(self._clean_up, self._clean_up, 'finalized')

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything after a defect, so that the node can be configured again."""
        self._condition.state = 'unconfigured'
        self._clean_up()
        return _SUCCESS

    def _attempt(self, action: Callable[[], object], undo: Callable[[], object],
                 state: str) -> TransitionCallbackReturn:
        try:
            action()
        except Exception as error:
            undo()
            self._fault = error
            is_defect = not isinstance(error, USER_ERRORS)
            self._condition.fault = one_line(error)
            # At the start, whoever makes the node says it.
            if not self._is_starting:
                self.get_logger().error(
                    ''.join(traceback.format_exception(error)) if is_defect else
                    f'not {state}: {self._condition.fault}')
            return (TransitionCallbackReturn.ERROR if is_defect
                    else TransitionCallbackReturn.FAILURE)
        self._condition.fault = ''
        self._condition.state = state
        return _SUCCESS

    def _configure(self) -> None:
        given = self._given
        self._images = self._condition.images = ImageSubscription(
            self, given['image_topic'], given['image_transport'], self._on_image,
            self._intra_process, on_malformed=self._on_malformed)
        predictor = self._passed_in or open_while_up(
            self.context, lambda: open_predictor(given))
        try:
            model = self._serve(predictor)
        except BaseException:
            if self._passed_in is None:
                predictor.close()
            raise
        self._inference = self._condition.inference = Inference(
            self, model, self._statistics, self._complaints, given['image_color_range'],
            self._images.topic_name, self._images.note_malformed)
        self._introduce(model)

    def _serve(self, predictor: Predictor, before: Optional[ServedModel] = None) -> ServedModel:
        """Return the predictor with its topics, held to the parameters."""
        self._options.hold(predictor)
        return serve(self, predictor, self._given, self._passed_in is None,
                     lambda: self._statistics.rate('published'), before,
                     intra_process=self._intra_process)

    def _introduce(self, model: ServedModel) -> None:
        predictor, images = model.predictor, self._images
        assert images is not None
        runtime = predictor.runtime
        size = f'{runtime.input_hw[1]}x{runtime.input_hw[0]}'
        self._condition.facts = {
            'config file': self._given['config_file'], 'task': predictor.task,
            'runtime': runtime.name, 'slots': model.slots, 'model input': size}
        if isinstance(runtime, Runtime):
            self.get_logger().info(runtime.describe())
        self.get_logger().info(
            f'{predictor.task} model with {len(model.names)} class(es), input {size}, on the '
            f'{runtime.name} runtime with {model.slots} slot(s); images from '
            f'{images.topic_name}')

    def _resume(self) -> None:
        """Take images, unless disabled."""
        assert self._inference is not None
        assert self._images is not None
        if self._condition.enabled:
            self._inference.start()
            self._images.open()

    def _pause(self) -> None:
        """Take no more images."""
        if self._images is not None:
            self._images.close()
        if self._inference is not None:
            self._inference.stop(_STOPPING_S)

    def _clean_up(self) -> None:
        """Free the model."""
        if self._reloading is not None:
            self._reloading.give_up('the node was cleaned up meanwhile')
        self._pause()
        inference, self._inference = self._inference, None
        self._condition.inference = self._condition.images = self._images = None
        self._condition.facts = {}
        self._options.hold(None)
        if inference is not None:
            inference.close()
            inference.model.results.release()

    def destroy_node(self) -> bool:
        """
        Stop predicting, then destroy the node.

        Returns whether every thread has ended; a call into the model that hangs is waited for
        less than a second, and the model is closed under it, so that its memory and its
        processes do not stay until this process ends.
        """
        stopped = True
        if self._reloading is not None:
            self._reloading.give_up('the node ends')
        if self._inference is not None:
            self._inference.stop(_ENDING_S)
            stopped = self._inference.close()
        if self._images is not None:
            self._images.close()
        self._library_log.close()
        super().destroy_node()
        # rclpy leaves this to the garbage collector, and until then the node to the graph.
        self._state_machine.destroy_when_not_in_use()
        return stopped

    # Services and the rest, in the executor's thread:

    def _on_enable(self, request: SetBool.Request,
                   response: SetBool.Response) -> SetBool.Response:
        condition = self._condition
        condition.enabled = request.data
        response.success = True
        response.message = 'enabled' if request.data else 'disabled: the model stays loaded'
        if condition.state != 'active':
            response.message += f'; the node is {condition.state}'
        elif request.data:
            response.success = self._attempt(self._resume, self._pause, 'active') == _SUCCESS
            response.message = condition.fault or response.message
        else:
            self._pause()
        return response

    def _why_not_reload(self) -> str:
        if self._passed_in is not None:
            return 'the model was passed in by whoever made this node, and is not read from a file'
        if self._inference is None:
            return (f'the node is {self._condition.state}: there is no model to replace; '
                    'configure it')
        return ''

    def _take_over(self, predictor: Predictor) -> str:
        """Go on with what was read again, and return what is said of it."""
        assert self._inference is not None
        old = self._inference.model
        try:
            model = self._serve(predictor, old)
        except BaseException:
            self._options.hold(old.predictor)
            raise
        self._inference.replace(model)
        self._introduce(model)
        self._publish_label_info(self._options.score_threshold)
        return (f'{predictor.task} model with {len(model.names)} class(es) from '
                f"{self._given['config_file']}")

    def _on_image(self, message: ImageMessage) -> None:
        inference = self._inference  # images of this process come in a thread of theirs
        if inference is not None:
            inference.take(message)

    def _on_malformed(self, error: FrameError) -> None:
        if self._inference is not None:
            self._inference.refuse(error)

    def _publish_label_info(self, threshold: float) -> None:
        if self._inference is not None and self._condition.state == 'active':
            self._inference.model.results.publish_label_info(
                Header(stamp=self.get_clock().now().to_msg()), threshold)

    def _every_second(self) -> None:
        if self._images is not None:
            self._images.check(time.monotonic())
        if self._inference is not None:
            self._inference.tidy()


def main(args: Optional[Sequence[str]] = None) -> int:
    """Run the node; `ros2 run rdk_yolo_ros yolo --ros-args -p config_file:=PATH`."""
    return run_node(YoloNode, 'yolo', args)


if __name__ == '__main__':
    sys.exit(main())
