// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {DrawJudge} from "../src/DrawJudge.sol";
import {RoundLedger} from "../src/RoundLedger.sol";
import {IRoundArbiter} from "../src/interfaces/IRoundArbiter.sol";
import {AddressTree} from "../src/libraries/AddressTree.sol";
import {Sessions} from "../src/libraries/Sessions.sol";
import {Settings} from "../src/libraries/Settings.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Evidence} from "./Evidence.sol";
import {eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev The libraries' own functions as calls of their own, so that what reverts inside them can be expected.
contract Libraries {
    function neighbours(bytes32 root, AddressTree.Leaf calldata left, AddressTree.Leaf calldata right) external pure {
        AddressTree.requireNeighbours(root, left, right);
    }

    function absent(bytes32 root, address account, AddressTree.Leaf[] calldata around) external pure {
        AddressTree.requireAbsent(root, account, around);
    }

    function node(bytes32 root, bytes32 hash, AddressTree.Path calldata path) external pure {
        AddressTree.requireNode(root, hash, path);
    }

    function sorted(address[] calldata accounts, bytes32[] calldata values) external pure returns (bytes32) {
        return AddressTree.rootOf(accounts, values);
    }

    function robust(bytes calldata text, bytes32 federation, uint256 at) external pure returns (uint256, bool) {
        return Settings.robust(text, federation, at);
    }

    function digest(bytes32 domain, Statements.Kind kind, bytes calldata fields) external pure returns (bytes32) {
        return Statements.digest(domain, kind, fields);
    }
}

/// @dev Evidence that is wrong in one place is refused for that place.
contract RefusalsTest is Evidence {
    uint256 private constant PEERS = 11;
    uint256 private constant MEMBERS = 10;

    Libraries private _libraries;
    Session private _parent;
    Session private _s;

    function setUp() public {
        _libraries = new Libraries();
        deployArbiter(PEERS);
        Session memory one = session(0, federation, federation, MEMBERS, 0);
        record(one, 2);
        _parent = one;
        _s = session(1, one.record, seedOf(one), MEMBERS, 1);
    }

    // -- trees ----------------------------------------------------------------------------------------------------------

    function test_a_leaf_is_no_neighbour_of_itself() public {
        AddressTree.Leaf memory leaf = leafOf(_s.members, _s.joins, 3);
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotNeighbours.selector));
        _libraries.neighbours(_s.round.joinRoot, leaf, leaf);
    }

    function test_neighbours_are_neighbours_from_left_to_right_in_trees_of_every_size() public {
        for (uint256 count = 1; count <= MEMBERS; ++count) {
            (address[] memory members, bytes32[] memory values) = _head(count);
            bytes32 root = rootOf(leaves(members, values));
            for (uint256 i = 0; i < count; ++i) {
                for (uint256 j = 0; j < count; ++j) {
                    bytes memory call = abi.encodeCall(
                        Libraries.neighbours, (root, leafOf(members, values, i), leafOf(members, values, j))
                    );
                    (bool done,) = address(_libraries).call(call);
                    require(done == (j == i + 1), "neighbours");
                }
            }
        }
    }

    function test_an_account_is_absent_or_it_is_not() public {
        bytes32 root = _s.round.joinRoot;
        AddressTree.Leaf[] memory around = new AddressTree.Leaf[](0);
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotAGap.selector, address(7)));
        _libraries.absent(root, address(7), around); // the tree is not empty
        _libraries.absent(bytes32(0), address(7), around);
        around = new AddressTree.Leaf[](1);
        around[0] = leafOf(_s.members, _s.joins, MEMBERS - 1);
        address last = around[0].account;
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotAGap.selector, last));
        _libraries.absent(root, last, around); // the last one is there itself
        _libraries.absent(root, address(type(uint160).max), around);
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotNeighbours.selector));
        _libraries.absent(root, address(1), around); // it is not the first
        around[0] = leafOf(_s.members, _s.joins, 0);
        _libraries.absent(root, address(1), around);
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotNeighbours.selector));
        _libraries.absent(root, address(type(uint160).max), around);
        around = new AddressTree.Leaf[](3);
        for (uint256 i = 0; i < 3; ++i) {
            around[i] = leafOf(_s.members, _s.joins, i);
        }
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotAGap.selector, address(7)));
        _libraries.absent(root, address(7), around);
        around = new AddressTree.Leaf[](2);
        (around[0], around[1]) = (leafOf(_s.members, _s.joins, 2), leafOf(_s.members, _s.joins, 3));
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(AddressTree.NotAGap.selector, around[i].account));
            _libraries.absent(root, around[i].account, around);
        }
    }

    function test_nothing_stands_in_the_empty_tree_or_beside_its_path() public {
        AddressTree.Path memory path;
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotInTree.selector, bytes32(0), bytes32(0)));
        _libraries.node(bytes32(0), bytes32(0), path);
        _libraries.node(bytes32("root"), bytes32("root"), path);
        path.turns = 1; // a turn above the root
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotInTree.selector, bytes32("root"), bytes32("root")));
        _libraries.node(bytes32("root"), bytes32("root"), path);
        bytes32 above = bytes32("leaf");
        path = AddressTree.Path(0, new bytes32[](256));
        for (uint256 i = 0; i < 256; ++i) {
            if (i == 255) _libraries.node(above, bytes32("leaf"), AddressTree.Path(0, new bytes32[](255)));
            above = AddressTree.nodeHash(above, bytes32(0));
        }
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotInTree.selector, above, bytes32("leaf")));
        _libraries.node(above, bytes32("leaf"), path); // too high for a word of turns
    }

    function test_a_table_is_sorted_and_whole() public {
        (address[] memory accounts, bytes32[] memory values) = (_s.members, _s.joins);
        eq(_libraries.sorted(accounts, values), _s.round.joinRoot);
        eq(_libraries.sorted(new address[](0), new bytes32[](0)), bytes32(0));
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotATable.selector));
        _libraries.sorted(accounts, new bytes32[](MEMBERS - 1));
        accounts[4] = accounts[3];
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotATable.selector));
        _libraries.sorted(accounts, values);
        (accounts[4], accounts[3]) = (_s.members[3], _s.members[4]);
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotATable.selector));
        _libraries.sorted(accounts, values);
    }

    function test_a_tree_out_of_order_falls_whichever_it_is() public {
        for (uint8 t = 0; t < 5; ++t) {
            Session memory s = _s;
            s.round.transcript = bytes32(uint256(t));
            (address[] memory members, bytes32[] memory values) = (_parent.members, _parent.joins);
            (members[3], members[4]) = (members[4], members[3]);
            bytes32 root = rootOf(leaves(members, values));
            if (t == 0) s.round.joinRoot = root;
            else if (t == 1) s.round.maskedRoot = root;
            else if (t == 2) s.round.ackRoot = root;
            else if (t == 3) s.round.scoreRoot = root;
            else s.round.emissionRoot = root;
            (AddressTree.Leaf memory left, AddressTree.Leaf memory right) =
                (leafOf(members, values, 3), leafOf(members, values, 4));
            for (uint8 other = 0; other < 5; ++other) {
                if (other == t) continue;
                vm.expectRevert();
                arbiter.proveDisorder(s.round, IRoundArbiter.Tree(other), left, right);
            }
            arbiter.proveDisorder(s.round, IRoundArbiter.Tree(t), left, right);
            require(arbiter.voided(keccak256(abi.encode(s.round))), "stands");
        }
    }

    // -- statements -----------------------------------------------------------------------------------------------------

    function test_each_kind_of_statement_has_its_type_and_its_length() public {
        uint256[10] memory words = [uint256(10), 7, 2, 3, 4, 3, 2, 6, 3, 4];
        for (uint8 k = 0; k < 10; ++k) {
            Statements.Kind kind = Statements.Kind(k);
            uint256 length = 32 * words[k];
            bytes memory fields = new bytes(length);
            fields[5] = 0x05;
            eq(_libraries.digest(domain, kind, fields), digestOf(kind, fields));
            vm.expectRevert(abi.encodeWithSelector(Statements.FieldsLength.selector, kind, length + 32, length));
            _libraries.digest(domain, kind, new bytes(length + 32));
        }
    }

    function test_a_merge_that_somebody_else_acknowledged_is_no_answer() public {
        bytes memory fields = abi.encode(bytes32("exchange"), uint64(9), bytes32("body"));
        bytes memory signature = sign(3, digestOf(Statements.Kind.PlainMerge, fields));
        bytes32 maker = sha256(
            bytes.concat(
                part("peerage/plain-merge/v1"),
                part(abi.encodePacked(bytes32("exchange"))),
                part(abi.encodePacked(peer(3))),
                part(abi.encodePacked(reversed(9)))
            )
        );
        Session memory s = _s;
        s.round.sid = maker;
        uint16 seat = registry.seatOf(peer(3));
        bytes32 root = sha256(abi.encodePacked(uint8(0), peer(3), tagged("peerage/ack/v1", signature)));
        vm.prank(HUNTER);
        arbiter.challengeAcknowledgements(s.round);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotThisStatement.selector, root, s.round.ackRoot));
        arbiter.answerMerge(s.round, seat, fields, signature);
    }

    // -- draws ----------------------------------------------------------------------------------------------------------

    function test_an_update_of_another_session_says_nothing_of_this_draw() public {
        Session memory s = _s;
        setUpdate(s, 5, abi.encode(bytes32("other"), viewOf(s), 0, bytes32(0), bytes32(0), 28, s.rands[5]));
        seal(s);
        _draw(
            s,
            drawOf(_parent, s, 5),
            abi.encodeWithSelector(IRoundArbiter.OtherSession.selector, bytes32("other"), s.round.sid)
        );
    }

    function test_a_round_with_two_parents_is_not_drawn() public {
        Session memory s = _s;
        s.round.parents = new bytes32[](2);
        s.round.parentRounds = new uint64[](2);
        (s.round.parents[0], s.round.parents[1]) = (_parent.record, bytes32("another"));
        _draw(s, drawOf(_parent, s, 5), abi.encodeWithSelector(IRoundArbiter.NotDrawn.selector));
    }

    function test_whoever_is_in_no_roster_was_drawn_nowhere() public {
        Session memory s = _s;
        s.survivors[8] = peer(PEERS - 1);
        bytes memory fields = abi.encode(s.round.sid, viewOf(s), 0, bytes32(0), bytes32(0), 28, s.rands[8]);
        s.updates[8] = fields;
        s.masked[8] = digestOf(Statements.Kind.MaskedUpdate, fields);
        seal(s);
        _draw(s, drawOf(_parent, s, 8), abi.encodeWithSelector(IRoundArbiter.ListsDiffer.selector));
    }

    function test_randomness_is_all_of_the_parents_and_nothing_else() public {
        Session memory s = _s;
        Session memory parent = _parent;
        bytes memory differ = abi.encodeWithSelector(IRoundArbiter.ListsDiffer.selector);
        IRoundArbiter.Draw memory d = drawOf(_parent, s, 5);
        d.parent.round.transcript = "another";
        bytes32 other = keccak256(abi.encode(d.parent.round));
        _draw(s, d, abi.encodeWithSelector(IRoundArbiter.NotThisStatement.selector, other, parent.record));
        d = drawOf(_parent, s, 5);
        d.parent.update = parent.updates[2];
        _draw(s, d, abi.encodeWithSelector(IRoundArbiter.NotThisStatement.selector, parent.masked[2], parent.masked[1]));
        d = drawOf(_parent, s, 5);
        d.parent.joins = new bytes(320 * MEMBERS - 1);
        _draw(s, d, differ);
        d = drawOf(_parent, s, 5);
        d.parent.rands = new bytes32[](MEMBERS + 1);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            d.parent.rands[i] = parent.rands[i];
        }
        _draw(s, d, differ); // one more than was put in
        d = drawOf(_parent, s, 5);
        d.parent.rands = new bytes32[](MEMBERS - 1);
        for (uint256 i = 0; i < MEMBERS - 1; ++i) {
            d.parent.rands[i] = parent.rands[i];
        }
        _draw(s, d, differ); // one less
        d = drawOf(_parent, s, 5);
        d.parent.signatures = new bytes(65 * MEMBERS - 1);
        _draw(s, d, abi.encodeWithSelector(Sessions.BadRoster.selector, MEMBERS, 65 * MEMBERS - 1, 2));
        d = drawOf(_parent, s, 5);
        d.parent.u2 = hex"ff0300";
        _draw(s, d, abi.encodeWithSelector(Sessions.BadRoster.selector, MEMBERS, 65 * MEMBERS, 3));
    }

    function test_who_dropped_has_put_in_what_stands_behind_its_rand_where_sketches_are_agreed() public {
        bytes memory text = _settings("3", "2", "");
        DrawJudge judge = _judgeOver(text);
        Session memory parent = session(0, federation, federation, MEMBERS, 1);
        bytes32 sid = parent.round.sid;
        bytes32 kept = tagged("peerage/late/v1", abi.encodePacked(parent.rands[9]));
        parent.joinFields[9] = joinFields(parent, 9, commitment(sid, peer(9), kept));
        parent.joins[9] = digestOf(Statements.Kind.JoinIntent, parent.joinFields[9]);
        bytes memory signature = sign(9, parent.joins[9]);
        for (uint256 i = 0; i < 65; ++i) {
            parent.joinSignatures[65 * 9 + i] = signature[i];
        }
        maskPhase(parent, MEMBERS - 1);
        seal(parent);
        Session memory s = session(1, parent.record, seedOf(parent), MEMBERS, 0);
        IRoundArbiter.Draw memory d = drawOf(parent, s, 5);
        d.settings = text;
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.HonestDraw.selector, s.buckets[5]));
        judge.proveWrongDraw(s.round, s.name, d);
        s.buckets[5] ^= 1;
        maskPhase(s, MEMBERS);
        seal(s);
        d = drawOf(parent, s, 5);
        d.settings = text;
        judge.proveWrongDraw(s.round, s.name, d);
        d.parent.rands[9] = kept;
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotCommitted.selector, 9));
        judge.proveWrongDraw(s.round, s.name, d);
    }

    function test_regions_and_a_single_bucket_are_not_drawn() public {
        bytes[2] memory texts = [_settings("3", "0", "\n[[regions]]\nname = \"north\"\n"), _settings("1", "0", "")];
        for (uint256 i = 0; i < 2; ++i) {
            DrawJudge judge = _judgeOver(texts[i]);
            Session memory s = session(0, federation, federation, MEMBERS, 0);
            Session memory none;
            IRoundArbiter.Draw memory d = drawOf(none, s, 5);
            d.settings = texts[i];
            vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotDrawn.selector));
            judge.proveWrongDraw(s.round, s.name, d);
            eq(judge.registry(), address(registry));
            require(judge.ledger() != address(rounds), "a ledger of its own");
        }
    }

    // -- settings -------------------------------------------------------------------------------------------------------

    function test_settings_are_read_as_they_are_written() public view {
        (uint256 buckets, bool sketched) = _robust(SETTINGS, ROBUST);
        eq(buckets, 3);
        require(!sketched);
        (buckets, sketched) = _robust(_settings("120", "1", ""), ROBUST);
        eq(buckets, 120);
        require(sketched);
        (buckets,) = _robust(_settings("3", "0", "\n[[regions]]\n"), ROBUST);
        eq(buckets, 1);
        (buckets,) = _robust(_settings("3", "0", "x[[regions]]\n"), ROBUST); // within a line: a string
        eq(buckets, 3);
        (buckets,) = _robust(_settings("3", "0", "\n[regions]\n"), ROBUST);
        eq(buckets, 3);
    }

    function test_other_settings_are_none() public {
        bytes memory not = abi.encodeWithSelector(Settings.NotTheSettings.selector);
        vm.expectRevert(not);
        _libraries.robust(SETTINGS, bytes32("another"), ROBUST);
        uint256[5] memory places = [ROBUST + 1, ROBUST - 1, SETTINGS.length, SETTINGS.length - 1, type(uint256).max];
        for (uint256 i = 0; i < 5; ++i) {
            vm.expectRevert(not);
            _libraries.robust(SETTINGS, federation, places[i]);
        }
        string[6] memory numbers = ["", "-1", "0x3", "3 ", ":", "/"];
        for (uint256 i = 0; i < 6; ++i) {
            _refused(_settings(numbers[i], "0", ""), ROBUST);
            _refused(_settings("3", numbers[i], ""), ROBUST);
        }
        _refused("\n[robust]\nrule = \"median\"", 0);
    }

    // -- helpers --------------------------------------------------------------------------------------------------------

    function _settings(string memory buckets, string memory sketches, string memory rest)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            "schema = 1\nexchange = \"masked\"\n\n[scores]\ncap = 2\n\n[robust]\nrule = \"median\"\nbuckets = ",
            buckets,
            "\nbyzantine = 1\nsketches = ",
            sketches,
            "\nlength_bound = 3.0\n",
            rest
        );
    }

    function _refused(bytes memory text, uint256 at) private {
        bytes32 hash = tagged("peerage/federation/1", text);
        vm.expectRevert(abi.encodeWithSelector(Settings.NotTheSettings.selector));
        _libraries.robust(text, hash, at);
    }

    function _robust(bytes memory text, uint256 at) private view returns (uint256, bool) {
        return _libraries.robust(text, tagged("peerage/federation/1", text), at);
    }

    /// @dev Sessions that follow are of another federation.
    function _judgeOver(bytes memory text) private returns (DrawJudge) {
        federation = tagged("peerage/federation/1", text);
        RoundLedger ledger = new RoundLedger(registry, federation);
        domain = ledger.domainSeparator();
        return new DrawJudge(address(registry), ledger);
    }

    function _draw(Session memory s, IRoundArbiter.Draw memory d, bytes memory reason) private {
        vm.expectRevert(reason);
        arbiter.proveWrongDraw(s.round, s.name, d);
    }

    function _head(uint256 count) private view returns (address[] memory members, bytes32[] memory values) {
        (members, values) = (new address[](count), new bytes32[](count));
        for (uint256 i = 0; i < count; ++i) {
            (members[i], values[i]) = (_s.members[i], _s.joins[i]);
        }
    }
}
