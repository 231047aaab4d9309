"""Tests that need no process but their own."""
