"""How far each service of a running stack has come, asked of the services themselves."""

import asyncio
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from deploy.permissions import LEDGER, MATCHER, NOTIFIER
from deploy.reach import http_get
from deploy.stack import Stack
from events import subjects


class Reached(NamedTuple):
    """Entries that were decided, archived, and told as outcomes and as results, since the processes began.

    Results are told for some entries only, so what counts is the record that they have reached, as entries by the
    mean size of a record.
    """

    decided: float
    archived: float
    outcomes: float
    results: float

    def behind(self, first: "Reached", published: int) -> dict[str, float]:
        """Return by how many events each is behind `published`, which were published since `first`."""
        return {
            name: max(0.0, published - (now - then)) for name, now, then in zip(self._fields, self, first, strict=True)
        }


async def reached(stack: Stack) -> Reached:
    """Ask every service how far it has come."""
    matcher, ledger, notifier = await asyncio.gather(*(metrics_of(stack, name) for name in (MATCHER, LEDGER, NOTIFIER)))
    entries, records = matcher["groupbuy_matcher_entries_total"], matcher["groupbuy_matcher_records_total"]
    return Reached(
        decided=entries,
        archived=ledger["groupbuy_ledger_entries_total"],
        outcomes=_told(notifier, subjects.outcomes_stream(stack.market), entries, records),
        results=_told(notifier, subjects.results_stream(stack.market), entries, records),
    )


def _told(notifier: dict[str, float], channel: str, entries: float, records: float) -> float:
    """Return the entries through the last record that a channel (by its stream's name) has told."""
    return entries - (records - notifier[f"groupbuy_notifier_record {channel}"]) * entries / max(1.0, records)


async def metrics_of(stack: Stack, service: str) -> dict[str, float]:
    """Return the service's metrics by name and, where it has one, channel."""
    _, body = await http_get(f"{stack.address.services[service]}/metrics")
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
