"""What belongs to standing, as the engine registers it."""

from collections.abc import Callable
from typing import Any, Final

from events import member_standing as m
from services.matcher.domain.plays.judging import Detection
from services.matcher.domain.standing import detecting, telling
from services.matcher.domain.turn import Turn

RULES: Final[dict[type, Callable[[Turn, Any], None]]] = {
    m.MemberReportedEvent: telling.report,
    m.MemberSanctionedEvent: telling.sanction,
    m.MemberReinstatedEvent: telling.reinstate,
}
ALARMS: Final = telling.alarms
ALARM_RULES: Final = telling.ALARM_RULES
DETECTION: Final = Detection(judge=detecting.judge, note=detecting.note)
