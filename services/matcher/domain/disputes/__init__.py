"""Disputes: claims, answers, evidence, resolutions with their remedies, appeals, and what is overdue (RULES.md)."""
