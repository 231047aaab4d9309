"""Days, weeks and quiet hours by the pinned time zones, against the plain way with zoneinfo."""

from datetime import UTC, date, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.times import TIME_END_NS, parse_time_ns
from services.bus import timezones
from services.matcher.domain.calendar import date_of, day_end_ns, minute_of, quiet_until_ns, week_end_ns
from services.matcher.domain.facts import ZoneOffsets
from services.matcher.zones import pinned_zones

S = 10**9
ZONES = pinned_zones()
# Zones in which something odd happens: changes at midnight, half hours, a date that was skipped, Ramadan.
ODD = [
    "UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "Asia/Beirut",
    "Africa/Cairo", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "America/Havana",
]  # fmt: skip
TIMES_S = st.integers(0, TIME_END_NS // S - 30 * 86_400)


def _plain(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


def _offsets(name: str) -> ZoneOffsets:
    return ZONES.offsets(name)


def _local(zone: ZoneInfo, at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).astimezone(zone)


@given(st.sampled_from(sorted(ZONES.names)), TIMES_S)
@settings(max_examples=300, deadline=None)
def test_every_zone_has_the_offset_that_its_file_says(name: str, at_s: int) -> None:
    zone = _plain(name)
    days = (_local(zone, at_s).date() - date(1970, 1, 1)).days
    assert date_of(_offsets(name), at_s * S) == days
    for change_s in _offsets(name).changes_s[-3:]:
        before, after = _local(zone, change_s - 1).utcoffset(), _local(zone, change_s).utcoffset()
        assert before != after


@given(st.sampled_from(ODD), TIMES_S)
@settings(max_examples=200, deadline=None)
def test_a_day_and_a_week_end_at_the_first_instant_of_a_later_one(name: str, at_s: int) -> None:
    zone, offsets = _plain(name), _offsets(name)
    today = _local(zone, at_s).date()
    for end_ns, is_later in (
        (day_end_ns(offsets, at_s * S), lambda d: d > today),
        (week_end_ns(offsets, at_s * S), lambda d: d.isocalendar()[:2] > today.isocalendar()[:2]),
    ):
        end_s, rest = divmod(end_ns, S)
        assert rest == 0 and end_s > at_s
        assert is_later(_local(zone, end_s).date()) and not is_later(_local(zone, end_s - 1).date())
        steps = range(at_s, end_s, max(1, (end_s - at_s) // 400))
        assert not any(is_later(_local(zone, step_s).date()) for step_s in steps)


@given(st.sampled_from(ODD), TIMES_S, st.integers(0, 1439), st.integers(0, 1439))
@settings(max_examples=300, deadline=None)
def test_quiet_hours_are_those_of_the_members_own_clock(name: str, at_s: int, begins: int, ends: int) -> None:
    zone = _plain(name)

    def is_quiet(moment_s: int) -> bool:
        local = _local(zone, moment_s)
        minute = local.hour * 60 + local.minute
        return begins <= minute < ends if begins <= ends else not ends <= minute < begins

    until_ns = quiet_until_ns(_offsets(name), at_s * S, begins, ends)
    if until_ns is None:
        assert not is_quiet(at_s)
        return
    until_s = until_ns // S
    assert is_quiet(at_s) and not is_quiet(until_s) and is_quiet(until_s - 1)
    assert all(is_quiet(moment_s) for moment_s in range(at_s, until_s, 60))


def _at(text: str) -> int:
    return parse_time_ns(text)


@pytest.mark.parametrize(
    ("zone", "during", "ends"),
    [
        ("Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-30T00:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25T00:30:00+02:00", "2026-10-26T00:00:00+01:00"),
        # Midnight does not exist: the clock goes from 23:59:59 to 01:00.
        ("America/Sao_Paulo", "2018-11-03T12:00:00-03:00", "2018-11-04T01:00:00-02:00"),
        # The day has 23:00 to midnight twice; it ends once.
        ("America/Sao_Paulo", "2018-02-17T23:30:00-02:00", "2018-02-18T00:00:00-03:00"),
        # One minute past midnight the clock went back to yesterday: a later date had begun all the same.
        ("America/St_Johns", "2010-11-06T12:00:00-02:30", "2010-11-07T00:00:00-02:30"),
        ("America/St_Johns", "2010-11-07T00:00:30-02:30", "2010-11-08T00:00:00-03:30"),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00"),
    ],
)
def test_a_day_ends_as_its_zone_has_it(zone: str, during: str, ends: str) -> None:
    assert day_end_ns(_offsets(zone), _at(during)) == _at(ends)


@pytest.mark.parametrize(
    ("begins", "ends", "at", "until"),
    [
        ("22:00", "08:00", "2026-01-10T23:00:00+01:00", "2026-01-11T08:00:00+01:00"),
        ("22:00", "08:00", "2026-01-10T22:00:00+01:00", "2026-01-11T08:00:00+01:00"),
        ("22:00", "08:00", "2026-01-10T08:00:00+01:00", None),
        # 02:30 does not exist on this day: quiet is over when the clock jumps to 03:00.
        ("22:00", "02:30", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        # 02:30 comes twice on this day, and each time quiet is over.
        ("22:00", "02:30", "2026-10-25T02:10:00+02:00", "2026-10-25T02:30:00+02:00"),
        ("22:00", "02:30", "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"),
        ("08:00", "08:00", "2026-01-10T08:00:00+01:00", None),
    ],
)
def test_quiet_hours_wrap_midnight_and_survive_changes_of_the_clock(
    begins: str, ends: str, at: str, until: str | None
) -> None:
    found = quiet_until_ns(_offsets("Europe/Berlin"), _at(at), minute_of(begins), minute_of(ends))
    assert found == (None if until is None else _at(until))


def test_a_zone_that_does_not_exist_has_no_offsets() -> None:
    with pytest.raises(KeyError):
        timezones.offsets("Asia/Atlantis")
    with pytest.raises(KeyError):
        timezones.offsets("../../../etc/passwd")


def test_a_rule_for_the_years_to_come_is_spelled_out_to_the_last_time_that_an_event_may_carry() -> None:
    last = datetime.fromtimestamp(timezones.offsets("Europe/Berlin").changes_s[-1], UTC)
    assert last == datetime(2199, 10, 27, 1, tzinfo=UTC)
    assert last + timedelta(days=365) > datetime.fromtimestamp(TIME_END_NS // S, UTC)
