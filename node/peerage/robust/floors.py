"""How many vectors a rule needs before its promise about f bad ones holds, and what to choose where there are fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from peerage.config import Federation

BUCKET = 5  # peers: no smaller sum is unmasked for a rule
MAJORITY = ("median", "trimmed-mean", "geometric-median")  # 2 f + 1: the honest are more
KRUMS = ("krum", "multi-krum")  # 2 f + 3: Blanchard et al. 2017
LOCAL_REFERENCE = "local-reference"  # plain exchange only: who merges compares the others with itself
KNOWN = ("mean", *MAJORITY, *KRUMS)


def least_vectors(rule: str, byzantine: int) -> int:
    """How many vectors (buckets, or peers in plain exchange) the rule needs for f = `byzantine`."""
    if rule not in KNOWN:
        raise InputError(f"robust.rule = {rule!r} is no rule over vectors: use {', '.join(KNOWN)}")
    if byzantine < 0:
        raise InputError(f"robust.byzantine = {byzantine}: a number of bad vectors is 0 or more")
    if rule == "mean":
        return 1
    return 2 * byzantine + (3 if rule in KRUMS else 1)


def most_byzantine(rule: str, vectors: int) -> int:
    """The largest f that the rule keeps its promise for; -1 when there are too few vectors even for f = 0."""
    if rule == "mean":
        return 0
    return (vectors - least_vectors(rule, 0)) // 2


def check_rule(rule: str, vectors: int, byzantine: int, *, each: int = BUCKET, what: str = "buckets") -> None:
    """InputError, naming the nearest configuration that works, unless the rule keeps its promise over so many vectors
    of `each` peers.
    """
    needed, most = least_vectors(rule, byzantine), most_byzantine(rule, vectors)
    if rule == "mean" and byzantine:
        wanted = 2 * byzantine + 1
        raise InputError(
            f"the mean tolerates no bad vector, and robust.byzantine = {byzantine}: choose byzantine = 0, or "
            f'rule = "median" with {_so_many(wanted, each, what)}'
        )
    if vectors < needed:
        less = f"byzantine = {most} or " if most >= _least_byzantine(rule) else ""
        raise InputError(
            f"{rule} with f = {byzantine} needs {needed} {what}, there are {vectors}: choose {less}"
            f"{_so_many(needed, each, what)}"
        )
    if rule == "trimmed-mean" and not byzantine:
        more = "byzantine = 1" if most else _so_many(3, each, f"byzantine = 1 and {what}")
        raise InputError(f'trimmed-mean with f = 0 trims nothing: choose {more}, or rule = "mean"')


def _least_byzantine(rule: str) -> int:
    """A trimmed mean that trims nothing is the mean."""
    return 1 if rule == "trimmed-mean" else 0


def _so_many(vectors: int, each: int, what: str) -> str:
    return f"{what} = {vectors}" + (f" (needs {vectors * each} peers)" if each > 1 else "")


def check_robust(federation: Federation) -> None:
    """InputError unless the federation's robust settings can keep their promise: called before anything is sent."""
    robust = federation.robust
    if federation.exchange == "plain":
        _check_plain(str(robust.rule), robust.buckets, robust.byzantine, federation.peers)
        return
    if str(robust.rule) == LOCAL_REFERENCE:
        raise InputError(
            f'robust.rule = "{LOCAL_REFERENCE}" compares the models of single peers, which masks hide: '
            'choose exchange = "plain" or rule = "median"'
        )
    regions = federation.regions
    if regions and robust.buckets not in {1, len(regions)}:
        raise InputError(
            f"robust.buckets = {robust.buckets} with {len(regions)} regions: every region is a bucket, "
            f"choose buckets = {len(regions)} or leave it out"
        )
    vectors = len(regions) or robust.buckets
    if str(robust.rule) != "mean" or robust.buckets > 1:
        small = [region for region in regions if len(region.peers) < BUCKET]
        if small:
            raise InputError(
                f"region {small[0].name} has {len(small[0].peers)} peers: a bucket needs {BUCKET}, join it to another"
            )
    check_rule(str(robust.rule), vectors, robust.byzantine)
    if not regions and vectors > 1 and federation.peers < BUCKET * vectors:
        fits = max(1, federation.peers // BUCKET)
        raise InputError(
            f"robust.buckets = {vectors} needs {BUCKET * vectors} peers, {BUCKET} in each, there are "
            f"{federation.peers}: choose buckets = {fits}{_rule_at(str(robust.rule), robust.byzantine, fits)}"
        )


def _rule_at(rule: str, byzantine: int, buckets: int) -> str:
    """What else to change for the rule to hold over fewer buckets."""
    if buckets >= least_vectors(rule, byzantine):
        return ""
    most = most_byzantine(rule, buckets)
    return f" with byzantine = {most}" if most >= _least_byzantine(rule) else ' with rule = "mean" and byzantine = 0'


def _check_plain(rule: str, buckets: int, byzantine: int, peers: int) -> None:
    if buckets > 1:
        raise InputError(
            f"robust.buckets = {buckets} in plain exchange: rules look at every peer there, choose buckets = 1"
        )
    if rule == LOCAL_REFERENCE:
        return  # each peer is its own measure: no majority is needed
    check_rule(rule, peers, byzantine, each=1, what="peers")
