"""The pages of the rules, as `unstuck explain` reads them."""

from __future__ import annotations

from unstuck.rules.catalogue import catalogue, pages


def test_every_rule_has_a_page_under_the_name_of_its_fault() -> None:
    assert {fault: text for fault, text in pages().items() if text.strip()}.keys() == catalogue().keys()


def test_a_page_is_the_one_that_the_rule_holds() -> None:
    assert pages() == {fault: rule.page for fault, rule in catalogue().items()}
