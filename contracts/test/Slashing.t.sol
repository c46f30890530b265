// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPeerRegistry} from "../src/interfaces/IPeerRegistry.sol";
import {IRewardPool} from "../src/interfaces/IRewardPool.sol";
import {PeerRegistry} from "../src/PeerRegistry.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev What an arbiter's verdict takes, from whom, and where it goes; seats beside it.
contract SlashingTest is Federation {
    address private constant CHALLENGER = address(0xC4A1);

    function setUp() public {
        deployWith(3);
    }

    function test_a_tenth_goes_to_the_challenger_and_the_rest_into_the_pool() public {
        vm.expectEmit();
        emit IPeerRegistry.PeerSlashed(peer(0), CHALLENGER, STAKE / 5, STAKE / 50);
        eq(_slash(peer(0), 2000), STAKE / 5);
        eq(token.balanceOf(CHALLENGER), STAKE / 50);
        eq(vault.funded(), STAKE / 5 - STAKE / 50);
        eq(token.balanceOf(address(vault)), vault.funded());
        eq(token.balanceOf(address(registry)), 3 * STAKE - STAKE / 5);
        (, uint256 stake, bool active,) = registry.peerOf(peer(0));
        eq(stake, STAKE - STAKE / 5);
        require(active, "a fifth does not end a peer");
        eq(token.allowance(address(registry), address(vault)), 0);
    }

    function test_a_second_verdict_takes_its_part_of_what_is_left() public {
        _slash(peer(0), 2000);
        eq(_slash(peer(0), 2000), (STAKE - STAKE / 5) / 5);
    }

    function test_both_arbiters_and_nobody_else_slash() public {
        vm.prank(PAY_ARBITER);
        eq(registry.slash(peer(0), 100, CHALLENGER), STAKE / 100);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotAnArbiter.selector, address(this)));
        registry.slash(peer(0), 100, CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotAnArbiter.selector, address(vault)));
        vm.prank(address(vault));
        registry.slash(peer(0), 100, CHALLENGER);
    }

    function test_the_whole_stake_ends_a_peer_for_good() public {
        eq(_slash(peer(0), 10_000), STAKE);
        require(!registry.isActive(peer(0)) && registry.isBarred(peer(0)));
        eq(registry.seatOf(peer(0)), 0);
        eq(registry.activeCount(), 2);
        vm.startPrank(peer(0));
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NothingToWithdraw.selector, peer(0)));
        registry.withdraw();
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AccountBarred.selector, peer(0)));
        registry.register(keccak256("again"), "tcp://here", STAKE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NotAPeer.selector, peer(0)));
        registry.leave();
    }

    function test_who_left_can_be_slashed_until_the_stake_is_out() public {
        vm.prank(peer(0));
        registry.leave();
        vm.warp(block.timestamp + UNBONDING); // free, but not taken yet
        eq(_slash(peer(0), 2000), STAKE / 5);
        vm.prank(peer(0));
        registry.withdraw();
        eq(token.balanceOf(peer(0)), STAKE - STAKE / 5);
        eq(_slash(peer(0), 2000), 0);
        require(!registry.isBarred(peer(0)), "a fifth of nothing ends nobody");
        vm.expectEmit();
        emit IPeerRegistry.PeerSlashed(peer(0), CHALLENGER, 0, 0);
        eq(_slash(peer(0), 10_000), 0);
        require(registry.isBarred(peer(0)), "the verdict came late, but it came");
        eq(registry.activeCount(), 2);
        vm.startPrank(peer(0));
        token.approve(address(registry), STAKE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.AccountBarred.selector, peer(0)));
        registry.register(keccak256("again"), "tcp://here", STAKE);
    }

    function test_a_stake_that_is_taken_whole_while_unbonding_ends_the_account() public {
        vm.prank(peer(0));
        registry.leave();
        _slash(peer(0), 10_000);
        eq(registry.activeCount(), 2);
        require(registry.isBarred(peer(0)));
    }

    function test_more_than_everything_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.BasisPointsTooHigh.selector, 10_001));
        _slash(peer(0), 10_001);
    }

    function test_strangers_have_nothing_to_lose() public {
        eq(_slash(CHALLENGER, 9999), 0);
        require(!registry.isBarred(CHALLENGER));
        eq(_slash(CHALLENGER, 10_000), 0);
        require(registry.isBarred(CHALLENGER), "its own key signed two things: it shall be no peer");
        eq(_slash(address(0), 10_000), 0);
        eq(registry.seatOf(address(0)), 0);
        eq(registry.payeeOf(address(0)), address(0));
        eq(registry.activeCount(), 3);
        eq(vault.funded(), 0);
        eq(token.balanceOf(CHALLENGER), 0);
        eq(token.balanceOf(address(registry)), 3 * STAKE);
    }

    function test_a_peer_of_a_federation_without_stakes_can_be_ended_too() public {
        address[2] memory arbiters = [ROUND_ARBITER, PAY_ARBITER];
        PeerRegistry free = new PeerRegistry(token, 0, UNBONDING, admission, arbiters, IRewardPool(address(vault)));
        free.register(keccak256("key"), "tcp://here", 0);
        eq(free.activeCount(), 1);
        vm.expectEmit();
        emit IPeerRegistry.PeerSlashed(address(this), CHALLENGER, 0, 0);
        vm.prank(ROUND_ARBITER);
        free.slash(address(this), 10_000, CHALLENGER);
        eq(free.activeCount(), 0);
        require(!free.isActive(address(this)) && free.isBarred(address(this)));
    }

    function test_without_a_vault_nothing_is_taken() public {
        address[2] memory arbiters = [ROUND_ARBITER, PAY_ARBITER];
        PeerRegistry alone = new PeerRegistry(token, STAKE, UNBONDING, admission, arbiters, IRewardPool(address(0)));
        token.approve(address(alone), STAKE);
        alone.register(keccak256("key"), "tcp://here", STAKE);
        vm.expectRevert();
        vm.prank(ROUND_ARBITER);
        alone.slash(address(this), 2000, CHALLENGER);
    }

    function test_seats_count_up_and_are_never_given_twice() public {
        for (uint16 i = 1; i <= 3; ++i) {
            eq(registry.seatOf(registry.peerAt(i)), i);
        }
        eq(registry.peerAt(0), address(0));
        eq(registry.peerAt(4), address(0));
        address back = registry.peerAt(2);
        vm.startPrank(back);
        registry.leave();
        eq(registry.seatOf(back), 0);
        eq(registry.peerAt(2), back);
        vm.warp(block.timestamp + UNBONDING);
        registry.withdraw();
        token.approve(address(registry), STAKE);
        registry.register(keccak256("new key"), "tcp://here", STAKE);
        eq(registry.seatOf(back), 4);
        eq(registry.peerAt(2), back);
        eq(registry.peerAt(4), back);
    }

    function test_the_last_seat_is_the_last() public {
        bytes32 slot = bytes32(uint256(5)); // how many are active, and above them the last seat
        eq(uint256(vm.load(address(registry), slot)), (uint256(3) << 128) | 3);
        vm.store(address(registry), slot, bytes32((uint256(type(uint16).max - 1) << 128) | 3));
        join(address(0xAAA), keccak256("the last"));
        eq(registry.seatOf(address(0xAAA)), type(uint16).max);
        token.approve(address(registry), STAKE);
        vm.expectRevert(abi.encodeWithSelector(IPeerRegistry.NoSeatLeft.selector));
        registry.register(keccak256("too late"), "tcp://here", STAKE);
    }

    function test_arbiters_can_be_read() public view {
        address[2] memory arbiters = registry.arbiters();
        eq(arbiters[0], ROUND_ARBITER);
        eq(arbiters[1], PAY_ARBITER);
    }

    function testFuzz_every_unit_of_a_stake_is_somewhere(uint96 extra, uint16 first, uint16 second) public {
        address account = address(0xACC);
        uint256 stake = STAKE + extra % (1000 * STAKE);
        token.transfer(account, stake);
        vm.startPrank(account);
        token.approve(address(registry), stake);
        registry.register(keccak256("acc"), "tcp://here", stake);
        vm.stopPrank();
        uint256 one = _slash(account, first % 10_001);
        uint256 two = _slash(account, second % 10_001);
        (, uint256 left,,) = registry.peerOf(account);
        eq(left + one + two, stake);
        eq(token.balanceOf(CHALLENGER) + vault.funded(), one + two);
        eq(token.balanceOf(CHALLENGER), one / 10 + two / 10);
        eq(token.balanceOf(address(registry)), 3 * STAKE + left);
        if (left > 0) {
            vm.startPrank(account);
            registry.leave();
            vm.warp(block.timestamp + UNBONDING);
            registry.withdraw();
            eq(token.balanceOf(account), left);
        }
    }

    function _slash(address account, uint16 basisPoints) private returns (uint256) {
        vm.prank(ROUND_ARBITER);
        return registry.slash(account, basisPoints, CHALLENGER);
    }
}
