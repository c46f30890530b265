// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {RewardVault} from "../src/RewardVault.sol";
import {IRewardVault} from "../src/interfaces/IRewardVault.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

contract RewardVaultTest is Federation {
    bytes32 private constant EMISSIONS = keccak256("emissions");
    uint256 private constant PEERS = 8; // quorum 6
    uint256 private constant POOL = 1000;

    function setUp() public {
        deployWith(PEERS);
        fund(POOL);
    }

    function test_the_quorum_is_that_of_the_rules() public view {
        uint8[10] memory peers = [0, 1, 2, 3, 4, 5, 8, 12, 16, 24];
        uint8[10] memory needed = [1, 1, 2, 3, 3, 4, 6, 9, 11, 16];
        for (uint256 i = 0; i < peers.length; ++i) {
            eq(vault.quorum(peers[i]), needed[i]);
        }
        eq(vault.quorum(100), 64);
    }

    function test_a_quorum_publishes_and_each_is_paid_once() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(100);
        (bytes32 root, bytes32[][] memory proofs) = tree(accounts, totals);
        bytes memory signatures = signed(1, root, 800, EMISSIONS, 6);
        vm.expectEmit();
        emit IRewardVault.RootPublished(1, root, 800, EMISSIONS, keccak256(""));
        publishRoot(1, root, 800, EMISSIONS, signatures);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadProof.selector, accounts[0], 100)); // not active yet
        vault.claim(accounts[0], 100, proofs[0]);
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit();
        emit IRewardVault.RewardClaimed(accounts[0], 100, 100);
        vault.claim(accounts[0], 100, proofs[0]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.NothingToClaim.selector, accounts[0]));
        vault.claim(accounts[0], 100, proofs[0]);
        vault.claimMany(accounts, totals, proofs); // skips the first
        vault.claimMany(accounts, totals, proofs); // and now all
        for (uint256 i = 0; i < PEERS; ++i) {
            eq(token.balanceOf(accounts[i]), 100);
            eq(vault.claimedBy(accounts[i]), 100);
        }
        eq(vault.claimed(), 800);
        eq(token.balanceOf(address(vault)), 200);
    }

    function test_a_later_root_pays_the_difference_and_the_earlier_one_serves_meanwhile() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(50);
        bytes32[][] memory before = _publish(1, accounts, totals, 400);
        vm.warp(block.timestamp + DELAY);
        vault.claim(accounts[1], 50, before[1]);
        (, totals) = _equal(80);
        bytes32[][] memory afterwards = _publish(2, accounts, totals, 640);
        vault.claim(accounts[2], 50, before[2]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadProof.selector, accounts[1], 80));
        vault.claim(accounts[1], 80, afterwards[1]);
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit();
        emit IRewardVault.RewardClaimed(accounts[1], 30, 80);
        vault.claim(accounts[1], 80, afterwards[1]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadProof.selector, accounts[3], 50));
        vault.claim(accounts[3], 50, before[3]);
    }

    function test_a_root_waits_for_the_one_before() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(50);
        (bytes32 root,) = tree(accounts, totals);
        _publish(1, accounts, totals, 400);
        bytes memory signatures = signed(2, root, 400, EMISSIONS, 6);
        uint64 activeAt = uint64(block.timestamp) + DELAY;
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.PreviousRootPending.selector, activeAt));
        publishRoot(2, root, 400, EMISSIONS, signatures);
    }

    function test_epochs_have_no_gap_and_no_repetition() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(50);
        (bytes32 root,) = tree(accounts, totals);
        bytes memory signatures = signed(2, root, 400, EMISSIONS, 6);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.WrongEpoch.selector, 2, 1));
        publishRoot(2, root, 400, EMISSIONS, signatures);
        _publish(1, accounts, totals, 400);
        vm.warp(block.timestamp + DELAY);
        signatures = signed(1, root, 400, EMISSIONS, 6);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.WrongEpoch.selector, 1, 2));
        publishRoot(1, root, 400, EMISSIONS, signatures);
    }

    function test_totals_stay_between_the_last_one_and_what_was_funded() public {
        bytes memory signatures = signed(1, FEDERATION, POOL + 1, EMISSIONS, 6);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.TotalAboveFunded.selector, POOL + 1, POOL));
        publishRoot(1, FEDERATION, POOL + 1, EMISSIONS, signatures);
        publishRoot(1, FEDERATION, 500, EMISSIONS, signed(1, FEDERATION, 500, EMISSIONS, 6));
        vm.warp(block.timestamp + DELAY);
        signatures = signed(2, FEDERATION, 499, EMISSIONS, 6);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.TotalBelowPrevious.selector, 499, 500));
        publishRoot(2, FEDERATION, 499, EMISSIONS, signatures);
    }

    function test_too_few_signatures_are_refused() public {
        bytes memory signatures = signed(1, FEDERATION, 1, EMISSIONS, 5);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.QuorumMissing.selector, 5, 6));
        publishRoot(1, FEDERATION, 1, EMISSIONS, signatures);
    }

    function test_one_signer_counts_once() public {
        bytes32 digest = rewardDigest(1, FEDERATION, 1, EMISSIONS, keccak256(""));
        bytes memory signatures = bytes.concat(signedAlone(0, digest), signedAlone(0, digest), signedBy(2, 6, digest));
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.SignersNotAscending.selector, peer(0), peer(0)));
        publishRoot(1, FEDERATION, 1, EMISSIONS, signatures);
        signatures = bytes.concat(signedAlone(1, digest), signedAlone(0, digest), signedBy(2, 6, digest));
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.SignersNotAscending.selector, peer(1), peer(0)));
        publishRoot(1, FEDERATION, 1, EMISSIONS, signatures);
    }

    function test_former_peers_and_strangers_do_not_sign() public {
        bytes memory signatures = signed(1, FEDERATION, 1, EMISSIONS, 7);
        vm.prank(peer(3));
        registry.leave();
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.NotAPeer.selector, peer(3)));
        publishRoot(1, FEDERATION, 1, EMISSIONS, signatures);
    }

    function test_signatures_for_other_numbers_are_not_those_of_peers() public {
        bytes memory signatures = signed(1, FEDERATION, 1, EMISSIONS, 6);
        vm.expectRevert();
        publishRoot(1, FEDERATION, 2, EMISSIONS, signatures);
        vm.expectRevert();
        publishRoot(1, FEDERATION, 1, FEDERATION, signatures);
        signatures = signed(1, FEDERATION, 0, EMISSIONS, 6);
        vault = new RewardVault(token, registry, DELAY, address(0));
        vm.expectRevert();
        publishRoot(1, FEDERATION, 0, EMISSIONS, signatures);
    }

    function test_a_high_s_or_short_signature_is_refused() public {
        bytes memory signatures = signed(1, FEDERATION, 1, EMISSIONS, 6);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadSignatures.selector, 385));
        publishRoot(1, FEDERATION, 1, EMISSIONS, bytes.concat(signatures, hex"00"));
        bytes32 high = bytes32(type(uint256).max >> 1);
        signatures = bytes.concat(bytes32(uint256(1)), high, signedBy(1, 6, bytes32(0)));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
        publishRoot(1, FEDERATION, 1, EMISSIONS, signatures);
    }

    function test_without_peers_nothing_is_published() public {
        for (uint256 i = 0; i < PEERS; ++i) {
            vm.prank(peer(i));
            registry.leave();
        }
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.QuorumMissing.selector, 0, 1));
        publishRoot(1, FEDERATION, 1, EMISSIONS, "");
    }

    function test_no_claim_without_a_root_or_with_another_proof() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(50);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadProof.selector, accounts[0], 50));
        vault.claim(accounts[0], 50, new bytes32[](0));
        bytes32[][] memory proofs = _publish(1, accounts, totals, 400);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadProof.selector, accounts[0], 50));
        vault.claim(accounts[0], 50, proofs[1]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadProof.selector, accounts[0], 51));
        vault.claim(accounts[0], 51, proofs[0]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.LengthMismatch.selector));
        vault.claimMany(accounts, totals, new bytes32[][](0));
    }

    function test_leaves_beyond_the_signed_total_are_not_paid() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(100);
        bytes32[][] memory proofs = _publish(1, accounts, totals, 250); // the leaves sum up to 800
        vm.warp(block.timestamp + DELAY);
        vault.claim(accounts[0], 100, proofs[0]);
        vault.claim(accounts[1], 100, proofs[1]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.ClaimsAboveTotal.selector, 300, 250));
        vault.claim(accounts[2], 100, proofs[2]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.ClaimsAboveTotal.selector, 800, 250));
        vault.claimMany(accounts, totals, proofs);
    }

    function test_what_was_deployed_can_be_read() public {
        eq(vault.token(), address(token));
        eq(vault.registry(), address(registry));
        eq(vault.activationDelay(), DELAY);
        eq(vault.funded(), POOL);
        publishRoot(1, FEDERATION, 7, EMISSIONS, signed(1, FEDERATION, 7, EMISSIONS, 6));
        (uint64 epoch, bytes32 root, uint256 total, uint64 activeAt) = vault.published();
        eq(epoch, 1);
        eq(root, FEDERATION);
        eq(total, 7);
        eq(activeAt, block.timestamp + DELAY);
        eq(vault.claimableRoot(), bytes32(0));
        bytes32 domain = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        eq(
            vault.domainSeparator(),
            keccak256(abi.encode(domain, keccak256("PeerageVault"), keccak256("1"), block.chainid, address(vault)))
        );
    }

    function test_only_the_pay_arbiter_takes_a_root_back_and_only_while_it_waits() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(50);
        bytes32[][] memory before = _publish(1, accounts, totals, 400);
        vm.warp(block.timestamp + DELAY);
        (, totals) = _equal(80);
        bytes32[][] memory afterwards = _publish(2, accounts, totals, 640);
        bytes32 digest = vault.publication().digest;
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.NotThePayArbiter.selector, address(this)));
        vault.voidRoot(2);
        vm.startPrank(PAY_ARBITER);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.NotPending.selector, 1));
        vault.voidRoot(1);
        vm.expectEmit();
        emit IRewardVault.RootVoided(2, digest);
        vault.voidRoot(2);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.NotPending.selector, 1));
        vault.voidRoot(1); // what can be claimed from stands
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.BadProof.selector, accounts[0], 80));
        vault.claim(accounts[0], 80, afterwards[0]);
        vault.claim(accounts[0], 50, before[0]);
        (uint64 epoch,, uint256 total,) = vault.published();
        eq(epoch, 1);
        eq(total, 400);
        (bytes32 root,) = tree(accounts, totals);
        bytes memory signatures = signed(2, root, 640, EMISSIONS, 6);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.RootWasVoided.selector, digest));
        publishRoot(2, root, 640, EMISSIONS, signatures);
        publishRoot(2, root, 640, FEDERATION, signed(2, root, 640, FEDERATION, 6));
    }

    function test_claims_while_a_root_waits_stay_within_the_total_before() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(50);
        bytes32[][] memory proofs = _publish(1, accounts, totals, 60); // the leaves sum up to 400
        vm.warp(block.timestamp + DELAY);
        publishRoot(2, FEDERATION, 1000, EMISSIONS, signed(2, FEDERATION, 1000, EMISSIONS, 6));
        vault.claim(accounts[0], 50, proofs[0]);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.ClaimsAboveTotal.selector, 100, 60));
        vault.claim(accounts[1], 50, proofs[1]);
    }

    function test_records_and_states_come_in_pairs() public {
        bytes32 steps = keccak256(abi.encodePacked(FEDERATION, EMISSIONS, EMISSIONS));
        bytes memory signatures = signedBy(0, 6, rewardDigest(1, FEDERATION, 1, EMISSIONS, steps));
        bytes32[] memory records = new bytes32[](1);
        bytes32[] memory states = new bytes32[](2);
        records[0] = FEDERATION;
        (states[0], states[1]) = (EMISSIONS, EMISSIONS);
        vm.expectRevert(abi.encodeWithSelector(IRewardVault.LengthMismatch.selector));
        vault.publish(1, FEDERATION, 1, EMISSIONS, records, states, signatures);
    }

    function test_a_recovered_account_is_paid_elsewhere() public {
        (address[] memory accounts, uint256[] memory totals) = _equal(50);
        bytes32[][] memory proofs = _publish(1, accounts, totals, 400);
        vm.warp(block.timestamp + DELAY);
        address safe = address(0x5AFE);
        vm.prank(accounts[1]);
        registry.setRecovery(safe);
        vm.prank(safe);
        registry.recover(accounts[1]);
        vault.claim(accounts[1], 50, proofs[1]);
        vault.claimMany(accounts, totals, proofs);
        eq(token.balanceOf(safe), 50);
        eq(token.balanceOf(accounts[1]), 0);
        eq(token.balanceOf(accounts[2]), 50);
        eq(vault.claimedBy(accounts[1]), 50);
    }

    function test_nobody_can_fund_with_what_they_have_not() public {
        vm.expectRevert();
        vm.prank(peer(0));
        vault.fund(1);
        eq(vault.funded(), POOL);
    }

    function testFuzz_claims_pay_the_leaves_to_the_unit(uint8 count, uint64[16] memory shares) public {
        uint256 accounts_ = uint256(count) % 16 + 1;
        address[] memory accounts = new address[](accounts_);
        uint256[] memory totals = new uint256[](accounts_);
        uint256 total = 0;
        for (uint256 i = 0; i < accounts_; ++i) {
            accounts[i] = address(uint160(0x1000 + i));
            totals[i] = shares[i];
            total += shares[i];
        }
        fund(total);
        bytes32[][] memory proofs = _publish(1, accounts, totals, total);
        vm.warp(block.timestamp + DELAY);
        vault.claimMany(accounts, totals, proofs);
        for (uint256 i = 0; i < accounts_; ++i) {
            eq(token.balanceOf(accounts[i]), totals[i]);
        }
        eq(vault.claimed(), total);
        eq(token.balanceOf(address(vault)), POOL);
    }

    function testFuzz_the_quorum_outvotes_any_quarter(uint16 peers) public view {
        uint256 n = peers;
        vm.assume(n >= 4);
        uint256 needed = vault.quorum(n);
        require(needed <= n, "always reachable");
        require(2 * needed > n + n / 4, "two quorums share an honest peer");
    }

    function _equal(uint256 each) private view returns (address[] memory accounts, uint256[] memory totals) {
        accounts = new address[](PEERS);
        totals = new uint256[](PEERS);
        for (uint256 i = 0; i < PEERS; ++i) {
            accounts[i] = peer(i);
            totals[i] = each;
        }
    }

    function _publish(uint64 epoch, address[] memory accounts, uint256[] memory totals, uint256 total)
        private
        returns (bytes32[][] memory proofs)
    {
        bytes32 root;
        (root, proofs) = tree(accounts, totals);
        publishRoot(epoch, root, total, EMISSIONS, signed(epoch, root, total, EMISSIONS, 6));
    }
}
