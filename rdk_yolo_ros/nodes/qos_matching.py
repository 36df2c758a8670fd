"""
Which quality of service a subscription needs for all of a topic's publishers.

Best effort and volatile match every publisher. Where all of them offer more it is taken: a
reliable publisher sends again what got lost, one fragment of a large image for example, and a
transient-local one gives whoever comes late its last image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import copy
from typing import Any, NamedTuple

from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy

from rdk_yolo_ros.nodes.qos_overrides import override_name

# What rmw says of a publisher that is no ROS node, or of one that it has just found.
_NAMES = {'_NODE_NAME_UNKNOWN_': 'an unnamed publisher'}


class Offer(NamedTuple):
    """A publisher, and what of quality of service it offers."""

    node: str
    type_name: str
    reliability: ReliabilityPolicy
    durability: DurabilityPolicy


def offers(infos: Iterable[Any]) -> list[Offer]:
    """Return what `node.get_publishers_info_by_topic` says, as far as it matters here."""
    return [Offer(_NAMES.get(info.node_name, info.node_name), info.topic_type,
                  info.qos_profile.reliability, info.qos_profile.durability) for info in infos]


def matching_profile(usual: QoSProfile, publishers: Sequence[Offer],
                     overrides: Mapping[QoSPolicyKind, Any]) -> QoSProfile:
    """
    Return the most that every publisher offers, but for what the user has set.

    Args:
        usual: what holds for everything else, and where there is no publisher.
        publishers: the topic's.
        overrides: what `overridden` returned.

    """
    profile = copy.copy(usual)
    if publishers and all(p.reliability == ReliabilityPolicy.RELIABLE for p in publishers):
        profile.reliability = ReliabilityPolicy.RELIABLE
    if publishers and all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers):
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    for kind, value in overrides.items():
        setattr(profile, kind.name.lower(), value)
    return profile


def mismatches(topic: str, profile: QoSProfile, publishers: Sequence[Offer]) -> dict[str, str]:
    """
    Return {publisher's node: what is wrong and what to do} for those that offer too little.

    Args:
        topic: the topic's full name.
        profile: the subscription's.
        publishers: the topic's.

    """
    said = {}
    for offer in publishers:
        for kind, asked, offered, less in (
                (QoSPolicyKind.RELIABILITY, profile.reliability == ReliabilityPolicy.RELIABLE,
                 offer.reliability == ReliabilityPolicy.BEST_EFFORT, 'best_effort'),
                (QoSPolicyKind.DURABILITY,
                 profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                 offer.durability == DurabilityPolicy.VOLATILE, 'volatile')):
            if asked and offered:
                said[offer.node] = (
                    f'no image of {offer.node} can arrive on {topic}: it publishes '
                    f'{shown(offer)}, and this node asks for {shown(profile)}; leave '
                    f"{override_name(topic, 'subscription', kind)} out, so that this node "
                    f"follows its publishers, set it to '{less}', or let {offer.node} publish "
                    f'{_more(kind)}')
                break
    return said


def shown(quality: Any) -> str:
    """Return reliability and durability of an Offer or a QoSProfile, as users write them."""
    return f'{quality.reliability.name.lower()}, {quality.durability.name.lower()}'


def _more(kind: QoSPolicyKind) -> str:
    return 'reliable' if kind is QoSPolicyKind.RELIABILITY else 'transient_local'
