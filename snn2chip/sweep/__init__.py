"""A design space: every network at every weight precision on every chip, in a store that can be resumed.

`points.plan` lists the points, `sweep.sweep` computes those that the store lacks and says which no other one beats.
``docs/sweep.md`` tells how it is used and what the store holds.
"""

from __future__ import annotations
