"""The command line: `up | market | demo | publish | watch | import | ledger | vault | member | notifier | bench`."""

import os
import sys

import nats.errors
import typer

from deploy.broker_error import BrokerError
from deploy.cli.bench import bench_app
from deploy.cli.demo import demo
from deploy.cli.import_records import import_app
from deploy.cli.ledger import ledger_app
from deploy.cli.market import market_app
from deploy.cli.member import member_app
from deploy.cli.notifier import notifier_app
from deploy.cli.output import EXIT_INTERRUPTED, EXIT_UNUSABLE, CommandError, say
from deploy.cli.publish import publish
from deploy.cli.up import up
from deploy.cli.vault import vault_app
from deploy.cli.watch import watch
from deploy.identity import IdentityError
from deploy.permissions import NameRefusedError
from deploy.provision import ProvisionError
from deploy.stack_files import StackError
from services.bus.config import ConfigError
from services.bus.connect import ConnectError
from services.bus.journal import JournalBroken

# What a person can do something about; each message says what was wrong and what to do.
_FOR_PEOPLE = (
    CommandError,
    StackError,
    BrokerError,
    IdentityError,
    NameRefusedError,
    ProvisionError,
    ConfigError,
    ConnectError,
    JournalBroken,
)

app = typer.Typer(
    name="groupbuy",
    help="Group-buy matching: every event has one outcome, and the ledger can prove it.",
    epilog="Exit status: 0 done, 1 the check it ran failed, 2 unusable arguments or environment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(demo)
app.command()(publish)
app.command()(watch)
app.add_typer(market_app, name="market")
app.add_typer(import_app, name="import")
app.add_typer(ledger_app, name="ledger")
app.add_typer(vault_app, name="vault")
app.add_typer(member_app, name="member")
app.add_typer(notifier_app, name="notifier")
app.add_typer(bench_app, name="bench")


def main() -> None:
    """Run one command and exit with its status."""
    try:
        app(prog_name="groupbuy")
    except _FOR_PEOPLE as error:
        say(str(error))
        sys.exit(EXIT_UNUSABLE)
    except nats.errors.Error as error:
        say(f"the broker does not answer as it should: {str(error) or type(error).__name__}")
        sys.exit(EXIT_UNUSABLE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
