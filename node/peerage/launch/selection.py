"""What a deployment selector found, from sums alone: which version suits how many peers, and whether it is worth it."""

from collections.abc import Iterator

import msgspec

from peerage.launch.live import percent


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate. `name`: the SHA-256 of its parameters. Shares: of the peers that use it, and of right answers."""

    name: str
    source: str  # file, and which version of clusters in it
    used_by: float
    accuracy: float  # mean over all peers, each on rows that it held back


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """`chosen`: the mean accuracy of what each peer chose, on rows that the choice was not made by."""

    versions: tuple[Version, ...]
    chosen: float

    @property
    def best_alone(self) -> Version:
        """Which one version would be best for all."""
        return max(self.versions, key=lambda version: version.accuracy)


def in_words(selection: Selection) -> Iterator[str]:
    """A line for each version, and the gain over one version for everybody."""
    for version in selection.versions:
        yield (
            f"Version {version.name[:16]} ({version.source}): chosen by {percent(version.used_by)} of the peers, right "
            f"in {percent(version.accuracy)} of what they all held back."
        )
    one = selection.best_alone
    gain = 100 * (selection.chosen - one.accuracy)
    yield (
        f"Each under its own choice: {percent(selection.chosen)}; the best single version, {one.name[:16]}, for "
        f"everybody: {percent(one.accuracy)}; {gain:+.1f} points. Who chose what is known to nobody else."
    )
