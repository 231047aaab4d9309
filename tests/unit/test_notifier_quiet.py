"""Quiet hours: windows that wrap midnight, changes of clock, zones that are not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.times import NS_PER_S, parse_time_ns
from services.notifier.policy.quiet import QuietHours, parse_quiet_hours, quiet_text, quiet_until_ns
from services.notifier.zones import zone_of

NIGHT = parse_quiet_hours("22:00-08:00")


def until(window: QuietHours, zone: str, now: str) -> int | None:
    found = zone_of(zone)
    assert found is not None
    return quiet_until_ns(window, found, parse_time_ns(now))


def test_a_window_that_wraps_midnight_lasts_until_the_morning() -> None:
    assert until(NIGHT, "Asia/Shanghai", "2026-03-01T15:00:00Z") == parse_time_ns("2026-03-02T00:00:00Z")
    assert until(NIGHT, "Asia/Shanghai", "2026-03-01T20:00:00Z") == parse_time_ns("2026-03-02T00:00:00Z")
    assert until(NIGHT, "Asia/Shanghai", "2026-03-01T04:00:00Z") is None


def test_both_ends_of_a_window_are_half_open() -> None:
    assert until(NIGHT, "UTC", "2026-03-01T22:00:00Z") is not None
    assert until(NIGHT, "UTC", "2026-03-01T21:59:59.999Z") is None
    assert until(NIGHT, "UTC", "2026-03-02T08:00:00Z") is None


def test_an_end_that_the_clock_jumps_over_comes_with_the_jump() -> None:
    window = parse_quiet_hours("22:00-02:30")
    # In Berlin 02:00 becomes 03:00 on 2026-03-29, at 01:00 UTC.
    assert until(window, "Europe/Berlin", "2026-03-29T00:30:00Z") == parse_time_ns("2026-03-29T01:00:00Z")


def test_an_hour_that_comes_twice_is_quiet_twice() -> None:
    window = parse_quiet_hours("22:00-02:30")
    # In Berlin 03:00 becomes 02:00 on 2026-10-25, at 01:00 UTC: 02:30 comes at 00:30 and at 01:30 UTC.
    assert until(window, "Europe/Berlin", "2026-10-25T00:10:00Z") == parse_time_ns("2026-10-25T00:30:00Z")
    assert until(window, "Europe/Berlin", "2026-10-25T00:40:00Z") is None
    assert until(window, "Europe/Berlin", "2026-10-25T01:10:00Z") == parse_time_ns("2026-10-25T01:30:00Z")


def test_equal_ends_are_no_quiet_hours() -> None:
    assert until(parse_quiet_hours("08:00-08:00"), "UTC", "2026-03-02T08:00:00Z") is None


@pytest.mark.parametrize(
    "text", ["22-08", "24:00-08:00", "22:00", "22:60-01:00", "a:b-c:d", "-1:00-02:00", "２２:00-08:00"]
)
def test_what_is_no_window_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected HH:MM-HH:MM"):
        parse_quiet_hours(text)


@given(
    st.integers(0, 1_439),
    st.integers(0, 1_439),
    st.integers(1_600_000_000, 1_900_000_000),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_quiet_hours_end_and_not_before_their_end(start: int, end: int, now_s: int, name: str) -> None:
    window, zone = QuietHours(start, end), zone_of(name)
    assert zone is not None
    found_ns = quiet_until_ns(window, zone, now_s * NS_PER_S)
    if found_ns is None:
        return
    assert now_s * NS_PER_S < found_ns <= (now_s + 26 * 3_600) * NS_PER_S
    assert quiet_until_ns(window, zone, found_ns) is None, "it is over then"
    assert quiet_until_ns(window, zone, found_ns - NS_PER_S) is not None, "and was not, a second before"


def test_a_window_is_written_as_it_is_read() -> None:
    assert quiet_text(parse_quiet_hours("22:00-08:05")) == "22:00-08:05"
    assert quiet_text(None) is None
