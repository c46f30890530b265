// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRoundArbiter} from "../../src/interfaces/IRoundArbiter.sol";
import {AddressTree} from "../../src/libraries/AddressTree.sol";
import {Statements} from "../../src/libraries/Statements.sol";
import {Evidence} from "../Evidence.sol";
import {vm} from "../Vm.sol";

/// @dev What a dispute costs among sixteen peers, whole transactions; compared with snapshots/RoundArbiter.json.
contract RoundArbiterGasTest is Evidence {
    uint256 private constant PEERS = 16;

    Session private _parent;
    Session private _child;

    function setUp() public {
        deployArbiter(PEERS);
        Session memory one = session(0, federation, federation, PEERS, 0);
        record(one, 2);
        Session memory two = session(1, one.record, seedOf(one), PEERS, 1);
        record(two, 3);
        (_parent, _child) = (one, two);
    }

    /// forge-config: default.isolate = true
    function test_proofs() public {
        Session memory s = _child;
        _equivocation();

        address[] memory members = new address[](PEERS - 1);
        bytes32[] memory joins = new bytes32[](PEERS - 1);
        for (uint256 i = 0; i < PEERS - 1; ++i) {
            (members[i], joins[i]) = (s.members[i < 8 ? i : i + 1], s.joins[i < 8 ? i : i + 1]);
        }
        s.round.joinRoot = rootOf(leaves(members, joins));
        s.record = keccak256(abi.encode(s.round));
        record(s, 4);
        AddressTree.Leaf[] memory around = new AddressTree.Leaf[](2);
        (around[0], around[1]) = (leafOf(members, joins, 7), leafOf(members, joins, 8));
        AddressTree.Leaf memory leaf = leafOf(s.members, s.ackLeaves, 8);
        vm.prank(HUNTER);
        arbiter.proveOmission(s.round, s.name, leaf, around);
        _spent("F2 proveOmission");

        s = session(1, _parent.record, seedOf(_parent), PEERS, 1);
        s.buckets[5] ^= 1;
        maskPhase(s, PEERS - 1);
        seal(s);
        record(s, 4);
        IRoundArbiter.Draw memory shown = drawOf(_parent, s, 5);
        vm.prank(HUNTER);
        arbiter.proveWrongDraw(s.round, s.name, shown);
        _spent("F4 proveWrongDraw");

        s = session(1, _parent.record, seedOf(_parent), PEERS, 1);
        ackPhase(s, 11, "sum", "the model that they trained");
        s.round.transcript = "another";
        s.record = keccak256(abi.encode(s.round));
        record(s, 4);
        vm.prank(HUNTER);
        arbiter.proveOtherResult(s.round, s.name, s.members, s.joins, uint16(PEERS), s.ack, s.acks);
        _spent("F5 proveOtherResult, 11 signatures");

        s = session(1, _parent.record, seedOf(_parent), PEERS, 1);
        s.rands[6] = "chosen afterwards";
        maskPhase(s, PEERS - 1);
        seal(s);
        IRoundArbiter.Reveal memory lie = reveal(s, 6);
        vm.prank(HUNTER);
        arbiter.proveFalseReveal(lie);
        _spent("F10 proveFalseReveal");
    }

    /// forge-config: default.isolate = true
    function test_questions() public {
        Session memory s = _child;
        bytes32 node = leaves(s.members, s.joins)[5];
        AddressTree.Path memory path = pathOf(leaves(s.members, s.joins), 5);
        vm.prank(HUNTER);
        arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Joins, node, path);
        _spent("F3 challengeNode");
        bytes memory signature = sign(5, s.joins[5]);
        arbiter.answerLeaf(s.round, IRoundArbiter.Tree.Joins, peer(5), 6, s.joinFields[5], signature);
        _spent("F3 answerLeaf");
        vm.prank(HUNTER);
        arbiter.challengeAcknowledgements(s.round);
        _spent("F5 challengeAcknowledgements");
        uint16[] memory seats = new uint16[](11);
        bytes[] memory acks = new bytes[](11);
        for (uint16 i = 0; i < 11; ++i) {
            (seats[i], acks[i]) = (i + 1, s.acks[i]);
        }
        arbiter.answerAcknowledgements(s.round, s.name, keccak256("sum root"), seats, acks);
        _spent("F5 answerAcknowledgements, 11 signatures");

        path = pathOf(leaves(s.members, s.ackLeaves), 5);
        node = leaves(s.members, s.ackLeaves)[5];
        bytes32 question = arbiter.nodeQuestion(s.record, IRoundArbiter.Tree.Acks, node);
        vm.prank(HUNTER);
        arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Acks, node, path);
        vm.warp(block.timestamp + ANSWER);
        arbiter.expire(question);
        _spent("expire");
    }

    function _equivocation() private {
        bytes memory one = abi.encode(bytes32("sid"), bytes32("one"));
        bytes memory other = abi.encode(bytes32("sid"), bytes32("other"));
        bytes memory first = sign(15, digestOf(Statements.Kind.Vote, one));
        bytes memory second = sign(15, digestOf(Statements.Kind.Vote, other));
        vm.prank(HUNTER);
        arbiter.proveEquivocation(Statements.Kind.Vote, one, first, other, second);
        _spent("F1 proveEquivocation");
    }

    function _spent(string memory name) private {
        vm.snapshotValue("RoundArbiter", name, vm.lastCallGas().gasTotalUsed);
    }
}
