// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PeerRegistry} from "../src/PeerRegistry.sol";
import {IPeerRegistry} from "../src/interfaces/IPeerRegistry.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

contract PeerRegistryTest is Federation {
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);
    bytes32 private constant KEY = keccak256("alice's key");
    string private constant ENDPOINT = "tcp://127.0.0.1:7000,7001";

    function setUp() public {
        deploy();
        token.transfer(ALICE, 10 * STAKE);
        token.transfer(BOB, 10 * STAKE);
        vm.prank(ALICE);
        token.approve(address(registry), type(uint256).max);
        vm.prank(BOB);
        token.approve(address(registry), type(uint256).max);
    }

    function test_a_peer_registers_with_key_endpoint_and_stake() public {
        vm.expectEmit();
        emit IPeerRegistry.PeerRegistered(ALICE, KEY, ENDPOINT, 2 * STAKE);
        vm.prank(ALICE);
        registry.register(KEY, ENDPOINT, 2 * STAKE);
        (bytes32 key, uint256 stake, bool active, uint64 withdrawableAt) = registry.peerOf(ALICE);
        eq(key, KEY);
        eq(stake, 2 * STAKE);
        require(active && registry.isActive(ALICE) && withdrawableAt == 0);
        eq(registry.activeCount(), 1);
        eq(registry.ownerOfKey(KEY), ALICE);
        eq(token.balanceOf(address(registry)), 2 * STAKE);
    }

    function test_registering_again_is_refused_and_changes_nothing() public {
        _register(ALICE, KEY);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AlreadyRegistered.selector, ALICE));
        _register(ALICE, KEY);
        eq(registry.activeCount(), 1);
        eq(token.balanceOf(address(registry)), STAKE);
    }

    function test_too_small_a_stake_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.StakeTooLow.selector, STAKE - 1, STAKE));
        vm.prank(ALICE);
        registry.register(KEY, ENDPOINT, STAKE - 1);
    }

    function test_a_key_belongs_to_one_peer_even_after_rotation_and_leaving() public {
        _register(ALICE, KEY);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.TransportKeyTaken.selector, KEY, ALICE));
        _register(BOB, KEY);
        vm.startPrank(ALICE);
        registry.rotateKey(keccak256("second"));
        registry.leave();
        vm.warp(block.timestamp + UNBONDING);
        registry.withdraw();
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.TransportKeyTaken.selector, KEY, ALICE));
        _register(BOB, KEY);
        _register(ALICE, KEY);
        require(registry.isActive(ALICE));
    }

    function test_a_missing_key_and_odd_endpoints_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.TransportKeyMissing.selector));
        _register(ALICE, bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.EndpointLength.selector, 0));
        vm.prank(ALICE);
        registry.register(KEY, "", STAKE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.EndpointLength.selector, 256));
        vm.prank(ALICE);
        registry.register(KEY, string(new bytes(256)), STAKE);
    }

    function test_a_peer_moves_and_rotates() public {
        _register(ALICE, KEY);
        vm.startPrank(ALICE);
        vm.expectEmit();
        emit IPeerRegistry.EndpointChanged(ALICE, "tcp://[::1]:1,2");
        registry.setEndpoint("tcp://[::1]:1,2");
        vm.expectEmit();
        emit IPeerRegistry.TransportKeyRotated(ALICE, keccak256("second"));
        registry.rotateKey(keccak256("second"));
        (bytes32 key,,,) = registry.peerOf(ALICE);
        eq(key, keccak256("second"));
    }

    function test_strangers_have_nothing_to_change() public {
        bytes memory refusal = abi.encodeWithSelector(IPeerRegistry.NotAPeer.selector, BOB);
        vm.startPrank(BOB);
        vm.expectRevert(refusal);
        registry.setEndpoint(ENDPOINT);
        vm.expectRevert(refusal);
        registry.rotateKey(KEY);
        vm.expectRevert(refusal);
        registry.leave();
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NothingToWithdraw.selector, BOB));
        registry.withdraw();
    }

    function test_a_stake_comes_back_after_the_unbonding_time_and_not_before() public {
        _register(ALICE, KEY);
        uint64 free = uint64(block.timestamp) + UNBONDING;
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AlreadyRegistered.selector, ALICE));
        registry.withdraw();
        vm.expectEmit();
        emit IPeerRegistry.PeerLeft(ALICE, free);
        registry.leave();
        require(!registry.isActive(ALICE) && registry.activeCount() == 0);
        vm.warp(free - 1);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.StakeLocked.selector, free));
        registry.withdraw();
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.StakeLocked.selector, free));
        registry.register(KEY, ENDPOINT, STAKE);
        vm.warp(free);
        vm.expectEmit();
        emit IPeerRegistry.StakeWithdrawn(ALICE, STAKE);
        registry.withdraw();
        eq(token.balanceOf(ALICE), 10 * STAKE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NothingToWithdraw.selector, ALICE));
        registry.withdraw();
    }

    function test_one_transaction_with_a_permit() public {
        (address account, uint8 v, bytes32 r, bytes32 s) = _permit();
        vm.prank(account);
        registry.registerWithPermit(KEY, ENDPOINT, STAKE, type(uint256).max, v, r, s);
        require(registry.isActive(account));
    }

    function test_a_permit_that_somebody_else_has_sent_is_no_fault() public {
        (address account, uint8 v, bytes32 r, bytes32 s) = _permit();
        token.permit(account, address(registry), STAKE, type(uint256).max, v, r, s);
        vm.prank(account);
        registry.registerWithPermit(KEY, ENDPOINT, STAKE, type(uint256).max, v, r, s);
        require(registry.isActive(account));
    }

    function test_a_bad_permit_gives_no_stake() public {
        (address account, uint8 v, bytes32 r, bytes32 s) = _permit();
        vm.expectRevert();
        vm.prank(account);
        registry.registerWithPermit(KEY, ENDPOINT, STAKE + 1, type(uint256).max, v, r, s);
    }

    function test_what_was_deployed_can_be_read() public view {
        eq(registry.token(), address(token));
        eq(registry.minStake(), STAKE);
        eq(registry.unbondingSeconds(), UNBONDING);
    }

    function testFuzz_stakes_come_back_to_the_unit(uint128 stake, uint32 wait) public {
        vm.assume(stake >= STAKE && stake <= 10 * STAKE);
        vm.startPrank(ALICE);
        registry.register(KEY, ENDPOINT, stake);
        registry.leave();
        vm.warp(block.timestamp + wait);
        if (wait < UNBONDING) vm.expectRevert();
        registry.withdraw();
        eq(token.balanceOf(ALICE), wait < UNBONDING ? 10 * STAKE - stake : 10 * STAKE);
    }

    function _register(address account, bytes32 key) private {
        vm.prank(account);
        registry.register(key, ENDPOINT, STAKE);
    }

    function _permit() private returns (address account, uint8 v, bytes32 r, bytes32 s) {
        account = vm.addr(7);
        token.transfer(account, 2 * STAKE);
        bytes32 permit = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 statement = keccak256(abi.encode(permit, account, address(registry), STAKE, 0, type(uint256).max));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), statement));
        (v, r, s) = vm.sign(7, digest);
    }
}
