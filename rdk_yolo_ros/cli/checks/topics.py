"""The camera's topics: is there one, who can read it, and does what it publishes arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path
from typing import Any, Optional

from rdk_yolo_ros.cli.checks.child import run_child
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding
from rdk_yolo_ros.cli.checks.probe import MARK
from rdk_yolo_ros.share import find_file

_MODULE = 'rdk_yolo_ros.nodes.topic_check'
PROFILE = 'config/dds/shared_memory.xml'
# Fast DDS 2 and Fast DDS 3 name a profile by different variables, and differ in what it says.
_PROFILES = {'FASTRTPS_DEFAULT_PROFILES_FILE': PROFILE,
             'FASTDDS_DEFAULT_PROFILES_FILE': 'config/dds/fast_dds_3/shared_memory.xml'}
_TRANSPORTS_VARIABLE = 'FASTDDS_BUILTIN_TRANSPORTS'
# Starting ROS and knowing the graph takes a while before the listening.
_STARTING_S = 20.0
_LOST_SHARE = 0.05


def check_topics(environment: Mapping[str, str], seconds: float,
                 limit: float) -> Iterator[Finding]:
    """Yield what the image topics of the sourced ROS are like."""
    if util.find_spec('rclpy') is None:
        yield Finding('topics', NOT_APPLICABLE, 'rclpy cannot be imported',
                      'source the ROS setup file first, to have topics checked')
        return
    profile = check_profile(environment)
    yield profile
    report = run_child(_MODULE, ['--seconds', str(seconds), '--mark', MARK], MARK,
                       min(limit, seconds + _STARTING_S), _with_profile(environment))
    end = report.step('end')
    if end is None:
        yield Finding('topics', PROBLEM, 'the graph could not be looked at'
                      + (f': {report.fate}' if report.fate else ''),
                      'check the ROS installation, RMW_IMPLEMENTATION and the DDS profile',
                      lines=report.output)
        return
    yield from judge(end)


def check_profile(environment: Mapping[str, str]) -> Finding:
    """Return how Fast DDS is told to carry large images in this shell."""
    rmw = environment.get('RMW_IMPLEMENTATION', '')
    if rmw and not rmw.startswith('rmw_fastrtps'):
        return Finding('shared memory', OK, f'{rmw} is used, which needs no Fast DDS profile')
    for name, profile in _PROFILES.items():
        value = environment.get(name)
        if value and not Path(value).expanduser().is_file():
            return Finding('shared memory', PROBLEM, f'{name} names {value}, which is no file',
                           f'set it to share/rdk_yolo_ros/{profile} of the workspace, or unset '
                           'it', details={'variable': name, 'file': value})
        if value:
            return Finding('shared memory', OK, f'{name} is {value}',
                           details={'variable': name, 'file': value})
    if environment.get(_TRANSPORTS_VARIABLE):
        return Finding('shared memory', OK,
                       f'{_TRANSPORTS_VARIABLE} is {environment[_TRANSPORTS_VARIABLE]}')
    return Finding('shared memory', OK, 'no profile is set in this shell; the launch files set '
                   'one for the nodes that they start')


def _with_profile(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the profile's variables, unless the user has chosen how images are carried."""
    if any(environment.get(name) for name in (*_PROFILES, _TRANSPORTS_VARIABLE)):
        return {}
    # A profile has transports of its own, which would reach beyond this machine.
    if environment.get('ROS_LOCALHOST_ONLY') == '1' \
            or environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE') in ('LOCALHOST', 'OFF'):
        return {}
    try:
        return {name: str(find_file(profile)) for name, profile in _PROFILES.items()}
    except FileNotFoundError:
        return {}


def judge(seen: dict[str, Any]) -> Iterator[Finding]:
    """Yield a finding for each topic that `rdk_yolo_ros.nodes.topic_check` reports."""
    topics = seen['topics']
    if not topics:
        yield Finding('topics', NOT_APPLICABLE,
                      f'no image topic in ROS domain {seen["domain"]} ({seen["rmw"]})',
                      'start the camera to have it checked; if it runs, compare ROS_DOMAIN_ID, '
                      'RMW_IMPLEMENTATION and the user that it runs as with this shell\'s',
                      details=seen)
    for topic in topics:
        yield _judge_topic(topic)


def _judge_topic(topic: dict[str, Any]) -> Finding:
    status, advice = OK, []
    if topic['error']:
        status = WARNING
        advice.append(f'{topic["error"]}; source the workspace that has it')
    elif not topic['publishers']:
        status = NOT_APPLICABLE
        advice.append('nobody publishes it: start the camera, or set image_topic to its topic')
    elif not topic['received']:
        status = PROBLEM
        advice += topic['warnings'] or ['its publisher sends nothing: look at its log']
    else:
        lost = topic['lost'] or 0
        share = lost / (lost + topic['received'])
        if share >= _LOST_SHARE:
            status = PROBLEM
            advice += topic['warnings'] or ['images get lost: the network or this machine is too '
                                            'slow for them; a smaller size or rate helps']
        elif topic['warnings']:
            status, advice = WARNING, list(topic['warnings'])
    for problem in unable(topic):
        status = PROBLEM
        advice.append(problem)
    return Finding('topics', status, _words(topic), '; '.join(advice),
                   lines=tuple(_end_words('published by', end) for end in topic['publishers'])
                   + tuple(_end_words('read by', end) for end in topic['subscriptions']),
                   details=topic)


def unable(topic: dict[str, Any]) -> list[str]:
    """Return which nodes cannot receive the topic for its qualities of service, in words."""
    words = []
    for reader in topic['subscriptions']:
        for writer in topic['publishers']:
            why = None
            if (reader['reliability'], writer['reliability']) == ('reliable', 'best_effort'):
                why = 'asks for reliable, and {} publishes best effort'
            elif (reader['durability'], writer['durability']) == ('transient_local', 'volatile'):
                why = 'asks for transient local, and {} publishes volatile'
            elif reader['type'] != writer['type']:
                why = f'expects {reader["type"]}, and {{}} publishes {writer["type"]}'
            if why is not None:
                words.append(f'{reader["node"]} receives nothing: it '
                             f'{why.format(writer["node"])}')
    return list(dict.fromkeys(words))


def _words(topic: dict[str, Any]) -> str:
    kind = topic['type'].rpartition('/')[2]
    text = f'{topic["name"]}: {kind}'
    if topic.get('encoding'):
        text += f' {topic["encoding"]}'
    if topic.get('width'):
        text += f' {topic["width"]}x{topic["height"]}'
    if not topic['publishers']:
        return f'{text}, no publisher'
    text += f', published {_hz(topic["published_hz"])}, received {_hz(topic["received_hz"])}'
    if topic['lost'] is not None:
        text += f' ({topic["lost"]} of {topic["lost"] + topic["received"]} lost)'
    return text


def _hz(rate: Optional[float]) -> str:
    return 'at an unknown rate' if rate is None else f'{rate:.1f} Hz'


def _end_words(what: str, end: dict[str, Any]) -> str:
    return (f'{what} {end["node"]}, {end["reliability"].replace("_", " ")}, '
            f'{end["durability"].replace("_", " ")}')
