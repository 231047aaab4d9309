"""A dossier in words: the explanation as text, and the index that a person reads. No script, everything escaped."""

import html
from collections.abc import Sequence
from typing import Final

import msgspec

from events.counted import counted
from events.times import format_time_ns
from services.ledger.dossier.contents import Manifest

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.4rem;text-align:left;"
    "vertical-align:top}code{font-size:.85em;overflow-wrap:anywhere}.shut{color:#777}"
)


class ToldEntry(msgspec.Struct, kw_only=True):
    """One entry as the reader may know it; `claimed_at` is what its event says, the accepted time decides."""

    entry: str
    file: str
    at_ns: int
    claimed_at: str | None
    cause: str
    outcome: list[str]
    why: list[str]
    """Why each decision that the reader sees was made, in English and Chinese, as `ledger why` explains it."""
    opened: int
    shut: int


class ToldNotice(msgspec.Struct, kw_only=True):
    """What became of one notice, and the file with the archived fact."""

    file: str
    at_ns: int
    sentence: str


class ToldText(msgspec.Struct, kw_only=True):
    """A text or file that an entry commits to, and whether it is here, erased, or not for this reader."""

    commitment: str
    state: str


def explanation(
    manifest: Manifest, entries: Sequence[ToldEntry], notices: Sequence[ToldNotice], texts: Sequence[ToldText]
) -> str:
    """Return what happened, entry by entry, in words."""
    lines = [
        f"{manifest.about} in market {manifest.market}, for {_for_whom(manifest)}",
        f"Made {manifest.made_at} of {counted(manifest.entries, 'entry', 'entries')} of the log {manifest.origin}.",
        "",
    ]
    for told in entries:
        claimed = f" (its event says {told.claimed_at})" if told.claimed_at else ""
        lines.append(f"{format_time_ns(told.at_ns)}{claimed}  entry {told.entry}: {told.cause}")
        lines += [f"    -> {each}" for each in told.outcome]
        lines += [f"       {each}" for each in told.why]
        if told.shut:
            shut = counted(told.shut, "part concerns others and stays shut", "parts concern others and stay shut")
            lines.append(f"    {shut}; the log commits to {'it' if told.shut == 1 else 'them'}.")
    lines += ["", *(f"{format_time_ns(told.at_ns)}  notice {told.file}: {told.sentence}" for told in notices)]
    lines += ["", *(f"text {text.commitment}: {text.state}" for text in texts)]
    return "\n".join(lines).rstrip("\n") + "\n"


def index_page(
    manifest: Manifest, entries: Sequence[ToldEntry], notices: Sequence[ToldNotice], texts: Sequence[ToldText]
) -> str:
    """Return the page that leads through the dossier."""
    title = _safe(f"Dossier: {manifest.about}")
    rows = "".join(map(_row, entries))
    listed = "".join(f"<li><code>{_safe(text.commitment)}</code>: {_safe(text.state)}</li>" for text in texts)
    said = "".join(
        f"<li>{format_time_ns(told.at_ns)}: {_safe(told.sentence)} (<code>{_safe(told.file)}</code>)</li>"
        for told in notices
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>Market {_safe(manifest.market)}, for {_safe(_for_whom(manifest))}, made {_safe(manifest.made_at)}. "
        f"Log <code>{_safe(manifest.origin)}</code>, signed tree in <code>checkpoint.note</code>.</p>"
        f"<p>{counted(manifest.entries, 'entry', 'entries')}; {counted(manifest.parts_opened, 'part is', 'parts are')} "
        f"opened, {counted(manifest.parts_shut, 'concerns others and stays', 'concern others and stay')} shut: the log "
        f"commits to {'it' if manifest.parts_shut == 1 else 'them'} all the same.</p>"
        "<p>Check it yourself: <code>groupbuy ledger verify-dossier FILE --key VKEY</code>, or "
        "<code>node verify-dossier.mjs FILE --key VKEY</code>. VKEY is the log's key: get it from whom you trust.</p>"
        f"<table><tr><th>Accepted</th><th>Entry</th><th>What happened</th></tr>{rows}</table>"
        f"{f'<h2>Notices</h2><ul>{said}</ul>' if said else ''}"
        f"{f'<h2>Texts and files</h2><ul>{listed}</ul>' if listed else ''}"
        "<p>The same as text: <code>explanation.txt</code>.</p></body></html>\n"
    )


def _row(told: ToldEntry) -> str:
    outcome = "".join(f"<li>{_safe(each)}</li>" for each in told.outcome)
    why = "".join(f"<li>{_safe(each)}</li>" for each in told.why)
    shut = f'<p class="shut">{counted(told.shut, "part stays", "parts stay")} shut.</p>' if told.shut else ""
    claimed = f"<br><small>claimed {_safe(told.claimed_at)}</small>" if told.claimed_at else ""
    return (
        f"<tr><td>{_safe(format_time_ns(told.at_ns))}{claimed}</td>"
        f"<td>{_safe(told.entry)}<br><code>{_safe(told.file)}</code></td>"
        f"<td>{_safe(told.cause)}<ul>{outcome}{why}</ul>{shut}</td></tr>"
    )


def _for_whom(manifest: Manifest) -> str:
    return "an auditor" if manifest.audience == "auditor" else f"{manifest.audience} {manifest.reader}"


def _safe(text: str) -> str:
    return html.escape(text, quote=True)
