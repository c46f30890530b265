// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPeerRegistry} from "../interfaces/IPeerRegistry.sol";
import {IRoundArbiter} from "../interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "../interfaces/IRoundLedger.sol";
import {Sessions} from "../libraries/Sessions.sol";
import {Statements} from "../libraries/Statements.sol";

/// @title Verdicts
/// @notice What all proofs and questions share: records, sessions, signers, and what a verdict does.
abstract contract Verdicts is IRoundArbiter {
    uint8 internal constant _F_EQUIVOCATION = 1;
    uint8 internal constant _F_OMISSION = 2;
    uint8 internal constant _F_UNSIGNED = 3;
    uint8 internal constant _F_DRAW = 4;
    uint8 internal constant _F_RESULT = 5;
    uint8 internal constant _F_REVEAL = 10;
    uint16 private constant _WHOLE = 10_000;
    uint16 private constant _FIFTH = 2000;
    uint256 private constant _SMALLEST_SESSION = 3;

    IPeerRegistry internal immutable _registry;
    IRoundLedger internal immutable _ledger;

    mapping(bytes32 record => uint64 timestamp) private _voidedAt;
    /// of a record and a fault, or of a signer, a session and a fault
    mapping(bytes32 verdict => bool) private _decided;

    constructor(IPeerRegistry registry_, IRoundLedger ledger_) {
        _registry = registry_;
        _ledger = ledger_;
    }

    /// @inheritdoc IRoundArbiter
    function voided(bytes32 record) external view returns (bool) {
        return _voidedAt[record] != 0;
    }

    /// @inheritdoc IRoundArbiter
    function voidedAt(bytes32 record) external view returns (uint64) {
        return _voidedAt[record];
    }

    /// @inheritdoc IRoundArbiter
    function accusers(uint256 members, uint256 seats) public pure returns (uint256) {
        if (members <= 4) return _SMALLEST_SESSION;
        // no session of n members tolerates more than n - 3 colluders, and none more than a quarter of the registered
        return _quorum(members, Math.min(members - 3, seats / 4));
    }

    /// @inheritdoc IRoundArbiter
    function acknowledgers(uint256 survivors) public pure returns (uint256) {
        if (survivors <= 4) return _SMALLEST_SESSION;
        return _quorum(survivors, survivors / 4);
    }

    /// @inheritdoc IRoundArbiter
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IRoundArbiter
    function ledger() external view returns (address) {
        return address(_ledger);
    }

    /// @dev Asked each time: it changes when a chain splits.
    function _domain() internal view returns (bytes32) {
        return _ledger.domainSeparator();
    }

    function _recordOf(IRoundLedger.Round calldata round) internal pure returns (bytes32) {
        return keccak256(abi.encode(round));
    }

    /// @dev The leaves of a plain merge stand for other statements; its sid is no masked session's.
    function _requireSession(IRoundLedger.Round calldata round, SessionName calldata name) internal view {
        bytes32 sid =
            Sessions.sidOf(address(_registry), round.round, name.initiator, name.parent, name.params, name.nonce);
        require(sid == round.sid, NotThisSession(round.sid));
    }

    /// @dev `fields` have their length by now: the digest has been computed.
    function _requireSid(bytes memory fields, bytes32 sid) internal pure {
        bytes32 said = Statements.word(fields, 0);
        require(said == sid, OtherSession(said, sid));
    }

    function _requireSigner(bytes32 digest, bytes memory signature, address signer) internal pure {
        address signed = Statements.signer(digest, signature);
        require(signed == signer, OtherSigner(signed, signer));
    }

    function _requireSeat(address account, uint16 seat) internal view {
        require(_registry.peerAt(seat) == account, NeverAPeer(account, seat));
    }

    /// @dev The record is void from now on; its poster loses a fifth, once for each fault. Where no poster is known, the
    /// ledger has forgotten the record or not seen it yet: then the same proof may be brought again against a poster.
    /// @return done False if all of this was decided before.
    function _voidRecord(bytes32 record, uint64 round, address poster, uint8 fault, address challenger)
        internal
        returns (bool done)
    {
        bytes32 verdict = keccak256(abi.encode(record, fault));
        bool fresh = _voidedAt[record] == 0;
        bool punished = poster != address(0) && !_decided[verdict];
        if (!fresh && !punished) return false;
        if (fresh) _voidedAt[record] = SafeCast.toUint64(block.timestamp);
        if (punished) _decided[verdict] = true;
        emit RoundVoided(record, round, challenger, fault);
        if (punished) _registry.slash(poster, _FIFTH, challenger);
        return true;
    }

    function _posterOf(uint64 round, bytes32 record) internal view returns (address) {
        return _ledger.posterOf(round, record);
    }

    /// @dev Once for each signer, session and fault.
    function _convict(address peer, bytes32 sid, uint8 fault) internal {
        bytes32 verdict = keccak256(abi.encode(peer, sid, fault));
        require(!_decided[verdict], AlreadyDecided());
        _decided[verdict] = true;
        emit PeerConvicted(peer, sid, msg.sender, fault);
        _registry.slash(peer, fault == _F_EQUIVOCATION ? _WHOLE : _FIFTH, msg.sender);
    }

    /// @dev T of a roster of n > 4 with c colluders, as peerage_crypto.thresholds.
    function _quorum(uint256 roster, uint256 colluders) private pure returns (uint256) {
        return Math.ceilDiv(roster + colluders, 2) + 1;
    }
}
