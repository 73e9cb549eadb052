"""Detailed timing: every message on the mesh, with contention and back-pressure.

``docs/decisions/0007-detailed-timing.md`` defines it.
"""
