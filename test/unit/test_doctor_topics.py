"""What the doctor makes of topics: who cannot read, what gets lost, which profile is set."""

import copy
from pathlib import Path

import pytest

from rdk_yolo_ros.cli.checks import topics
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING

END = {'node': 'camera', 'type': 'sensor_msgs/msg/Image', 'reliability': 'best_effort',
       'durability': 'volatile'}
TOPIC = {'name': '/image_raw', 'type': 'sensor_msgs/msg/Image', 'error': '', 'publishers': [END],
         'subscriptions': [], 'seconds': 6.0, 'received': 180, 'lost': 0, 'received_hz': 30.0,
         'published_hz': 30.0, 'largest_bytes': 460800, 'encoding': 'nv12', 'width': 640,
         'height': 480, 'warnings': []}


def judged(*changes):
    seen = {'event': 'end', 'rmw': 'rmw_fastrtps_cpp', 'domain': '3',
            'topics': [{**copy.deepcopy(TOPIC), **change} for change in changes]}
    return list(topics.judge(seen))


def test_a_good_topic():
    finding, = judged({})
    assert (finding.status, finding.advice) == (OK, '')
    assert finding.summary == ('/image_raw: Image nv12 640x480, published 30.0 Hz, received '
                               '30.0 Hz (0 of 180 lost)')
    assert finding.lines == ('published by camera, best effort, volatile',)


def test_no_topic_at_all():
    finding, = judged()
    assert finding.status == NOT_APPLICABLE
    assert 'domain 3' in finding.summary
    assert 'ROS_DOMAIN_ID' in finding.advice


@pytest.mark.parametrize(('change', 'status', 'advice'), [
    ({'publishers': [], 'received': 0}, NOT_APPLICABLE, 'nobody publishes it'),
    ({'received': 0, 'received_hz': None, 'published_hz': None}, PROBLEM, 'sends nothing'),
    ({'received': 0, 'received_hz': None, 'published_hz': None, 'warnings': ['no image has']},
     PROBLEM, 'no image has'),
    ({'lost': 100, 'warnings': ['set FASTRTPS_DEFAULT_PROFILES_FILE']}, PROBLEM,
     'FASTRTPS_DEFAULT_PROFILES_FILE'),
    ({'lost': 100}, PROBLEM, 'images get lost'),
    ({'lost': 1}, OK, ''),
    ({'lost': None, 'warnings': ['may get lost']}, WARNING, 'may get lost'),
    ({'error': 'its type cannot be imported: no', 'received': 0}, WARNING,
     'source the workspace')])
def test_what_is_wrong_with_a_topic(change, status, advice):
    finding, = judged(change)
    assert finding.status == status
    assert advice in finding.advice


@pytest.mark.parametrize(('change', 'words'), [
    ({'reliability': 'reliable'}, 'asks for reliable, and camera publishes best effort'),
    ({'durability': 'transient_local'}, 'asks for transient local, and camera publishes volatile'),
    ({'type': 'sensor_msgs/msg/CompressedImage'}, 'expects sensor_msgs/msg/CompressedImage')])
def test_a_reader_that_cannot_receive_is_named(change, words):
    finding, = judged({'subscriptions': [{**END, 'node': 'viewer', **change}]})
    assert finding.status == PROBLEM
    assert finding.advice.startswith('viewer receives nothing')
    assert words in finding.advice


def test_a_reader_that_asks_for_less_is_fine():
    reliable = {**END, 'reliability': 'reliable', 'durability': 'transient_local'}
    finding, = judged({'publishers': [reliable], 'subscriptions': [{**END, 'node': 'yolo'}]})
    assert finding.status == OK
    assert 'read by yolo, best effort, volatile' in finding.lines


# The profile in the shell


@pytest.mark.parametrize(('environment', 'status', 'words'), [
    ({}, OK, 'no profile is set in this shell'),
    ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, OK, 'needs no Fast DDS profile'),
    ({'FASTRTPS_DEFAULT_PROFILES_FILE': '/no/such.xml'}, PROBLEM, 'which is no file'),
    ({'FASTDDS_DEFAULT_PROFILES_FILE': str(Path(__file__))}, OK, 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ({'FASTDDS_BUILTIN_TRANSPORTS': 'LARGE_DATA'}, OK, 'LARGE_DATA')])
def test_the_profile_of_the_shell(environment, status, words):
    finding = topics.check_profile(environment)
    assert finding.status == status
    assert words in finding.summary


def test_without_rclpy_nothing_is_started(monkeypatch):
    monkeypatch.setattr(topics.util, 'find_spec', lambda name: None)
    finding, = topics.check_topics({}, 1.0, 5.0)
    assert finding.status == NOT_APPLICABLE
    assert 'source the ROS setup file' in finding.advice


def test_a_graph_that_cannot_be_looked_at(monkeypatch):
    monkeypatch.setattr(topics.util, 'find_spec', lambda name: True)
    monkeypatch.setattr(topics, '_MODULE', 'rdk_yolo_ros.nodes.there_is_none')
    _, finding = topics.check_topics({}, 1.0, 60.0)
    assert finding.status == PROBLEM
    assert any('there_is_none' in line for line in finding.lines)


def test_who_keeps_to_this_machine_gets_no_profile_that_does_not():
    for environment in ({'ROS_LOCALHOST_ONLY': '1'},
                        {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
                        {'FASTDDS_BUILTIN_TRANSPORTS': 'SHM'}):
        assert topics._with_profile(environment) == {}
    given = topics._with_profile({})
    assert set(given) == {'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'}
    assert all(Path(file).is_file() for file in given.values())
