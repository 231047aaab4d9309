"""Faults: each kind is one small class behind the one interface that `fault.Fault` says."""
