"""Index arithmetic over consecutive groups, beside ``np.repeat`` and ``reduceat``."""

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Int64


def starts_of(lengths: NDArray[np.integer]) -> Int64:
    """Return (n + 1,) positions at which groups of these (n,) lengths start, and the end."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def counted(lengths: NDArray[np.integer]) -> Int64:
    """Return 0, 1, … within each group: (sum of lengths,) int64."""
    starts = starts_of(lengths)
    within: Int64 = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    return within


def spans(firsts: NDArray[np.integer], lengths: NDArray[np.integer]) -> Int64:
    """Return the positions ``firsts[i], firsts[i] + 1, …`` of all groups, one after the other."""
    starts = starts_of(lengths)
    positions: Int64 = np.arange(starts[-1]) + np.repeat(firsts - starts[:-1], lengths)
    return positions


def changes(*keys: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return (n,) bool: whether any of the keys differs from the element before; the first does."""
    begins = np.ones(len(keys[0]), np.bool_)
    if len(begins) > 1:
        np.not_equal(keys[0][1:], keys[0][:-1], out=begins[1:])
        for key in keys[1:]:
            begins[1:] |= key[1:] != key[:-1]
    return begins
