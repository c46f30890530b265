"""Checks of the rounds among peers, from an opening to the settlement; and of plain exchange."""

from __future__ import annotations

from planted.fault import Fault, without

ROUNDS = "node/peerage/rounds/"
JOINING, RESULTS, OPENINGS, MERGING = (ROUNDS + f + ".py" for f in ("joining", "results", "openings", "merging"))
STANDING, LEAVING, FRESHNESS, CHASE = (ROUNDS + f + ".py" for f in ("standing", "leaving", "freshness", "chase"))
SCORING, RUN, SETTLEMENT, VERSION = (
    ROUNDS + f + ".py" for f in ("scoring_step", "session_run", "settlement", "version")
)
MEMBERSHIP, ENGINE, STATE, ARITHMETIC = (
    ROUNDS + f + ".py" for f in ("membership", "round", "round_state", "aggregation")
)
RECOVERY, LEAVES, SCREENED, EPOCHS = (ROUNDS + f + ".py" for f in ("recovery", "leaves", "screened", "epochs"))
CAUTION, NOISE = "node/peerage/privacy/caution.py", "node/peerage/privacy/noise.py"
GATHERING, JUDGE = "crypto/peerage_crypto/secagg_gathering.py", "crypto/peerage_crypto/secagg_judge.py"
PLAIN = "node/peerage/plain/"

T = "tests/node/test_"
HERE = T + "one_check_rounds.py"
AT_LIARS, AT_ROUND, AT_REGIONS = (
    (HERE, T + "liars.py"),
    (T + "round.py", HERE),
    (T + "one_check_leaders.py", T + "regions.py"),
)
AT_CHASE, AT_RUN, AT_SCORING = (T + "chase.py", HERE), (T + "session_run.py", HERE), (T + "scoring_step.py", HERE)
AT_SETTLEMENT, AT_VERSION, AT_MEMBERSHIP = (T + "settlement.py", HERE), (T + "version.py",), (T + "membership.py", HERE)
AT_MERGING, AT_CAUTION = (T + "robust_merging.py", T + "aggregation.py", HERE), (T + "privacy_rounds.py", HERE)
AT_EPOCHS = (T + "epochs.py",)
AT_PLAIN = (T + "plain.py",)
AT_LEAVES = (HERE, T + "leaves.py")
AT_RULES = (T + "robust_plain.py",)
AT_GRAPHS = (T + "topology.py",)
SAMPLING, AT_SAMPLING = ROUNDS + "sampling.py", (T + "sampling.py",)

FAULTS = (
    # -- opening and joining
    Fault(
        "an opening under our terms", JOINING, "if plan is None or opened.initiator", "if opened.initiator", AT_LIARS
    ),
    Fault("an opening by its initiator", JOINING, "opened.initiator != sender or not message", "not message", AT_LIARS),
    Fault(
        "an opening that is signed",
        JOINING,
        " or not message.signed.is_by(sender, s.federation.domain):",
        ":",
        AT_LIARS,
    ),
    Fault(
        "an opening on my record",
        JOINING,
        "if opened.parent != s.head.record or opened.round",
        "if opened.round",
        AT_LIARS,
    ),
    without("no joining while a result waits", JOINING, "if s.bound:", AT_LIARS),
    without(
        "no second session of who broke a rule", JOINING, "if sender in s.distrusted | s.membership.out:", AT_LIARS
    ),
    Fault("no session twice", JOINING, "and opened.sid not in s.been_in and", "and", AT_LIARS),
    Fault("only a free version joins", JOINING, "if s.own.status is Status.FREE and opened", "if opened", AT_LIARS),
    Fault("the lower name wins", JOINING, " or sha256(sid) >= sha256(session.sid):", ":", (HERE, T + "liars.py")),
    Fault(
        "no yielding once shares have left",
        JOINING,
        "if session.member and session.member.stage is not Stage.JOINED:",
        "if False:",
        AT_LIARS,
    ),
    Fault(
        "a lock on disk before it joins",
        JOINING,
        "    s.save()\n    member = member_of(",
        "    member = member_of(",
        AT_RUN,
    ),
    without(
        "joins signed by their senders", JOINING, "if not message.signed.is_by(sender, session.plan.domain):", AT_LIARS
    ),
    without(
        "no version that the model contains",
        JOINING,
        "if message.signed.statement.version <= s.head.versions.get(sender, 0):",
        AT_LIARS,
    ),
    without("who lost its disk sits out", JOINING, "if s.recovery is not None:", AT_LIARS),
    Fault("a NaN is one's own fault", FRESHNESS, "if not np.isfinite(event.model).all():", "if False:", AT_LIARS),
    Fault(
        "a roster that is large enough",
        MEMBERSHIP,
        "max(MIN_MASKED_PEERS, smallest_roster(len(self.registered)))",
        "1",
        AT_MEMBERSHIP,
    ),
    Fault("fresh on this very record", MEMBERSHIP, "if n.record == record and n.ready)", "if n.ready)", AT_MEMBERSHIP),
    Fault("fresh and not gone", MEMBERSHIP, "and n.ready) & self.live()", "and n.ready)", AT_MEMBERSHIP),
    # -- the session among peers
    *(
        Fault(
            f"{kind} from the initiator alone",
            RUN,
            f"case {kind}() if member and from_initiator:",
            f"case {kind}() if member:",
            AT_RUN,
        )
        for kind in ("RosterMessage", "Frozen", "Survivors", "Certificate")
    ),
    Fault("who breaks a rule is remembered", RUN, "if culprit == self.plan.initiator:", "if False:", AT_LIARS),
    Fault(
        "an initiator that gives up its own session", LEAVING, " and sender == s.session.plan.initiator:", ":", AT_RUN
    ),
    Fault("a version that left is not free", LEAVING, "if member is None or not member.u2:", "if True:", AT_ROUND),
    Fault("abstentions by their signers", LEAVING, " and signed.is_by(sender, s.federation.domain):", ":", AT_ROUND),
    Fault("enough abstentions", LEAVING, ">= limits.losses + 1 + limits.colluders:", ">= 1:", AT_ROUND),
    Fault(
        "abstentions of members",
        LEAVING,
        "s.abstentions.get(sid, set()) & set(roster.members)",
        "s.abstentions.get(sid, set())",
        AT_ROUND,
    ),
    Fault(
        "a version that may be in a sum is spent",
        LEAVING,
        "        s.own = s.own.spent()\n",
        "        s.own = s.own.released()\n",
        AT_ROUND,
    ),
    Fault(
        "an abstention for votes that never come",
        LEAVING,
        "    statement = member.abstain()\n",
        "    statement = None\n",
        AT_ROUND,
    ),
    # -- the result
    without(
        "one result of a session from each",
        RESULTS,
        "if result.session_bytes > MAX_TRANSCRIPT_BYTES or told:",
        AT_LIARS,
    ),
    without(
        "so many results of each", RESULTS, "if sum(o.sender == sender for o in s.outcomes.values()) >= MANY:", AT_LIARS
    ),
    Fault(
        "so many acknowledgements of each",
        RESULTS,
        "for acks in s.acks.values()) >= MANY and",
        "for acks in s.acks.values()) >= 10**9 and",
        AT_LIARS,
    ),
    Fault(
        "a result's transcript that holds",
        RESULTS,
        "    if isinstance(judged, list):\n        _void(",
        "    if isinstance(judged, list):\n        return\n        _void(",
        AT_LIARS,
    ),
    Fault(
        "all vectors before an acknowledgement",
        RESULTS,
        "frozenset(artefacts.values() if member else ())",
        "frozenset()",
        AT_LIARS,
    ),
    Fault("the sum added up again", RESULTS, "if member else []", "if False else []", AT_LIARS),
    Fault("the model of a result", RESULTS, "if faults or aggregate != result.model or", "if faults or", AT_LIARS),
    Fault("the session of a result", RESULTS, " or result.sid != proven.roster.plan.sid:", ":", AT_LIARS),
    Fault("one acknowledgement on a record", RESULTS, " or (s.acked is not None and not again):", ":", AT_ROUND),
    without("one acknowledgement of a session", RESULTS, "if _contradicts(s, result, ack):", (HERE,)),
    Fault(
        "acknowledgements of members only", RESULTS, "if s.me not in candidate.proven.roster.members or", "if", AT_ROUND
    ),
    Fault(
        "an acknowledgement on disk before it is said",
        RESULTS,
        "    s.acked, s.bound = result, True\n    s.save()\n",
        "    s.acked, s.bound = result, True\n",
        AT_ROUND,
    ),
    without("no acknowledgement after a lost disk", RESULTS, "if s.recovery is not None:", AT_ROUND),
    without(
        "acknowledgements signed by their senders",
        RESULTS,
        "if not signed.is_by(sender, s.federation.domain):",
        AT_LIARS,
    ),
    without("two acknowledgements convict", RESULTS, "if known.statement != signed.statement:", AT_LIARS),
    Fault(
        "acknowledgements of exactly this",
        RESULTS,
        "if p in acks and acks[p].statement == wanted)",
        "if p in acks)",
        AT_LIARS,
    ),
    Fault("a quorum before it is adopted", RESULTS, ">= candidate.proven.roster.limits.quorum:", ">= 1:", AT_LIARS),
    Fault(
        "a result on my record", RESULTS, "if session.opened.statement.parent != s.head.record:", "if False:", AT_LIARS
    ),
    Fault(
        "a certificate that leaves me out frees",
        SCREENED,
        " or s.me in proven.u3:",
        ":",
        AT_ROUND,
    ),
    Fault("counts in the sum", MERGING, "if metrics.peers == members and sum_within", "if sum_within", AT_MERGING),
    Fault("bounds of the sum", MERGING, " and sum_within_bounds(update, members, self.grid):", ":", AT_MERGING),
    Fault("no more bad buckets than agreed", MERGING, "if spare == 0:", "if spare < -9:", AT_MERGING),
    Fault(
        "fewer unknown with each bad bucket", MERGING, "            spare -= 1", "            spare -= 0", AT_MERGING
    ),
    Fault(
        "what a version's update is clipped to",
        ARITHMETIC,
        "clipped, factor = clip_norm(within, grid.clip)",
        "clipped, factor = within, 1.0",
        AT_MERGING,
    ),
    Fault("an update without a NaN", ARITHMETIC, "if not np.isfinite(delta).all():", "if False:", AT_MERGING),
    # -- a sum too large to be added up again
    Fault(
        "leaves before an acknowledgement",
        RESULTS,
        "if unread and s.rules.leaves and s.acked != result:",
        "if False:",
        AT_LEAVES,
    ),
    Fault(
        "a drawn leaf that is wrong",
        LEAVES,
        "if right == leaf_of(check.total, size, group, leaf):",
        "if right:",
        AT_LEAVES,
    ),
    Fault(
        "leaves as their owners signed",
        LEAVES,
        "if not merkle_verify(root, piece.leaf, leaf, count, piece.path):",
        "if False:",
        AT_LEAVES,
    ),
    Fault(
        "the initiator's word before a leaf is drawn",
        LEAVES,
        "if claim is None or claim.statement != ResultAck(plan.sid, candidate.sum_root, candidate.aggregate):",
        "if claim is None:",
        AT_LEAVES,
    ),
    Fault(
        "nobody convicted over a led leaf",
        LEAVES,
        "    if is_led(check.proven, check.session, group):\n",
        "    if False:\n",
        AT_LEAVES,
    ),
    Fault("questions for leaves are bounded", LEAVES, "if len(waiting) < WAITING:", "if True:", AT_LEAVES),
    # -- opened numbers
    Fault("a quorum of openings for scores", OPENINGS, "if not scoring.quorate:", "if False:", AT_LIARS),
    Fault(
        "the initiator's own direction",
        OPENINGS,
        "    if sender != candidate.proven.roster.plan.initiator:\n        return\n",
        "",
        AT_LIARS,
    ),
    Fault("one direction of an initiator", OPENINGS, "and s.directed != message:", "and False:", AT_LIARS),
    Fault("only survivors open", OPENINGS, "    if s.me not in candidate.proven.u3:\n", "    if False:\n", AT_LIARS),
    without("the scale of the direction", OPENINGS, "if directed.exponent != scored.exponent:", AT_LIARS),
    Fault("a direction like my own", OPENINGS, "is_mine=agree(theirs, s.scored.direction))", "is_mine=True)", AT_LIARS),
    Fault(
        "pledges signed by their senders",
        OPENINGS,
        "    if not message.signed.is_by(sender, s.federation.domain):\n",
        "    if False:\n",
        AT_LIARS,
    ),
    Fault("how like my own a direction is", SCORING, "AGREEING_COSINE = 0.99", "AGREEING_COSINE = 0.5", AT_SCORING),
    Fault(
        "nothing opened of the counts",
        SCORING,
        "np.zeros((*direction.shape",
        "np.ones((*direction.shape",
        AT_SCORING,
    ),
    Fault(
        "openings taken from survivors",
        SCORING,
        "        if sender not in proven.u3:\n",
        "        if False:\n",
        AT_SCORING,
    ),
    Fault(
        "an opening signed by its sender",
        SCORING,
        "            message.signed.is_by(sender, proven.roster.plan.domain)\n            and s.sid",
        "            s.sid",
        AT_SCORING,
    ),
    Fault(
        "an opening of this session",
        SCORING,
        "            and s.sid == self.candidate.sid == message.sid\n",
        "",
        AT_SCORING,
    ),
    Fault(
        "an opening for this direction",
        SCORING,
        "            and s.direction == sha256(direction_bytes(self.direction))\n",
        "",
        AT_SCORING,
    ),
    Fault(
        "an opening's numbers as signed",
        SCORING,
        "            and s.values == values_digest(message.values)\n",
        "",
        AT_SCORING,
    ),
    Fault(
        "an opening's number for each partner",
        SCORING,
        "            and len(message.values) == len(slots(proven, sender))\n",
        "",
        AT_SCORING,
    ),
    Fault("a direction of the layout's length", SCORING, "if len(blob) != 4 * parameters:", "if False:", AT_SCORING),
    without(
        "a leader's numbers add up",
        SCORING,
        "if (sum(message.numbers) - inner(masked, g, ring)) % ring.modulus:",
        AT_REGIONS,
    ),
    Fault("a leader's numbers for its vectors", SCORING, " or len(message.numbers) != len(members):", ":", AT_REGIONS),
    Fault(
        "a leader's word for this direction",
        SCORING,
        " or message.direction != sha256(direction_bytes(self.direction)):",
        ":",
        AT_REGIONS,
    ),
    Fault("a leader's word is signed by it", GATHERING, "signed.is_by(leader, plan.domain) and", "", AT_REGIONS),
    Fault("a leader's sum is its bucket's", JUDGE, '[Fault("sum-leader", a,', '[Fault("sum-leader", None,', AT_REGIONS),
    # -- standing on records
    Fault("my own number in a record", STANDING, "if number is not None and number != own:", "if False:", AT_LIARS),
    Fault(
        "a record's numbers add up",
        STANDING,
        "elif judged.proven.halves is None and not add_up(",
        "elif False and not add_up(",
        AT_LIARS,
    ),
    Fault(
        "the branch that counts more",
        STANDING,
        "_preference(branch[-1]) > _preference(s.history[-1])",
        "False",
        (HERE,),
    ),
    Fault(
        "the branch on which rewards were settled",
        STANDING,
        "kept = any(s.settles(j.standing.record) for j in lost) or",
        "kept =",
        (HERE,),
    ),
    without("a branch that has every settled epoch", STANDING, "if ancestor < s.paid_rounds:", AT_EPOCHS),
    Fault(
        "a settled epoch stays paid",
        STATE,
        "settled = {j.standing.record for j in self.history[: self.paid_rounds]}",
        "settled = set()",
        AT_EPOCHS,
    ),
    Fault("the steps of one epoch only", STATE, "self.scores[self.paid_rounds : end]", "self.scores[:end]", AT_EPOCHS),
    Fault(
        "the chain's root is the one that my rounds give",
        EPOCHS,
        "        if mine.root(root.epoch, root.emission_root) == root:\n",
        "        if True:\n",
        AT_EPOCHS,
    ),
    Fault("an end of guessing", EPOCHS, "if tried == MOST_GUESSES:", "if False:", AT_EPOCHS),
    Fault(
        "an epoch is over by its own claims",
        SETTLEMENT,
        "and epoch == (0 if self.final else self.epoch):",
        "and epoch >= 0:",
        AT_EPOCHS,
    ),
    Fault("a served chain is judged", STANDING, "raise ValueError(judged[0].sentence)", "break", AT_CHASE),
    without(
        "rounds that follow each other",
        CHASE,
        "if self.stack and transcript.round != self.stack[-1][1].round - 1:",
        AT_CHASE,
    ),
    without("one parent of each round", CHASE, "if len(transcript.parents) != 1:", AT_CHASE),
    without(
        "a chain from my own federation", CHASE, "if parent.transcript == NOTHING or transcript.round <= 1:", AT_CHASE
    ),
    Fault("only what was asked for", CHASE, "if self.waiting.pop(artefact, None) is None:", "if False:", AT_CHASE),
    Fault("asking a few times", CHASE, "if self.attempts[artefact] < FETCH_ATTEMPTS:", "if True:", AT_CHASE),
    Fault(
        "messages of registered peers",
        ENGINE,
        "if sender not in self.federation.registered or sender == self.me:",
        "if sender == self.me:",
        AT_LIARS,
    ),
    Fault(
        "early messages are bounded",
        STATE,
        "setdefault(sender, deque(maxlen=EARLY_MESSAGES))",
        "setdefault(sender, deque())",
        AT_LIARS,
    ),
    Fault(
        "settled by more than can collude",
        STATE,
        "> colluders(len(self.federation.registered))",
        "> 0",
        (HERE,),
    ),
    # -- the life of a version
    Fault("a locked version is what was sent", VERSION, "sent=self.local, sent_sid=sid)", "sent_sid=sid)", AT_VERSION),
    Fault(
        "only a free version stays",
        VERSION,
        "if self.status is Status.FREE and not merged",
        "if not merged",
        AT_VERSION,
    ),
    Fault(
        "what a sum contains is dropped",
        VERSION,
        "self.contained(kept) if consumed else self.base",
        "self.base",
        AT_VERSION,
    ),
    Fault(
        "what a round has not exchanged waits",
        VERSION,
        "return put(self.base, self.local if self.sent is None else self.sent, kept)",
        "return self.local if self.sent is None else self.sent",
        AT_SAMPLING,
    ),
    Fault(
        "a path gradient of what was exchanged",
        "node/peerage/rounds/gradients.py",
        "dither, slope, kept)]",
        "dither, slope)]",
        AT_SAMPLING,
    ),
    Fault(
        "models of neighbours only",
        "ledger/peerage_ledger/plain_judgement.py",
        "if federation.near is not None and not set(peers)",
        "if False and not set(peers)",
        AT_GRAPHS,
    ),
    Fault("a graph in one piece", PLAIN + "topology.py", "if len(reached) < topology.peers:", "if False:", AT_GRAPHS),
    Fault(
        "a peer pulls from its neighbours",
        PLAIN + "others.py",
        "return (self.registered & near)",
        "return self.registered",
        AT_GRAPHS,
    ),
    Fault("the last round draws coordinates", SAMPLING, 'v1", parent.seed)', 'v1")', AT_SAMPLING),
    Fault("a sum goes where it was taken", MERGING, "self.sampling.kept(parent), parent", "None, parent", AT_SAMPLING),
    # -- a peer that lost its disk
    Fault(
        "enough answers after a lost disk",
        RECOVERY,
        "if recovery is None or len(recovery.rounds) < _enough(s):",
        "if recovery is None or not recovery.rounds:",
        AT_ROUND,
    ),
    Fault("a record further after a lost disk", RECOVERY, "if s.head.round > newest or (", "if True or (", AT_ROUND),
    Fault("a leap over every version", RECOVERY, "number=known + LEAP", "number=known", AT_ROUND),
    Fault(
        "a first answer after a lost disk",
        RECOVERY,
        "s.recovery.rounds.setdefault(peer, news.round)",
        "s.recovery.rounds[peer] = news.round",
        AT_ROUND,
    ),
    # -- settlement
    Fault(
        "a settlement in its one form",
        SETTLEMENT,
        'if msgspec.json.encode(document, order="deterministic") != blob:',
        "if False:",
        AT_SETTLEMENT,
    ),
    Fault(
        "no signature on wrong numbers",
        SETTLEMENT,
        "        if self._disputed:\n            return self._fault(",
        "        if False:\n            return self._fault(",
        AT_LIARS,
    ),
    Fault(
        "no proposal of wrong numbers",
        SETTLEMENT,
        "if self._mine is None or self._disputed:",
        "if self._mine is None:",
        AT_LIARS,
    ),
    Fault("totals as I find them", SETTLEMENT, "if totals != self.totals or document", "if document", AT_SETTLEMENT),
    Fault("the epoch of a settlement", SETTLEMENT, " or document.epoch != self.epoch or", " or", AT_SETTLEMENT),
    Fault("the record of a settlement", SETTLEMENT, " or document.record != self.head.record:", ":", AT_SETTLEMENT),
    Fault(
        "my emissions in a settlement",
        SETTLEMENT,
        "if emissions.get(self.me, self._mine) != self._mine or",
        "if",
        AT_SETTLEMENT,
    ),
    without("the steps of a settlement", SETTLEMENT, "if document.steps != self.books.steps.digest():", AT_SETTLEMENT),
    Fault(
        "voided rounds of which only one has heard",
        SETTLEMENT,
        "if document.record == self.head.record and frozenset(document.voided) != self.books.voided:",
        "if False:",
        AT_SETTLEMENT,
    ),
    Fault(
        "votes anew for a root that was voided",
        SETTLEMENT,
        "            case RootVoided() if not self._over:\n                return self._begin_again()",
        "            case RootVoided() if not self._over:\n                return []",
        AT_SETTLEMENT,
    ),
    Fault(
        "books without voided rounds",
        SETTLEMENT,
        "        self._newest = books\n        return",
        "        return",
        AT_SETTLEMENT,
    ),
    Fault("signatures by their senders", SETTLEMENT, "if signer != sender:", "if False:", AT_SETTLEMENT),
    Fault(
        "a quorum of signatures",
        SETTLEMENT,
        "if len(self._votes) < quorum(registered, colluders(registered)):",
        "if False:",
        AT_SETTLEMENT,
    ),
    # -- privacy
    without("a roster for the noise", CAUTION, "if len(members) < self.least_roster:", AT_CAUTION),
    Fault(
        "a roster close to an earlier one",
        CAUTION,
        'return self._too_close("roster", members, self.rosters)',
        'return ""',
        AT_CAUTION,
    ),
    Fault(
        "survivors close to earlier ones",
        CAUTION,
        'return self._too_close("survivor set", members, self.sums)',
        'return ""',
        AT_CAUTION,
    ),
    Fault(
        "members refuse close rosters",
        RUN,
        "why = self.caution.of_roster([signed.signer(self.plan.domain) for signed in message.joins])",
        'why = ""',
        AT_CAUTION,
    ),
    Fault("what was voted for counts", JOINING, "(*closed, *s.voted_for.values())", "(*closed,)", AT_CAUTION),
    Fault("the noise of a version", JOINING, "    if s.rules.noise:\n", "    if False:\n", AT_CAUTION),
    Fault(
        "with noise the counts stay at home",
        FRESHNESS,
        "if s.rules.noise is None else (0, 0, 0.0)",
        "if True else (0, 0, 0.0)",
        AT_CAUTION,
    ),
    # -- plain exchange
    Fault(
        "news that hold",
        PLAIN + "engine.py",
        "        if wrong:\n            self.others.alive(sender)\n",
        "        if False:\n            self.others.alive(sender)\n",
        AT_PLAIN,
    ),
    Fault(
        "messages of registered peers, plain",
        PLAIN + "engine.py",
        "if sender not in self.federation.registered or sender == self.me:",
        "if sender == self.me:",
        AT_PLAIN,
    ),
    Fault(
        "a saved state and its merge",
        PLAIN + "engine.py",
        "if sha256(canonical(saved.base)) != body.aggregate or",
        "if",
        AT_PLAIN,
    ),
    Fault(
        "training without a NaN",
        PLAIN + "engine.py",
        "        if np.isfinite(event.model).all():\n",
        "        if True:\n",
        AT_PLAIN,
    ),
    Fault(
        "a convict is not merged",
        PLAIN + "engine.py",
        "            self.others.convicted.add(proof.peer)\n",
        "",
        AT_PLAIN,
    ),
    Fault("weights as they must be", PLAIN + "pull.py", "if isinstance(weights, str):", "if False:", AT_PLAIN),
    Fault(
        "a record as it was named",
        PLAIN + "pull.py",
        "return judged if judged.link == link else",
        "return judged if True else",
        AT_PLAIN,
    ),
    Fault(
        "merges behind a model hold",
        PLAIN + "pull.py",
        "        if isinstance(judged, Fault):\n            return judged.sentence\n",
        "",
        AT_PLAIN,
    ),
    Fault(
        "a version is merged once", PLAIN + "others.py", "if version_in(n) > merged.get(peer, 0)]", "if n]", AT_PLAIN
    ),
    Fault(
        "who is gone or convicted is not live",
        PLAIN + "others.py",
        "(self.registered & near) - self.gone - self.convicted - {self.me}",
        "(self.registered & near) - self.gone - {self.me}",
        AT_PLAIN,
    ),
    Fault(
        "a refused version stays refused",
        PLAIN + "others.py",
        "if update is None or (peer, update.statement.version) in self.refused:",
        "if update is None:",
        AT_PLAIN,
    ),
    Fault(
        "two statements of one version",
        PLAIN + "contradictions.py",
        "if before.statement != update.statement and",
        "if False and",
        AT_PLAIN,
    ),
    Fault(
        "a contradiction of one version",
        PLAIN + "contradictions.py",
        "same = (one.sid, one.version) == (other.sid, other.version)",
        "same = True",
        AT_PLAIN,
    ),
    Fault(
        "a contradiction that was signed",
        PLAIN + "contradictions.py",
        " and signed and self.peer",
        " and self.peer",
        AT_PLAIN,
    ),
    Fault(
        "a contradiction of two",
        PLAIN + "contradictions.py",
        "return same and one != other and",
        "return same and",
        AT_PLAIN,
    ),
    Fault("enough models for a rule", PLAIN + "rules.py", "if models >= needed:", "if True:", AT_RULES),
    Fault(
        "no weight beyond all measure",
        PLAIN + "rules.py",
        "np.clip(model.astype(np.float64), -LARGEST, LARGEST)",
        "model.astype(np.float64)",
        AT_RULES,
    ),
    Fault(
        "statistics of our columns",
        PLAIN + "scale.py",
        "if values.shape != mine.shape or not np.isfinite(values).all() or (counts < 0).any():",
        "if False:",
        (T + "plain_scale.py",),
    ),
    Fault(
        "statistics that do not change",
        PLAIN + "scale.py",
        "if not np.array_equal(self.statistics.setdefault(sender, values), values):",
        "if np.size(self.statistics.setdefault(sender, values)) < 0:",
        (T + "plain_scale.py",),
    ),
    Fault(
        "statistics of everybody",
        PLAIN + "scale.py",
        "if not self.registered <= self.statistics.keys():",
        "if False:",
        (T + "plain_scale.py",),
    ),
)
