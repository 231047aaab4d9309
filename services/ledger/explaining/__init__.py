"""Explanations in words that an operator can send to a member, in English and Chinese: a table for each family.

A family adds a module with its `DECISIONS` and `REASONS` and a line in `explaining.table`. What a member reads names
neither other members nor thresholds; what has no line yet is explained by its sentence alone.
"""
