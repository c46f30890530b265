// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PeerRegistry} from "../src/PeerRegistry.sol";
import {PeerageToken} from "../src/PeerageToken.sol";
import {RewardVault} from "../src/RewardVault.sol";
import {RoundArbiter} from "../src/RoundArbiter.sol";
import {RoundLedger} from "../src/RoundLedger.sol";
import {IRewardPool} from "../src/interfaces/IRewardPool.sol";
import {IRoundArbiter} from "../src/interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {AddressTree} from "../src/libraries/AddressTree.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Federation} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev Whole masked rounds with real signatures, written from docs/round.md and not from the arbiter's libraries: what they
/// have in common is held together by these tests and by tests/ledger/test_round_arbiter.py.
abstract contract Evidence is Federation {
    uint256 internal constant BOND = 1e17;
    uint64 internal constant ANSWER = 10 minutes;
    uint256 internal constant BUCKETS = 3;
    uint256 internal constant FIFTH = STAKE / 5;
    address internal constant HUNTER = address(0x4812);
    bytes internal constant SETTINGS = bytes(
        "schema = 1\nexchange = \"masked\"\n\n[scores]\ncap = 2\n\n[robust]\nrule = \"median\"\nbuckets = 3\nbyzantine = 1\nsketches = 0\nlength_bound = 3.0\n\n[timing]\njoin = 5.0\n"
    );
    uint256 internal constant ROBUST = 49; // where "\n[robust]\n" begins

    /// @dev Lists are in the order of the roster; survivors are all members but the last `dropped`.
    struct Session {
        IRoundLedger.Round round;
        IRoundArbiter.SessionName name;
        bytes32 record;
        address[] members;
        bytes[] joinFields;
        bytes32[] joins;
        bytes joinSignatures;
        bytes u2;
        bytes32[] rands;
        uint256[] buckets;
        address[] survivors;
        bytes[] updates;
        bytes32[] masked;
        bytes[] updateSignatures;
        bytes ack;
        bytes[] acks;
        bytes32[] ackLeaves;
    }

    RoundArbiter internal arbiter;
    bytes32 internal federation;
    bytes32 internal domain;

    function deployArbiter(uint256 peers) internal {
        vm.warp(1_700_000_000);
        federation = tagged("peerage/federation/1", SETTINGS);
        token = new PeerageToken(address(this), SUPPLY);
        uint256 nonce = vm.getNonce(address(this));
        address[2] memory arbiters = [vm.computeCreateAddress(address(this), nonce + 3), PAY_ARBITER];
        IRewardPool pool = IRewardPool(vm.computeCreateAddress(address(this), nonce + 2));
        registry = new PeerRegistry(token, STAKE, UNBONDING, admission, arbiters, pool);
        rounds = new RoundLedger(registry, federation);
        domain = rounds.domainSeparator();
        vault = new RewardVault(token, registry, DELAY, address(0));
        arbiter = new RoundArbiter(registry, rounds, vault, token, BOND, ANSWER);
        joinAll(peers);
        token.transfer(HUNTER, 100 * BOND);
        vm.prank(HUNTER);
        token.approve(address(arbiter), type(uint256).max);
    }

    // -- sessions -------------------------------------------------------------------------------------------------------

    /// @dev An honest round above `parent`, whose seed draws its buckets; not recorded yet.
    function session(uint64 parentRound, bytes32 parent, bytes32 seed, uint256 count, uint256 dropped)
        internal
        view
        returns (Session memory s)
    {
        s.round = child(parentRound, parent, "session");
        s.name = IRoundArbiter.SessionName(peer(0), parent, keccak256("terms"), keccak256("nonce"));
        s.round.sid = sidOf(s.round.round, s.name);
        joinPhase(s, count);
        s.buckets = draw(s.members, seed);
        maskPhase(s, count - dropped);
        ackPhase(s, count, keccak256("sum root"), s.round.aggregate);
        seal(s);
    }

    function sidOf(uint64 round, IRoundArbiter.SessionName memory name) internal view returns (bytes32) {
        return sha256(
            bytes.concat(
                part("peerage/secagg/v1"),
                part(abi.encodePacked(reversed(uint64(block.chainid)))),
                part(abi.encodePacked(registry)),
                part(abi.encodePacked(reversed(round))),
                part(abi.encodePacked(name.initiator)),
                part(abi.encodePacked(name.parent)),
                part(abi.encodePacked(name.params)),
                part(abi.encodePacked(name.nonce))
            )
        );
    }

    function joinPhase(Session memory s, uint256 count) internal view {
        bytes32 sid = s.round.sid;
        (s.members, s.joinFields, s.joins) = (new address[](count), new bytes[](count), new bytes32[](count));
        s.rands = new bytes32[](count);
        s.u2 = new bytes((count + 7) / 8);
        s.joinSignatures = "";
        for (uint256 i = 0; i < count; ++i) {
            s.members[i] = peer(i);
            s.rands[i] = keccak256(abi.encode("rand", sid, i));
            s.joinFields[i] = joinFields(s, i, commitment(sid, peer(i), s.rands[i]));
            s.joins[i] = digestOf(Statements.Kind.JoinIntent, s.joinFields[i]);
            s.joinSignatures = bytes.concat(s.joinSignatures, sign(i, s.joins[i]));
            s.u2[i / 8] |= bytes1(uint8(1 << (i % 8)));
        }
    }

    function joinFields(Session memory s, uint256 i, bytes32 committed) internal pure returns (bytes memory) {
        bytes32 key = keccak256(abi.encode("key", i));
        bytes32 sid = s.round.sid;
        return abi.encode(sid, s.round.round, uint64(1), key, key, key, key, ~key, key, committed);
    }

    function maskPhase(Session memory s, uint256 count) internal view {
        (s.survivors, s.updates, s.masked) = (new address[](count), new bytes[](count), new bytes32[](count));
        s.updateSignatures = new bytes[](count);
        bytes32 u2 = viewOf(s);
        for (uint256 i = 0; i < count; ++i) {
            s.survivors[i] = peer(i);
            setUpdate(
                s, i, abi.encode(s.round.sid, u2, s.buckets[i], keccak256(abi.encode(i)), bytes32(0), 28, s.rands[i])
            );
        }
    }

    function setUpdate(Session memory s, uint256 i, bytes memory fields) internal view {
        s.updates[i] = fields;
        s.masked[i] = digestOf(Statements.Kind.MaskedUpdate, fields);
        s.updateSignatures[i] = sign(i, s.masked[i]);
    }

    function ackPhase(Session memory s, uint256 count, bytes32 sumRoot, bytes32 model) internal view {
        s.ack = abi.encode(s.round.sid, sumRoot, model);
        bytes32 digest = digestOf(Statements.Kind.ResultAck, s.ack);
        (s.acks, s.ackLeaves) = (new bytes[](count), new bytes32[](count));
        for (uint256 i = 0; i < count; ++i) {
            s.acks[i] = sign(i, digest);
            s.ackLeaves[i] = tagged("peerage/ack/v1", s.acks[i]);
        }
    }

    /// @dev The roots of whatever stands in the lists now.
    function seal(Session memory s) internal pure {
        s.round.joinRoot = rootOf(leaves(s.members, s.joins));
        s.round.maskedRoot = rootOf(leaves(s.survivors, s.masked));
        s.round.ackRoot = rootOf(leaves(s.members, s.ackLeaves));
        // forge-lint: disable-next-line(unsafe-typecast)
        s.round.members = uint16(s.survivors.length);
        s.record = keccak256(abi.encode(s.round));
    }

    function record(Session memory s, uint256 poster) internal {
        vm.prank(peer(poster));
        rounds.recordRound(s.round);
    }

    function seedOf(Session memory s) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(s.round.sid, s.rands));
    }

    function viewOf(Session memory s) internal pure returns (bytes32) {
        bytes memory entries = bytes.concat(part("peerage/roster/v1"), part(abi.encodePacked(s.round.sid)));
        for (uint256 i = 0; i < s.members.length; ++i) {
            bytes memory signature = new bytes(65);
            for (uint256 j = 0; j < 65; ++j) {
                signature[j] = s.joinSignatures[65 * i + j];
            }
            entries = bytes.concat(entries, part(bytes.concat(s.joins[i], signature)));
        }
        return sha256(bytes.concat(part("peerage/u2/v1"), part(abi.encodePacked(sha256(entries))), part(s.u2)));
    }

    /// @dev Sorted by ticket, dealt out like cards.
    function draw(address[] memory members, bytes32 seed) internal pure returns (uint256[] memory buckets) {
        uint256 count = members.length;
        uint256 used = count / 5 < BUCKETS ? count / 5 : BUCKETS;
        buckets = new uint256[](count);
        uint256[] memory order = new uint256[](count);
        bytes32[] memory tickets = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            order[i] = i;
            tickets[i] = sha256(
                bytes.concat(
                    part("peerage/bucket/v1"), part(abi.encodePacked(seed)), part(abi.encodePacked(members[i]))
                )
            );
            for (uint256 j = i; j > 0 && tickets[order[j]] < tickets[order[j - 1]]; --j) {
                (order[j], order[j - 1]) = (order[j - 1], order[j]);
            }
        }
        for (uint256 i = 0; i < count; ++i) {
            buckets[order[i]] = used == 0 ? 0 : i % used;
        }
    }

    function commitment(bytes32 sid, address owner, bytes32 rand) internal pure returns (bytes32) {
        return sha256(
            bytes.concat(
                part("peerage/rand/v1"),
                part(abi.encodePacked(sid)),
                part(abi.encodePacked(owner)),
                part(abi.encodePacked(rand))
            )
        );
    }

    // -- evidence -------------------------------------------------------------------------------------------------------

    function roster(Session memory s) internal pure returns (IRoundArbiter.Roster memory) {
        return IRoundArbiter.Roster(s.joins, s.joinSignatures, s.u2);
    }

    function reveal(Session memory s, uint256 i) internal pure returns (IRoundArbiter.Reveal memory) {
        return IRoundArbiter.Reveal(s.round.sid, roster(s), i, s.joinFields[i], s.updates[i], s.updateSignatures[i]);
    }

    function drawOf(Session memory parent, Session memory s, uint256 accused)
        internal
        pure
        returns (IRoundArbiter.Draw memory d)
    {
        (d.settings, d.robust) = (SETTINGS, ROBUST);
        if (parent.members.length > 0) {
            bytes memory joins = "";
            for (uint256 i = 0; i < parent.members.length; ++i) {
                joins = bytes.concat(joins, parent.joinFields[i]);
            }
            d.parent = IRoundArbiter.Randomness({
                round: parent.round,
                members: parent.members,
                joins: joins,
                signatures: parent.joinSignatures,
                u2: parent.u2,
                rands: parent.rands,
                survivors: parent.survivors,
                masked: parent.masked,
                shown: 1,
                update: parent.updates[1]
            });
        }
        (d.members, d.joins) = (s.members, s.joins);
        d.accused = leafOf(s.survivors, s.masked, accused);
        d.update = s.updates[accused];
    }

    function sign(uint256 who, bytes32 digest) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 t) = vm.sign(secrets[who], digest);
        return abi.encodePacked(r, t, v);
    }

    function digestOf(Statements.Kind kind, bytes memory fields) internal view returns (bytes32) {
        bytes32 inner = keccak256(bytes.concat(keccak256(bytes(typeOf(kind))), fields));
        return keccak256(abi.encodePacked(hex"1901", domain, inner));
    }

    function typeOf(Statements.Kind kind) internal pure returns (string memory) {
        if (kind == Statements.Kind.JoinIntent) {
            return "JoinIntent(bytes32 sid,uint64 round,uint64 version,bytes32 update,bytes32 dataManifest,bytes32 codeManifest,bytes32 channelKey,bytes32 maskKey,bytes32 selfSeed,bytes32 rand)";
        }
        if (kind == Statements.Kind.MaskedUpdate) {
            return "MaskedUpdate(bytes32 sid,bytes32 u2,uint8 bucket,bytes32 maskedRoot,bytes32 artefact,uint32 length,bytes32 rand)";
        }
        if (kind == Statements.Kind.Vote) return "Vote(bytes32 sid,bytes32 survivors)";
        if (kind == Statements.Kind.ResultAck) return "ResultAck(bytes32 sid,bytes32 sumRoot,bytes32 model)";
        if (kind == Statements.Kind.Opening) {
            return "Opening(bytes32 sid,bytes32 direction,bytes32 values,bytes32 emissions)";
        }
        if (kind == Statements.Kind.Sketch) return "Sketch(bytes32 sid,bytes32 survivors,bytes32 values)";
        if (kind == Statements.Kind.Screening) return "Screening(bytes32 sid,bytes32 survivors)";
        if (kind == Statements.Kind.PlainUpdate) {
            return
                "PlainUpdate(bytes32 sid,uint64 version,bytes32 artefact,uint64 examples,bytes32 base,uint64 baseRound)";
        }
        if (kind == Statements.Kind.PlainMerge) return "PlainMerge(bytes32 sid,uint64 merge,bytes32 body)";
        return "PathGradient(bytes32 sid,uint8 half,bytes32 commitment,uint32 length)";
    }

    // -- trees ----------------------------------------------------------------------------------------------------------

    function leaves(address[] memory accounts, bytes32[] memory values)
        internal
        pure
        returns (bytes32[] memory hashes)
    {
        hashes = new bytes32[](values.length);
        for (uint256 i = 0; i < values.length; ++i) {
            hashes[i] = sha256(abi.encodePacked(uint8(0), accounts[i], values[i]));
        }
    }

    function rootOf(bytes32[] memory level) internal pure returns (bytes32) {
        if (level.length == 0) return bytes32(0);
        while (level.length > 1) {
            level = _upper(level);
        }
        return level[0];
    }

    function pathOf(bytes32[] memory level, uint256 index) internal pure returns (AddressTree.Path memory path) {
        bytes32[] memory steps = new bytes32[](32);
        uint256 height = 0;
        while (level.length > 1) {
            if (index ^ 1 < level.length) {
                path.turns |= (index % 2) << height;
                steps[height++] = level[index ^ 1];
            }
            (level, index) = (_upper(level), index / 2);
        }
        path.siblings = new bytes32[](height);
        for (uint256 i = 0; i < height; ++i) {
            path.siblings[i] = steps[i];
        }
    }

    function leafOf(address[] memory accounts, bytes32[] memory values, uint256 index)
        internal
        pure
        returns (AddressTree.Leaf memory)
    {
        return AddressTree.Leaf(accounts[index], values[index], pathOf(leaves(accounts, values), index));
    }

    function _upper(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            above[i] = 2 * i + 1 == level.length
                ? level[2 * i]
                : sha256(abi.encodePacked(uint8(1), level[2 * i], level[2 * i + 1]));
        }
    }

    // -- hashes ---------------------------------------------------------------------------------------------------------

    function part(bytes memory data) internal pure returns (bytes memory) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return abi.encodePacked(reversed(uint64(data.length)), data);
    }

    function tagged(bytes memory tag, bytes memory data) internal pure returns (bytes32) {
        return sha256(bytes.concat(part(tag), part(data)));
    }

    function reversed(uint64 value) internal pure returns (bytes8 result) {
        for (uint256 i = 0; i < 8; ++i) {
            result |= bytes8(bytes1(uint8(value >> (8 * i)))) >> (8 * i);
        }
    }
}
