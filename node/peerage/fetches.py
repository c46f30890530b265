"""Which artefacts are being fetched from whom, so that a lost owner fails its fetches at once.

The transport itself is patient with a silent owner; a round is not.
"""

from __future__ import annotations


class Fetches:
    """Each fetch ends once: with its artefact, with a failure, or with the loss of its owner."""

    def __init__(self) -> None:
        self._gone: set[bytes] = set()
        self._asked: dict[bytes, set[bytes]] = {}

    def ask(self, owner: bytes, artefact: bytes) -> bool:
        """Whether to ask this owner; False when it is gone."""
        if owner in self._gone:
            return False
        self._asked.setdefault(owner, set()).add(artefact)
        return True

    def ended(self, owner: bytes, artefact: bytes) -> bool:
        """An answer came; False when nobody waits for it any more."""
        waited = artefact in self._asked.get(owner, set())
        self._asked.get(owner, set()).discard(artefact)
        return waited

    def up(self, owner: bytes) -> None:
        self._gone.discard(owner)

    def down(self, owner: bytes) -> list[bytes]:
        """The artefacts that will not come from it."""
        self._gone.add(owner)
        return sorted(self._asked.pop(owner, set()))
