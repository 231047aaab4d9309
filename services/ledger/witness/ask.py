"""Asking a witness: for a cosignature, as a log does, and for what it remembers, as anybody may."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx2
import msgspec

from services.ledger.faults import LedgerError
from services.ledger.note import COSIGNATURE, NoteError, NoteSignature, VerifierKey, open_note
from services.ledger.witness.request import encode_request, parse_size

TIMEOUT_S: Final = 5.0
ANSWER_MAX_BYTES: Final = 1_000_000


class WitnessAway(LedgerError):
    """The witness does not answer, or not as it should; later it may."""


class WitnessDisagrees(LedgerError):
    """The witness has seen another log than this: longer, or with another beginning."""


class OtherSize(Exception):
    """The witness cosigned a tree of another size last."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} leaves")
        self.size = size


class WitnessPlace(msgspec.Struct, frozen=True):
    """Where a witness is asked, and the key it cosigns with."""

    url: str
    key: VerifierKey

    @classmethod
    def parse(cls, url: str, key: str) -> "WitnessPlace":
        """Return the witness at `url` with the verifier key `key`. Raises LedgerError when it is none."""
        try:
            return cls(url.rstrip("/"), VerifierKey.parse(key, COSIGNATURE))
        except NoteError as error:
            raise LedgerError(f"the key of the witness at {url[:200]}: {error}") from None


async def ask_cosignature(
    client: httpx2.AsyncClient, place: WitnessPlace, old_size: int, proof: list[bytes], note: str
) -> NoteSignature:
    """Return the witness's cosignature of the checkpoint `note`, verified.

    Raises OtherSize when it cosigned a tree of another size last, WitnessDisagrees when it refuses the proof,
    WitnessAway for everything else.
    """
    try:
        answer = await client.post(
            f"{place.url}/add-checkpoint", content=encode_request(old_size, proof, note), timeout=TIMEOUT_S
        )
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise WitnessAway(f"{place.url} does not answer: {str(error) or type(error).__name__}") from None
    said = answer.text[:200].strip()
    if answer.status_code == 409:
        size = parse_size(said)
        if size is None:
            raise WitnessAway(f"{place.url} answers 409 with {said!r}, which is no tree size")
        raise OtherSize(size)
    if answer.status_code == 422:
        raise WitnessDisagrees(f"{place.url} does not find that the tree goes on from the one it cosigned: {said}")
    if answer.status_code != 200:
        raise WitnessAway(f"{place.url} answers {answer.status_code}: {said}")
    try:
        return open_note(note.encode() + answer.content[:ANSWER_MAX_BYTES], [place.key]).signatures[0]
    except NoteError as error:
        raise WitnessAway(f"{place.url} does not cosign with {place.key.text()}: {error}") from None


def remembered_by(source: str, origin: str) -> bytes:
    """Return the note that a witness keeps of a log: from its URL, or from the file that holds it.

    Raises LedgerError when there is none.
    """
    if source.startswith(("http://", "https://")):
        return fetch(f"{source.rstrip('/')}/checkpoint?origin={quote(origin, safe='')}")
    try:
        with Path(source).open("rb") as file:
            return file.read(ANSWER_MAX_BYTES)
    except OSError as error:
        raise LedgerError(f"the witness's file {source} cannot be read: {error.strerror}") from None


def fetch(url: str) -> bytes:
    """Return what is at `url`. Raises WitnessAway when it is not there."""
    try:
        answer = httpx2.get(url, timeout=TIMEOUT_S)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise WitnessAway(f"{url} does not answer: {str(error) or type(error).__name__}") from None
    if answer.status_code != 200:
        raise WitnessAway(f"{url} answers {answer.status_code}: {answer.text[:200].strip()}")
    return answer.content[:ANSWER_MAX_BYTES]
