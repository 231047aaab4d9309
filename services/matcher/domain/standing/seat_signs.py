"""What seats tell of standing; called where decisions about seats change the state."""

from services.matcher.domain.moment import Moment
from services.matcher.domain.standing import groups
from services.matcher.domain.standing.striking import strike


def seat_lost(moment: Moment, member: str) -> None:
    """Count a seat that was held and never paid."""
    if groups.lost_unpaid(moment.state.standing.seats, member):
        strike(moment, member, "seats_unpaid")


def seat_signalled(moment: Moment, group: str, member: str, device: str) -> None:
    """Note the device from which a seat was taken."""
    if groups.took_seat(moment.state.standing.seats, group, device):
        strike(moment, member, "group_filled_alone")
