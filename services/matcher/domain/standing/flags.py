"""What one assist shows, as bits; kept in two bytes for each."""

from typing import Final

YOUNG: Final = 1
"""The account is younger than a week."""
AGED: Final = 2
"""The account's age is known."""
MOVED: Final = 4
"""Device and network both differ from those that the account helped with before."""
SETTLED: Final = 8
"""The account has helped before with a known device and network."""
UNCALLED: Final = 16
"""Nobody is known to have notified, invited or shared with the helper."""
BUSY: Final = 32
"""The account helps many more people than is usual."""
RETURNED: Final = 64
"""The beneficiary had helped the helper, directly or through one other member."""
LINKED: Final = 256
"""The helper met an earlier helper of this play in a small play of a stranger."""
PAIRED: Final = 512
"""The device had been used by another account."""
KNOWN: Final = 1024
"""The account has helped somebody within the window."""
SPREAD: Final = 2048
"""Somebody who had helped the play shared it to the helper, and not only whose play it is."""
DROPPED: Final = 128
"""Held, refused or voided: it counts as evidence, not as help."""
RARE: Final = MOVED | BUSY | RETURNED | LINKED | PAIRED | DROPPED
"""What most assists show nothing of."""
