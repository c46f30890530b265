"""Checks of the parts that a session is made of: keys, shares, rings, masks, hashes, signatures, evidence."""

from __future__ import annotations

from planted.fault import Fault, without

CRYPTO = "crypto/peerage_crypto/"
AGREEMENT, SHARING, FIXEDPOINT = CRYPTO + "agreement.py", CRYPTO + "sharing.py", CRYPTO + "fixedpoint.py"
MASKING, DIGEST, IDENTITY = CRYPTO + "masking.py", CRYPTO + "digest.py", CRYPTO + "identity.py"
STATEMENTS, EQUIVOCATION, SKELLAM = CRYPTO + "statements.py", CRYPTO + "equivocation.py", CRYPTO + "skellam.py"
LEAF, PLAIN = CRYPTO + "leaf_check.py", CRYPTO + "plain_statements.py"
T = "tests/crypto/test_"
ALONE = T + "one_check_parts.py"
AT_AGREEMENT, AT_SHARING, AT_FIXEDPOINT = (T + "agreement.py",), (T + "sharing.py",), (T + "fixedpoint.py", ALONE)
AT_MASKING, AT_DIGEST, AT_IDENTITY = (T + "masking.py",), (T + "digest.py", ALONE), (T + "identity.py",)
AT_STATEMENTS, AT_EQUIVOCATION, AT_SKELLAM = (
    (T + "statements.py", ALONE),
    (T + "equivocation.py", ALONE),
    (T + "skellam.py",),
)
AT_LEAF, AT_PLAIN = (ALONE, T + "leaf_check.py"), (ALONE,)

FAULTS = (
    # -- two peers alone
    Fault("one encoding of a key", AGREEMENT, ' or int.from_bytes(peer_public, "little") >= FIELD', "", AT_AGREEMENT),
    Fault(
        "no secret with a point of low order",
        AGREEMENT,
        'raise BadKey("the public key is a point of low order") from error',
        "return bytes(32 + 0 * len(error.args))",
        AT_AGREEMENT,
    ),
    Fault("a salt in a derived key", AGREEMENT, "salt=salt, info", 'salt=b"", info', AT_AGREEMENT),
    Fault("a purpose in a derived key", AGREEMENT, "info=info)", 'info=b"")', AT_AGREEMENT),
    without("strong keys for packets", AGREEMENT, "if len(key) != 32 or len(nonce) != 12:", AT_AGREEMENT),
    # -- shares
    without("whole secrets are shared", SHARING, "if len(secret) != 32 or len(rand) < 32:", AT_SHARING),
    without("a threshold that can be met", SHARING, "if not 1 <= threshold <= len(xs):", AT_SHARING),
    without(
        "distinct points", SHARING, "if len(set(xs)) != len(xs) or not all(0 < x < PRIME for x in xs):", AT_SHARING
    ),
    without("shares below the prime", SHARING, "if len(share) != SHARE_BYTES or value >= PRIME:", AT_SHARING),
    Fault("another polynomial for another secret", SHARING, "derive(rand, secret,", 'derive(rand, b"",', AT_SHARING),
    Fault(
        "fewer shares say nothing", SHARING, "DRAW_BYTES * (threshold - 1)", "DRAW_BYTES * (threshold // 2)", AT_SHARING
    ),
    # -- rings and the grid
    without("a ring of a legal width", FIXEDPOINT, "if self.bits not in RING_BITS:", AT_FIXEDPOINT),
    Fault(
        "no NaN on the grid",
        FIXEDPOINT,
        "if not (isfinite(top) and isfinite(bottom) and max(top, -bottom) * scale < LARGEST_QUANTISED):",
        "if max(top, -bottom) * scale >= LARGEST_QUANTISED:",
        AT_FIXEDPOINT,
    ),
    Fault("no value too large for the grid", FIXEDPOINT, "< LARGEST_QUANTISED)", "< 2.0**200)", AT_FIXEDPOINT),
    Fault("the norm bound", FIXEDPOINT, "factor = l2 / length", "factor = 1.0 + 0.0 * l2 / length", AT_FIXEDPOINT),
    without("a vector without a length", FIXEDPOINT, "if not isfinite(length):", AT_FIXEDPOINT),
    Fault(
        "headroom of the ring",
        FIXEDPOINT,
        "if _fits(n, largest_unit(frac_bits, clip, each, noise), within.bits):",
        "if bound > 0:",
        AT_FIXEDPOINT,
    ),
    Fault("headroom of one sign", FIXEDPOINT, "< 1 << (bits - 1)", "< 1 << bits", AT_FIXEDPOINT),
    Fault("each coordinate's bound", FIXEDPOINT, "np.clip(doubles, -bound, bound)", "doubles", AT_FIXEDPOINT),
    Fault("rounding within the bounds", FIXEDPOINT, ".sum())) <= longest:", ".sum())) >= 0:", AT_FIXEDPOINT),
    # -- masks
    without("whole keys of masks", MASKING, "if len(key) != 32:", AT_MASKING),
    without("products of one length", MASKING, "if vector.shape != g.shape:", AT_MASKING),
    Fault("vectors of the ring", MASKING, "if vector.ndim != 1 or", "if False and", AT_MASKING),
    Fault("each key its own mask", MASKING, "Cipher(AES(key), CTR(", "Cipher(AES(bytes(32)), CTR(", AT_MASKING),
    # -- hashes and trees
    Fault("a node is no leaf", DIGEST, 'LEAF, NODE = b"\\x00", b"\\x01"', 'LEAF, NODE = b"\\x00", b"\\x00"', AT_DIGEST),
    Fault("parts behind their lengths", DIGEST, 'state.update(size.to_bytes(8, "little"))', "size += 0", AT_DIGEST),
    without("a leaf inside its tree", DIGEST, "if not 0 <= index < count:", AT_DIGEST),
    Fault("no rest of a proof", DIGEST, "next(steps, None) is None and node == root", "node == root", AT_DIGEST),
    Fault("siblings as long as a hash", DIGEST, "sibling is None or len(sibling) != 32", "sibling is None", AT_DIGEST),
    without("a table of addresses", DIGEST, "if any(len(address) != 20 for address in items):", AT_DIGEST),
    without("a claim of an account", DIGEST, "if len(account) != 20:", AT_DIGEST),
    without("a claim within the EVM's range", DIGEST, "if not 0 <= cumulative < 1 << 256:", AT_DIGEST),
    Fault(
        "claims hashed twice", DIGEST, "return keccak(keccak(account.rjust(", "return (keccak(account.rjust(", AT_DIGEST
    ),
    # -- signatures
    without(
        "secrets of accounts",
        IDENTITY,
        'if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:',
        AT_IDENTITY,
    ),
    without("signatures of 65 bytes", IDENTITY, "if len(signature) != 65:", AT_IDENTITY),
    without("v is 27 or 28", IDENTITY, "if signature[64] not in (27, 28):", AT_IDENTITY),
    Fault("s in the lower half", IDENTITY, "0 < s <= ORDER // 2", "0 < s < ORDER", AT_IDENTITY),
    Fault("the chain in a domain", IDENTITY, "[name, version, chain_id,", "[name, version, 1,", AT_IDENTITY),
    Fault(
        "the contract in a domain",
        IDENTITY,
        "chain_id, verifying_contract])",
        "chain_id, bytes(20)])",
        AT_IDENTITY,
    ),
    without(
        "the password of a keystore",
        IDENTITY,
        "if not hmac.compare_digest(keccak256(key[16:32] + ciphertext), mac):",
        AT_IDENTITY,
    ),
    without(
        "a keystore's cost", IDENTITY, "if 128 * n * r > MAX_SCRYPT_MEMORY or r * p > MAX_SCRYPT_BLOCKS:", AT_IDENTITY
    ),
    Fault("a field fits its type", IDENTITY, "0 <= value < 1 << bits:", "0 <= value < 1 << 256:", AT_IDENTITY),
    # -- statements
    Fault(
        "who signed it",
        STATEMENTS,
        "return self.signer(domain) == address",
        "return bool(self.signer(domain))",
        AT_STATEMENTS,
    ),
    Fault("the owner in a commitment", STATEMENTS, "sid, owner, secret)", "sid, secret)", AT_STATEMENTS),
    Fault("the session in a commitment", STATEMENTS, "sid, owner, secret)", "owner, secret)", AT_STATEMENTS),
    *(
        Fault(f"{what} in a session's name", STATEMENTS, f"        {line},\n", "", AT_STATEMENTS)
        for what, line in {
            "the chain": 'chain_id.to_bytes(8, "little")',
            "the registry": "registry",
            "the round": 'round_.to_bytes(8, "little")',
            "the initiator": "initiator",
            "the parent": "parent",
            "the terms": "params",
            "the nonce": "nonce",
        }.items()
    ),
    Fault("the terms in a plain exchange's name", PLAIN, "registry, genesis, terms)", "registry, genesis)", AT_PLAIN),
    # -- evidence
    without("evidence of a sane size", EQUIVOCATION, "if len(blob) > MAX_EVIDENCE_BYTES:", AT_EQUIVOCATION),
    without("evidence in its one form", EQUIVOCATION, "if encode(value) != blob:", AT_EQUIVOCATION),
    without("evidence of a known schema", EQUIVOCATION, "if evidence.schema != SCHEMA:", AT_EQUIVOCATION),
    Fault(
        "statements of one type",
        EQUIVOCATION,
        "if type(first) is not type(second) or KINDS.get(evidence.equivocation) is not type(first):",
        "if type(first) is not type(second):",
        AT_EQUIVOCATION,
    ),
    without("statements of one session", EQUIVOCATION, "if first.sid != second.sid:", AT_EQUIVOCATION),
    without("two statements, not one twice", EQUIVOCATION, "if first == second:", AT_EQUIVOCATION),
    without("statements of one signer", EQUIVOCATION, "if signers[0] != signers[1]:", AT_EQUIVOCATION),
    Fault("a witness tells once", EQUIVOCATION, " or (signer, kind) in self._told:", ":", AT_EQUIVOCATION),
    Fault(
        "a witness remembers so much", EQUIVOCATION, "len(known) > REMEMBERED", "len(known) > 10**9", AT_EQUIVOCATION
    ),
    # -- a wrong leaf of a sum
    without("leaf evidence in its one form", LEAF, "if encode(evidence) != blob:", AT_LEAF),
    without("leaf evidence of a known schema", LEAF, "if evidence.schema != SCHEMA:", AT_LEAF),
    Fault("a leaf of this session", LEAF, "if claim.statement.sid != plan.sid or not", "if not", AT_LEAF),
    Fault("a root signed by the initiator", LEAF, " or not claim.is_by(plan.initiator, plan.domain):", ":", AT_LEAF),
    Fault(
        "a leaf that the sum has",
        LEAF,
        "if evidence.group >= len(proven.groups) or evidence.leaf >= count:",
        "if False:",
        AT_LEAF,
    ),
    Fault(
        "no conviction over a led bucket",
        LEAF,
        "if is_led(proven, evidence.session, evidence.group):",
        "if False:",
        AT_LEAF,
    ),
    without("a leaf of each survivor", LEAF, "if len(evidence.masked) != len(members):", AT_LEAF),
    Fault(
        "leaves under their roots",
        LEAF,
        " or not merkle_verify(root, piece.leaf, at, count, piece.path):",
        ":",
        AT_LEAF,
    ),
    Fault("leaves of the right length", LEAF, "if len(piece.leaf) != length or not", "if not", AT_LEAF),
    # -- noise
    without("whole keys of noise", SKELLAM, "if len(key) != 32:", AT_SKELLAM),
    Fault("noise beyond every tail", SKELLAM, "39 + isqrt(1394", "9 + isqrt(139", AT_SKELLAM),
)
