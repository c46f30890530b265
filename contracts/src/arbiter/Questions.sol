// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IRewardVault} from "../interfaces/IRewardVault.sol";
import {IRoundArbiter} from "../interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {AddressTree} from "../libraries/AddressTree.sol";
import {Sessions} from "../libraries/Sessions.sol";
import {Statements} from "../libraries/Statements.sol";
import {Verdicts} from "./Verdicts.sol";

/// @title Questions
/// @notice Bonded questions about a record: who has the artefacts answers, or the record is void. The contract holds exactly
/// the bonds of the open ones.
abstract contract Questions is Verdicts {
    using SafeERC20 for IERC20;

    // fields of the statements, counted from 0
    uint256 private constant _ACK_MODEL = 2;
    uint256 private constant _MERGE_COUNT = 1;

    IRewardVault private immutable _vault;
    IERC20 private immutable _token;
    uint256 private immutable _bond;
    uint64 private immutable _answerSeconds;

    mapping(bytes32 question => Challenge) private _challenges;

    constructor(IRewardVault vault_, IERC20 token_, uint256 bond_, uint64 answerSeconds_) {
        _vault = vault_;
        _token = token_;
        _bond = bond_;
        _answerSeconds = answerSeconds_;
    }

    /// @inheritdoc IRoundArbiter
    function challengeNode(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        Tree tree,
        bytes32 node,
        AddressTree.Path calldata path
    ) external returns (bytes32 question) {
        _requireSession(round, name);
        AddressTree.requireNode(_signedRoot(round, tree), node, path);
        bytes32 record = _recordOf(round);
        question = nodeQuestion(record, tree, node);
        _ask(question, record, round.round, _F_UNSIGNED, tree, node);
    }

    /// @inheritdoc IRoundArbiter
    function challengeAcknowledgements(IRoundLedger.Round calldata round) external returns (bytes32 question) {
        bytes32 record = _recordOf(round);
        question = acknowledgementsQuestion(record);
        _ask(question, record, round.round, _F_RESULT, Tree.Acks, bytes32(0));
    }

    /// @inheritdoc IRoundArbiter
    function answerNode(bytes32 record, Tree tree, bytes32 left, bytes32 right) external {
        _answered(nodeQuestion(record, tree, AddressTree.nodeHash(left, right)));
    }

    /// @inheritdoc IRoundArbiter
    function answerLeaf(
        IRoundLedger.Round calldata round,
        Tree tree,
        address account,
        uint16 seat,
        bytes calldata fields,
        bytes calldata signature
    ) external {
        Statements.Kind kind = tree == Tree.Joins
            ? Statements.Kind.JoinIntent
            : tree == Tree.Masked ? Statements.Kind.MaskedUpdate : Statements.Kind.ResultAck;
        bytes32 digest = Statements.digest(_domain(), kind, fields);
        _requireSid(fields, round.sid);
        _requireSigner(digest, signature, account);
        _requireSeat(account, seat);
        bytes32 value = digest;
        if (tree == Tree.Acks) {
            bytes32 model = Statements.word(fields, _ACK_MODEL);
            require(model == round.aggregate, NotThisStatement(model, round.aggregate));
            value = Sessions.ackLeaf(signature);
        }
        _answered(nodeQuestion(_recordOf(round), tree, AddressTree.leafHash(account, value)));
    }

    /// @inheritdoc IRoundArbiter
    function answerAcknowledgements(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        bytes32 sumRoot,
        uint16[] calldata seats,
        bytes[] calldata signatures
    ) external {
        _requireSession(round, name);
        uint256 needed = acknowledgers(round.members);
        require(signatures.length >= needed, QuorumMissing(signatures.length, needed));
        require(signatures.length == seats.length, ListsDiffer());
        bytes memory ack = abi.encode(round.sid, sumRoot, round.aggregate);
        bytes32 digest = Statements.digest(_domain(), Statements.Kind.ResultAck, ack);
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = Statements.signer(digest, signatures[i]);
            require(signer > previous, SignersNotAscending(previous, signer));
            _requireSeat(signer, seats[i]);
            previous = signer;
        }
        _answered(acknowledgementsQuestion(_recordOf(round)));
    }

    /// @inheritdoc IRoundArbiter
    function answerMerge(
        IRoundLedger.Round calldata round,
        uint16 seat,
        bytes calldata fields,
        bytes calldata signature
    ) external {
        address maker = Statements.signer(Statements.digest(_domain(), Statements.Kind.PlainMerge, fields), signature);
        _requireSeat(maker, seat);
        uint64 merge = SafeCast.toUint64(uint256(Statements.word(fields, _MERGE_COUNT)));
        bytes32 sid = Sessions.mergeOf(Statements.word(fields, 0), maker, merge);
        require(sid == round.sid, OtherSession(sid, round.sid));
        bytes32 root = AddressTree.leafHash(maker, Sessions.ackLeaf(signature));
        require(root == round.ackRoot, NotThisStatement(root, round.ackRoot));
        _answered(acknowledgementsQuestion(_recordOf(round)));
    }

    /// @inheritdoc IRoundArbiter
    function expire(bytes32 question) external {
        Challenge memory asked = _challenges[question];
        require(asked.challenger != address(0) && !asked.settled, NotOpen(question));
        require(block.timestamp >= asked.deadline, TooEarly(asked.deadline));
        address poster = asked.poster == address(0) ? _posterOf(asked.round, asked.record) : asked.poster;
        // nobody to pay for it, so nobody is spared either: who asks itself before it records is asked again
        if (poster == address(0)) delete _challenges[question];
        else _challenges[question].settled = true;
        emit QuestionExpired(question, asked.challenger);
        _voidRecord(asked.record, asked.round, poster, asked.fault, asked.challenger); // once: others get their bond back
        _token.safeTransfer(asked.challenger, _bond);
    }

    /// @inheritdoc IRoundArbiter
    function challengeOf(bytes32 question) external view returns (Challenge memory) {
        return _challenges[question];
    }

    /// @inheritdoc IRoundArbiter
    function nodeQuestion(bytes32 record, Tree tree, bytes32 node) public pure returns (bytes32) {
        return keccak256(abi.encode(record, _F_UNSIGNED, tree, node));
    }

    /// @inheritdoc IRoundArbiter
    function acknowledgementsQuestion(bytes32 record) public pure returns (bytes32) {
        return keccak256(abi.encode(record, _F_RESULT, Tree.Acks, bytes32(0)));
    }

    /// @inheritdoc IRoundArbiter
    function bond() external view returns (uint256) {
        return _bond;
    }

    /// @inheritdoc IRoundArbiter
    function answerSeconds() external view returns (uint64) {
        return _answerSeconds;
    }

    /// @inheritdoc IRoundArbiter
    function vault() external view returns (address) {
        return address(_vault);
    }

    /// @inheritdoc IRoundArbiter
    function token() external view returns (address) {
        return address(_token);
    }

    /// @dev The poster is noted now: it could fill the ledger's window before the question expires.
    function _ask(bytes32 question, bytes32 record, uint64 round, uint8 fault, Tree tree, bytes32 node) private {
        require(_challenges[question].challenger == address(0), AlreadyAsked(question));
        uint64 deadline = SafeCast.toUint64(block.timestamp) + _answerSeconds;
        _challenges[question] = Challenge({
            challenger: msg.sender,
            deadline: deadline,
            fault: fault,
            settled: false,
            poster: _posterOf(round, record),
            round: round,
            record: record
        });
        emit QuestionAsked(question, record, msg.sender, fault, tree, node, deadline);
        _token.safeTransferFrom(msg.sender, address(this), _bond);
    }

    /// @dev An answer counts until somebody lets the question expire, however late.
    function _answered(bytes32 question) private {
        Challenge storage asked = _challenges[question];
        require(asked.challenger != address(0) && !asked.settled, NotOpen(question));
        asked.settled = true;
        emit QuestionAnswered(question, msg.sender);
        _token.forceApprove(address(_vault), _bond);
        _vault.fund(_bond);
    }

    function _signedRoot(IRoundLedger.Round calldata round, Tree tree) private pure returns (bytes32) {
        if (tree == Tree.Joins) return round.joinRoot;
        if (tree == Tree.Masked) return round.maskedRoot;
        require(tree == Tree.Acks, NotSigned(tree));
        return round.ackRoot;
    }
}
