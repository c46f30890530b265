// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {RoundArbiter} from "../src/RoundArbiter.sol";
import {IRewardVault} from "../src/interfaces/IRewardVault.sol";
import {IRoundArbiter} from "../src/interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {AddressTree} from "../src/libraries/AddressTree.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Evidence} from "./Evidence.sol";
import {eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev Bonded questions: who holds the artefacts of an honest round answers all of them, and silence decides otherwise.
contract RoundArbiterQuestionsTest is Evidence {
    uint256 private constant MEMBERS = 7;
    uint256 private constant PEERS = 8;
    bytes32 private constant SUM = keccak256("sum root");

    Session private _s;

    function setUp() public {
        deployArbiter(PEERS);
        Session memory s = session(0, federation, federation, MEMBERS, 1);
        record(s, 2);
        _s = s;
    }

    function test_every_leaf_of_an_honest_round_is_answered() public {
        Session memory s = _s;
        uint256 pool = vault.funded();
        for (uint8 t = 0; t < 3; ++t) {
            uint256 count = t == 1 ? s.survivors.length : MEMBERS;
            for (uint256 i = 0; i < count; ++i) {
                _askLeaf(s, IRoundArbiter.Tree(t), i);
                _answerLeaf(s, IRoundArbiter.Tree(t), i);
                pool += BOND;
            }
        }
        eq(vault.funded(), pool);
        eq(token.balanceOf(address(arbiter)), 0);
        require(!arbiter.voided(s.record));
    }

    function test_every_node_of_an_honest_tree_is_answered() public {
        Session memory s = _s;
        bytes32[] memory hashes = leaves(s.members, s.joins);
        AddressTree.Path memory path = pathOf(hashes, 2);
        bytes32 pair = sha256(abi.encodePacked(uint8(1), hashes[2], hashes[3]));
        AddressTree.Path memory above = _upper(path);
        vm.prank(HUNTER);
        bytes32 question = arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Joins, pair, above);
        vm.expectRevert(); // of another node
        arbiter.answerNode(s.record, IRoundArbiter.Tree.Joins, hashes[3], hashes[2]);
        vm.expectEmit();
        emit IRoundArbiter.QuestionAnswered(question, address(this));
        arbiter.answerNode(s.record, IRoundArbiter.Tree.Joins, hashes[2], hashes[3]);
        AddressTree.Path memory top;
        vm.prank(HUNTER);
        arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Joins, s.round.joinRoot, top);
        require(!arbiter.voided(s.record));
    }

    function test_a_leaf_that_nobody_signed_voids_the_record() public {
        Session memory s = session(0, federation, federation, MEMBERS, 1);
        s.masked[3] = keccak256("made up");
        s.round.maskedRoot = rootOf(leaves(s.survivors, s.masked));
        s.record = keccak256(abi.encode(s.round));
        record(s, 5);
        bytes32 question = _askLeaf(s, IRoundArbiter.Tree.Masked, 3);
        uint256 purse = token.balanceOf(HUNTER);
        (bool done, bytes memory why) = address(arbiter).call(_leafAnswer(s, IRoundArbiter.Tree.Masked, 3));
        require(!done && bytes4(why) == IRoundArbiter.NotOpen.selector);
        vm.warp(block.timestamp + ANSWER - 1);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.TooEarly.selector, 1_700_000_000 + ANSWER));
        arbiter.expire(question);
        vm.warp(block.timestamp + 1);
        vm.expectEmit();
        emit IRoundArbiter.RoundVoided(s.record, 1, HUNTER, 3);
        arbiter.expire(question); // by anybody, for the challenger
        eq(token.balanceOf(HUNTER) - purse, BOND + FIFTH / 10);
        (, uint256 stake,,) = registry.peerOf(peer(5));
        eq(stake, STAKE - FIFTH);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotOpen.selector, question));
        arbiter.expire(question);
    }

    function test_answers_need_the_statement_of_that_leaf_and_a_peer() public {
        Session memory s = _s;
        _askLeaf(s, IRoundArbiter.Tree.Acks, 1);
        bytes32 digest = digestOf(Statements.Kind.ResultAck, s.ack);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.OtherSigner.selector, peer(0), peer(1)));
        arbiter.answerLeaf(s.round, IRoundArbiter.Tree.Acks, peer(1), 1, s.ack, s.acks[0]);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NeverAPeer.selector, peer(1), 1));
        arbiter.answerLeaf(s.round, IRoundArbiter.Tree.Acks, peer(1), 1, s.ack, s.acks[1]);
        bytes memory other = abi.encode(s.round.sid, bytes32(0), bytes32("another model"));
        bytes memory signature = sign(1, digestOf(Statements.Kind.ResultAck, other));
        uint16 seat = registry.seatOf(peer(1));
        vm.expectRevert(
            abi.encodeWithSelector(IRoundArbiter.NotThisStatement.selector, bytes32("another model"), s.round.aggregate)
        );
        arbiter.answerLeaf(s.round, IRoundArbiter.Tree.Acks, peer(1), seat, other, signature);
        other = abi.encode(bytes32("sid"), bytes32(0), s.round.aggregate);
        signature = sign(1, digestOf(Statements.Kind.ResultAck, other));
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.OtherSession.selector, bytes32("sid"), s.round.sid));
        arbiter.answerLeaf(s.round, IRoundArbiter.Tree.Acks, peer(1), seat, other, signature);
        require(digest != bytes32(0));
    }

    function test_peers_that_left_still_answer() public {
        Session memory s = _s;
        uint16[] memory seats = _seats(MEMBERS);
        for (uint256 i = 0; i < PEERS; ++i) {
            vm.prank(peer(i));
            registry.leave();
        }
        vm.warp(block.timestamp + UNBONDING);
        for (uint256 i = 0; i < PEERS; ++i) {
            vm.prank(peer(i));
            registry.withdraw();
        }
        _askAcks(s);
        arbiter.answerAcknowledgements(s.round, s.name, SUM, seats, s.acks);
        require(!arbiter.voided(s.record));
    }

    function test_acknowledgements_answer_and_fewer_do_not() public {
        Session memory s = _s;
        bytes32 question = _askAcks(s);
        uint16[] memory seats = _seats(MEMBERS);
        uint16[] memory four = _seats(4);
        uint16[] memory five = _seats(5);
        bytes[] memory few = _first(s.acks, 4);
        eq(arbiter.acknowledgers(s.round.members), 5);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.QuorumMissing.selector, 4, 5));
        arbiter.answerAcknowledgements(s.round, s.name, SUM, four, few);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.ListsDiffer.selector));
        arbiter.answerAcknowledgements(s.round, s.name, SUM, four, s.acks);
        few = _first(s.acks, 5);
        few[4] = few[3];
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.SignersNotAscending.selector, peer(3), peer(3)));
        arbiter.answerAcknowledgements(s.round, s.name, SUM, five, few);
        s.name.nonce = "another";
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotThisSession.selector, s.round.sid));
        arbiter.answerAcknowledgements(s.round, s.name, SUM, seats, s.acks);
        s = _s;
        arbiter.answerAcknowledgements(s.round, s.name, SUM, seats, s.acks);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.AlreadyAsked.selector, question));
        vm.prank(HUNTER);
        arbiter.challengeAcknowledgements(s.round);
    }

    function test_a_record_without_acknowledgements_is_void() public {
        IRoundLedger.Round memory bare = child(0, federation, "nobody acknowledged this");
        vm.prank(peer(6));
        bytes32 name = rounds.recordRound(bare);
        vm.prank(HUNTER);
        bytes32 question = arbiter.challengeAcknowledgements(bare);
        eq(question, arbiter.acknowledgementsQuestion(name));
        extend(1, name, 256); // the poster cannot push its record out of the window meanwhile
        vm.warp(block.timestamp + ANSWER);
        arbiter.expire(question);
        (, uint256 stake,,) = registry.peerOf(peer(6));
        eq(stake, STAKE - FIFTH);
        require(arbiter.voided(name));
    }

    function test_a_plain_merge_is_answered_by_its_maker() public {
        IRoundLedger.Round memory merge = child(0, federation, "plain");
        bytes memory fields = abi.encode(bytes32("exchange"), uint64(9), bytes32("body"));
        bytes memory signature = sign(3, digestOf(Statements.Kind.PlainMerge, fields));
        merge.sid = sha256(
            bytes.concat(
                part("peerage/plain-merge/v1"),
                part(
                    "exchange\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                ),
                part(abi.encodePacked(peer(3))),
                part(abi.encodePacked(reversed(9)))
            )
        );
        merge.ackRoot = sha256(abi.encodePacked(uint8(0), peer(3), tagged("peerage/ack/v1", signature)));
        vm.prank(HUNTER);
        arbiter.challengeAcknowledgements(merge);
        uint16 seat = registry.seatOf(peer(3));
        bytes memory forged = sign(4, digestOf(Statements.Kind.PlainMerge, fields));
        uint16 other = registry.seatOf(peer(4));
        vm.expectRevert();
        arbiter.answerMerge(merge, other, fields, forged);
        arbiter.answerMerge(merge, seat, fields, signature);
        eq(vault.funded(), BOND);
    }

    function test_one_question_is_open_once_and_a_late_answer_counts() public {
        Session memory s = _s;
        bytes32 question = _askLeaf(s, IRoundArbiter.Tree.Joins, 0);
        AddressTree.Leaf memory leaf = leafOf(s.members, s.joins, 0);
        bytes32 node = leaves(s.members, s.joins)[0];
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.AlreadyAsked.selector, question));
        vm.prank(HUNTER);
        arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Joins, node, leaf.path);
        IRoundArbiter.Challenge memory asked = arbiter.challengeOf(question);
        require(asked.challenger == HUNTER && asked.poster == peer(2) && asked.record == s.record);
        vm.warp(block.timestamp + 10 * ANSWER);
        _answerLeaf(s, IRoundArbiter.Tree.Joins, 0);
        vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotOpen.selector, question));
        arbiter.expire(question);
    }

    function test_only_what_stands_in_a_signed_tree_can_be_asked_for() public {
        Session memory s = _s;
        AddressTree.Path memory none;
        for (uint8 t = 3; t < 5; ++t) {
            vm.expectRevert(abi.encodeWithSelector(IRoundArbiter.NotSigned.selector, t));
            arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree(t), s.round.scoreRoot, none);
        }
        s.round.joinRoot = bytes32(0);
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotInTree.selector, bytes32(0), bytes32(0)));
        arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Joins, bytes32(0), none);
        vm.expectRevert(abi.encodeWithSelector(AddressTree.NotInTree.selector, s.round.ackRoot, bytes32("x")));
        arbiter.challengeNode(s.round, s.name, IRoundArbiter.Tree.Acks, "x", none);
    }

    function test_whoever_asks_second_gets_the_bond_back_and_no_bounty() public {
        Session memory s = session(0, federation, federation, MEMBERS, 1);
        s.masked[3] = s.masked[4] = keccak256("made up");
        s.round.maskedRoot = rootOf(leaves(s.survivors, s.masked));
        s.record = keccak256(abi.encode(s.round));
        record(s, 5);
        bytes32 one = _askLeaf(s, IRoundArbiter.Tree.Masked, 3);
        bytes32 two = _askLeaf(s, IRoundArbiter.Tree.Masked, 4);
        vm.warp(block.timestamp + ANSWER);
        arbiter.expire(two);
        uint256 purse = token.balanceOf(HUNTER);
        arbiter.expire(one);
        eq(token.balanceOf(HUNTER) - purse, BOND);
        eq(token.balanceOf(address(arbiter)), 0);
    }

    function test_a_token_that_calls_back_gets_no_bond_twice() public {
        Greedy greedy = new Greedy();
        RoundArbiter soft = new RoundArbiter(registry, rounds, IRewardVault(address(greedy)), greedy, BOND, ANSWER);
        greedy.aim(soft, child(0, federation, "that nobody recorded"));
        greedy.mint(address(soft), BOND); // somebody else's
        vm.warp(block.timestamp + ANSWER);
        greedy.strike();
        eq(greedy.balanceOf(address(soft)), BOND);
        require(greedy.tried());
    }

    // -- what was done ----------------------------------------------------------------------------------------------------

    function _askLeaf(Session memory s, IRoundArbiter.Tree tree, uint256 i) private returns (bytes32 question) {
        (address[] memory accounts, bytes32[] memory values) = tree == IRoundArbiter.Tree.Joins
            ? (s.members, s.joins)
            : tree == IRoundArbiter.Tree.Masked ? (s.survivors, s.masked) : (s.members, s.ackLeaves);
        AddressTree.Path memory path = pathOf(leaves(accounts, values), i);
        bytes32 node = leaves(accounts, values)[i];
        question = arbiter.nodeQuestion(s.record, tree, node);
        vm.expectEmit();
        emit IRoundArbiter.QuestionAsked(question, s.record, HUNTER, 3, tree, node, uint64(block.timestamp) + ANSWER);
        vm.prank(HUNTER);
        arbiter.challengeNode(s.round, s.name, tree, node, path);
    }

    function _askAcks(Session memory s) private returns (bytes32) {
        vm.prank(HUNTER);
        return arbiter.challengeAcknowledgements(s.round);
    }

    function _answerLeaf(Session memory s, IRoundArbiter.Tree tree, uint256 i) private {
        (bool done,) = address(arbiter).call(_leafAnswer(s, tree, i));
        require(done, "no answer");
    }

    function _leafAnswer(Session memory s, IRoundArbiter.Tree tree, uint256 i) private view returns (bytes memory) {
        (bytes memory fields, bytes memory signature) = tree == IRoundArbiter.Tree.Joins
            ? (s.joinFields[i], sign(i, s.joins[i]))
            : tree == IRoundArbiter.Tree.Masked ? (s.updates[i], s.updateSignatures[i]) : (s.ack, s.acks[i]);
        return abi.encodeCall(arbiter.answerLeaf, (s.round, tree, peer(i), registry.seatOf(peer(i)), fields, signature));
    }

    function _seats(uint256 count) private view returns (uint16[] memory seats) {
        seats = new uint16[](count);
        for (uint256 i = 0; i < count; ++i) {
            seats[i] = registry.seatOf(peer(i));
        }
    }

    function _first(bytes[] memory list, uint256 count) private pure returns (bytes[] memory some) {
        some = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            some[i] = list[i];
        }
    }

    function _upper(AddressTree.Path memory path) private pure returns (AddressTree.Path memory above) {
        above.turns = path.turns >> 1;
        above.siblings = new bytes32[](path.siblings.length - 1);
        for (uint256 i = 0; i < above.siblings.length; ++i) {
            above.siblings[i] = path.siblings[i + 1];
        }
    }
}

/// @dev A token and a vault that call back with every transfer.
contract Greedy is ERC20("Greedy", "GRD") {
    RoundArbiter private _target;
    IRoundLedger.Round private _round;
    bytes32 private _question;
    bool public tried;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function aim(RoundArbiter target, IRoundLedger.Round memory round) external {
        (_target, _round) = (target, round);
        _mint(address(this), target.bond());
        _approve(address(this), address(target), target.bond());
        _question = target.challengeAcknowledgements(round);
    }

    function strike() external {
        _target.expire(_question);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(_target) || address(_target) == address(0)) return;
        tried = true;
        (bool done,) = address(_target).call(abi.encodeCall(_target.expire, (_question)));
        require(!done, "twice");
        (done,) = address(_target).call(abi.encodeCall(_target.challengeAcknowledgements, (_round)));
        require(!done, "asked again");
    }
}
