// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPeerRegistry} from "../src/interfaces/IPeerRegistry.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev A peer whose key is lost or stolen: the recovery address ends it and gets what is its own.
contract RecoveryTest is Federation {
    address private constant SAFE = address(0x5AFE);
    address private constant THIEF = address(0xBAD);
    address private lost;

    function setUp() public {
        deployWith(3);
        lost = peer(0);
        vm.prank(lost);
        registry.setRecovery(SAFE);
    }

    function test_the_recovery_address_ends_the_peer_and_gets_stake_and_pay() public {
        uint64 free = uint64(block.timestamp) + UNBONDING;
        vm.expectEmit();
        emit IPeerRegistry.PeerRecovered(lost, SAFE, free);
        vm.prank(SAFE);
        registry.recover(lost);
        require(!registry.isActive(lost) && registry.isBarred(lost));
        eq(registry.activeCount(), 2);
        eq(registry.payeeOf(lost), SAFE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.StakeLocked.selector, free));
        vm.prank(SAFE);
        registry.withdrawFor(lost);
        vm.warp(free);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AccountBarred.selector, lost));
        vm.prank(lost);
        registry.withdraw();
        vm.prank(SAFE);
        registry.withdrawFor(lost);
        eq(token.balanceOf(SAFE), STAKE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NothingToWithdraw.selector, lost));
        vm.prank(SAFE);
        registry.withdrawFor(lost);
        require(registry.isBarred(lost), "also after the stake is out");
    }

    function test_who_was_not_recovered_is_paid_itself() public view {
        eq(registry.payeeOf(lost), lost);
        eq(registry.recoveryOf(lost), SAFE);
        eq(registry.recoveryOf(peer(1)), address(0));
    }

    function test_a_thief_who_leaves_does_not_get_the_stake() public {
        uint64 free = uint64(block.timestamp) + UNBONDING;
        vm.prank(lost);
        registry.leave();
        vm.warp(block.timestamp + UNBONDING / 2);
        vm.expectEmit();
        emit IPeerRegistry.PeerRecovered(lost, SAFE, free); // no new wait
        vm.prank(SAFE);
        registry.recover(lost);
        vm.warp(free);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AccountBarred.selector, lost));
        vm.prank(lost);
        registry.withdraw();
    }

    function test_the_address_stands_for_good() public {
        vm.startPrank(lost);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.RecoveryFixed.selector, SAFE));
        registry.setRecovery(THIEF);
        registry.leave();
        vm.warp(block.timestamp + UNBONDING);
        registry.withdraw();
        token.approve(address(registry), STAKE);
        registry.register(keccak256("new"), "tcp://here", STAKE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.RecoveryFixed.selector, SAFE));
        registry.setRecovery(THIEF);
    }

    function test_pay_is_recovered_even_when_the_stake_is_out() public {
        vm.startPrank(lost);
        registry.leave();
        vm.warp(block.timestamp + UNBONDING);
        registry.withdraw();
        vm.stopPrank();
        vm.expectEmit();
        emit IPeerRegistry.PeerRecovered(lost, SAFE, 0);
        vm.prank(SAFE);
        registry.recover(lost);
        eq(registry.payeeOf(lost), SAFE);
    }

    function test_nobody_else_recovers_or_withdraws() public {
        vm.startPrank(THIEF);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotRecovery.selector, lost, THIEF));
        registry.recover(lost);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotRecovery.selector, peer(1), THIEF));
        registry.recover(peer(1));
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotRecovery.selector, lost, THIEF));
        registry.withdrawFor(lost);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotRecovery.selector, lost, SAFE));
        vm.prank(SAFE);
        registry.withdrawFor(lost); // not recovered yet
        vm.startPrank(SAFE);
        registry.recover(lost);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AccountBarred.selector, lost));
        registry.recover(lost);
    }

    function test_odd_recovery_addresses_are_refused() public {
        vm.startPrank(peer(1));
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.BadRecovery.selector, address(0)));
        registry.setRecovery(address(0));
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.BadRecovery.selector, peer(1)));
        registry.setRecovery(peer(1));
        vm.expectEmit();
        emit IPeerRegistry.RecoverySet(peer(1), SAFE);
        registry.setRecovery(SAFE);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotAPeer.selector, SAFE));
        vm.prank(SAFE);
        registry.setRecovery(lost);
    }

    function test_a_recovered_peer_can_still_be_slashed_and_never_comes_back() public {
        vm.prank(SAFE);
        registry.recover(lost);
        vm.prank(ROUND_ARBITER);
        eq(registry.slash(lost, 2000, THIEF), STAKE / 5);
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(SAFE);
        registry.withdrawFor(lost);
        eq(token.balanceOf(SAFE), STAKE - STAKE / 5);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AccountBarred.selector, lost));
        vm.prank(lost);
        registry.register(keccak256("again"), "tcp://here", STAKE);
    }
}
