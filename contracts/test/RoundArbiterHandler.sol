// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRoundArbiter} from "../src/interfaces/IRoundArbiter.sol";
import {AddressTree} from "../src/libraries/AddressTree.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Evidence} from "./Evidence.sol";
import {vm} from "./Vm.sol";

/// @dev What anybody may do with an honest and a false record, in any order. The honest one is answered by somebody who is
/// awake; the false one cannot be. A `broken` that is not empty names a rule that the arbiter let pass.
contract RoundArbiterHandler is Evidence {
    uint256 private constant MEMBERS = 5;
    uint256 private constant PEERS = 6;

    string public broken;
    uint256 public openBonds;
    uint256 public put;

    Session private _honest;
    Session private _false;
    bytes32[] private _questions;
    mapping(bytes32 question => bool) private _open;
    mapping(bytes32 question => uint256 leaf) private _leafOf;

    constructor() {
        deployArbiter(PEERS);
        Session memory s = session(0, federation, federation, MEMBERS, 0);
        record(s, 1);
        _honest = s;
        s.round.transcript = "made up";
        for (uint256 i = 0; i < MEMBERS; ++i) {
            s.ackLeaves[i] = keccak256(abi.encode("made up", i));
        }
        seal(s);
        record(s, 2);
        _false = s;
    }

    function contracts() external view returns (address, address, address, address) {
        return (address(arbiter), address(token), address(registry), address(vault));
    }

    function honest() external view returns (bytes32) {
        return _honest.record;
    }

    function ask(uint256 leaf, bool lie) external {
        Session memory s = lie ? _false : _honest;
        leaf %= MEMBERS;
        AddressTree.Leaf memory shown = leafOf(s.members, s.ackLeaves, leaf);
        bytes32 node = leaves(s.members, s.ackLeaves)[leaf];
        vm.prank(HUNTER);
        try arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Acks, node, shown.path) returns (bytes32 q) {
            if (_open[q]) broken = "asked twice";
            (_open[q], _leafOf[q]) = (true, leaf);
            if (!lie) _answer(q); // somebody is awake
            if (lie) {
                ++openBonds;
                _questions.push(q);
            }
        } catch {}
    }

    function answerLie(uint256 which) external {
        if (_questions.length == 0) return;
        bytes32 q = _questions[which % _questions.length];
        if (_try(_false, _leafOf[q])) broken = "a lie was answered";
    }

    function expire(uint256 which, bool wait) external {
        if (_questions.length == 0) return;
        bytes32 q = _questions[which % _questions.length];
        if (wait) vm.warp(block.timestamp + ANSWER);
        IRoundArbiter.Challenge memory asked = arbiter.challengeOf(q);
        try arbiter.expire(q) {
            if (asked.settled || block.timestamp < asked.deadline) broken = "expired early or twice";
            --openBonds;
        } catch {
            if (!asked.settled && block.timestamp >= asked.deadline) broken = "never expires";
        }
    }

    function equivocate(uint256 who, bytes32 sid) external {
        who = who % (PEERS - 3) + 3;
        bytes memory one = abi.encode(sid, bytes32("one"));
        bytes memory other = abi.encode(sid, bytes32("other"));
        bytes memory first = sign(who, digestOf(Statements.Kind.Vote, one));
        bytes memory second = sign(who, digestOf(Statements.Kind.Vote, other));
        try arbiter.proveEquivocation(Statements.Kind.Vote, one, first, other, second) {
            if (registry.isActive(peer(who))) broken = "still a peer";
        } catch {}
    }

    function _answer(bytes32 question) private {
        if (!_try(_honest, _leafOf[question])) broken = "an honest leaf has no answer";
    }

    function _try(Session memory s, uint256 leaf) private returns (bool done) {
        bytes memory call = abi.encodeCall(
            arbiter.answerLeaf, (s.round, IRoundArbiter.Tree.Acks, peer(leaf), uint16(leaf + 1), s.ack, s.acks[leaf])
        );
        (done,) = address(arbiter).call(call);
        if (done) ++put;
    }
}
