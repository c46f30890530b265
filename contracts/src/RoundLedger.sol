// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";

/// @title RoundLedger
/// @notice See {IRoundLedger}.
/// @dev A ring of the last rounds: overwriting a used slot costs 5 000 gas where a new one costs 22 100. An entry is the
/// round (64 bits) and the first 192 bits of the record; the round in a slot only grows, hence a record that was
/// overwritten can neither be a parent nor come in a second time.
contract RoundLedger is IRoundLedger, EIP712 {
    struct Entry {
        uint64 round;
        bytes24 prefix;
    }

    uint64 private constant _WINDOW = 256;

    IPeerRegistry private immutable _registry;
    bytes32 private immutable _federation;

    mapping(uint256 slot => Entry) private _ring;
    /// further records of a round, kept beside the one in the ring
    mapping(bytes32 record => uint64 round) private _siblings;

    /// @param registry_ Who may record.
    /// @param federation_ The record of round 0.
    constructor(IPeerRegistry registry_, bytes32 federation_) EIP712("Peerage", "1") {
        _registry = registry_;
        _federation = federation_;
        _ring[0] = Entry({round: 0, prefix: bytes24(federation_)});
    }

    /// @inheritdoc IRoundLedger
    function recordRound(Round calldata round) external returns (bytes32 record) {
        require(_registry.isActive(msg.sender), NotAPeer(msg.sender));
        _checkParents(round);
        record = keccak256(abi.encode(round));
        _store(round.round, record);
        emit RoundRecorded(round.round, record, msg.sender, round);
    }

    /// @inheritdoc IRoundLedger
    function isRecorded(uint64 round, bytes32 record) public view returns (bool) {
        Entry memory entry = _ring[round % _WINDOW];
        if (entry.round != round) return false;
        return entry.prefix == bytes24(record) || (round != 0 && _siblings[record] == round);
    }

    /// @inheritdoc IRoundLedger
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IRoundLedger
    function federation() external view returns (bytes32) {
        return _federation;
    }

    /// @inheritdoc IRoundLedger
    function window() external pure returns (uint64) {
        return _WINDOW;
    }

    /// @inheritdoc IRoundLedger
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _checkParents(Round calldata round) private view {
        uint256 count = round.parents.length;
        require(count > 0 && count == round.parentRounds.length, ParentsMismatch(round.parentRounds.length, count));
        uint64 newest = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint64 parentRound = round.parentRounds[i];
            require(isRecorded(parentRound, round.parents[i]), UnknownParent(parentRound, round.parents[i]));
            if (parentRound > newest) newest = parentRound;
        }
        require(round.round == newest + 1, WrongRound(round.round, newest + 1));
    }

    function _store(uint64 round, bytes32 record) private {
        Entry memory entry = _ring[round % _WINDOW];
        if (entry.round == round) {
            require(
                entry.prefix != bytes24(record) && _siblings[record] != round, AlreadyRecorded(round, record)
            );
            _siblings[record] = round;
        } else {
            require(entry.round < round, RoundTooOld(round, entry.round));
            _ring[round % _WINDOW] = Entry({round: round, prefix: bytes24(record)});
        }
    }
}
