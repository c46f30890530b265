// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {DrawJudge} from "./DrawJudge.sol";
import {Questions} from "./arbiter/Questions.sol";
import {Verdicts} from "./arbiter/Verdicts.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRewardVault} from "./interfaces/IRewardVault.sol";
import {IRoundArbiter} from "./interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {AddressTree} from "./libraries/AddressTree.sol";
import {Sessions} from "./libraries/Sessions.sol";
import {Statements} from "./libraries/Statements.sol";

/// @title RoundArbiter
/// @notice See {IRoundArbiter}. Here are the proofs that settle at once; the bonded questions are in {Questions}, and what a
/// verdict does in {Verdicts}.
contract RoundArbiter is Questions {
    uint256 private constant _SIGNATURE = 65;
    // fields of the statements, counted from 0
    uint256 private constant _JOIN_RAND = 9;
    uint256 private constant _UPDATE_U2 = 1;
    uint256 private constant _UPDATE_RAND = 6;
    uint256 private constant _ACK_MODEL = 2;

    DrawJudge private immutable _drawJudge;

    /// the digests of updates that reveal another rand than their signer had committed to
    mapping(bytes32 update => bool) private _falseReveals;

    /// @param registry_ Who is a peer, and whose stakes a verdict takes from.
    /// @param ledger_ Which records there are, and under whose domain statements are signed.
    /// @param vault_ Where forfeited bonds go.
    /// @param token_ Of the bonds; a plain ERC-20.
    /// @param bond_ What a question costs if it is answered.
    /// @param answerSeconds_ How long a question waits; below the register's unbonding time, or posters get away.
    constructor(
        IPeerRegistry registry_,
        IRoundLedger ledger_,
        IRewardVault vault_,
        IERC20 token_,
        uint256 bond_,
        uint64 answerSeconds_
    ) Verdicts(registry_, ledger_) Questions(vault_, token_, bond_, answerSeconds_) {
        _drawJudge = new DrawJudge(address(registry_), ledger_);
    }

    /// @inheritdoc IRoundArbiter
    function proveEquivocation(
        Statements.Kind kind,
        bytes calldata first,
        bytes calldata firstSignature,
        bytes calldata second,
        bytes calldata secondSignature
    ) external {
        // a peer that lost its disk may join again, and what is served or merged in plain exchange comes many times
        require(
            kind != Statements.Kind.JoinIntent && kind != Statements.Kind.PlainUpdate
                && kind != Statements.Kind.PlainMerge,
            NotConvictable(kind)
        );
        bytes32 domain = _domain();
        bytes32 one = Statements.digest(domain, kind, first);
        bytes32 other = Statements.digest(domain, kind, second);
        require(one != other, SameStatement(one));
        bytes32 sid = Statements.word(first, 0);
        _requireSid(second, sid);
        address signer = Statements.signer(one, firstSignature);
        _requireSigner(other, secondSignature, signer);
        _convict(signer, sid, _F_EQUIVOCATION);
    }

    /// @inheritdoc IRoundArbiter
    function proveOmission(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        AddressTree.Leaf calldata acknowledged,
        AddressTree.Leaf[] calldata around
    ) external {
        _requireSession(round, name);
        AddressTree.requireLeaf(round.ackRoot, acknowledged);
        AddressTree.requireAbsent(round.joinRoot, acknowledged.account, around);
        _condemn(round, _F_OMISSION);
    }

    /// @inheritdoc IRoundArbiter
    function proveDisorder(
        IRoundLedger.Round calldata round,
        Tree tree,
        AddressTree.Leaf calldata left,
        AddressTree.Leaf calldata right
    ) external {
        AddressTree.requireNeighbours(_rootOf(round, tree), left, right);
        require(left.account >= right.account, AddressTree.NotAGap(right.account));
        _condemn(round, _F_OMISSION);
    }

    /// @inheritdoc IRoundArbiter
    function proveWrongDraw(IRoundLedger.Round calldata round, SessionName calldata, Draw calldata) external {
        // the judge has the same function, and reads the same calldata
        Address.functionStaticCall(address(_drawJudge), msg.data);
        _condemn(round, _F_DRAW);
    }

    /// @inheritdoc IRoundArbiter
    function proveOtherResult(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        address[] calldata members,
        bytes32[] calldata joins,
        uint16 seats,
        bytes calldata ack,
        bytes[] calldata signatures
    ) external {
        _requireSession(round, name);
        require(seats == type(uint16).max || _registry.peerAt(seats + 1) == address(0), MoreSeats(seats));
        require(AddressTree.rootOf(members, joins) == round.joinRoot, AddressTree.NotATable());
        bytes32 digest = Statements.digest(_domain(), Statements.Kind.ResultAck, ack);
        _requireSid(ack, round.sid);
        require(Statements.word(ack, _ACK_MODEL) != round.aggregate, SameModel(round.aggregate));
        uint256 needed = accusers(members.length, seats);
        require(signatures.length >= needed, QuorumMissing(signatures.length, needed));
        uint256 at = 0;
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = Statements.signer(digest, signatures[i]);
            while (at < members.length && members[at] != signer) {
                ++at;
            }
            // both lists ascend: a signer that is met again, or is no member, is not found in what is left
            require(at++ < members.length, OtherSigner(signer, address(0)));
        }
        _condemn(round, _F_RESULT);
    }

    /// @inheritdoc IRoundArbiter
    function proveFalseReveal(Reveal calldata reveal) external {
        bytes32 domain = _domain();
        bytes32 join = Statements.digest(domain, Statements.Kind.JoinIntent, reveal.join);
        bytes32 update = Statements.digest(domain, Statements.Kind.MaskedUpdate, reveal.update);
        _requireSid(reveal.join, reveal.sid);
        _requireSid(reveal.update, reveal.sid);
        // a peer may have signed two joins: the one that counts is in the roster that it masked for
        bytes32 seen = Sessions.viewOf(reveal.sid, reveal.roster.joins, reveal.roster.signatures, reveal.roster.u2);
        bytes32 said = Statements.word(reveal.update, _UPDATE_U2);
        require(seen == said, NotThisStatement(seen, said));
        bytes32 listed = reveal.roster.joins[reveal.member];
        require(join == listed, NotThisStatement(join, listed));
        uint256 at = reveal.member * _SIGNATURE;
        address signer = Statements.signer(join, reveal.roster.signatures[at:at + _SIGNATURE]);
        _requireSigner(update, reveal.signature, signer);
        bytes32 rand = Statements.word(reveal.update, _UPDATE_RAND);
        bytes32 commitment = Sessions.randCommitment(reveal.sid, signer, rand);
        require(commitment != Statements.word(reveal.join, _JOIN_RAND), HonestReveal());
        _falseReveals[update] = true;
        _convict(signer, reveal.sid, _F_REVEAL);
    }

    /// @inheritdoc IRoundArbiter
    function voidFalseReveal(IRoundLedger.Round calldata round, AddressTree.Leaf calldata leaf) external {
        require(_falseReveals[leaf.value], HonestReveal());
        AddressTree.requireLeaf(round.maskedRoot, leaf);
        bool done = _voidRecord(_recordOf(round), round.round, address(0), _F_REVEAL, msg.sender);
        require(done, AlreadyDecided());
    }

    /// @inheritdoc IRoundArbiter
    function drawJudge() external view returns (address) {
        return address(_drawJudge);
    }

    function _condemn(IRoundLedger.Round calldata round, uint8 fault) private {
        bytes32 record = _recordOf(round);
        bool done = _voidRecord(record, round.round, _posterOf(round.round, record), fault, msg.sender);
        require(done, AlreadyDecided());
    }

    function _rootOf(IRoundLedger.Round calldata round, Tree tree) private pure returns (bytes32) {
        if (tree == Tree.Joins) return round.joinRoot;
        if (tree == Tree.Masked) return round.maskedRoot;
        if (tree == Tree.Acks) return round.ackRoot;
        return tree == Tree.Scores ? round.scoreRoot : round.emissionRoot;
    }
}
