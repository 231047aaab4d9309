"""`ledger tree`: who brought whom into a play can be read from the ledger."""

from pathlib import Path

import pytest

from services.ledger.faults import NotFound
from services.ledger.sharing import SharingTree, sharing_tree
from tests.builders import assist, lottery, unlock, voided
from tests.ledger_plays import PlayJournal


def tree_of(journal: PlayJournal, data: Path, play: str = "p1") -> SharingTree:
    with journal.archive(data) as store:
        return sharing_tree(store, play)


def test_one_share_brings_many_and_the_tree_says_how(tmp_path: Path) -> None:
    journal = PlayJournal(unlock("p1", "owner", [(1_000, "c")]))
    for a in range(3):
        journal.add(assist("p1", f"a{a}", via="owner"))
        journal.wait(3_600)
        for b in range(a):
            journal.add(assist("p1", f"a{a}b{b}", via=f"a{a}"))
            journal.add(assist("p1", f"a{a}b{b}c", via=f"a{a}b{b}"))
    tree = tree_of(journal, tmp_path)
    assert (tree.helpers, tree.counted, tree.depth, tree.breadth) == (9, 9, 3, [3, 3, 3])
    assert (tree.roots, tree.most_by_one, tree.sharers, tree.growth_factor) == (["owner"], 3, 6, 9.0)
    assert {helper.member: helper.depth for helper in tree.tree}["a2b1c"] == 3
    assert {helper.member: helper.brought for helper in tree.tree}["a2"] == 2
    assert sum(step.helpers for step in tree.growth) == tree.growth[-1].total == 9


def test_who_helped_without_being_brought_was_brought_by_the_plays_own_member(tmp_path: Path) -> None:
    tree = tree_of(PlayJournal(unlock("p1", "owner"), assist("p1", "a")), tmp_path)
    assert (tree.roots, tree.breadth) == (["owner"], [1])


def test_a_lottery_of_nobody_begins_with_those_who_shared_it(tmp_path: Path) -> None:
    journal = PlayJournal(lottery("p1"), assist("p1", "a", via="s1"), assist("p1", "b", via="s2"))
    tree = tree_of(journal.add(assist("p1", "c", via="a")), tmp_path)
    assert (tree.roots, tree.breadth) == (["s1", "s2"], [2, 1])


def test_members_who_only_brought_each_other_are_counted_apart(tmp_path: Path) -> None:
    journal = PlayJournal(lottery("p1"), assist("p1", "a", via="b"), assist("p1", "b", via="a"))
    tree = tree_of(journal, tmp_path)
    assert (tree.circular, tree.depth, tree.roots) == (2, 0, [])


def test_a_voided_assist_stays_in_the_tree_and_is_said_to_be_void(tmp_path: Path) -> None:
    journal = PlayJournal(unlock("p1"), assist("p1", "a", assist="a1"), voided("p1", "a1", "a"))
    tree = tree_of(journal, tmp_path)
    assert (tree.helpers, tree.counted, tree.tree[0].status) == (1, 0, "voided")


def test_a_play_without_helpers_has_an_empty_tree_and_an_unknown_one_has_none(tmp_path: Path) -> None:
    with PlayJournal(unlock("p1")).archive(tmp_path) as store:
        tree = sharing_tree(store, "p1")
        assert (tree.helpers, tree.breadth, tree.growth) == (0, [], [])
        with pytest.raises(NotFound):
            sharing_tree(store, "p2")
