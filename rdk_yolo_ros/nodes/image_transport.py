"""ImageTransport: the type of image that is subscribed to, as a topic's publishers have it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from rdk_yolo_ros.errors import RuntimeUnavailableError
from rdk_yolo_ros.nodes.hbm_images import HBM_KINDS, hbm_type

_COMPRESSED = '/compressed'
TRANSPORTS = {'sensor_msgs/msg/Image': 'raw', 'sensor_msgs/msg/CompressedImage': 'compressed',
              **{f'hbm_img_msgs/msg/{kind}': kind for kind in HBM_KINDS}}
# What each setting may become once a publisher is there.
_FOLLOWS: dict[str, tuple[str, ...]] = {
    'auto': tuple(TRANSPORTS.values()), 'shared_mem': HBM_KINDS}


class ImageTransport:
    """
    What a subscription takes.

    Attributes:
        topic: the topic's name, with /compressed where the setting wants it.
        name: 'raw', 'compressed', or one of hbm_img_msgs' kinds, 'HbmMsg1080P' for example.
        type: the message type.

    Args:
        topic: the topic.
        setting: 'raw', 'compressed', 'auto' as the parameter `image_transport` says, or
            'shared_mem' for hbm_img_msgs: HbmMsg1080P until a publisher has another type.

    Raises:
        RuntimeUnavailableError: 'shared_mem', and hbm_img_msgs is not installed.

    """

    def __init__(self, topic: str, setting: str) -> None:
        compressed = topic.endswith(_COMPRESSED)
        self._follows = () if setting == 'auto' and compressed else _FOLLOWS.get(setting, ())
        self.name = setting
        if setting == 'auto':
            self.name = 'compressed' if compressed else 'raw'
        elif setting == 'compressed' and not compressed:
            topic += _COMPRESSED
        elif setting == 'shared_mem':
            self.name = HBM_KINDS[0]
        self.topic = topic
        self.type = _message_type(self.name)

    @property
    def is_read_as_bytes(self) -> bool:
        """Whether serialised images are read: rclpy takes longer to, but for hbm_img_msgs."""
        return self.name not in HBM_KINDS

    def follow(self, type_names: Iterable[str]) -> tuple[bool, str]:
        """
        Take the type that a topic's publishers have.

        Args:
            type_names: their types, 'sensor_msgs/msg/Image' for example.

        Returns:
            Whether it is another one than before, and why it cannot be taken, or nothing.

        """
        offered = set(type_names)
        if not offered or self.name in {TRANSPORTS.get(name) for name in offered}:
            return False, ''
        for transport in self._follows:
            if not any(TRANSPORTS.get(name) == transport for name in offered):
                continue
            try:
                self.type = _message_type(transport)
            except RuntimeUnavailableError as error:
                return False, f'carries images that cannot be read: {error}'
            self.name = transport
            return True, ''
        types = ', '.join(sorted(offered))
        hint = ''
        if any(TRANSPORTS.get(name) in HBM_KINDS for name in offered):
            hint = ': set image_transport to auto, or is_shared_mem_sub to 1'
        elif self.name in HBM_KINDS:
            hint = ': for these leave is_shared_mem_sub at 0 and set image_topic'
        return False, f'carries {types}, not the {self.name} images that are waited for{hint}'


def _message_type(transport: str) -> Any:
    own: dict[str, Any] = {'raw': Image, 'compressed': CompressedImage}
    return own.get(transport) or hbm_type(transport)
