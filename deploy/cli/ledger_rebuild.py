"""`groupbuy ledger rebuild`: everything that follows from the records made anew: index, summaries, tiles."""

from pathlib import Path

import msgspec
import typer

from deploy.cli.ledger_log import market_key_file
from deploy.cli.ledger_print import print_json, print_line
from deploy.cli.ledger_replay import LedgerAccess
from deploy.cli.output import DEFAULT_DATA, DataOption, JsonOption, MarketOption
from deploy.stack_files import data_lock
from events.counted import counted
from services.ledger.market_key import read_market_key
from services.ledger.store import LedgerStore
from services.ledger.tree import has_tree
from services.ledger.verify import Progress


class Rebuilt(msgspec.Struct, kw_only=True):
    """What was made anew."""

    market: str
    records: int
    entries: int
    leaves: int


def add_rebuild_command(app: typer.Typer, access: LedgerAccess) -> None:
    """Add the command to `app`."""

    @app.command("rebuild")
    def rebuild_command(
        data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False
    ) -> None:
        """Delete index and tiles and make them anew from the records; the stack must be stopped."""
        # Opened for reading first: nothing is made where there is no ledger.
        with access.opened(data, market) as store:
            name, keeps_tree = store.market, has_tree(store)
            with data_lock(data.resolve()), access.progress("rebuilding") as progress:
                key = read_market_key(market_key_file(data, name)) if keeps_tree else None
                rebuilt = _rebuild(access.url(data), name, data, key, progress)
        if as_json:
            print_json(rebuilt)
        else:
            entries = counted(rebuilt.entries, "entry", "entries")
            are = "is" if rebuilt.records == 1 else "are"
            print_line(f"{counted(rebuilt.records, 'record')} with {entries} {are} indexed anew.")
            leaves = counted(rebuilt.leaves, "leaf", "leaves")
            print_line(f"The tree over them has {leaves}." if key is not None else "There is no tree.")


def _rebuild(url: str, market: str, data: Path, key: bytes | None, progress: Progress) -> Rebuilt:
    with LedgerStore.open(url, market, data_dir=data, market_key=key) as store:
        store.drop_derived()
    # Opening it again makes the index, and the tree begins with nothing.
    with LedgerStore.open(url, market, data_dir=data, market_key=key) as store:
        while store.tree is not None and store.build_tree():
            progress(store.tree.size, store.tree.size + store.tree_lag)
        (count,) = store.query("SELECT count(*) FROM @records")[0]
        leaves = 0 if store.tree is None else store.tree.size
        return Rebuilt(market=market, records=count, entries=store.entries_archived(), leaves=leaves)
