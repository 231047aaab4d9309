"""Every limit that outsiders can meet, in one place, units in the names."""

EVENT_MAX_BYTES = 32 * 1024
BATCH_MAX_EVENTS = 1_000
BATCH_MAX_BYTES = 768 * 1024
PAYLOAD_MAX_BYTES = 8 * 1024 * 1024
RECORD_MAX_BYTES = 4 * 1024 * 1024
LEAF_MAX_BYTES = 64 * 1024

ID_MAX_CHARS = 64
SOURCE_MAX_CHARS = 128
JSON_MAX_DEPTH = 32

GROUP_MIN_SEATS = 2
GROUP_MAX_SEATS = 1_000
LABELS_MAX = 32
SKUS_MAX = 200
TIERS_MAX = 20
PUBLISHERS_MAX = 1_000
POOLS_BLOCKED_MAX = 100
ONE_TIME_GRANTS_MAX = 100
WEEKLY_MAX = 10_000
INVITATIONS_PER_DAY_MAX = 10_000

AMOUNT_MAX_MINOR = 10**12
QUANTITY_MAX = 1_000
STOCK_MAX = 10**9
DURATION_MAX_S = 366 * 24 * 3600

# A closing group names its seats in pages, and timer work is cut into pieces, so that no entry of
# timer work passes 32 KiB of decisions: a seat reference and its refund are below 1 KiB together.
SEATS_PER_PAGE = 32
GROUPS_PER_PIECE = 100
PIECE_MAX_BYTES = 32 * 1024

MERGE_CANDIDATES = 64
MERGE_SEARCH_STEPS = 10_000
MATCH_GROUPS_LOOKED_AT = 1_000

EVIDENCE_MAX = 64
"""Pieces of evidence in one dispute."""
