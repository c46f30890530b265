// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

contract RoundLedgerTest is Federation {
    function setUp() public {
        deployWith(4);
    }

    function test_the_first_round_stands_on_the_federation() public {
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        bytes32 record = keccak256(abi.encode(round));
        vm.expectEmit();
        emit IRoundLedger.RoundRecorded(1, record, peer(2), round);
        eq(_record(2, round), record);
        require(rounds.isRecorded(1, record) && rounds.isRecorded(0, FEDERATION));
        require(!rounds.isRecorded(2, record) && !rounds.isRecorded(257, record) && !rounds.isRecorded(1, FEDERATION));
    }

    function test_strangers_and_former_peers_record_nothing() public {
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.NotAPeer.selector, address(this)));
        rounds.recordRound(round);
        vm.startPrank(peer(0));
        registry.leave();
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.NotAPeer.selector, peer(0)));
        rounds.recordRound(round);
    }

    function test_the_same_record_again_is_refused_whoever_sends_it() public {
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        bytes32 record = _record(0, round);
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.AlreadyRecorded.selector, 1, record));
        _record(1, round);
    }

    function test_a_sibling_is_kept_beside_and_a_merge_heals() public {
        bytes32 one = _record(0, child(0, FEDERATION, "one"));
        IRoundLedger.Round memory late = child(0, FEDERATION, "two");
        bytes32 two = _record(1, late);
        require(rounds.isRecorded(1, one) && rounds.isRecorded(1, two));
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.AlreadyRecorded.selector, 1, two));
        _record(1, late);
        IRoundLedger.Round memory merge = _merge(1, one, 1, two);
        require(rounds.isRecorded(2, _record(2, merge)));
    }

    function test_parents_of_different_rounds_merge_one_above_the_newest() public {
        bytes32 late = _record(0, child(0, FEDERATION, "late"));
        bytes32 head = extend(0, FEDERATION, 5);
        IRoundLedger.Round memory merge = _merge(5, head, 1, late);
        merge.round = 2;
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.WrongRound.selector, 2, 6));
        _record(0, merge);
        merge.round = 7;
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.WrongRound.selector, 7, 6));
        _record(0, merge);
        merge.round = 6;
        _record(0, merge);
    }

    function test_unknown_parents_are_refused() public {
        bytes32 head = extend(0, FEDERATION, 3);
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 3, keccak256("nobody's")));
        _record(0, child(3, keccak256("nobody's"), ""));
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 2, head)); // a lie about its round
        _record(0, child(2, head, ""));
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 9, bytes32(0))); // an empty slot
        _record(0, child(9, bytes32(0), ""));
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 0, bytes32(0)));
        _record(0, child(0, bytes32(0), ""));
    }

    function test_no_parents_or_uneven_lists_are_refused() public {
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        round.parents = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.ParentsMismatch.selector, 1, 0));
        _record(0, round);
        round.parentRounds = new uint64[](0);
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.ParentsMismatch.selector, 0, 0));
        _record(0, round);
    }

    function test_what_the_ring_has_overtaken_is_no_parent_and_never_comes_in_again() public {
        uint64 window = rounds.window();
        IRoundLedger.Round memory first = child(0, FEDERATION, "");
        bytes32 record = _record(0, first);
        bytes32 sibling = _record(0, child(0, FEDERATION, "sibling"));
        bytes32 head = extend(1, record, window - 1);
        require(!rounds.isRecorded(0, FEDERATION), "round 0 is behind the window");
        require(rounds.isRecorded(1, record) && rounds.isRecorded(1, sibling));
        extend(window, head, 1);
        require(!rounds.isRecorded(1, record) && !rounds.isRecorded(1, sibling));
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 0, FEDERATION));
        _record(0, first);
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 1, sibling));
        _record(0, child(1, sibling, ""));
    }

    function test_a_round_a_whole_window_behind_is_refused() public {
        uint64 window = rounds.window();
        bytes32 one = _record(0, child(0, FEDERATION, ""));
        bytes32 two = _record(0, child(1, one, ""));
        bytes32 head = extend(2, two, window - 1); // one lap after round 1; round 2 still stands
        require(rounds.isRecorded(2, two) && rounds.isRecorded(window + 1, head));
        _record(0, child(2, two, "late")); // a sibling in round 3
        head = extend(window + 1, head, 1);
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 2, two));
        _record(0, child(2, two, "too late"));
    }

    function test_dirty_calldata_is_refused() public {
        bytes memory call = abi.encodeCall(IRoundLedger.recordRound, (child(0, FEDERATION, "")));
        call[4 + 32] = 0x01; // above the 64 bits of `round`
        vm.prank(peer(0));
        (bool done,) = address(rounds).call(call);
        require(!done);
    }

    function test_the_name_does_not_depend_on_how_the_call_was_encoded() public {
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        bytes memory call = bytes.concat(abi.encodeCall(IRoundLedger.recordRound, (round)), "trailing");
        vm.prank(peer(0));
        (bool done, bytes memory answer) = address(rounds).call(call);
        require(done);
        eq(abi.decode(answer, (bytes32)), keccak256(abi.encode(round)));
    }

    function test_the_poster_is_known_also_of_a_sibling_and_after_it_left() public {
        bytes32 one = _record(0, child(0, FEDERATION, "one"));
        bytes32 two = _record(1, child(0, FEDERATION, "two"));
        vm.prank(peer(0));
        registry.leave();
        eq(rounds.posterOf(1, one), peer(0));
        eq(rounds.posterOf(1, two), peer(1));
        eq(rounds.posterOf(0, FEDERATION), address(0));
        eq(rounds.posterOf(2, one), address(0));
        eq(rounds.posterOf(1, keccak256("nobody's")), address(0));
    }

    function test_the_poster_is_forgotten_with_the_record() public {
        bytes32 one = _record(2, child(0, FEDERATION, ""));
        bytes32 late = _record(3, child(0, FEDERATION, "late"));
        extend(1, one, rounds.window());
        eq(rounds.posterOf(1, one), address(0));
        eq(rounds.posterOf(1, late), address(0));
    }

    function test_several_rounds_go_into_one_transaction() public {
        IRoundLedger.Round[] memory batch = _line(5);
        for (uint256 i = 0; i < 5; ++i) {
            vm.expectEmit();
            emit IRoundLedger.RoundRecorded(uint64(i + 1), keccak256(abi.encode(batch[i])), peer(1), batch[i]);
        }
        address sender = peer(1);
        vm.prank(sender);
        bytes32[] memory records = rounds.recordRounds(batch);
        for (uint64 i = 0; i < 5; ++i) {
            eq(records[i], keccak256(abi.encode(batch[i])));
            eq(rounds.posterOf(i + 1, records[i]), sender);
        }
    }

    function test_what_is_recorded_already_is_skipped_and_keeps_its_poster() public {
        IRoundLedger.Round[] memory batch = _line(3);
        _record(0, batch[0]);
        _record(0, child(0, FEDERATION, "sibling"));
        address sender = peer(1);
        vm.prank(sender);
        bytes32[] memory records = rounds.recordRounds(batch);
        eq(rounds.posterOf(1, records[0]), peer(0));
        eq(rounds.posterOf(3, records[2]), sender);
        vm.prank(sender);
        rounds.recordRounds(batch); // all of them: nothing happens
        vm.prank(sender);
        eq(rounds.recordRounds(new IRoundLedger.Round[](0)).length, 0);
    }

    function test_one_bad_round_refuses_the_whole_batch() public {
        IRoundLedger.Round[] memory batch = _line(3);
        batch[1].parents[0] = keccak256("nobody's");
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, 1, keccak256("nobody's")));
        vm.prank(peer(0));
        rounds.recordRounds(batch);
        require(!rounds.isRecorded(1, keccak256(abi.encode(batch[0]))));
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.NotAPeer.selector, address(this)));
        rounds.recordRounds(_line(2));
    }

    function test_a_round_beyond_the_slots_numbers_is_no_parent() public {
        uint64 beyond = (1 << 48) + 1; // the same slot and the same low bits as round 1
        bytes32 one = _record(0, child(0, FEDERATION, ""));
        require(!rounds.isRecorded(beyond, one));
        vm.expectRevert(abi.encodeWithSelector(IRoundLedger.UnknownParent.selector, beyond, one));
        _record(0, child(beyond, one, ""));
    }

    function test_another_layout_of_the_same_round_has_the_same_name() public {
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        bytes memory call = abi.encodeCall(IRoundLedger.recordRound, (round));
        bytes memory other = bytes.concat(call, new bytes(64)); // the list of parents once more, at the end
        assembly ("memory-safe") {
            let start := add(other, 0x44) // the round itself
            mstore(add(start, 0x60), 0x200)
            mstore(add(start, 0x200), 1)
            mstore(add(start, 0x220), mload(add(start, 0x1e0)))
            mstore(add(start, 0x1e0), 0)
        }
        vm.prank(peer(0));
        (bool done, bytes memory answer) = address(rounds).call(other);
        require(done);
        eq(abi.decode(answer, (bytes32)), keccak256(abi.encode(round)));
    }

    function test_dirty_members_are_refused() public {
        bytes memory call = abi.encodeCall(IRoundLedger.recordRound, (child(0, FEDERATION, "")));
        call[4 + 32 + 0x160 + 29] = 0x01; // above the 16 bits of `members`
        vm.prank(peer(0));
        (bool done,) = address(rounds).call(call);
        require(!done);
    }

    function test_what_was_deployed_can_be_read() public view {
        eq(rounds.registry(), address(registry));
        eq(rounds.federation(), FEDERATION);
        eq(rounds.window(), 256);
        bytes32 domain = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        eq(
            rounds.domainSeparator(),
            keccak256(abi.encode(domain, keccak256("Peerage"), keccak256("1"), block.chainid, address(rounds)))
        );
    }

    function testFuzz_the_record_is_the_hash_of_the_whole_round(
        IRoundLedger.Round memory round,
        uint16 members,
        uint8 more
    ) public {
        round.round = 1;
        uint256 count = 1 + more % 5; // the same parent several times is no fault
        round.parentRounds = new uint64[](count);
        round.parents = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            round.parents[i] = FEDERATION;
        }
        round.members = members;
        vm.expectEmit();
        emit IRoundLedger.RoundRecorded(1, keccak256(abi.encode(round)), peer(0), round);
        eq(_record(0, round), keccak256(abi.encode(round)));
    }

    function _record(uint256 sender, IRoundLedger.Round memory round) private returns (bytes32) {
        address account = peer(sender);
        vm.prank(account);
        return rounds.recordRound(round);
    }

    function _line(uint64 count) private pure returns (IRoundLedger.Round[] memory batch) {
        batch = new IRoundLedger.Round[](count);
        bytes32 record = FEDERATION;
        for (uint64 i = 0; i < count; ++i) {
            batch[i] = child(i, record, "line");
            record = keccak256(abi.encode(batch[i]));
        }
    }

    function _merge(uint64 roundA, bytes32 a, uint64 roundB, bytes32 b)
        private
        pure
        returns (IRoundLedger.Round memory merge)
    {
        merge = child(roundA, a, "merge");
        merge.parentRounds = new uint64[](2);
        (merge.parentRounds[0], merge.parentRounds[1]) = (roundA, roundB);
        merge.parents = new bytes32[](2);
        (merge.parents[0], merge.parents[1]) = (a, b);
    }
}
