"""Times: RFC 3339 with an offset and nothing else, the same whether the second was seen before or not."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import times
from events.times import TIME_END_NS, format_time_ns, parse_time_ns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WRONG = [
    "",
    "Z",
    "2026",
    "2026-11-23",
    "2026-11-23T10:00:00",
    "2026-11-23 10:00:00Z",
    "2026-11-23T10:00Z",
    "2026-11-23T10:00:00.Z",
    "2026-11-23T10:00:00.1234567890Z",
    "2026-11-23T10:00:00,5Z",
    "2026-11-23T10:00:00+0800",
    "2026-11-23T10:00:00+08",
    "2026-11-23T10:00:00+24:00",
    "2026-11-23T10:00:00+08:60",
    "2026-11-23T10:00:00 Z",
    "2026-11-23T10:00:00ZZ",
    "2026-11-23T10:00:00Z\n",
    "2026-11-23T10:00:00.1Z5Z",
    "2026-11-23T10:00:00.+5Z",
    "2026-11-23T10:00:00.1_0Z",
    "2026-11-23T10:00:00. 1Z",
    "2026-11-23T10:00:00.٣Z",
    "2026-11-23T10:00:00.²Z",
    "２026-11-23T10:00:00Z",
    "20261123T100000Z",
    "2026-W48-1T10:00:00Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T10:60:00Z",
    "2026-11-23T10:00:60Z",
    "2026-13-01T10:00:00Z",
    "2026-02-29T10:00:00Z",
    "0000-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00+00:01",
    "2200-01-01T00:00:00Z",
    "2199-12-31T23:59:59-00:01",
    "9999-12-31T23:59:59Z",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_time_is_refused_also_when_its_second_is_known(text: str) -> None:
    for known in ("", "2026-11-23T10:00:00Z", "2026-11-23T10:00:00.5Z", "2026-11-23T10:00:00.5+08:00"):
        if known:
            parse_time_ns(known)
        with pytest.raises(ValueError, match=r"time|date"):
            parse_time_ns(text)


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1_000),
        ("1970-01-01T00:00:01.5z", 1_500_000_000),
        ("1970-01-01t08:00:00.123456789+08:00", 123_456_000),
        ("1969-12-31T23:59:59-00:01", 59_000_000_000),
        ("2199-12-31T23:59:59.999999Z", TIME_END_NS - 1_000),
        ("2026-11-23T10:00:00.1-23:59", 1_795_514_340_100_000_000),
    ],
)
def test_a_time_is_its_nanoseconds_the_first_time_and_again(text: str, at_ns: int) -> None:
    assert parse_time_ns(text) == at_ns
    assert parse_time_ns(text) == at_ns


@given(
    st.integers(2 * 86_400_000_000, TIME_END_NS // 1_000 - 2 * 86_400_000_000),
    st.integers(-1439, 1439),
    st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
def test_every_form_gives_the_same_moment_as_the_standard_library(at_us: int, ahead: int, precision: str) -> None:
    moment = (EPOCH + timedelta(microseconds=at_us)).astimezone(timezone(timedelta(minutes=ahead)))
    text = moment.isoformat(timespec=precision)
    since = datetime.fromisoformat(text) - EPOCH
    expected = since // timedelta(microseconds=1) * 1_000
    assert parse_time_ns(text) == expected
    assert parse_time_ns(text) == expected
    in_utc = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    assert parse_time_ns(in_utc) == expected


@given(st.integers(0, TIME_END_NS - 1))
def test_a_written_time_is_read_to_the_microsecond(at_ns: int) -> None:
    assert parse_time_ns(format_time_ns(at_ns)) == at_ns - at_ns % 1_000


def test_the_memory_of_seconds_is_bounded() -> None:
    for second in range(3 * times._SECONDS_MAX):
        parse_time_ns(format_time_ns(second * times.NS_PER_S))
        parse_time_ns(format_time_ns(second * times.NS_PER_S)[:19] + "Z")
    assert len(times._seconds) <= times._SECONDS_MAX
    assert len(times._whole_seconds) <= times._SECONDS_MAX
