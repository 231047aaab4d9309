"""Translations from gettext's `.po` files, read as they are: no compiled copy that could lag behind."""

import ast
import gettext
import re
from pathlib import Path
from typing import Final

_LINE: Final = re.compile(r'(?:(msgid|msgstr)\s+)?("(?:[^"\\]|\\.)*")\s*').fullmatch
FILE_MAX_BYTES: Final = 1024 * 1024


class BadCatalogue(ValueError):
    """A `.po` file that cannot be used; the message names the file and the line."""


class Catalogue(gettext.NullTranslations):
    """Messages of one language; what has no translation stays as it is."""

    def __init__(self, messages: dict[str, str]) -> None:
        super().__init__()
        self._messages = messages

    def gettext(self, message: str) -> str:
        """Return the translation of a message."""
        return self._messages.get(message) or message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Return the translation of the form for `n`; the languages here have one form in their catalogues."""
        source = msgid1 if n == 1 else msgid2
        return self._messages.get(msgid2) or self._messages.get(source) or source


def read_catalogue(path: Path) -> dict[str, str]:
    """Return the translations in a `.po` file (msgid, msgstr and comments). Raises BadCatalogue."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalogue(f"the catalogue {path} cannot be read: {error}") from None
    messages: dict[str, str] = {}
    fields = {"msgid": "", "msgstr": ""}
    current = ""
    for number, line in enumerate([*text.splitlines(), 'msgid ""'], start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE(line.strip())
        if found is None or not (found[1] or current):
            raise BadCatalogue(f'{path}, line {number}: expected msgid "...", msgstr "..." or "...", got {line[:60]!r}')
        if found[1] == "msgid":
            if fields["msgid"] and fields["msgstr"]:
                messages[fields["msgid"]] = fields["msgstr"]
            fields = {"msgid": "", "msgstr": ""}
        current = found[1] or current
        fields[current] += ast.literal_eval(found[2])
    return messages
