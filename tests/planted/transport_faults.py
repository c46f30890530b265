"""Checks at the doors: who may connect, who is heard, how much of it, and what a relay cannot do."""

from __future__ import annotations

from planted.fault import Fault, without

TRANSPORT = "node/peerage/transport/"
ZAP, LIMITS, BULK, FRAMES = (
    TRANSPORT + "zap.py",
    TRANSPORT + "limits.py",
    TRANSPORT + "bulk.py",
    TRANSPORT + "frames.py",
)
LINK, IO, DOORS = TRANSPORT + "link.py", TRANSPORT + "io.py", TRANSPORT + "doors.py"
ENVELOPES, SEALED, FORWARDING = TRANSPORT + "envelopes.py", TRANSPORT + "sealed.py", TRANSPORT + "forwarding.py"
TUNNELS, RELAYS = TRANSPORT + "tunnels.py", TRANSPORT + "relays.py"
T = "tests/node/test_"
AT_BULK, AT_FRAMES, AT_LIMITS = (
    (T + "transport_bulk.py",),
    (T + "transport_frames.py",),
    (T + "transport.py", T + "one_check_doors.py"),
)
AT_SEALED, AT_TUNNELS, AT_FORWARDING = (
    (T + "relay_sealed.py", T + "one_check_doors.py"),
    (T + "relay_tunnels.py",),
    (T + "relay_forwarding.py",),
)
AT_DOORS = (T + "one_check_doors.py",)

FAULTS = (
    # -- who comes in
    Fault("a registered key", ZAP, "if not admits(key):", "if False:", AT_DOORS),
    Fault("CURVE in our domain", ZAP, 'domain == DOMAIN and mechanism == b"CURVE" and', "", AT_DOORS),
    Fault("a credential of 32 bytes", ZAP, " and len(credentials[0]) == 32", "", AT_DOORS),
    Fault(
        "a request that is ZAP", ZAP, "if len(frames) < 6 or frames[0] != _VERSION:", "if len(frames) < 6:", AT_DOORS
    ),
    Fault("doors that are encrypted", DOORS, "door.curve_server = True", "door.curve_server = False", AT_DOORS),
    Fault("doors that ask who comes", DOORS, "door.zap_domain = DOMAIN", 'door.zap_domain = b"other"', AT_DOORS),
    Fault(
        "the owner behind a door",
        LINK,
        "socket.curve_serverkey = self.door.public_key",
        "socket.curve_serverkey = self._keys.public",
        AT_DOORS,
    ),
    Fault(
        "who a frame is from is looked up each time",
        IO,
        "        return sender\n\n    def _on_control",
        "        return sender or max(self._contacts)\n\n    def _on_control",
        AT_DOORS,
    ),
    Fault(
        "a key that names one peer", IO, "if claims[c.public_key] == 1 and a != self._me", "if a != self._me", AT_DOORS
    ),
    # -- how much comes in
    Fault("no frame longer than a door's limit", DOORS, "door.maxmsgsize = (", "_ = (", AT_DOORS),
    Fault("control frames of a legal length", IO, "elif not 0 < length <= CONTROL_LIMIT:", "elif False:", AT_DOORS),
    Fault("control frames of one part", IO, "elif len(frames) != 1:", "elif False:", AT_DOORS),
    Fault(
        "frames counted", IO, "if not self.allowance(sender).frame(length, time.monotonic()):", "if False:", AT_DOORS
    ),
    Fault("requests counted", IO, "if not self.allowance(sender).request(time.monotonic()):", "if False:", AT_DOORS),
    Fault("a bucket that runs dry", LIMITS, "        if tokens > self._level:\n", "        if False:\n", AT_LIMITS),
    Fault(
        "a bucket no fuller than its burst",
        LIMITS,
        "min(self.burst, self._level +",
        "min(10.0**9, self._level +",
        AT_LIMITS,
    ),
    Fault("bytes counted beside frames", LIMITS, " and self._bytes.take(length, now)", "", AT_LIMITS),
    without(
        "a request of one short frame", FRAMES, "if len(frames) != 1 or len(frames[0]) > REQUEST_LIMIT:", AT_FRAMES
    ),
    without("an answer of two frames", FRAMES, "if len(frames) != 2 or len(frames[0]) > HEADER_LIMIT:", AT_FRAMES),
    # -- what is pulled
    Fault("blobs by their hash", BULK, "download.digest.digest() == download.artefact", "True", AT_BULK),
    without("blobs within the limit", BULK, "if header.total > download.limit:", AT_BULK),
    without("one length for a blob", BULK, "if download.total not in (None, header.total):", AT_BULK),
    without("chunks of the right length", BULK, "if len(chunk) != min(CHUNK, header.total - header.offset):", AT_BULK),
    Fault("chunks in order", BULK, "if header.offset == download.here and", "if", AT_BULK),
    Fault("credits", BULK, "state.under_way < self._credits and", "", AT_BULK),
    Fault("chunks that were asked for", BULK, "        if state.under_way == 0:\n", "        if False:\n", AT_BULK),
    Fault(
        "an owner that stalls",
        BULK,
        "            if now >= state.progress + self._stall:\n",
        "            if False:\n",
        AT_BULK,
    ),
    Fault(
        "no time bought by empty answers",
        BULK,
        "        if fault is None and len(download.chunks) == before:\n",
        "        if False:\n",
        AT_BULK,
    ),
    # -- what a relay cannot
    Fault("a replayed text", SEALED, "if counter <= self.heard:", "if False:", AT_SEALED),
    Fault("the session under a seal", SEALED, "text, _DOMAIN + self.session)", "text, _DOMAIN)", AT_SEALED),
    *(
        Fault(f"{what} in a channel's keys", SEALED, old, new, AT_SEALED)
        for what, old, new in (
            ("the addresses", "_DOMAIN, ends.caller, ends.callee)", "_DOMAIN,)"),
            ("the listed keys", "callee, ends.caller_key, ends.callee_key)", "callee)"),
            ("the session", "(session, caller, callee,", "(caller, callee,"),
        )
    ),
    Fault(
        "another key for each direction",
        SEALED,
        "return both[:32], both[32:]",
        "return both[:32], both[:32]",
        AT_SEALED,
    ),
    without(
        "bodies of an envelope's kind",
        ENVELOPES,
        "if len(frames[1]) not in _BODY.get(head.kind, range(1)):",
        AT_TUNNELS,
    ),
    without("envelopes of two frames", ENVELOPES, "if len(frames) != 2:", AT_TUNNELS),
    Fault(
        "what a relay holds for one peer",
        FORWARDING,
        "while shelf.size > self._most_bytes or shelf",
        "while shelf",
        AT_FORWARDING,
    ),
    Fault(
        "how many envelopes a relay holds",
        FORWARDING,
        " or shelf.envelopes > self._most_envelopes:",
        ":",
        AT_FORWARDING,
    ),
    Fault(
        "who pours loses its own", FORWARDING, "longest = max(shelf.piles", "longest = min(shelf.piles", AT_FORWARDING
    ),
    Fault("senders take turns at a relay", FORWARDING, "shelf.piles.move_to_end(sender)", "pass", AT_FORWARDING),
)
