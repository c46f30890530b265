"""A federation with its arbiters on the embedded EVM, and whole honest rounds to bring before them.

The auditor's reading of the contracts follows every call: one that the two decide differently fails the test.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

import cohort
from peerage import config_toml
from peerage.config import Federation as Settings
from peerage.config import RobustSettings
from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.fixedpoint import ring
from peerage_crypto.statements import ResultAck, sign, signing_domain
from peerage_ledger import events, judgement, rawtx
from peerage_ledger.archive.reader import ArchivedTransaction, ChainArchive, Happened
from peerage_ledger.audit.contracts import Contracts
from peerage_ledger.audit.registry import Reverted
from peerage_ledger.blueprint import DeployTerms, plan
from peerage_ledger.contracts import BadEncoding, contract
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets.evm import EmbeddedChain, Refused
from peerage_ledger.disputes import evidence as ev
from peerage_ledger.disputes.dispute import Decided, Docket
from peerage_ledger.disputes.shelf import Shelf
from peerage_ledger.rewards import Rule
from peerage_ledger.transcript import SCHEMA, ParentLink, RoundTranscript, encode, record_of

change = msgspec.structs.replace
CHAIN, STAKE, BOND, ANSWER = 31337, 10**6, 10**3, 60
PEERS = 12
BUCKETS = 2
RULES = Settings(peers=PEERS, robust=RobustSettings(rule="median", buckets=BUCKETS))
MODEL, OTHER_MODEL, SUM = sha256(b"model"), sha256(b"another model"), sha256(b"sum")
STEP = 3  # the exponent of every direction


def agreed(rules):
    """The text that names a federation, and its name."""
    heard = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config_toml, "tagged", lambda tag, text: heard.append(text) or tagged(tag, text))
        name = config_toml.federation_hash(rules)
    return heard[0], name


SETTINGS, FEDERATION = agreed(RULES)


class Court:
    """A federation with its arbiter on a chain of its own; every peer is registered."""

    def __init__(self, federation=FEDERATION, **terms) -> None:
        self.operator, self.hunter = cohort.account("operator"), cohort.account("hunter")
        self.people = cohort.accounts(PEERS)
        funds = {a.address: 10**20 for a in (self.operator, self.hunter, *self.people)}
        self.evm = EmbeddedChain(CHAIN, 1_700_000_000, funds)
        self.time = 1_700_000_000
        fixed = {"min_stake": STAKE, "supply": 10**24, "unbonding_seconds": 3600, "bond": BOND}
        self.terms = DeployTerms(answer_seconds=ANSWER, **fixed | terms)
        self.federation, self.archived = federation, []
        planned = plan(self.operator.address, 0, federation, self.terms)
        self.at = planned.at
        self.model = Contracts(CHAIN, planned.at)
        for name in (*planned.names(), *({"RoundArbiter"} - set(planned.names()))):
            self.send(self.operator, None, contract(name).creation(*planned.arguments(name)))
        for i, person in enumerate(self.people):
            self.do(self.operator, "PeerageToken", "transfer", person.address, STAKE)
            self.do(person, "PeerageToken", "approve", self.at["PeerRegistry"], STAKE)
            self.do(person, "PeerRegistry", "register", sha256(b"key", bytes([i])), "tcp://here", STAKE)
        self.do(self.operator, "PeerageToken", "transfer", self.hunter.address, 10**9)
        self.do(self.hunter, "PeerageToken", "approve", self.at["RoundArbiter"], 10**9)
        self.seats = {p.address: i + 1 for i, p in enumerate(self.people)}
        self.domain = signing_domain(CHAIN, self.at["RoundLedger"])

    def send(self, who, to, data):
        self.time = self.evm.next_time(self.time)
        self.evm._chain.header = self.evm._chain.header.copy(timestamp=self.time)
        fee = int(self.evm.head.header.base_fee_per_gas) * 2
        nonce = self.evm.nonce(who.address)
        raw = rawtx.sign(
            who, chain_id=CHAIN, nonce=nonce, to=to, data=data, gas=12_000_000, max_fee=fee, priority_fee=0
        )
        block = self.evm.mine(raw, self.time)
        assert block.status == 1, "reverted"
        heard, signed = list(self.heard(block)), rawtx.decode(raw)
        # the auditor's reading of the contracts follows, call by call
        assert self.model.execute(signed, self.time) == [event for _, event in heard]
        self._archive(signed, heard)
        return block

    def _archive(self, signed, heard):
        name = next((name for name, place in self.at.items() if place == signed.to), "")
        called = contract(name).decode_call(signed.data) if name else None
        at = len(self.archived) + 1
        self.archived.append(
            ArchivedTransaction(
                at,
                at,
                self.time,
                signed,
                name,
                called.name if called else "constructor",
                called.values if called else {},
                succeeded=True,
                gas_used=0,
                events=tuple(Happened(at, at, signed.hash, name, event) for name, event in heard),
            )
        )

    def archive(self):
        """What a node would have told of it all."""
        return ChainArchive(self.deployment, {}, tuple(self.archived), len(self.archived), 0, 0, ())

    @property
    def deployment(self):
        places = {name: self.at[name] for name in self.at if name != "MemberAdmission"}
        return Deployment(CHAIN, "http://nowhere", self.federation, places, 0, STAKE, self.terms.pool, {})

    def heard(self, block):
        names = {place: name for name, place in self.at.items()}
        for log in block.logs:
            with suppress(BadEncoding):
                event = events.from_log(contract(names[log.address]).decode_event(log.topics, log.data))
                if event is not None:
                    yield names[log.address], event

    def do(self, who, name, function, *arguments):
        return self.send(who, self.at[name], contract(name).call(function, *arguments))

    def file(self, function, *arguments, to="RoundArbiter"):
        """As the hunter; the names of the arbiter's own events, with their values."""
        block = self.do(self.hunter, to, function, *arguments)
        return [contract(to).decode_event(log.topics, log.data) for log in block.logs if log.address == self.at[to]]

    def refusal(self, function, *arguments, to="RoundArbiter"):
        """Why a call is refused: the error's name and its arguments; empty when it is not."""
        data = contract(to).call(function, *arguments)
        now = self.evm.next_time(self.time)
        self.evm._chain.header = self.evm._chain.header.copy(timestamp=now)
        try:
            self.evm.call(self.hunter.address, self.at[to], data)
        except Refused as error:
            values = contract(to).decode_call(data).values
            with pytest.raises(Reverted):
                self.model.built[to].call(self.hunter.address, function, values, now)
            for name in (to, "DrawJudge"):
                item = contract(name).errors.get(error.data[:4])
                if item:
                    return item.name, tuple(error.data[4 + 32 * i : 36 + 32 * i] for i in range(len(item.types)))
            return error.data[:4].hex(), ()
        return "", ()

    def ask(self, name, function, *arguments):
        answer = self.evm.call(self.hunter.address, self.at[name], contract(name).call(function, *arguments))
        return contract(name).result(function, answer)[0]

    def stake(self, account):
        data = contract("PeerRegistry").call("peerOf", account)
        return contract("PeerRegistry").result(
            "peerOf", self.evm.call(self.hunter.address, self.at["PeerRegistry"], data)
        )[1]

    def purse(self, who):
        return self.ask("PeerageToken", "balanceOf", who.address)

    def pool(self):
        return self.ask("RewardVault", "funded")

    def record(self, record, poster):
        self.do(self.people[poster], "RoundLedger", "recordRound", record.as_tuple())

    def docket(self, documents, right=()):
        """What the finder looks through: a store's documents, and the rounds that an audit found right."""
        told = {
            r.record.record_hash(): SimpleNamespace(record=r.record, seed=r.proven.seed(), halving=bytes(32))
            for r in right
        }
        archive, terms = self.archive(), self.terms
        rules = judgement.Federation(
            CHAIN,
            self.at["PeerRegistry"],
            self.at["RoundLedger"],
            self.at["RewardVault"],
            self.federation,
            cohort.PARAMS,
            frozenset(p.address for p in self.people),
            ring(32),
            7,
            Grouping(buckets=BUCKETS),
        )
        return Docket(
            deployment=self.deployment,
            archive=archive,
            store=documents,
            shelf=Shelf.of(self.domain, documents),
            federation=rules,
            right=frozenset(told),
            told=told,
            rule=Rule(terms.pool, terms.planned_rounds, terms.cap, terms.window),
            settings=SETTINGS,
            decided=Decided.from_events(happened.event for happened in archive.events()),
        )

    def prosecute(self, dispute):
        """File a dispute as the finder made it; the names of the events that it gave."""
        return [e.name for e in self.file(dispute.function, *dispute.arguments, to=dispute.contract)]


class Round:
    """A whole honest session and its record; `edit` changes the record alone."""

    def __init__(self, court, number, parent, draw, vanish=None, **how):
        self.court, self.record_round, told_by = court, number, cohort.plan_of
        self.plan_of = partial(told_by, round_=number, parent=parent)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cohort, "DOMAIN", court.domain)
            patch.setattr(cohort, "REGISTRY", court.at["PeerRegistry"])
            patch.setattr(cohort, "plan_of", lambda *a, **k: replace(self.plan_of(*a, **k), draw=draw))
            self.told = cohort.Cohort(10, grouping=Grouping(buckets=BUCKETS), vanish=vanish, **how).run()
            self.direction = np.ones(self.told.plan.length, self.told.plan.ring.dtype)
            self.opened_numbers = tuple(self.told.openings(one, self.direction) for one in self.told.proven.u3)
        self.session, self.proven = self.told.transcript, self.told.proven
        self.opened = self.session.opened.statement
        members = [a for a in self.told.people if a.address in self.proven.roster.members]
        self.acks = tuple(sign(ResultAck(self.opened.sid, SUM, MODEL), a, court.domain) for a in members)
        self.parents = (ParentLink(parent, number - 1, bytes(32)),)
        self.transcript = self.shown(self.acks)
        self.tables = ev.tables_of(self.proven, self.session, self.transcript)
        self.record = record_of(self.transcript, sha256(encode(self.transcript)), self.proven, self.session)

    def shown(self, acks, aggregate=MODEL):
        """The round's transcript: every number opened."""
        numbers = tuple(self.told.plain_number(member, self.direction) for member in self.proven.u3)
        session, direction = sha256(encode(self.session)), sha256(self.direction.tobytes())
        return RoundTranscript(
            SCHEMA,
            self.record_round,
            self.opened.sid,
            self.parents,
            session,
            SUM,
            MODEL,
            aggregate,
            (),
            tuple(acks),
            direction,
            STEP,
            self.opened_numbers,
            numbers,
        )

    @property
    def documents(self):
        """Its artefacts, as a store has them."""
        blobs = [encode(self.session), encode(self.transcript)]
        return {sha256(blob): blob for blob in blobs}

    @property
    def parent(self):
        return ev.Parent(self.record, self.session, self.proven)

    def manifest(self, owner):
        return self.session.manifests[self.proven.u3.index(owner)]

    def draw(self, masked, accused, owner, record, parent, settings=SETTINGS):
        return ev.wrong_draw(record, self.opened, self.tables.joins, masked, accused, owner, settings, parent)
