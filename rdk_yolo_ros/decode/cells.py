"""The stored numbers of a head or of a table's columns, a row for each cell, always as a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

import numpy as np

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.head_layout import Head, Table
from rdk_yolo_ros.tensors import TensorInfo, dequantize, stored_threshold

Limit = Union[float, np.ndarray]


class ScatteredCells:
    """
    The channels of N cells that do not lie close together in one frame's tensor.

    Those that do are a plain C-contiguous array (N, channels): see `Cells`.
    """

    __slots__ = ('_rows',)

    def __init__(self, rows: np.ndarray) -> None:
        """Take a view (N, channels) of any strides."""
        self._rows = rows

    def above(self, limit: Limit) -> np.ndarray:
        """Return the ascending indices of the cells with a number above the limit, intp (n,)."""
        return np.flatnonzero((self._rows > limit).any(axis=1))

    def take(self, cells: np.ndarray, axis: int) -> np.ndarray:
        """Return the stored numbers of the cells, (n, channels), a copy; `axis` is 0."""
        # numpy's take would copy the whole of them first.
        return self._rows[cells]


class PaddedCells(ScatteredCells):
    """
    The cells of a picture whose rows are padded, where they are.

    Between two rows of the grid there are cells that belong to nobody, and which this class steps
    over.
    """

    __slots__ = ('_pitch', '_width')

    def __init__(self, rows: np.ndarray, width: int, pitch: int) -> None:
        """Take a view (cells, channels), padding included; and a row's length without and with."""
        super().__init__(rows)
        self._width = width
        self._pitch = pitch

    def above(self, limit: Limit) -> np.ndarray:
        """Return the ascending indices of the cells with a number above the limit, intp (n,)."""
        row, column = np.divmod(super().above(limit), self._pitch)
        return (row * self._width + column)[column < self._width]

    def take(self, cells: np.ndarray, axis: int) -> np.ndarray:
        """Return the stored numbers of the cells, (n, channels), a copy; `axis` is 0."""
        return super().take(cells // self._width * self._pitch + cells % self._width, axis)


Cells = Union[np.ndarray, ScatteredCells]
"""One frame's numbers of N cells: `take(cells, 0)`, and `cells_above`.

An array where they lie close together, which is nearly always: numpy's own methods cost least.
"""


def cells_above(parts: Sequence[Cells], limits: Sequence[Limit],
                firsts: Sequence[int]) -> np.ndarray:
    """
    Return the ascending indices of the cells with a number above their part's limit, intp (n,).

    Args:
        parts: cells of equally many channels.
        limits: one for each part.
        firsts: the index of each part's first cell.

    """
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts):
        return _places_above(arrays, limits)
    return np.concatenate([
        (_places_above([part], [limit]) if isinstance(part, np.ndarray) else part.above(limit))
        + first for part, limit, first in zip(parts, limits, firsts)])


class HeadChannels:
    """
    Where to find a head's numbers.

    Attributes:
        info: for dequantizing them.
        channels: how many there are in a cell.

    """

    def __init__(self, head: Head) -> None:
        """Take a head of the layout."""
        self.info = head.info
        self.channels = head.channels
        self._index = head.index
        self._shape, self._dtype = head.info.shape, head.info.dtype
        self._is_real = head.info.scale is None and head.info.dtype == np.float32
        self._last = head.channels_last
        self._plain = self._is_real and self._last
        self._flat = (-1, head.channels) if head.channels_last else (head.channels, -1)

    def cells(self, tensors: Sequence[np.ndarray]) -> Cells:
        """
        Return the head's cells in one frame's tensors.

        Raises:
            ModelError: the tensor is not the one that the layout describes.

        """
        values = self.values(tensors)
        if values.flags.c_contiguous:
            rows = values.reshape(self._flat)
            return rows if self._last else ScatteredCells(rows.T)
        return _padded_cells(values[0] if self._last else values[0].transpose(1, 2, 0))

    def values(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        """
        Return the head's stored numbers in its own layout, a view.

        Raises:
            ModelError: the tensor is not the one that the layout describes.

        """
        values = tensors[self._index]
        if values.shape == self._shape and values.dtype == self._dtype:
            return values
        return _valid(self.info, values)

    def real(self, stored: np.ndarray) -> np.ndarray:
        """Return the real values of stored numbers, float32."""
        return stored if self._is_real else dequantize(stored, self.info)

    def read(self, tensors: Sequence[np.ndarray], cells: np.ndarray, out: np.ndarray) -> None:
        """Write one frame's real values of cells to `out`, float32 (n, channels); ModelError."""
        values = tensors[self._index]
        if self._plain and values.shape == self._shape and values.dtype == self._dtype \
                and values.flags.c_contiguous:
            # The mode spares numpy a copy of `out`; every cell is one of the head's.
            values.reshape(self._flat).take(cells, 0, out, 'clip')
        else:
            out[:] = dequantize(self.cells(tensors).take(cells, 0), self.info)


class TableColumns:
    """
    Where to find some of a table's columns; a row of the table is a cell.

    Attributes:
        info: for dequantizing them.
        channels: how many there are.

    """

    def __init__(self, table: Table, first: int, last: int) -> None:
        """Take the columns first .. last-1."""
        self._table = table
        self._columns = slice(first, last)
        self.channels = last - first
        whole = table.info
        self.info = TensorInfo(whole.name, (1, table.rows, self.channels), whole.dtype,
                               scale=self._of_columns(whole.scale),
                               zero_point=self._of_columns(whole.zero_point), quantize_axis=2)

    def cells(self, tensors: Sequence[np.ndarray]) -> Cells:
        """
        Return the columns in one frame's tensors.

        Raises:
            ModelError: the tensor is not the one that the layout describes.

        """
        return ScatteredCells(self.values(tensors))

    def values(self, tensors: Sequence[np.ndarray]) -> np.ndarray:
        """
        Return the columns' stored numbers, (rows, columns), a view.

        Raises:
            ModelError: the tensor is not the one that the layout describes.

        """
        return table_values(self._table, tensors)[:, self._columns]

    def real(self, stored: np.ndarray) -> np.ndarray:
        """Return the real values of stored numbers, float32."""
        return dequantize(stored, self.info)

    def read(self, tensors: Sequence[np.ndarray], cells: np.ndarray, out: np.ndarray) -> None:
        """Write one frame's real values of rows to `out`, float32 (n, channels); ModelError."""
        out[:] = dequantize(self.cells(tensors).take(cells, 0), self.info)

    def _of_columns(self, values: Optional[np.ndarray]) -> Optional[np.ndarray]:
        if values is None or len(values) == 1:
            return values
        return values[self._columns]


Channels = Union[HeadChannels, TableColumns]


def head_values(head: Head, tensors: Sequence[np.ndarray]) -> np.ndarray:
    """
    Return a head's stored numbers without batch and padding, (h, w, c) or (c, h, w), a view.

    Raises:
        ModelError: the tensor is not the one that the layout describes.

    """
    return _valid(head.info, tensors[head.index])[0]


def table_values(table: Table, tensors: Sequence[np.ndarray]) -> np.ndarray:
    """
    Return a table's stored numbers without batch and padding, (rows, columns), a view.

    Raises:
        ModelError: the tensor is not the one that the layout describes.

    """
    values = _valid(table.info, tensors[table.index])
    if table.rows_first:
        return values.reshape(table.rows, table.columns)
    return values.reshape(table.columns, table.rows).T


def stored_limit(channels: Channels, real: Limit) -> Limit:
    """
    Return the limit t, in the channels' own numbers, such that stored > t where real > `real`.

    real: one limit, or float64 (channels,) one for each.
    """
    if isinstance(real, float):
        return stored_threshold(channels.info, real)
    limits = [stored_threshold(channels.info, float(limit)) for limit in real]
    # Each is one number, or one for every channel, of which this channel's counts.
    return np.array([np.broadcast_to(limit, len(limits))[i] for i, limit in enumerate(limits)])


def _valid(info: TensorInfo, tensor: np.ndarray) -> np.ndarray:
    try:
        return info.valid(tensor)
    except ValueError as error:
        raise ModelError(str(error)) from None


def _padded_cells(values: np.ndarray) -> Cells:
    """Return the cells of (h, w, c) values that do not lie close together in memory."""
    height, width, channels = values.shape
    down, across, deep = values.strides
    if 1 in (height, width) or across <= 0 or down % across or down < width * across:
        # No padding between rows, or none known to anybody; a view, or a copy.
        return ScatteredCells(values.reshape(-1, channels))
    pitch = down // across
    # Every address lies between those of the first and the last cell.
    rows = np.lib.stride_tricks.as_strided(
        values, ((height - 1) * pitch + width, channels), (across, deep), writeable=False)
    return ScatteredCells(rows) if pitch == width else PaddedCells(rows, width, pitch)


def _places_above(arrays: Sequence[np.ndarray], limits: Sequence[Limit]) -> np.ndarray:
    """Return the ascending indices of the rows of C-contiguous arrays with a number above."""
    channels = arrays[0].shape[1]
    above = np.empty((sum(map(len, arrays)), channels), bool)
    start = 0
    for stored, limit in zip(arrays, limits):
        np.greater(stored, limit, out=above[start:start + len(stored)])
        start += len(stored)
    # Few elements pass: finding them all at once beats reducing row by row, and eight flags are
    # looked at like one.
    if channels % 8 == 0:
        places = (above.view(np.uint64).ravel() != 0).nonzero()[0]
        channels //= 8
    else:
        places = above.ravel().nonzero()[0]
    if channels == 1 or len(places) == 0:
        return places
    places //= channels
    first = np.empty(len(places), bool)
    first[0] = True
    np.not_equal(places[1:], places[:-1], out=first[1:])
    return places[first]
