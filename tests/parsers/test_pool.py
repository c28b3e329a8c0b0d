"""Buffers are used again, and never while somebody still refers to a part of one."""

import pytest

from parsers.pool import Pool

SIZES = (10, 100_000, 5 << 20)


@pytest.mark.parametrize("size", SIZES)
def test_a_buffer_that_nobody_refers_to_is_used_again(size: int) -> None:
    pool = Pool()
    first = pool.take(size)
    place = first.ctypes.data
    del first
    again = pool.take(size - size // 10)
    assert (again.ctypes.data, again.size) == (place, size - size // 10)


@pytest.mark.parametrize("size", SIZES)
def test_a_part_of_a_buffer_keeps_all_of_it(size: int) -> None:
    pool = Pool()
    first = pool.take(size)
    first[:] = 7
    part = first.view("u1")[3:8]
    del first
    for _ in range(20):
        pool.take(size)[:] = 9
    assert part.tolist() == [7] * 5


def test_buffers_taken_at_the_same_time_do_not_overlap() -> None:
    pool = Pool()
    taken = [pool.take(size) for size in (1000, 1000, 3 << 20, 1500, 3 << 20, *[2000] * 30)]
    for number, buffer in enumerate(taken):
        buffer[:] = number
    assert all((buffer == number).all() for number, buffer in enumerate(taken))


def test_a_small_request_does_not_take_a_large_buffer() -> None:
    pool = Pool()
    large = pool.take(4 << 20).ctypes.data
    small = pool.take(100)
    assert not 0 <= small.ctypes.data - large < 4 << 20
