"""Tests of the bytes that outsiders rely on."""
