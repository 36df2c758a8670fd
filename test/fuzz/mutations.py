"""Inputs that were valid until somebody changed them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

# Where sizes, lengths and offsets turn over.
EDGES = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536,
         2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)


@st.composite
def mutated(draw, originals: Sequence[bytes], most: int = 6) -> bytes:
    """Draw one of the originals, changed in up to `most` places."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, most))):
        # Headers decide more than what follows them.
        end = draw(st.sampled_from([min(len(data), 64), min(len(data), 700), len(data)]))
        at = draw(st.integers(0, end))
        length = draw(st.sampled_from([1, 1, 2, 4, 16, 200]))
        change = draw(st.sampled_from(['byte', 'number', 'insert', 'remove', 'repeat', 'cut']))
        if change == 'byte':
            data[at:at + 1] = bytes([draw(st.integers(0, 255))])
        elif change == 'number':
            size = draw(st.sampled_from([2, 4, 8]))
            order = draw(st.sampled_from(['big', 'little']))
            number = draw(st.sampled_from(EDGES)) % 256**size
            data[at:at + size] = number.to_bytes(size, order)
        elif change == 'insert':
            data[at:at] = draw(st.binary(max_size=12))
        elif change == 'remove':
            del data[at:at + length]
        elif change == 'repeat':
            data[at:at] = data[at:at + length] * draw(st.sampled_from([1, 1, 3, 40]))
        else:
            del data[at:]
    return bytes(data)
