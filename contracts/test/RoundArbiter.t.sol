// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IRoundArbiter} from "../src/interfaces/IRoundArbiter.sol";
import {AddressTree} from "../src/libraries/AddressTree.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Evidence} from "./Evidence.sol";
import {eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev The proofs that settle at once: every real fraud convicts, and nothing that can be made of an honest round does.
contract RoundArbiterTest is Evidence {
    uint256 private constant PEERS = 11;
    uint256 private constant MEMBERS = 10;
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    Session private _parent;
    Session private _honest;
    bytes[] private _calls;

    function setUp() public {
        deployArbiter(PEERS);
        Session memory one = session(0, federation, federation, MEMBERS, 0);
        record(one, 2);
        _parent = one;
        Session memory two = session(1, one.record, seedOf(one), MEMBERS, 1);
        record(two, 3);
        _honest = two;
        _calls.push(_omission(two, 4, two.members, two.joins, 4));
        _calls.push(abi.encodeCall(arbiter.proveWrongDraw, (one.round, one.name, drawOf(_none(), one, 5))));
        _calls.push(abi.encodeCall(arbiter.proveWrongDraw, (two.round, two.name, drawOf(one, two, 5))));
        _calls.push(abi.encodeCall(arbiter.proveFalseReveal, (reveal(two, 3))));
        _calls.push(_otherResult(two, two.acks));
        _calls.push(
            abi.encodeCall(
                arbiter.proveDisorder,
                (
                    two.round,
                    IRoundArbiter.Tree.Joins,
                    leafOf(two.members, two.joins, 3),
                    leafOf(two.members, two.joins, 4)
                )
            )
        );
        _calls.push(
            abi.encodeCall(
                arbiter.proveEquivocation,
                (
                    Statements.Kind.MaskedUpdate,
                    two.updates[0],
                    two.updateSignatures[0],
                    two.updates[0],
                    two.updateSignatures[0]
                )
            )
        );
        _calls.push(abi.encodeCall(arbiter.voidFalseReveal, (two.round, leafOf(two.survivors, two.masked, 2))));
    }

    // -- an honest record is never convicted ----------------------------------------------------------------------------

    function test_honest_evidence_is_refused() public {
        bytes4[8] memory reasons = [
            AddressTree.NotAGap.selector,
            IRoundArbiter.HonestDraw.selector,
            IRoundArbiter.HonestDraw.selector,
            IRoundArbiter.HonestReveal.selector,
            IRoundArbiter.SameModel.selector,
            AddressTree.NotAGap.selector,
            IRoundArbiter.SameStatement.selector,
            IRoundArbiter.HonestReveal.selector
        ];
        for (uint256 i = 0; i < _calls.length; ++i) {
            (bool done, bytes memory why) = address(arbiter).call(_calls[i]);
            require(!done && bytes4(why) == reasons[i], "another reason");
        }
    }

    function testFuzz_no_byte_of_honest_evidence_can_be_changed_into_a_verdict(
        uint256 which,
        uint256 place,
        bytes1 change,
        uint256 second,
        bytes1 other
    ) public {
        bytes memory call = _calls[which % _calls.length];
        call[4 + place % (call.length - 4)] ^= change;
        call[4 + second % (call.length - 4)] ^= other;
        // another round may come out of it, which nobody has recorded: that one may fall
        (bool done,) = address(arbiter).call(call);
        done;
        require(!arbiter.voided(_honest.record) && !arbiter.voided(_parent.record), "framed");
        eq(token.balanceOf(address(registry)), PEERS * STAKE);
    }

    function testFuzz_no_two_leaves_enclose_a_member(uint8 who, uint8 left, uint8 right, uint256 x, uint256 y, bool one)
        public
    {
        Session memory s = _honest;
        AddressTree.Leaf memory acknowledged = leafOf(s.members, s.ackLeaves, who % MEMBERS);
        AddressTree.Leaf[] memory around = new AddressTree.Leaf[](one ? 1 : 2);
        around[0] = leafOf(s.members, s.joins, left % MEMBERS);
        around[0].path.turns = x % 16;
        if (!one) {
            around[1] = leafOf(s.members, s.joins, right % MEMBERS);
            around[1].path.turns = y % 16;
        }
        vm.expectRevert();
        arbiter.proveOmission(s.round, s.name, acknowledged, around);
    }

    function test_quorums_bound_those_of_every_legal_session() public view {
        for (uint256 n = 3; n <= 128; ++n) {
            for (uint256 registered = n; registered <= 160; ++registered) {
                uint256 c = registered == 3 ? 0 : registered / 4;
                if (n < c + 3) break;
                uint256 t = n <= 4 ? 3 : (n + c + 1) / 2 + 1;
                require(arbiter.accusers(n, registered) >= t && arbiter.accusers(n, 4 * n) >= t, "frames");
                require(arbiter.accusers(n, registered) <= n || n < 3, "never");
                require(arbiter.accusers(n, 4 * n) <= n, "however many seats were given");
                require(arbiter.acknowledgers(n) <= t && arbiter.acknowledgers(t) <= t, "cannot answer");
                require(c < arbiter.accusers(n, registered), "colluders alone");
            }
        }
        eq(arbiter.acknowledgers(0), 3);
    }

    // -- F1 -------------------------------------------------------------------------------------------------------------

    function test_two_statements_of_each_kind_end_their_signer() public {
        Statements.Kind[6] memory kinds = [
            Statements.Kind.MaskedUpdate,
            Statements.Kind.Vote,
            Statements.Kind.ResultAck,
            Statements.Kind.Opening,
            Statements.Kind.Sketch,
            Statements.Kind.Screening
        ];
        for (uint256 i = 0; i < kinds.length; ++i) {
            (bytes memory one, bytes memory other) = _pair(kinds[i], "");
            uint256 pool = vault.funded();
            uint256 purse = token.balanceOf(HUNTER);
            vm.expectEmit();
            emit IRoundArbiter.PeerConvicted(peer(i), "sid", HUNTER, 1);
            vm.prank(HUNTER);
            _equivocation(kinds[i], i, one, i, other);
            require(!registry.isActive(peer(i)), "still a peer");
            eq(vault.funded() - pool, STAKE - STAKE / 10);
            eq(token.balanceOf(HUNTER) - purse, STAKE / 10);
        }
    }

    function test_one_signer_and_session_are_convicted_once() public {
        (bytes memory one, bytes memory other) = _pair(Statements.Kind.Vote, "");
        _equivocation(Statements.Kind.Vote, 4, one, 4, other);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.AlreadyDecided.selector));
        _equivocation(Statements.Kind.Vote, 4, other, 4, one);
        (one, other) = _pair(Statements.Kind.Opening, "");
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.AlreadyDecided.selector));
        _equivocation(Statements.Kind.Opening, 4, one, 4, other);
    }

    function test_a_signer_that_left_is_convicted_while_its_stake_is_here() public {
        (bytes memory one, bytes memory other) = _pair(Statements.Kind.Vote, "");
        vm.prank(peer(1));
        registry.leave();
        _equivocation(Statements.Kind.Vote, 1, one, 1, other);
        (, uint256 stake,,) = registry.peerOf(peer(1));
        eq(stake, 0);
        vm.prank(peer(2));
        registry.leave();
        vm.warp(block.timestamp + UNBONDING);
        vm.prank(peer(2));
        registry.withdraw();
        _equivocation(Statements.Kind.Vote, 2, one, 2, other); // on record, and nothing to take
    }

    function test_what_an_honest_peer_signs_twice_convicts_nobody() public {
        Statements.Kind[3] memory kinds =
            [Statements.Kind.JoinIntent, Statements.Kind.PlainUpdate, Statements.Kind.PlainMerge];
        for (uint256 i = 0; i < kinds.length; ++i) {
            (bytes memory one, bytes memory other) = _pair(kinds[i], "");
            vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotConvictable.selector, kinds[i]));
            _equivocation(kinds[i], 0, one, 0, other);
        }
        (bytes memory here,) = _pair(Statements.Kind.Vote, "");
        (bytes memory there,) = _pair(Statements.Kind.Vote, "elsewhere");
        vm.expectRevert();
        _equivocation(Statements.Kind.Vote, 0, here, 0, there);
        vm.expectRevert();
        _equivocation(Statements.Kind.Vote, 0, here, 0, bytes.concat(here, bytes32(0)));
    }

    function test_two_peers_with_a_statement_each_are_innocent() public {
        (bytes memory one, bytes memory other) = _pair(Statements.Kind.Vote, "");
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.OtherSigner.selector, peer(1), peer(0)));
        _equivocation(Statements.Kind.Vote, 0, one, 1, other);
    }

    function test_malleable_and_cut_signatures_are_none() public {
        (bytes memory one, bytes memory other) = _pair(Statements.Kind.Vote, "");
        bytes memory good = sign(0, digestOf(Statements.Kind.Vote, one));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secrets[0], digestOf(Statements.Kind.Vote, other));
        bytes memory mirrored = abi.encodePacked(r, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, ORDER - uint256(s)));
        arbiter.proveEquivocation(Statements.Kind.Vote, one, good, other, mirrored);
        bytes memory short = abi.encodePacked(r, s);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        arbiter.proveEquivocation(Statements.Kind.Vote, one, good, other, short);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
        arbiter.proveEquivocation(Statements.Kind.Vote, one, good, other, abi.encodePacked(r, s, uint8(29)));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
        arbiter.proveEquivocation(Statements.Kind.Vote, one, good, other, new bytes(65));
    }

    // -- F2 -------------------------------------------------------------------------------------------------------------

    function test_whoever_acknowledged_must_have_joined() public {
        for (uint256 missing = 0; missing < MEMBERS; ++missing) {
            Session memory s = session(1, _parent.record, seedOf(_parent), MEMBERS, 1);
            s.round.transcript = bytes32(missing);
            (address[] memory members, bytes32[] memory joins) = _without(s.members, s.joins, missing);
            s.round.joinRoot = rootOf(leaves(members, joins));
            s.record = keccak256(abi.encode(s.round));
            record(s, 5);
            vm.expectEmit();
            emit IRoundArbiter.RoundVoided(s.record, 2, HUNTER, 2);
            _file(_omission(s, missing, members, joins, missing), s.record, missing == 0 ? 5 : PEERS);
        }
    }

    function test_nobody_joined_at_all() public {
        Session memory s = session(1, _parent.record, seedOf(_parent), MEMBERS, 1);
        s.round.joinRoot = bytes32(0);
        s.record = keccak256(abi.encode(s.round));
        record(s, 6);
        AddressTree.Leaf memory acknowledged = leafOf(s.members, s.ackLeaves, 7);
        _file(
            abi.encodeCall(arbiter.proveOmission, (s.round, s.name, acknowledged, new AddressTree.Leaf[](0))),
            s.record,
            6
        );
    }

    function test_a_tree_out_of_order_is_no_table() public {
        Session memory s = session(1, _parent.record, seedOf(_parent), MEMBERS, 1);
        (s.members[3], s.members[6]) = (s.members[6], s.members[3]);
        s.round.emissionRoot = rootOf(leaves(s.members, s.joins));
        s.record = keccak256(abi.encode(s.round));
        record(s, 6);
        AddressTree.Leaf memory left = leafOf(s.members, s.joins, 3);
        bytes memory call = abi.encodeCall(
            arbiter.proveDisorder, (s.round, IRoundArbiter.Tree.Emissions, left, leafOf(s.members, s.joins, 5))
        );
        (bool done, bytes memory why) = address(arbiter).call(call);
        require(!done && bytes4(why) == AddressTree.NotNeighbours.selector);
        call = abi.encodeCall(
            arbiter.proveDisorder, (s.round, IRoundArbiter.Tree.Emissions, left, leafOf(s.members, s.joins, 4))
        );
        _file(call, s.record, 6);
    }

    function test_a_plain_merge_is_no_session() public {
        Session memory s = _honest;
        s.round.sid = keccak256("a plain merge");
        (bool done, bytes memory why) = address(arbiter).call(_omission(s, 0, s.members, s.joins, 0));
        require(!done && bytes4(why) == IRoundArbiter.NotThisSession.selector);
    }

    // -- F4 -------------------------------------------------------------------------------------------------------------

    function test_a_bucket_that_was_not_drawn_voids_the_record() public {
        Session memory s = session(1, _parent.record, seedOf(_parent), MEMBERS, 1);
        s.buckets[5] ^= 1;
        maskPhase(s, MEMBERS - 1);
        seal(s);
        record(s, 4);
        _file(abi.encodeCall(arbiter.proveWrongDraw, (s.round, s.name, drawOf(_parent, s, 5))), s.record, 4);
    }

    function test_the_first_session_draws_by_the_federation() public {
        Session memory s = session(0, federation, seedOf(_parent), MEMBERS, 0); // another seed
        s.round.transcript = "another";
        seal(s);
        record(s, 4);
        uint256[] memory right = draw(s.members, federation);
        uint256 at = 0;
        while (right[at] == s.buckets[at]) {
            ++at;
        }
        _file(abi.encodeCall(arbiter.proveWrongDraw, (s.round, s.name, drawOf(_none(), s, at))), s.record, 4);
    }

    function test_other_randomness_than_the_parents_proves_nothing() public {
        Session memory s = _honest;
        IRoundArbiter.Draw memory d = drawOf(_parent, s, 5);
        d.parent.rands[3] = keccak256("mine");
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotCommitted.selector, 3));
        arbiter.proveWrongDraw(s.round, s.name, d);
        d = drawOf(_parent, s, 5);
        d.parent.u2 = hex"ff01"; // without the last member
        d.parent.rands = _first(d.parent.rands, MEMBERS - 1);
        vm.expectRevert();
        arbiter.proveWrongDraw(s.round, s.name, d);
        d = drawOf(_none(), s, 5);
        vm.expectRevert();
        arbiter.proveWrongDraw(s.round, s.name, d);
        d = drawOf(_parent, s, 5);
        d.settings[d.robust + 34] = "4"; // buckets = 4
        vm.expectRevert();
        arbiter.proveWrongDraw(s.round, s.name, d);
    }

    // -- F5 -------------------------------------------------------------------------------------------------------------

    function test_a_quorum_for_another_model_voids_the_record() public {
        Session memory s = session(1, _parent.record, seedOf(_parent), MEMBERS, 1);
        ackPhase(s, MEMBERS, "sum", "the model that they trained");
        seal(s);
        record(s, 7);
        uint256 needed = arbiter.accusers(MEMBERS, PEERS);
        eq(needed, 7);
        bytes memory call = _otherResult(s, _firstOf(s.acks, needed - 1));
        (bool done, bytes memory why) = address(arbiter).call(call);
        require(
            !done && keccak256(why) == keccak256(abi.encodeWithSelector(IRoundArbiter.QuorumMissing.selector, 6, 7))
        );
        bytes[] memory twice = _firstOf(s.acks, needed);
        twice[3] = twice[2];
        (done,) = address(arbiter).call(_otherResult(s, twice));
        require(!done);
        twice[3] = sign(PEERS - 1, digestOf(Statements.Kind.ResultAck, s.ack)); // a peer, but no member
        (done,) = address(arbiter).call(_otherResult(s, twice));
        require(!done);
        _file(_otherResult(s, _firstOf(s.acks, needed)), s.record, 7);
    }

    function test_seats_that_were_given_later_only_raise_the_quorum() public {
        Session memory s = session(1, _parent.record, seedOf(_parent), MEMBERS, 1);
        ackPhase(s, MEMBERS, "sum", "the model that they trained");
        seal(s);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.MoreSeats.selector, 10));
        arbiter.proveOtherResult(s.round, s.name, s.members, s.joins, 10, s.ack, s.acks);
        eq(arbiter.accusers(MEMBERS, 12), 8);
        eq(arbiter.accusers(MEMBERS, 1000), 10);
    }

    // -- F10 ------------------------------------------------------------------------------------------------------------

    function test_a_reveal_that_was_not_committed_to_costs_a_fifth() public {
        Session memory s = _cheat(6);
        vm.expectEmit();
        emit IRoundArbiter.PeerConvicted(peer(6), s.round.sid, HUNTER, 10);
        vm.prank(HUNTER);
        arbiter.proveFalseReveal(reveal(s, 6));
        (, uint256 stake, bool active,) = registry.peerOf(peer(6));
        eq(stake, STAKE - FIFTH);
        require(active);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.AlreadyDecided.selector));
        arbiter.proveFalseReveal(reveal(s, 6));
        record(s, 8);
        AddressTree.Leaf memory leaf = leafOf(s.survivors, s.masked, 6);
        arbiter.voidFalseReveal(s.round, leaf);
        require(arbiter.voided(s.record));
        (, stake,,) = registry.peerOf(peer(8));
        eq(stake, STAKE);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.AlreadyDecided.selector));
        arbiter.voidFalseReveal(s.round, leaf);
    }

    function test_another_join_of_an_honest_peer_does_not_frame_it() public {
        // it lost its disk and joined again: the update opens the second join, the challenger holds the first one
        Session memory s = session(1, _parent.record, seedOf(_parent), MEMBERS, 0);
        bytes memory update = s.updates[6];
        bytes memory signature = s.updateSignatures[6];
        s.joinFields[6] = joinFields(s, 6, commitment(s.round.sid, peer(6), "the rand that it lost"));
        s.joins[6] = digestOf(Statements.Kind.JoinIntent, s.joinFields[6]);
        bytes memory old = sign(6, s.joins[6]);
        for (uint256 i = 0; i < 65; ++i) {
            s.joinSignatures[6 * 65 + i] = old[i];
        }
        IRoundArbiter.Reveal memory made = reveal(s, 6);
        (made.update, made.signature) = (update, signature);
        (bool done, bytes memory why) = address(arbiter).call(abi.encodeCall(arbiter.proveFalseReveal, (made)));
        require(!done && bytes4(why) == IRoundArbiter.NotThisStatement.selector);
    }

    // -- verdicts -------------------------------------------------------------------------------------------------------

    function test_a_verdict_falls_once_for_each_fault() public {
        Session memory s = _twice();
        record(s, 9);
        bytes memory omission = _omission(s, 2, s.survivors, s.joins, 2);
        bytes memory other = _otherResult(s, s.acks);
        _file(omission, s.record, 9);
        (bool done, bytes memory why) = address(arbiter).call(omission);
        require(!done && bytes4(why) == IRoundArbiter.AlreadyDecided.selector);
        vm.warp(block.timestamp + 100);
        (done,) = address(arbiter).call(other);
        require(done);
        (, uint256 stake,,) = registry.peerOf(peer(9));
        eq(stake, (STAKE - FIFTH) - (STAKE - FIFTH) / 5);
        eq(arbiter.voidedAt(s.record), 1_700_000_000);
    }

    function test_voiding_a_record_beforehand_saves_no_poster() public {
        Session memory s = _twice();
        bytes memory omission = _omission(s, 2, s.survivors, s.joins, 2);
        (bool done,) = address(arbiter).call(omission); // nobody has recorded it: nobody pays
        require(done && arbiter.voided(s.record));
        (done,) = address(arbiter).call(omission);
        require(!done);
        record(s, 9);
        _file(omission, s.record, 9);
    }

    function test_a_poster_behind_the_window_keeps_its_stake_and_the_record_is_void() public {
        Session memory s = _twice();
        record(s, 9);
        extend(2, s.record, 256);
        eq(rounds.posterOf(2, s.record), address(0));
        (bool done,) = address(arbiter).call(_omission(s, 2, s.survivors, s.joins, 2));
        require(done && arbiter.voided(s.record));
        (, uint256 stake,,) = registry.peerOf(peer(9));
        eq(stake, STAKE);
    }

    function test_what_was_deployed_can_be_read() public view {
        eq(arbiter.registry(), address(registry));
        eq(arbiter.ledger(), address(rounds));
        eq(arbiter.vault(), address(vault));
        eq(arbiter.token(), address(token));
        eq(arbiter.bond(), BOND);
        eq(arbiter.answerSeconds(), ANSWER);
        require(arbiter.drawJudge().code.length > 0);
    }

    // -- what was done ----------------------------------------------------------------------------------------------------

    /// @dev Its roster lacks a member that acknowledged, and everybody acknowledged another model.
    function _twice() private view returns (Session memory s) {
        s = session(1, _parent.record, seedOf(_parent), MEMBERS, 0);
        ackPhase(s, MEMBERS, "sum", "the model that they trained");
        seal(s);
        (s.survivors, s.joins) = _without(s.members, s.joins, 2);
        s.round.joinRoot = rootOf(leaves(s.survivors, s.joins));
        s.record = keccak256(abi.encode(s.round));
    }

    function _cheat(uint256 who) private view returns (Session memory s) {
        s = session(1, _parent.record, seedOf(_parent), MEMBERS, 1);
        s.rands[who] = "chosen afterwards";
        maskPhase(s, MEMBERS - 1);
        seal(s);
    }

    function _file(bytes memory call, bytes32 record_, uint256 poster) private {
        uint256 pool = vault.funded();
        uint256 purse = token.balanceOf(HUNTER);
        uint256 stake = 0;
        if (poster < PEERS) (, stake,,) = registry.peerOf(peer(poster));
        vm.prank(HUNTER);
        (bool done, bytes memory why) = address(arbiter).call(call);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(why, 0x20), mload(why))
            }
        }
        require(arbiter.voided(record_), "not void");
        if (poster >= PEERS) return;
        (, uint256 left,,) = registry.peerOf(peer(poster));
        eq(stake - left, stake / 5);
        eq(token.balanceOf(HUNTER) - purse, stake / 50);
        eq(vault.funded() - pool, stake / 5 - stake / 50);
    }

    function _omission(Session memory s, uint256 acker, address[] memory members, bytes32[] memory joins, uint256 gap)
        private
        view
        returns (bytes memory)
    {
        bool inner = gap > 0 && gap < members.length;
        AddressTree.Leaf[] memory around = new AddressTree.Leaf[](inner ? 2 : 1);
        around[0] = leafOf(members, joins, gap == 0 ? 0 : gap - 1);
        if (inner) around[1] = leafOf(members, joins, gap);
        return abi.encodeCall(arbiter.proveOmission, (s.round, s.name, leafOf(s.members, s.ackLeaves, acker), around));
    }

    function _otherResult(Session memory s, bytes[] memory signatures) private view returns (bytes memory) {
        address[] memory members = s.joins.length == s.members.length ? s.members : s.survivors;
        if (s.joins.length != s.members.length) {
            bytes[] memory fewer = new bytes[](signatures.length - 1);
            for (uint256 i = 0; i < fewer.length; ++i) {
                fewer[i] = signatures[i < 2 ? i : i + 1];
            }
            signatures = fewer;
        }
        return
            abi.encodeCall(
                arbiter.proveOtherResult, (s.round, s.name, members, s.joins, uint16(PEERS), s.ack, signatures)
            );
    }

    function _pair(Statements.Kind kind, bytes32 sid) private pure returns (bytes memory one, bytes memory other) {
        uint256[9] memory words = [uint256(10), 7, 2, 3, 4, 3, 2, 6, 3];
        (one, other) = (new bytes(32 * words[uint8(kind)]), new bytes(32 * words[uint8(kind)]));
        for (uint256 i = 0; i < one.length; ++i) {
            one[i] = other[i] = i < 32 ? (sid == "" ? bytes32("sid") : sid)[i] : bytes1(uint8(i));
        }
        other[other.length - 1] = 0x99;
    }

    function _equivocation(Statements.Kind kind, uint256 a, bytes memory one, uint256 b, bytes memory other) private {
        bytes memory first = sign(a, digestOf(kind, one));
        bytes memory second = sign(b, digestOf(kind, other));
        arbiter.proveEquivocation(kind, one, first, other, second);
    }

    function _none() private pure returns (Session memory none) {}

    function _without(address[] memory accounts, bytes32[] memory values, uint256 gone)
        private
        pure
        returns (address[] memory a, bytes32[] memory v)
    {
        (a, v) = (new address[](accounts.length - 1), new bytes32[](accounts.length - 1));
        for (uint256 i = 0; i < a.length; ++i) {
            uint256 from = i < gone ? i : i + 1;
            (a[i], v[i]) = (accounts[from], values[from]);
        }
    }

    function _first(bytes32[] memory list, uint256 count) private pure returns (bytes32[] memory part_) {
        part_ = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            part_[i] = list[i];
        }
    }

    function _firstOf(bytes[] memory list, uint256 count) private pure returns (bytes[] memory part_) {
        part_ = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            part_[i] = list[i];
        }
    }
}
