"""The forms of play that a market knows; a new one is registered here."""

from typing import Final

from services.matcher.domain.plays.bargain import Bargain
from services.matcher.domain.plays.form import Form
from services.matcher.domain.plays.lottery import Lottery
from services.matcher.domain.plays.unlock import Unlock

FORMS: Final[dict[str, Form]] = {form.name: form for form in (Bargain(), Lottery(), Unlock())}
