// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRoundArbiter} from "../src/interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {AddressTree} from "../src/libraries/AddressTree.sol";
import {PayRule} from "../src/libraries/PayRule.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Evidence} from "./Evidence.sol";
import {eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev What a hostile reading of the contracts asked of them.
contract ReviewTest is Evidence {
    function setUp() public {
        deployArbiter(8);
    }

    function test_whoever_asks_itself_before_it_records_is_asked_again() public {
        IRoundLedger.Round memory bare = child(0, federation, "nobody acknowledged this");
        token.transfer(peer(6), BOND);
        vm.startPrank(peer(6));
        token.approve(address(arbiter), BOND);
        bytes32 question = arbiter.challengeAcknowledgements(bare);
        vm.warp(block.timestamp + ANSWER);
        arbiter.expire(question); // void, and nobody to pay for it
        bytes32 name = rounds.recordRound(bare);
        vm.stopPrank();
        require(arbiter.voided(name));
        vm.prank(HUNTER);
        eq(arbiter.challengeAcknowledgements(bare), question);
        vm.warp(block.timestamp + ANSWER);
        arbiter.expire(question);
        (, uint256 stake,,) = registry.peerOf(peer(6));
        eq(stake, STAKE - FIFTH);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.AlreadyAsked.selector, question));
        vm.prank(HUNTER);
        arbiter.challengeAcknowledgements(bare);
    }

    function test_who_signed_two_things_is_no_peer_again_though_its_stake_was_gone() public {
        bytes memory one = abi.encode(bytes32("sid"), bytes32("one"));
        bytes memory two = abi.encode(bytes32("sid"), bytes32("two"));
        bytes memory first = sign(3, digestOf(Statements.Kind.Vote, one));
        bytes memory second = sign(3, digestOf(Statements.Kind.Vote, two));
        vm.prank(peer(3));
        registry.leave();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(peer(3));
        registry.withdraw();
        arbiter.proveEquivocation(Statements.Kind.Vote, one, first, two, second); // by the culprit's friend
        require(registry.isBarred(peer(3)));
    }

    /// @dev Not stopped: docs/RoundArbiter.md says so. A root of nothing, whose nodes have both ends alike, 40 levels down.
    function test_a_chain_of_nodes_costs_its_challenger_a_bond_each() public {
        Session memory s = session(0, federation, federation, 7, 1);
        bytes32[] memory nodes = new bytes32[](41);
        nodes[40] = keccak256("nothing");
        for (uint256 i = 40; i > 0; --i) {
            nodes[i - 1] = AddressTree.nodeHash(nodes[i], nodes[i]);
        }
        s.round.joinRoot = nodes[0];
        s.record = keccak256(abi.encode(s.round));
        record(s, 5);
        AddressTree.Path memory path;
        uint256 pool = vault.funded();
        for (uint256 i = 0; i < 40; ++i) {
            path.siblings = new bytes32[](i);
            for (uint256 j = 0; j < i; ++j) {
                path.siblings[j] = nodes[i - j];
            }
            vm.prank(HUNTER);
            arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Joins, nodes[i], path);
            arbiter.answerNode(s.record, IRoundArbiter.Tree.Joins, nodes[i + 1], nodes[i + 1]);
        }
        eq(vault.funded() - pool, 40 * BOND);
        require(!arbiter.voided(s.record));
    }

    /// @dev A thousand accounts is what the settings allow; blocks of most chains take thirty million.
    function test_a_wrong_root_over_a_thousand_accounts_fits_into_a_block() public view {
        PayRule.State memory state;
        state.earners = new PayRule.Earner[](1000);
        for (uint256 i = 0; i < 1000; ++i) {
            state.earners[i].account = address(uint160(i + 1));
            state.earners[i].cumulative = 1e18 + i;
        }
        uint256 before = gasleft();
        PayRule.claims(state);
        require(before - gasleft() < 10_000_000, "a third of a block for the claim tree alone");
    }
}
