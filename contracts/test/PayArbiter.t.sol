// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PayArbiter} from "../src/PayArbiter.sol";
import {IPayArbiter} from "../src/interfaces/IPayArbiter.sol";
import {IRewardVault} from "../src/interfaces/IRewardVault.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {PayRule} from "../src/libraries/PayRule.sol";
import {eq} from "./Federation.sol";
import {PayWorld} from "./PayWorld.sol";
import {vm} from "./Vm.sol";

contract PayArbiterTest is PayWorld {
    function setUp() public {
        deployPay(3);
    }

    function _arbiter(PayRule.Terms memory terms) internal override returns (PayArbiter) {
        return new PayArbiter(registry, rounds, vault, ROUND_ARBITER, terms);
    }

    function test_terms_are_those_of_a_rule_of_pay() public {
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.BadTerms.selector));
        _arbiter(PayRule.Terms(1, 0, 2, 3));
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.BadTerms.selector));
        _arbiter(PayRule.Terms(1, 1, 0, 3));
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.BadTerms.selector));
        _arbiter(PayRule.Terms(1, 1, 2, 0));
        eq(arbiter.terms().window, 3);
        eq(arbiter.registry(), address(registry));
        eq(arbiter.ledger(), address(rounds));
        eq(arbiter.vault(), address(vault));
        eq(arbiter.roundArbiter(), ROUND_ARBITER);
    }

    function test_an_honest_quorum_cannot_be_convicted() public {
        World memory w = world(empty(), 4, 5);
        bytes memory signatures = publish(w.published);
        for (uint256 k = 0; k < 4; ++k) {
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, k));
            proveStep(w, k, signatures);
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, k));
            arbiter.proveWrongLine(w.published, k, w.rounds[k], signatures);
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NotVoided.selector, w.published.records[k]));
            arbiter.proveVoidedPaid(w.published, k, w.states[k]);
        }
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestRoot.selector));
        arbiter.proveWrongRoot(w.published, w.states[4], signatures);
        bytes32 digest = digestOf(w.published);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NotProvenWrong.selector, digest));
        arbiter.convict(digest, signatures);
    }

    /// @dev One hash stands over both lists: a word that changes lists leaves it as it is, and every state looks wrong.
    function test_where_the_records_end_and_the_states_begin_is_nobodys_to_choose() public {
        World memory w = world(empty(), 3, 4);
        bytes memory signatures = publish(w.published);
        (bytes32[] memory records, bytes32[] memory states) = (w.published.records, w.published.states);
        bytes32 digest = digestOf(w.published);
        w.published.records = new bytes32[](2);
        w.published.states = new bytes32[](4);
        (w.published.records[0], w.published.records[1]) = (records[0], records[1]);
        w.published.states[0] = records[2];
        for (uint256 i = 0; i < 3; ++i) {
            w.published.states[i + 1] = states[i];
        }
        eq(digestOf(w.published), digest);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.ListsDiffer.selector, 2, 4));
        proveStep(w, 0, signatures);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.ListsDiffer.selector, 2, 4));
        arbiter.proveWrongLine(w.published, 1, w.rounds[1], signatures);
    }

    function testFuzz_no_false_evidence_convicts_an_honest_quorum(uint8 which, uint8 at, uint256 by) public {
        World memory w = world(empty(), 3, 4);
        bytes memory signatures = publish(w.published);
        uint256 k = at % 3;
        uint256 i = by % 4;
        by = by == 0 ? 1 : by;
        if (which % 8 == 0) w.leaves[k][i] = bytes32(uint256(w.leaves[k][i]) ^ by);
        if (which % 8 == 1) w.accounts[i] = address(uint160(w.accounts[i]) ^ uint160(by % type(uint160).max + 1));
        if (which % 8 == 2) w.states[k].rounds += uint64(by % 1000 + 1);
        if (which % 8 == 3) w.states[k].record = bytes32(uint256(w.states[k].record) ^ by);
        if (which % 8 == 4) w.rounds[k].parents[0] = bytes32(uint256(w.rounds[k].parents[0]) ^ by);
        if (which % 8 == 5) w.rounds[k].members ^= uint16(by % type(uint16).max + 1);
        if (which % 8 == 6) w.published.states[k] = bytes32(uint256(w.published.states[k]) ^ by);
        if (which % 8 == 7) (w.states[k], w.rounds[k]) = (w.states[(k + 1) % 3], w.rounds[(k + 2) % 3]);
        vm.expectRevert();
        proveStep(w, k, signatures);
        vm.expectRevert();
        arbiter.proveWrongRoot(w.published, w.states[k], signatures);
        vm.expectRevert();
        arbiter.proveWrongLine(w.published, k, w.rounds[k], signatures);
        vm.expectRevert();
        arbiter.proveVoidedPaid(w.published, k, w.states[k]);
        if (which % 8 == 6) w.published.states[k] = bytes32(uint256(w.published.states[k]) ^ by);
        eq(vault.publication().digest, digestOf(w.published));
    }

    function testFuzz_one_wrong_state_takes_the_root_back_and_costs_every_signer_a_fifth(
        uint8 at,
        uint8 who,
        uint64 more
    ) public {
        World memory w = world(empty(), 4, 5);
        World memory lie = world(empty(), 0, 5);
        (lie.rounds, lie.leaves, lie.states) = (w.rounds, w.leaves, w.states);
        uint256 k = at % 4;
        // what the liars say after round k, and honest steps on top of it
        PayRule.State memory wrong = _after(w.states[k], w.published.records[k], 5, w.accounts, w.leaves[k]);
        wrong.earners[who % wrong.earners.length].cumulative += uint256(more) + 1;
        bytes32[] memory honest = w.published.states;
        lie.published = w.published; // one and the same from here on
        lie.published.states = new bytes32[](4);
        for (uint256 j = 0; j < 4; ++j) {
            if (j < k) lie.published.states[j] = honest[j];
            if (j == k) lie.published.states[j] = arbiter.digestOf(wrong);
            if (j > k) {
                wrong = _after(wrong, w.published.records[j], 5, w.accounts, w.leaves[j]);
                lie.published.states[j] = arbiter.digestOf(wrong);
            }
        }
        (lie.published.root, lie.published.total) = _claims(wrong);
        fund(uint256(more) + 1);
        bytes memory signatures = publish(lie.published);
        bytes32 digest = digestOf(lie.published);
        uint256 funded = vault.funded();
        for (uint256 j = 0; j < 4; ++j) {
            if (j == k) continue;
            vm.expectRevert(); // every other step is right, or does not start from what is known
            proveStep(lie, j, signatures);
        }
        vm.expectEmit();
        emit IRewardVault.RootVoided(1, digest);
        proveStep(lie, k, signatures);
        for (uint256 i = 0; i < 8; ++i) {
            (, uint256 stake,,) = registry.peerOf(peer(i));
            eq(stake, i < QUORUM ? STAKE * 4 / 5 : STAKE);
        }
        eq(token.balanceOf(CHALLENGER), QUORUM * STAKE / 50);
        eq(vault.funded(), funded + QUORUM * (STAKE / 5 - STAKE / 50));
        require(vault.wasVoided(digest) && arbiter.provenWrong(digest));
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.RootWasVoided.selector, digest));
        this.publishAgain(lie.published, signatures);
    }

    function publishAgain(IPayArbiter.Publication calldata p, bytes calldata signatures) external {
        vault.publish(p.epoch, p.root, p.total, p.emissionRoot, p.records, p.states, signatures);
    }

    function test_the_epoch_is_published_anew_and_only_the_new_root_pays() public {
        World memory w = world(empty(), 3, 4);
        bytes32 right = w.published.states[2];
        w.published.states[2] = keccak256("garbage");
        bytes memory signatures = publish(w.published);
        proveStep(w, 2, signatures);
        (uint64 epoch, bytes32 root, uint256 total, uint64 activeAt) = vault.published();
        eq(uint256(root) + epoch + total + activeAt, 0);
        eq(vault.rounds(), 0);
        w.published.states[2] = right;
        publish(w.published);
        eq(vault.rounds(), 3);
        eq(vault.publication().state, right);
        vm.warp(block.timestamp + DELAY);
        eq(vault.claimableRoot(), w.published.root);
    }

    function test_a_claim_tree_or_total_that_is_not_the_last_states_is_shown_by_that_state() public {
        World memory w = world(empty(), 3, 4);
        w.published.total += 1;
        bytes memory signatures = publish(w.published);
        vm.expectEmit();
        emit IPayArbiter.RootTakenBack(1, digestOf(w.published), CHALLENGER, 8);
        vm.prank(CHALLENGER);
        arbiter.proveWrongRoot(w.published, w.states[3], signatures);
        w.published.total -= 1;
        w.published.root = keccak256("friends");
        signatures = publish(w.published);
        vm.expectRevert();
        arbiter.proveWrongRoot(w.published, w.states[2], signatures);
        vm.expectEmit();
        emit IPayArbiter.RootTakenBack(1, digestOf(w.published), CHALLENGER, 7);
        vm.prank(CHALLENGER);
        arbiter.proveWrongRoot(w.published, w.states[3], signatures);
        (, uint256 stake,,) = registry.peerOf(peer(0));
        eq(stake, STAKE * 16 / 25);
    }

    function test_a_root_without_rounds_pays_what_the_last_one_did() public {
        IPayArbiter.Publication memory p;
        (p.epoch, p.root, p.total) = (1, keccak256("friends"), 5);
        bytes memory signatures = publish(p);
        arbiter.proveWrongRoot(p, empty(), signatures);
        (p.root, p.total) = (bytes32(0), 0);
        signatures = publish(p);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestRoot.selector));
        arbiter.proveWrongRoot(p, empty(), signatures);
    }

    function test_a_round_that_was_voided_after_it_was_signed_costs_nobody_anything() public {
        World memory w = world(empty(), 3, 4);
        bytes memory signatures = publish(w.published);
        _void(w.published.records[1], true);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, 1));
        proveStep(w, 1, signatures);
        vm.expectEmit();
        emit IPayArbiter.RootTakenBack(1, digestOf(w.published), CHALLENGER, 0);
        vm.prank(CHALLENGER);
        arbiter.proveVoidedPaid(w.published, 1, w.states[1]);
        require(!arbiter.provenWrong(digestOf(w.published)));
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, 1));
        proveStep(w, 1, signatures);
        _skipped(w);
        signatures = publish(w.published);
        for (uint256 k = 0; k < 3; ++k) {
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, k));
            proveStep(w, k, signatures);
        }
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, 1));
        arbiter.proveVoidedPaid(w.published, 1, w.states[1]);
        (, uint256 stake,,) = registry.peerOf(peer(0));
        eq(stake, STAKE);
    }

    function test_leaving_a_round_unpaid_that_nobody_voided_is_a_wrong_step() public {
        World memory w = world(empty(), 3, 4);
        _skipped(w);
        bytes memory signatures = publish(w.published);
        proveStep(w, 1, signatures);
        require(arbiter.provenWrong(digestOf(w.published)));
    }

    /// @dev The second of three rounds pays nothing.
    function _skipped(World memory w) private view {
        w.states[2] = _after(w.states[1], w.published.records[1], 0, new address[](0), new bytes32[](0));
        w.states[3] = _after(w.states[2], w.published.records[2], 4, w.accounts, w.leaves[2]);
        _say(w);
    }

    function test_records_out_of_line_are_a_wrong_step_whatever_the_states_are() public {
        World memory w = world(empty(), 3, 4);
        IRoundLedger.Round memory other = child(0, FEDERATION, "other");
        vm.prank(peer(0));
        w.published.records[1] = rounds.recordRound(other);
        w.published.states[1] = keccak256("garbage");
        bytes memory signatures = publish(w.published);
        vm.expectRevert(
            abi.encodeWithSelector(IPayArbiter.NotThisRecord.selector, w.states[2].record, w.published.records[1])
        );
        arbiter.proveWrongLine(w.published, 1, w.rounds[1], signatures);
        arbiter.proveWrongLine(w.published, 2, w.rounds[2], signatures);
        require(arbiter.provenWrong(digestOf(w.published)));
        // and where the record itself is known, without a table
        w.rounds[1] = other;
        (w.accounts, w.leaves[1]) = (new address[](0), new bytes32[](0));
        proveStep(w, 1, signatures); // signers lose once
        (, uint256 stake,,) = registry.peerOf(peer(0));
        eq(stake, STAKE * 4 / 5);
    }

    function test_a_line_ends_on_the_ledger() public {
        World memory w = world(empty(), 2, 4);
        w.published.records[1] = keccak256("nobody knows it");
        bytes memory signatures = signedBy(0, QUORUM, digestOf(w.published));
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.UnknownRecord.selector, 2, w.published.records[1]));
        this.publishAgain(w.published, signatures);
        w.published.records[1] = w.published.records[0]; // known, but of another round
        signatures = signedBy(0, QUORUM, digestOf(w.published));
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.UnknownRecord.selector, 2, w.published.records[1]));
        this.publishAgain(w.published, signatures);
    }

    function test_whoever_is_first_with_a_proof_protects_no_signer() public {
        World memory w = world(empty(), 2, 4);
        w.published.states[1] = keccak256("garbage");
        publish(w.published);
        vm.prank(peer(0)); // a liar proves its own lie, and brings no signatures
        arbiter.proveWrongStep(w.published, 1, w.states[1], w.rounds[1], w.accounts, w.leaves[1], "");
        bytes32 digest = digestOf(w.published);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.BadSignatures.selector, 1));
        arbiter.convict(digest, hex"00");
        bytes memory signatures = signedBy(0, 3, digest);
        vm.prank(CHALLENGER);
        arbiter.convict(digest, bytes.concat(signatures, signatures));
        vm.prank(CHALLENGER);
        arbiter.convict(digest, signatures);
        (, uint256 stake,,) = registry.peerOf(peer(2));
        eq(stake, STAKE * 4 / 5);
        eq(token.balanceOf(CHALLENGER), 3 * STAKE / 50);
        require(arbiter.convicted(digest, peer(2)) && !arbiter.convicted(digest, peer(3)));
    }

    function test_a_root_that_can_be_claimed_from_stands() public {
        World memory w = world(empty(), 2, 4);
        w.published.states[1] = keccak256("garbage");
        bytes memory signatures = publish(w.published);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NotDisputable.selector, digestOf(w.published)));
        proveStep(w, 1, signatures);
    }

    function test_evidence_of_no_step_or_at_the_wrong_time_is_none() public {
        World memory w = world(empty(), 2, 4);
        bytes memory signatures = publish(w.published);
        for (uint256 step = 2; step < 4; ++step) {
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NoSuchStep.selector, step, 2));
            arbiter.proveWrongStep(w.published, step, w.states[2], w.rounds[1], w.accounts, w.leaves[1], signatures);
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NoSuchStep.selector, step, 2));
            arbiter.proveWrongLine(w.published, step, w.rounds[1], signatures);
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NoSuchStep.selector, step, 2));
            arbiter.proveVoidedPaid(w.published, step, w.states[2]);
        }
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NotVoided.selector, w.published.records[1]));
        arbiter.proveVoidedPaid(w.published, 1, w.states[1]);
        _void(w.published.records[1], true);
        arbiter.proveVoidedPaid(w.published, 1, w.states[1]);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.NotDisputable.selector, digestOf(w.published)));
        arbiter.proveVoidedPaid(w.published, 1, w.states[1]); // taken back already
    }

    function test_the_next_epoch_starts_where_the_last_one_ended() public {
        World memory first = world(empty(), 2, 4);
        publish(first.published);
        vm.warp(block.timestamp + DELAY);
        World memory second = world(first.states[2], 2, 5);
        second.published.epoch = 2;
        bytes memory signatures = publish(second.published);
        for (uint256 k = 0; k < 2; ++k) {
            vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, k));
            proveStep(second, k, signatures);
        }
        vm.expectRevert();
        arbiter.proveWrongStep(
            second.published, 0, empty(), second.rounds[0], second.accounts, second.leaves[0], signatures
        );
        eq(vault.publication().stateBefore, first.published.states[1]);
        eq(vault.rounds(), 4);
    }

    function testFuzz_a_table_that_no_honest_peer_makes_pays_nobody(uint8 which) public {
        World memory w = world(empty(), 1, 4);
        bytes32 bad = leaf(5, 65);
        if (which % 6 == 1) bad = leaf(5, -65);
        if (which % 6 == 2) bad = leaf(1 << 63, 30);
        if (which % 6 == 3) bad = leaf(-(1 << 63) - 1, 30);
        if (which % 6 == 4) bad = leaf(5, 29); // the others have 30
        if (which % 6 == 5) bad = bytes32(uint256(PayRule.CLOSED) | 1 << 64);
        w.states = new PayRule.State[](2);
        w.states[0] = world(empty(), 0, 4).states[0];
        IRoundLedger.Round memory round = child(0, FEDERATION, "bad");
        w.leaves[0][2] = bad;
        round.scoreRoot = this.rootOf(w.accounts, w.leaves[0]);
        round.members = 4;
        vm.prank(peer(0));
        bytes32 record = rounds.recordRound(round);
        w.rounds[0] = round;
        w.states[1] = _after(w.states[0], record, 4, w.accounts, w.leaves[0]);
        eq(w.states[1].earners.length, 0);
        _say(w);
        bytes memory signatures = publish(w.published);
        vm.expectRevert(abi.encodeWithSelector(IPayArbiter.HonestStep.selector, 0));
        proveStep(w, 0, signatures);
    }

    function test_the_chain_keeps_no_more_than_the_rule_says(uint8[6] calldata attends) public view {
        PayRule.State memory state = empty();
        for (uint256 k = 0; k < 6; ++k) {
            uint256 count = attends[k] % 5;
            address[] memory accounts = people(count);
            bytes32[] memory leaves = new bytes32[](count);
            for (uint256 i = 0; i < count; ++i) {
                leaves[i] = leaf(int256(k * 7 + i) - 3, 0);
            }
            uint256 before = _sum(state);
            state = _after(state, bytes32(k), count, accounts, leaves);
            uint256 paid = _sum(state) - before;
            require(paid == 0 || paid == PayRule.pot(arbiter.terms(), k), "a pot in parts");
            for (uint256 i = 0; i < state.earners.length; ++i) {
                require(state.earners[i].values.length <= 3, "beyond the window");
                require(i == 0 || state.earners[i - 1].account < state.earners[i].account, "out of order");
            }
        }
    }

    function _sum(PayRule.State memory state) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < state.earners.length; ++i) {
            sum += state.earners[i].cumulative;
        }
    }
}
