from __future__ import annotations

import threading
import time

import pytest

from scanner.delta.stream import each


def test_results_come_in_order_whatever_ends_first() -> None:
    def slow_first(i: int) -> int:
        time.sleep(0.02 if i == 0 else 0)
        return i

    assert list(each(range(50), slow_first)) == list(range(50))


def test_no_more_than_a_few_items_are_ahead_of_the_reader() -> None:
    started = []
    results = each(range(1000), lambda i: started.append(i) or i)  # type: ignore[func-returns-value]
    next(results)
    time.sleep(0.05)
    assert len(started) < 100
    results.close()  # type: ignore[attr-defined]


def test_an_error_is_raised_where_the_results_are_read() -> None:
    def fail(i: int) -> int:
        if i == 3:
            raise ValueError("no")
        return i

    with pytest.raises(ValueError, match="no"):
        list(each(range(10), fail))


def test_the_blas_runs_on_one_thread_meanwhile() -> None:
    from threadpoolctl import threadpool_info

    seen = list(each([0], lambda _: {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}))
    assert seen == [{1}]
    assert threading.active_count() < 50
