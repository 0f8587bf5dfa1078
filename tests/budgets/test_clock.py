"""Moments: how long ago, told by another process of the same boot, or not at all."""

from __future__ import annotations

import subprocess
import sys
import time

from hypothesis import given
from hypothesis import strategies as st

from budgets.clock import MonotonicClock, moment, since_s

BOOT = "6b1f"


@given(st.integers(0, 10**12), st.integers(0, 10**9))
def test_the_time_between_two_moments_of_a_boot_is_their_difference(then_ms, passed_ms):
    assert since_s(f"{BOOT}/{then_ms}", f"{BOOT}/{then_ms + passed_ms}") == passed_ms / 1000


@given(st.integers(0, 10**12), st.integers(1, 10**9))
def test_what_cannot_be_compared_is_not_known(ms, more_ms):
    assert since_s(f"{BOOT}/{ms}", f"other/{ms + more_ms}") is None
    assert since_s(f"{BOOT}/{ms + more_ms}", f"{BOOT}/{ms}") is None
    assert since_s("", f"{BOOT}/{ms}") is None
    assert since_s(f"{BOOT}/{ms}", "") is None


def test_another_process_of_this_machine_can_tell_how_long_ago_it_was():
    then = moment()
    time.sleep(0.05)
    words = "from budgets.clock import moment; print(moment())"
    now = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    passed_s = since_s(then, now.stdout.strip())
    assert passed_s is not None
    assert 0.05 <= passed_s < 60


def test_the_monotonic_clock_never_goes_back():
    clock = MonotonicClock()
    readings = [clock.now_s() for _ in range(1000)]
    assert readings == sorted(readings)
