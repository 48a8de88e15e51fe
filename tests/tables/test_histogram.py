"""The bounded histogram against NumPy on the same numbers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.histogram import MAX_BINS, Histogram


def counted(numbers: list[int]) -> Histogram:
    histogram = Histogram()
    for number in numbers:
        histogram = histogram.plus(number)
    return histogram


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-100, 100), min_size=1, max_size=80))
def test_median_and_mad_are_exact_while_every_number_has_its_bin(numbers: list[int]) -> None:
    median = float(np.median(numbers))
    mad = float(np.median(np.abs(np.array(numbers) - median)))
    assert counted(numbers).median_and_mad() == (median, mad)


def test_many_distinct_numbers_share_bins() -> None:
    numbers = np.random.default_rng(0).permutation(1440).tolist()
    histogram = counted(numbers)
    assert len(histogram.bins) <= MAX_BINS
    assert histogram.counts.sum() == 1440
    width = 1 << histogram.shift
    median, mad = histogram.median_and_mad()
    assert abs(median - 719.5) <= width
    assert abs(mad - 360) <= width


def test_counting_leaves_the_histogram_before_it_alone() -> None:
    before = counted([1, 2, 2])
    packed = before.pack()
    before.plus(2)
    before.plus(9)
    assert before.pack() == packed


def test_packing_round_trip() -> None:
    histogram = counted(list(range(0, 4000, 3)))
    packed = b"xx" + histogram.pack()
    again, end = Histogram.unpack_from(packed, 2)
    assert end == len(packed)
    assert again.pack() == histogram.pack()
    assert again.median_and_mad() == histogram.median_and_mad()
