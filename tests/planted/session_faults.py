"""Checks of a masked session, from its roster to the opened numbers."""

from __future__ import annotations

from planted.fault import Fault, without

CRYPTO = "crypto/peerage_crypto/"
MEMBER, COLLECTOR, JUDGE = CRYPTO + "secagg_member.py", CRYPTO + "secagg_collector.py", CRYPTO + "secagg_judge.py"
SESSION, THRESHOLDS, OPENING = CRYPTO + "session.py", CRYPTO + "thresholds.py", CRYPTO + "opening.py"
BUCKETS, LEADER = CRYPTO + "buckets.py", CRYPTO + "secagg_leader.py"

ALONE, PARTS = "tests/crypto/test_one_check_each.py", "tests/crypto/test_one_check_parts.py"
AT_MEMBERS = ("tests/crypto/test_secagg_member.py", ALONE, PARTS)
GATHERING = CRYPTO + "secagg_gathering.py"
AT_COLLECTOR = ("tests/crypto/test_secagg_collector.py", "tests/crypto/test_session.py", ALONE, PARTS)
AT_JUDGE = ("tests/crypto/test_secagg_judge.py", ALONE, PARTS)
AT_SESSION = ("tests/crypto/test_session.py", "tests/crypto/test_secagg_collector.py", ALONE, PARTS)
AT_THRESHOLDS = ("tests/crypto/test_thresholds.py",)
AT_OPENING = ("tests/crypto/test_opening.py",)
AT_BUCKETS = ("tests/crypto/test_buckets.py", PARTS)
AT_LEADER = (PARTS,)

FAULTS = (
    # -- thresholds and the graph
    Fault("quorum", THRESHOLDS, "-(-(roster + c) // 2) + 1", "-(-(roster + c) // 2)", AT_THRESHOLDS),
    Fault("K_min", THRESHOLDS, "return colluders(registered) + 3", "return colluders(registered) + 2", AT_THRESHOLDS),
    Fault("quorum of pledges", THRESHOLDS, "(survivors + max(c, 1)) // 2 + 1", "(survivors + c) // 2", AT_THRESHOLDS),
    Fault(
        "degree of the graph",
        THRESHOLDS,
        "losses + c + 1 + (losses + c + 1) % 2",
        "losses + c - (losses + c) % 2",
        AT_THRESHOLDS,
    ),
    Fault("largest roster", THRESHOLDS, "if roster > LARGEST_ROSTER:", "if False:", AT_THRESHOLDS),
    # -- the roster
    Fault("join signed by a registered peer", SESSION, "if signer not in plan.registered:", "if False:", AT_SESSION),
    Fault(
        "join for this session",
        SESSION,
        "if join.sid != plan.sid or join.round != plan.opened.round:",
        "if False:",
        AT_SESSION,
    ),
    Fault("two keys in a join", SESSION, "if join.channel_key == join.mask_key:", "if False:", AT_SESSION),
    Fault(
        "keys of low order",
        SESSION,
        "if not (_is_key(join.channel_key) and _is_key(join.mask_key)):",
        "if False:",
        AT_SESSION,
    ),
    Fault("sorted, distinct members", SESSION, "if list(members) != sorted(set(members)):", "if False:", AT_SESSION),
    Fault(
        "enough buckets for the rule", SESSION, "if len(roster.buckets) < plan.grouping.least:", "if False:", AT_BUCKETS
    ),
    Fault("every join that I saw", MEMBER, "        if missing:\n", "        if False:\n", AT_MEMBERS),
    Fault(
        "my own join in the roster",
        MEMBER,
        "if (mine.mask_key, mine.channel_key) != (self.mask.public, self.channel.public):",
        "if False:",
        AT_MEMBERS,
    ),
    # -- shares and U2
    Fault(
        "enough members in U2",
        MEMBER,
        "if len(u2) < len(roster.members) - roster.limits.losses:",
        "if False:",
        AT_MEMBERS,
    ),
    Fault(
        "no packet withheld",
        MEMBER,
        "if len(message.deliveries) != len(dealers):",
        "if len(message.deliveries) > len(dealers):",
        AT_MEMBERS,
    ),
    Fault(
        "packets signed by their dealers",
        MEMBER,
        "if not is_delivery(roster, delivery, dealer, self.me):",
        "if False:",
        AT_MEMBERS,
    ),
    Fault(
        "commitments of shares",
        MEMBER,
        "if share_commitment(self.plan.sid, dealer, self.me, kind, share) != packet.commitments[kind]:",
        "if False:",
        AT_MEMBERS,
    ),
    Fault(
        "packets bound to the roster",
        SESSION,
        "        and s.roster == roster.digest\n",
        "",
        (*AT_SESSION, *AT_MEMBERS),
    ),
    # -- masks
    Fault(
        "U2 in the pair keys",
        MEMBER,
        'return derive(root, u2_digest, b"peerage/v1/pair"',
        'return derive(root, b"", b"peerage/v1/pair"',
        ("tests/crypto/test_session.py", "tests/crypto/test_secagg_member.py", "tests/crypto/test_masking.py"),
    ),
    Fault(
        "U2 in the self key",
        MEMBER,
        "return derive(self_seed, u2_digest,",
        'return derive(self_seed, b"",',
        ("tests/crypto/test_session.py", "tests/crypto/test_secagg_member.py"),
    ),
    # -- the vote
    Fault("manifests with my U2", SESSION, "s.u2 != u2_digest or", "", (*AT_MEMBERS, *AT_COLLECTOR)),
    Fault("manifests of their bucket", SESSION, " or s.bucket != roster.bucket_of(owner)", "", AT_BUCKETS),
    Fault(
        "manifests signed by their owners",
        SESSION,
        "if s.sid != plan.sid or not signed.is_by(owner, plan.domain):",
        "if s.sid != plan.sid:",
        (*AT_MEMBERS, *AT_COLLECTOR, *AT_JUDGE),
    ),
    Fault(
        "randomness as committed",
        SESSION,
        'if seed_commitment(s.sid, owner, "rand", s.rand) != roster.join_of(owner).rand:',
        "if False:",
        (*AT_MEMBERS, *AT_COLLECTOR),
    ),
    Fault(
        "enough survivors",
        MEMBER,
        "if not set(u3) <= set(self.u2) or len(u3) < len(roster.members) - roster.limits.losses:",
        "if not set(u3) <= set(self.u2):",
        AT_MEMBERS,
    ),
    Fault("survivors within U2", MEMBER, "if not set(u3) <= set(self.u2) or len(u3)", "if len(u3)", AT_MEMBERS),
    Fault(
        "no void bucket among the survivors", MEMBER, "if void_members(roster.buckets, u3):", "if False:", AT_BUCKETS
    ),
    Fault(
        "nobody left out who can be had",
        MEMBER,
        "if alive and self._is_wronged(self.roster, owner, self._waiting):",
        "if False:",
        AT_MEMBERS,
    ),
    Fault("I am among the survivors", MEMBER, "        if self.me not in u3:\n", "        if False:\n", AT_MEMBERS),
    Fault(
        "one vote",
        MEMBER,
        "if self.stage is not Stage.MASKED or roster is None or self._waiting is not None or self.abstained:",
        "if roster is None or self.stage not in (Stage.MASKED, Stage.VOTED) or self.abstained:",
        AT_MEMBERS,
    ),
    Fault(
        "no vote after an abstention",
        MEMBER,
        " or self._waiting is not None or self.abstained:",
        " or self._waiting is not None:",
        AT_MEMBERS,
    ),
    Fault("no abstention after a vote", MEMBER, "        if self.voted:\n            return []\n", "", AT_MEMBERS),
    # -- the secrets
    Fault(
        "certificate for what I voted for",
        MEMBER,
        "if message.u3 != self._waiting.u3 or message.survivors != voted_for:",
        "if False:",
        AT_MEMBERS,
    ),
    Fault(
        "a quorum in the certificate",
        MEMBER,
        "if not is_certificate(roster, message.survivors, message.votes):",
        "if False:",
        AT_MEMBERS,
    ),
    Fault(
        "distinct voters",
        MEMBER,
        "return voters <= set(roster.members) and roster.limits.quorum <= len(voters) == len(votes)",
        "return voters <= set(roster.members) and roster.limits.quorum <= len(votes)",
        (*AT_MEMBERS, *AT_JUDGE),
    ),
    Fault(
        "voters of the roster",
        MEMBER,
        "return voters <= set(roster.members) and roster",
        "return roster",
        (*AT_MEMBERS, *AT_JUDGE),
    ),
    Fault(
        "either share, never both",
        MEMBER,
        "RevealedShare(owner, s[SELF_SEED], None, None)",
        "RevealedShare(owner, s[SELF_SEED], s[MASK_KEY], None)",
        AT_MEMBERS,
    ),
    # -- the collector
    Fault(
        "packets as signed",
        COLLECTOR,
        "            and signed.statement.packets == packets_digest(message.packets, message.pairs)\n",
        "",
        AT_COLLECTOR,
    ),
    Fault(
        "the vector of its manifest", GATHERING, "artefact != s.artefact or merkle_root", "merkle_root", AT_COLLECTOR
    ),
    Fault(
        "the root of its manifest",
        GATHERING,
        " or merkle_root(chunks(blob, LEAF_BYTES)) != s.masked_root:",
        ":",
        AT_COLLECTOR,
    ),
    Fault(
        "votes for these survivors",
        COLLECTOR,
        "if not right or signed.statement.survivors != self._survivors:",
        "if not right:",
        AT_COLLECTOR,
    ),
    Fault(
        "shares as dealt",
        COLLECTOR,
        "good = [share for share in message.shares if self._is_committed(roster, sender, share)]",
        "good = list(message.shares)",
        AT_COLLECTOR,
    ),
    Fault(
        "secrets as committed",
        COLLECTOR,
        "        if not opens_commitment(roster, owner, kind, secret):\n",
        "        if False:\n",
        AT_COLLECTOR,
    ),
    # -- the proof
    Fault(
        "opening signed by the initiator",
        JUDGE,
        "if transcript.opened.statement != plan.opened or not transcript.opened.is_by(plan.initiator, plan.domain):",
        "if transcript.opened.statement != plan.opened:",
        AT_JUDGE,
    ),
    Fault(
        "certified survivors",
        JUDGE,
        "if not screened and not is_certificate(roster, survivors, transcript.votes):",
        "if False:",
        AT_JUDGE,
    ),
    Fault(
        "secrets in the proof",
        JUDGE,
        "        if not opens_commitment(roster, owner, kind, secret)\n",
        "        if False\n",
        AT_JUDGE,
    ),
    Fault(
        "the sum is the sum",
        JUDGE,
        "    if ring_bytes(total) == sum_blob:\n        return []\n",
        "    return []\n",
        AT_JUDGE,
    ),
    Fault(
        "void buckets in the proof",
        JUDGE,
        "if live(roster.buckets, u3) < roster.plan.grouping.least:",
        "if False:",
        AT_BUCKETS,
    ),
    # -- opened numbers
    Fault(
        "one direction for all",
        OPENING,
        "if mine is None or list(self._pledged.values()).count(mine.signed.statement.direction) < self.quorum:",
        "if mine is None:",
        AT_OPENING,
    ),
    Fault(
        "first pledge counts",
        OPENING,
        "self._pledged.setdefault(signer, s.direction)",
        "self._pledged[signer] = s.direction",
        AT_OPENING,
    ),
    Fault(
        "liars by majority", OPENING, "if contradicted[i] > max(colluders, 1)", "if contradicted[i] > 99", AT_OPENING
    ),
    Fault("my own direction", MEMBER, "        if not is_mine:\n", "        if False:\n", AT_MEMBERS),
    Fault(
        "one direction in a session", MEMBER, "if self._opened_for not in (None, direction):", "if False:", AT_MEMBERS
    ),
    Fault(
        "numbers only under a certificate",
        MEMBER,
        "        if self.certificate is None:\n            return",
        "        if False:\n            return",
        AT_MEMBERS,
    ),
    # -- what binds packets, views and proofs
    Fault(
        "dealer and holder in a share's commitment", SESSION, "sid, dealer, holder, bytes(", "sid, bytes(", AT_SESSION
    ),
    Fault("the kind in a share's commitment", SESSION, "holder, bytes([kind]), share)", "holder, share)", AT_SESSION),
    Fault(
        "the roster in U2",
        SESSION,
        'tagged("peerage/u2/v1", self.digest, bitmap)',
        'tagged("peerage/u2/v1", bitmap)',
        AT_SESSION,
    ),
    Fault(
        "the roster in the survivors",
        SESSION,
        '"peerage/u3/v1", self.digest, bitmap,',
        '"peerage/u3/v1", bitmap,',
        AT_SESSION,
    ),
    Fault(
        "the vectors in the survivors",
        SESSION,
        "bitmap, *(m.statement.digest(self.plan.domain) for m in manifests))",
        "bitmap)",
        AT_SESSION,
    ),
    Fault("bitmaps of the roster", SESSION, " or bits >> len(self.members):", ":", AT_SESSION),
    Fault(
        "packets of this session",
        SESSION,
        "        s.sid == roster.plan.sid\n        and s.roster",
        "        s.roster",
        AT_SESSION,
    ),
    Fault("the length in a manifest", SESSION, " or s.length != plan.vector_bytes", "", AT_SESSION),
    # -- the proof, every line of it
    without("a proof of a known schema", JUDGE, "if transcript.schema != SCHEMA:", AT_JUDGE),
    without("so many survivors, all of U2", JUDGE, "if not set(u3) <= set(u2) or len(u3) < least:", AT_JUDGE),
    without("no void bucket in a proof", JUDGE, "if void_members(roster.buckets, u3):", AT_BUCKETS),
    Fault("no more words than buckets in a proof", JUDGE, "len(t.gathered) > len(roster.buckets) or ", "", AT_LEADER),
    Fault("leaders sign in a proof", JUDGE, " and signed.is_by(leader, roster.plan.domain)", "", AT_LEADER),
    Fault("leaders of this session", JUDGE, " and s.sid == roster.plan.sid and", " and", AT_LEADER),
    Fault(
        "lists of one length",
        JUDGE,
        "== len(u3) and len(t.mask_secrets) == len(t.rands) == dropped):",
        "== len(u3)):",
        AT_JUDGE,
    ),
    Fault("manifests in the proof", JUDGE, "        if code:  #", "        if False:  #", AT_JUDGE),
    Fault(
        "vectors as named in the proof",
        JUDGE,
        "if sha256(blob) != s.artefact or len(blob) != s.length:",
        "if len(blob) != s.length:",
        AT_JUDGE,
    ),
    without(
        "roots as signed in the proof", JUDGE, "elif merkle_root(chunks(blob, LEAF_BYTES)) != s.masked_root:", AT_JUDGE
    ),
    without("the sum that the proof names", JUDGE, "if sha256(sum_blob) != transcript.sum_artefact:", AT_JUDGE),
    Fault(
        "leaders' sums of these vectors",
        JUDGE,
        " or gathered_root(roster, known) != signed.statement.masked_root",
        "",
        AT_LEADER,
    ),
    # -- leaders
    Fault("a leader checks manifests", LEADER, "        if fault:\n", "        if False:\n", AT_LEADER),
    Fault(
        "a leader checks vectors",
        LEADER,
        "if sha256(blob) != s.artefact or merkle_root(",
        "if False and merkle_root(",
        AT_LEADER,
    ),
    # -- buckets
    Fault("the smallest bucket", BUCKETS, "SMALLEST_BUCKET = 5", "SMALLEST_BUCKET = 3", AT_BUCKETS),
    Fault("the fewest survivors of a bucket", BUCKETS, "FEWEST_SURVIVORS = 4", "FEWEST_SURVIVORS = 2", AT_BUCKETS),
    # -- opened numbers, one by one
    Fault(
        "numbers leave once",
        OPENING,
        "        self._mine = None\n        return mine",
        "        return mine",
        AT_OPENING,
    ),
    Fault(
        "pledges of this session",
        OPENING,
        "if s.sid == self.proven.roster.plan.sid and signer",
        "if signer",
        AT_OPENING,
    ),
    Fault("pledges of survivors", OPENING, " and signer in self.proven.u3:", ":", AT_OPENING),
    without("pair numbers of 64 bits", OPENING, "if not all(0 <= v < 1 << 64 for v in values):", AT_OPENING),
    Fault("words of survivors", OPENING, "        if i in proven.u3:\n", "        if True:\n", AT_OPENING),
    Fault("no number where two contradict", OPENING, "if claims and all(", "if claims and any(", AT_OPENING),
    Fault("a liar's word is not taken", OPENING, "if a in word and a not in liars]", "if a in word]", AT_OPENING),
    Fault(
        "numbers add up to the sum's",
        OPENING,
        "int(np.dot(total, g))) % modulus == 0",
        "int(np.dot(total, g))) % modulus >= 0",
        AT_OPENING,
    ),
)
