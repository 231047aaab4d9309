"""`groupbuy market`: what it refuses, and what it says without a running stack."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.added_markets import ADDED_MAX, AddedMarket, added_markets, note_added
from deploy.cli.main import app
from deploy.cli.output import CommandError
from deploy.foreign_broker import write_broker_example
from deploy.permissions import NameRefusedError
from deploy.stack_files import Address, StackError, data_lock, ensure_market_key, write_address


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    with data_lock(made):
        ensure_market_key(made, "main")
    return made


def _run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["market", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def _refused(*arguments: str | Path) -> str:
    with pytest.raises((CommandError, StackError, NameRefusedError)) as refused:
        _run(*arguments)
    return str(refused.value)


def test_without_a_running_stack_a_market_is_prepared_and_listed_beside_those_that_were(data: Path) -> None:
    assert "the next `groupbuy up --data" in _run("add", "east", "--data", data)
    listed = [json.loads(line) for line in _run("list", "--data", data, "--json").splitlines()]
    assert listed == [{"market": "east", "state": "prepared"}, {"market": "main", "state": "stopped"}]


def test_a_market_that_is_taken_away_before_it_began_never_begins(data: Path) -> None:
    _run("add", "east", "--data", data)
    assert json.loads(_run("remove", "east", "--data", data, "--json")) == {"market": "east", "state": "stopped"}
    assert added_markets(data) == {}


@pytest.mark.parametrize("name", ["my market", "a.b", "", "x" * 65])
def test_a_market_that_is_no_name_is_refused(data: Path, name: str) -> None:
    assert f"market {name!r} is no name" in _refused("add", name, "--data", data)


def test_a_market_that_is_there_is_not_added_again(data: Path) -> None:
    _run("add", "east", "--data", data)
    for name in ("east", "main"):
        assert f"the market {name} is there already" in _refused("add", name, "--data", data)


def test_a_market_that_was_not_added_cannot_be_taken_away(data: Path) -> None:
    assert "main is no market that was added" in _refused("remove", "main", "--data", data)


def test_a_data_directory_that_is_none_is_not_made_by_adding_a_market(tmp_path: Path) -> None:
    assert "there is no data directory" in _refused("add", "east", "--data", tmp_path / "typo")
    assert "there is no data directory" in _refused("list", "--data", tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_a_broker_that_is_somebody_elses_takes_no_market(data: Path) -> None:
    write_broker_example(data, "main", ("local",))
    assert "whose users are yours to change" in _refused("add", "east", "--data", data)
    (data / "broker" / "store").mkdir(parents=True)
    assert "the next `groupbuy up" in _run("add", "east", "--data", data)


def test_a_stack_that_takes_no_markets_is_not_waited_for(data: Path) -> None:
    with data_lock(data):
        write_address(data, Address(pid=1, market="demo", nats_url="nats://127.0.0.1:1"))
        assert "takes no further market" in _refused("add", "east", "--data", data)
    assert added_markets(data) == {}


def test_a_port_that_is_taken_is_refused_before_anything_is_written(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port} on 127.0.0.1" in _refused("add", "east", "--http-port", port, "--data", data)
    assert added_markets(data) == {}


def test_a_data_directory_has_so_many_markets_and_no_more(data: Path) -> None:
    for number in range(ADDED_MAX):
        note_added(data, f"m-{number}", AddedMarket(http_port=1))
    assert "to another data directory" in _refused("add", "east", "--data", data)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("east", b"{}", "east.json is not usable"),
        ("east", b"\xff", "east.json is not usable"),
        ("east", b'{"http_port": 1, "more": 1}', "east.json is not usable"),
        ("a.b", b'{"http_port": 1}', "expected the name of a market"),
    ],
)
def test_a_file_of_a_market_that_cannot_be_used_is_named(data: Path, name: str, content: bytes, told: str) -> None:
    note_added(data, "north", AddedMarket(http_port=1))
    (data / "config" / "markets" / f"{name}.json").write_bytes(content)
    assert told in _refused("list", "--data", data)
