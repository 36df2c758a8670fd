"""Requests that make rclpy's own services raise end no node, and are answered."""

import pytest

pytest.importorskip('rclpy')

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.msg import (
    Parameter as ParameterMessage,  # noqa: E402
    ParameterValue,  # noqa: E402
)
from rcl_interfaces.srv import (  # noqa: E402
    GetParameters,
    SetParameters,
    SetParametersAtomically,
)

CONFIG = 'config/demo_detect.json'
NO_TYPE = ParameterMessage(name='use_sim_time', value=ParameterValue(type=200))


@pytest.mark.parametrize(('module', 'name', 'parameters'), [
    ('yolo', 'yolo', {'config_file': CONFIG}), ('source', 'source', {'width': 64, 'height': 48}),
    ('overlay', 'overlay', {}), ('container', 'ComponentManager', {})])
def test_a_parameter_of_a_type_that_there_is_not_is_refused(
        graph, start, module, name, parameters):
    process = start(module, **parameters)
    response = graph.call(SetParameters, f'/{name}/set_parameters',
                          SetParameters.Request(parameters=[NO_TYPE]))
    assert not any(result.successful for result in response.results)
    response = graph.call(SetParametersAtomically, f'/{name}/set_parameters_atomically',
                          SetParametersAtomically.Request(parameters=[NO_TYPE]))
    assert not response.result.successful
    values = graph.call(GetParameters, f'/{name}/get_parameters',
                        GetParameters.Request(names=['use_sim_time'])).values
    assert values[0].bool_value is False
    assert f'/{name}/set_parameters: a request is refused: ' in process.output
    assert process.is_running()


@pytest.mark.parametrize('request_', [
    Transition(id=Transition.TRANSITION_CONFIGURE), Transition(id=Transition.TRANSITION_CLEANUP),
    Transition(label='configure'), Transition(id=200), Transition(label='dance')])
def test_a_transition_that_there_is_not_from_here_is_refused(graph, start, request_):
    # As a lifecycle manager asks, of a node that has brought itself to active.
    process = start('yolo', config_file=CONFIG)
    process.wait_for_line('images from')
    assert not graph.call(ChangeState, '/yolo/change_state',
                          ChangeState.Request(transition=request_)).success
    state = graph.call(GetState, '/yolo/get_state', GetState.Request()).current_state
    assert state.label == 'active'
    assert process.is_running()
    assert 'Traceback' not in process.output
