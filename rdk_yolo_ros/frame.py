"""Frame: a view on an image in its own encoding."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Optional

import cv2
import numpy as np

from rdk_yolo_ros import colour, compressed
from rdk_yolo_ros.errors import FrameError

# sensor_msgs/image_encodings.hpp of Humble and Jazzy, and the names that camera drivers add.
ENCODINGS = {
    'nv12': 'nv12',
    'nv21': 'nv21',
    'yuv422': 'uyvy', 'uyvy': 'uyvy',
    'yuv422_yuy2': 'yuyv', 'yuyv': 'yuyv',
    'bgr8': 'bgr8',
    'rgb8': 'rgb8',
    'mono8': 'mono8',
    'jpeg': 'jpeg', 'jpg': 'jpeg', 'mjpeg': 'jpeg',
}

_BYTES_PER_PIXEL = {'nv12': 1, 'nv21': 1, 'uyvy': 2, 'yuyv': 2, 'bgr8': 3, 'rgb8': 3, 'mono8': 1}
_WITHOUT_RANGE = ('bgr8', 'rgb8', 'mono8', 'jpeg')


class UnsupportedEncoding(FrameError):
    """An image is in an encoding that Frame does not read; cv_bridge may."""

    def __init__(self, encoding: str) -> None:
        """Remember the encoding as the message spelled it."""
        self.encoding = encoding
        known = ', '.join(ENCODINGS)
        super().__init__(f'encoding {_shown(encoding)} is not understood, expected one of '
                         f'{known}; install cv_bridge to have other encodings converted, or set '
                         'the publisher to one of these')


@dataclass(frozen=True, eq=False)
class Frame:
    """
    An image in its own encoding; the pixels are a view on the caller's memory, never a copy.

    An odd last column of NV12, NV21, UYVY and YUYV and an odd last row of NV12 and NV21 are left
    out: they have chroma of their own, which even planes cannot hold.

    Attributes:
        encoding: 'nv12', 'nv21', 'uyvy', 'yuyv', 'bgr8', 'rgb8', 'mono8' or 'jpeg'; the
            constructor takes any name in ENCODINGS.
        height, width: in pixels, as the publisher says; for 'jpeg' as its own header says.
        hw: height and width of the part that is used, in pixels.
        data: uint8 (n,). The constructor takes any buffer of bytes.
        step: bytes from one row to the next; 0 stands for no padding. Ignored for 'jpeg'.
        color_range: 'full' (JFIF, Y 0..255) or 'limited' (BT.601 video, Y 16..235); always
            'full' for RGB, mono and JPEG.

    Raises:
        FrameError: the sizes contradict each other or the data, or the JPEG is malformed.
        UnsupportedEncoding: the encoding is not in ENCODINGS.
        ValueError: the colour range is neither 'full' nor 'limited'.

    """

    encoding: str
    height: int
    width: int
    data: np.ndarray = field(repr=False)
    step: int
    color_range: str = 'full'
    hw: tuple[int, int] = field(default=(0, 0), init=False)
    _planes: Optional[tuple[np.ndarray, ...]] = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the sizes and lay the planes over the data."""
        encoding = ENCODINGS.get(str(self.encoding).lower())
        if encoding is None:
            raise UnsupportedEncoding(self.encoding)
        colour.check_range(self.color_range)
        self._set(encoding=encoding, data=_bytes_view(self.data))
        if encoding in _WITHOUT_RANGE:
            self._set(color_range='full')
        if encoding == 'jpeg':
            height, width = compressed.jpeg_size(self.data)
            self._set(height=height, width=width, step=0, hw=(height, width))
        else:
            self._lay_planes()

    @classmethod
    def from_image(cls, msg: Any, color_range: Optional[str] = None) -> Frame:
        """
        Return a view on a sensor_msgs/Image, or on anything with its fields.

        The pixels are not copied, unless `msg.data` is a plain list. `color_range` is that of
        the camera, 'full' where it is None. The byte order flag means nothing at 8 bits.

        Raises:
            FrameError: the message is malformed.
            UnsupportedEncoding: the encoding is one that Frame does not read.

        """
        return cls(msg.encoding, int(msg.height), int(msg.width), msg.data, int(msg.step),
                   'full' if color_range is None else color_range)

    @classmethod
    def from_compressed(cls, msg: Any) -> Frame:
        """
        Return the image of a sensor_msgs/CompressedImage, or of anything with its fields.

        The data decide, not `msg.format`, which drivers fill in many ways. A JPEG is decoded
        when its pixels are first asked for; an 8-bit PNG at once.

        Raises:
            FrameError: the data are malformed, or neither JPEG nor PNG.

        """
        data = _bytes_view(msg.data)
        if data[:2].tobytes() == compressed.JPEG_MAGIC:
            return cls('jpeg', 0, 0, data, 0)
        if data[:8].tobytes() == compressed.PNG_MAGIC:
            return cls.from_bgr(compressed.decode_png(data))
        raise FrameError(f'compressed image of {data.size} bytes with format '
                         f'{_shown(msg.format)} is neither JPEG nor PNG; expected one of them: '
                         "set the transport of the publisher to 'compressed'")

    @classmethod
    def from_bgr(cls, array: np.ndarray) -> Frame:
        """
        Return a view on a BGR picture, uint8 (h, w, 3); a copy where its pixels are not adjacent.

        Raises:
            FrameError: the array has another type or shape.

        """
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3 \
                or array.shape[2] != 3:
            raise FrameError(f'BGR picture is {_described(array)}, expected uint8 (h, w, 3)')
        height, width = array.shape[:2]
        data, step = _rows_view(array)
        return cls('bgr8', height, width, data, step)

    @classmethod
    def from_nv12(cls, array: np.ndarray, color_range: str = 'full') -> Frame:
        """
        Return a view on an NV12 array, uint8 (h*3/2, w); a copy where its bytes are not adjacent.

        Raises:
            FrameError: the array has another type or shape.

        """
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 2 \
                or array.shape[0] % 3 or array.shape[1] % 2:
            raise FrameError(f'NV12 picture is {_described(array)}, expected uint8 (h*3/2, w) '
                             'with even h and w')
        data, step = _rows_view(array)
        return cls('nv12', array.shape[0] // 3 * 2, array.shape[1], data, step, color_range)

    @property
    def planes(self) -> tuple[np.ndarray, ...]:
        """
        The pixels as uint8 arrays, views on `data` whose rows may be padded.

        'nv12' Y (h, w) and UV (h/2, w/2, 2); 'nv21' Y and VU; 'uyvy', 'yuyv' one (h, w, 2);
        'bgr8', 'rgb8' one (h, w, 3); 'mono8' one (h, w); 'jpeg' the decoded BGR (h, w, 3).

        Raises:
            FrameError: the JPEG cannot be decoded.

        """
        planes = self._planes
        if planes is None:
            # Two threads that get here at once both decode, and either result is right.
            planes = (compressed.decode('JPEG', self.data, self.hw),)
            self._set(_planes=planes)
        return planes

    def middle(self, aspect_hw: tuple[int, int]) -> Frame:
        """
        Return the largest part in the middle with the aspect ratio of a height and a width.

        Its pixels are views on this frame's; its sizes and place are even, so that chroma stays
        over its pixels, and the ratio is met but for that.

        Raises:
            FrameError: the JPEG cannot be decoded, or the part is less than two pixels wide or
                high.

        """
        height, width = self.hw
        part = (min(height, width * aspect_hw[0] // aspect_hw[1]) // 2 * 2,
                min(width, height * aspect_hw[1] // aspect_hw[0]) // 2 * 2)
        if min(part) < 2:
            raise FrameError(f'image is {width}x{height} pixels, its middle of the ratio '
                             f'{aspect_hw[1]}:{aspect_hw[0]} less than 2x2')
        top, left = ((whole - some) // 4 * 2 for whole, some in zip(self.hw, part))
        planes = []
        for plane in self.planes:
            share = height // plane.shape[0]   # 2 for the chroma of NV12 and NV21
            planes.append(plane[top // share:(top + part[0]) // share,
                                left // share:(left + part[1]) // share])
        middle = copy.copy(self)
        middle._set(hw=part, _planes=tuple(planes))
        return middle

    def to_bgr(self) -> np.ndarray:
        """
        Return the image as BGR, uint8 (h, w, 3): a new array that the caller may draw on.

        Raises:
            FrameError: the JPEG cannot be decoded.

        """
        planes = self.planes
        if self.encoding == 'nv12':
            return colour.planes_to_bgr(planes[0], planes[1], self.color_range)
        if self.encoding == 'nv21':
            # Exchanging U with V exchanges nothing in the formulas but their places.
            return colour.planes_to_bgr(planes[0], np.ascontiguousarray(planes[1][..., ::-1]),
                                        self.color_range)
        if self.encoding in ('uyvy', 'yuyv'):
            return colour.packed422_to_bgr(planes[0], self.encoding == 'yuyv', self.color_range)
        if self.encoding == 'rgb8':
            return cv2.cvtColor(planes[0], cv2.COLOR_RGB2BGR)
        if self.encoding == 'mono8':
            return cv2.cvtColor(planes[0], cv2.COLOR_GRAY2BGR)
        return planes[0].copy()

    def to_nv12(self, color_range: str = 'full') -> np.ndarray:
        """
        Return the image as NV12, uint8 (h*3/2, w), in `color_range`: a new array.

        NV12 has even sizes: an odd last row or column is left out.

        Raises:
            FrameError: the JPEG cannot be decoded, or the image is one pixel wide or high.
            ValueError: the colour range is neither 'full' nor 'limited'.

        """
        height, width = (size // 2 * 2 for size in self.hw)
        if not height or not width:
            raise FrameError(f'image is {self.width}x{self.height} pixels, expected at least 2x2 '
                             'to make NV12 of it')
        nv12 = np.empty((height * 3 // 2, width), np.uint8)
        planes = self.planes
        if (height, width) != self.hw:
            planes = tuple(plane[:height, :width] for plane in planes)
        self._write_planes(planes, *colour.split_nv12(nv12), color_range)
        return nv12

    def write_nv12(self, y: np.ndarray, uv: np.ndarray, color_range: str = 'full') -> None:
        """
        Resize the whole image into the planes of an NV12 image, bilinearly, in `color_range`.

        y: uint8 (H, W), uv: uint8 (H/2, W/2, 2), any even size, views into larger pictures
        included; both are written in place. The planes of an NV12 frame are resized as they
        are, and the range is converted at the size of the result.

        Raises:
            FrameError: the JPEG cannot be decoded.
            ValueError: the colour range is neither 'full' nor 'limited'.

        """
        self._write_planes(self.planes, y, uv, color_range)

    def _write_planes(self, planes: tuple[np.ndarray, ...], y: np.ndarray, uv: np.ndarray,
                      color_range: str) -> None:
        """Resize `planes`, this frame's or a part of them, into those of an NV12 image."""
        if self.encoding in ('bgr8', 'rgb8', 'jpeg'):
            colour.bgr_to_planes(planes[0], y, uv, color_range, rgb=self.encoding == 'rgb8')
            return
        colour.check_range(color_range)
        if self.encoding in ('uyvy', 'yuyv'):
            colour.packed422_to_planes(planes[0], self.encoding == 'yuyv', y, uv)
        else:
            colour.resize(planes[0], y)
            if self.encoding == 'nv12':
                colour.resize(planes[1], uv)
            elif self.encoding == 'nv21':
                vu = colour.resize(planes[1], np.empty(uv.shape, np.uint8))
                cv2.mixChannels([vu], [uv], [1, 0, 0, 1])
            else:
                uv[...] = colour.NEUTRAL_CHROMA
        colour.convert_planes(y, uv, self.color_range, color_range)

    def _lay_planes(self) -> None:
        """Check the sizes against the data and lay views over them."""
        encoding, height, width = self.encoding, self.height, self.width
        what = f'{encoding} image of {width}x{height}'
        if height < 1 or width < 1:
            raise FrameError(f'{what} has no pixels; expected a height and a width of 1 or more: '
                             'check the publisher')
        semi_planar = encoding in ('nv12', 'nv21')
        row = width * _BYTES_PER_PIXEL[encoding]
        rows = height + (height + 1) // 2 if semi_planar else height
        step = self.step
        if step == 0 and self.data.size == row * rows:
            step = row
        if step < row:
            raise FrameError(f'{what} has step {self.step}, expected at least {row} bytes a row: '
                             'check the publisher')
        # Chroma comes in pairs: a row of an odd image has one byte more of it than of luma.
        if semi_planar and width % 2:
            row += 1
            if step < row:
                raise FrameError(f'{what} has step {step}: where its chroma rows begin is not '
                                 f'known; expected an even width, or a step of {row} or more')
        # The last row need not be padded: some drivers leave it out.
        needed = (rows - 1) * step + row
        if self.data.size < needed:
            hint = 'the data were cut short, or height, width or step is wrong'
            if semi_planar and self.data.size == height * step:
                hint = ('if height counts the rows of chroma too, publish the height of the '
                        f'picture, {height * 2 // 3}')
            raise FrameError(f'{what} with step {step} has {self.data.size} bytes, expected at '
                             f'least {needed}: {hint}')
        if encoding not in _WITHOUT_RANGE:
            width -= width % 2
        if semi_planar:
            height -= height % 2
        if not height or not width:
            raise FrameError(f'{what} is too small for its chroma; expected at least 2x2')
        planes: tuple[np.ndarray, ...]
        if semi_planar:
            planes = (self._view((height, width), 0, (step, 1)),
                      self._view((height // 2, width // 2, 2), self.height * step, (step, 2, 1)))
        elif encoding == 'mono8':
            planes = (self._view((height, width), 0, (step, 1)),)
        else:
            channels = _BYTES_PER_PIXEL[encoding]
            planes = (self._view((height, width, channels), 0, (step, channels, 1)),)
        self._set(step=step, hw=(height, width), _planes=planes)

    def _view(self, shape: tuple[int, ...], offset: int,
              strides: tuple[int, ...]) -> np.ndarray:
        return np.ndarray(shape, np.uint8, self.data, offset, strides)

    def _set(self, **attributes: Any) -> None:
        """Set attributes of this frozen object."""
        for name, value in attributes.items():
            object.__setattr__(self, name, value)


def _bytes_view(data: Any) -> np.ndarray:
    """Return a buffer of bytes as uint8 (n,), without a copy where it is a contiguous buffer."""
    if isinstance(data, (list, tuple)):
        try:
            return np.frombuffer(bytes(data), np.uint8)
        except (TypeError, ValueError) as error:
            raise FrameError(f'image data are no bytes: {error}') from error
    try:
        view = memoryview(data)
        if not view.c_contiguous:
            view = memoryview(view.tobytes())
    except TypeError as error:
        raise FrameError(f'image data are {_described(data)}, expected a buffer of '
                         'bytes') from error
    return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)


def _rows_view(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the bytes of a picture's rows, padding included, as uint8 (n,), and the step."""
    step = array.strides[0]
    row = array[0].size if len(array) else 0
    if not row or array.flags.c_contiguous or step < row or not array[0].flags.c_contiguous:
        return np.ascontiguousarray(array).reshape(-1), row
    return np.lib.stride_tricks.as_strided(array, ((len(array) - 1) * step + row,), (1,),
                                           writeable=False), step


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f'{value.dtype} {value.shape}'
    return f'of type {type(value).__name__}'


def _shown(text: Any) -> str:
    """Return in quotes, and shortened, what a message holds: it may be anything."""
    text = str(text)
    return repr(text if len(text) <= 60 else f'{text[:57]}...')
