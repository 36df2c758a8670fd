"""ImageStatus: an image topic in diagnostics: who publishes, how often, what is lost."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus

from rdk_yolo_ros.nodes.diagnostics import component_status
from rdk_yolo_ros.nodes.image_silence import SILENCE_S
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription
from rdk_yolo_ros.nodes.qos_matching import shown

# Less than this share is what a busy machine loses now and then.
_LOSS_SHARE = 0.05


class ImageStatus:
    """
    Judges a subscription once a second.

    Attributes:
        images: the subscription.

    Args:
        name: the status' name, the node's in front.
        images: the subscription.

    """

    def __init__(self, name: str, images: ImageSubscription) -> None:
        self._name = name
        self.images = images
        self._before = (images.received, images.lost)

    def status(self, why_not: str = '') -> DiagnosticStatus:
        """
        Return the state now; losses are those since the last call.

        Args:
            why_not: why there is no subscription at the moment, or nothing.

        """
        images = self.images
        received, lost = (now - before for now, before in
                          zip((images.received, images.lost), self._before))
        self._before = (images.received, images.lost)
        figures = images.statistics.figures()
        values: dict[str, object] = {
            'topic': images.topic_name, 'transport': images.transport,
            'subscribed': images.is_open, 'subscription QoS': shown(images.profile),
            'publishers': ', '.join(f'{offer.node} ({shown(offer)})'
                                    for offer in images.publishers) or 'none',
            'rate (Hz)': figures.rate}
        if figures.period is not None:
            for what, seconds in zip(('mean', 'least', 'greatest', 'standard deviation'),
                                     figures.period):
                values[f'period {what} (ms)'] = seconds * 1e3
        if figures.age is not None:
            values['age mean (ms)'] = figures.age[0] * 1e3
            values['age greatest (ms)'] = figures.age[1] * 1e3
        values.update({
            'largest image (bytes)': figures.size, 'received': images.received,
            'lost by the middleware': images.lost, 'malformed': images.malformed,
            'duplicates': images.duplicates,
            'dropped: a newer image of this process came first': images.dropped})
        level, summary = self._verdict(why_not, figures.rate, received, lost)
        return component_status(self._name, images.topic_name, level, summary, values)

    def _verdict(self, why_not: str, rate: float, received: int,
                 lost: int) -> tuple[bytes, str]:
        images = self.images
        if why_not:
            return DiagnosticStatus.OK, f'not subscribed: {why_not}'
        if images.obstacle:
            return DiagnosticStatus.ERROR, images.obstacle
        if images.mismatches:
            return DiagnosticStatus.WARN, '; '.join(images.mismatches.values())
        if not images.publishers and not rate:
            return DiagnosticStatus.WARN, f'nobody publishes {images.topic_name}'
        if not rate:
            return DiagnosticStatus.WARN, (
                f'no image in the last {SILENCE_S:.0f} s, although '
                + ' and '.join(sorted({offer.node for offer in images.publishers}))
                + f' publishes {images.topic_name}')
        if images.malformed_statistics.figures().rate > rate / 2:
            return DiagnosticStatus.WARN, f'most images are malformed: {images.malformation}'
        if lost > _LOSS_SHARE * (received + lost):
            return DiagnosticStatus.WARN, f'{lost} of {received + lost} images were lost'
        return DiagnosticStatus.OK, 'images arrive'
