"""The `qos_overrides` parameters: what a user sets of a topic's quality of service."""

from __future__ import annotations

import copy
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from rdk_yolo_ros.nodes.parameters import given_value

_CHOICES: dict[QoSPolicyKind, Any] = {
    QoSPolicyKind.HISTORY: {'keep_last': HistoryPolicy.KEEP_LAST,
                            'keep_all': HistoryPolicy.KEEP_ALL},
    QoSPolicyKind.DEPTH: None,
    QoSPolicyKind.RELIABILITY: {'reliable': ReliabilityPolicy.RELIABLE,
                                'best_effort': ReliabilityPolicy.BEST_EFFORT},
    QoSPolicyKind.DURABILITY: {'volatile': DurabilityPolicy.VOLATILE,
                               'transient_local': DurabilityPolicy.TRANSIENT_LOCAL}}


def override_name(topic: str, entity: str, kind: QoSPolicyKind) -> str:
    """Return a parameter's name; `topic` in full, `entity` 'subscription' or 'publisher'."""
    return f'qos_overrides.{topic}.{entity}.{kind.name.lower()}'


def overridden(node: Node, topic: str, entity: str) -> dict[QoSPolicyKind, Any]:
    """
    Return the policies of a topic that the user has set.

    Args:
        node: the node that subscribes or publishes.
        topic: the topic's full name.
        entity: 'subscription' or 'publisher'.

    Raises:
        rclpy.exceptions.ParameterException: a value is none that the policy can have.

    """
    values = {}
    for kind, choices in _CHOICES.items():
        name = override_name(topic, entity, kind)
        value = given_value(node, name)
        if value is None:
            continue
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if choices is None and not (is_number and 1 <= value <= 1000):
            raise ParameterException(f'parameter {name} is {value!r}, expected a whole number '
                                     'from 1 to 1000', name)
        if choices is not None and value not in choices:
            raise ParameterException(f'parameter {name} is {value!r}, expected '
                                     + ' or '.join(choices), name)
        values[kind] = value if choices is None else choices[value]
    return values


def create_publisher(node: Node, kind: Any, topic: str, profile: QoSProfile) -> Publisher:
    """
    Create a publisher whose history, depth, reliability and durability `qos_overrides` change.

    Args:
        node, kind, topic: as for `node.create_publisher`.
        profile: what holds where nobody sets something else; it stays as it is.

    Raises:
        rclpy.exceptions.ParameterException: a value is none that the policy can have.

    """
    overridden(node, node.resolve_topic_name(topic), 'publisher')
    return node.create_publisher(kind, topic, copy.copy(profile),
                                 qos_overriding_options=QoSOverridingOptions(_CHOICES))
