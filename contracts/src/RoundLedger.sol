// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";

/// @title RoundLedger
/// @notice See {IRoundLedger}.
/// @dev A ring of the last rounds: overwriting a used slot costs 5 000 gas where a new one costs 22 100. An entry is one
/// word: the round (48 bits), the seat of the peer that recorded it (16) and the first 192 bits of the record. The round in a slot only grows, hence a record that was
/// overwritten can neither be a parent nor come in a second time.
contract RoundLedger is IRoundLedger, EIP712 {
    struct Place {
        uint64 round;
        uint16 seat;
    }

    uint64 private constant _WINDOW = 256;

    IPeerRegistry private immutable _registry;
    bytes32 private immutable _federation;

    mapping(uint256 slot => uint256 entry) private _ring;
    /// further records of a round, kept beside the one in the ring
    mapping(bytes32 record => Place) private _siblings;

    /// @param registry_ Who may record.
    /// @param federation_ The record of round 0.
    constructor(IPeerRegistry registry_, bytes32 federation_) EIP712("Peerage", "1") {
        _registry = registry_;
        _federation = federation_;
        _ring[0] = _entry(0, federation_, 0);
    }

    /// @inheritdoc IRoundLedger
    function recordRound(Round calldata round) external returns (bytes32 record) {
        bool fresh;
        (record, fresh) = _record(round, _seatOfSender());
        require(fresh, AlreadyRecorded(round.round, record));
    }

    /// @inheritdoc IRoundLedger
    function recordRounds(Round[] calldata batch) external returns (bytes32[] memory records) {
        uint16 seat = _seatOfSender();
        records = new bytes32[](batch.length);
        for (uint256 i = 0; i < batch.length; ++i) {
            (records[i],) = _record(batch[i], seat);
        }
    }

    /// @inheritdoc IRoundLedger
    function isRecorded(uint64 round, bytes32 record) public view returns (bool) {
        (bool recorded,) = _find(round, record);
        return recorded;
    }

    /// @inheritdoc IRoundLedger
    function posterOf(uint64 round, bytes32 record) external view returns (address) {
        (, uint16 seat) = _find(round, record);
        return _registry.peerAt(seat); // nobody sits at 0
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

    function _seatOfSender() private view returns (uint16 seat) {
        seat = _registry.seatOf(msg.sender);
        require(seat != 0, NotAPeer(msg.sender));
    }

    function _record(Round calldata round, uint16 seat) private returns (bytes32 record, bool fresh) {
        _checkParents(round);
        bytes memory encoded = _encoded(round);
        record = keccak256(encoded);
        uint64 index = round.round;
        if (!_store(index, record, seat)) return (record, false);
        // emit RoundRecorded(index, record, msg.sender, round), without encoding it a second time (1 300 gas)
        bytes32 topic = RoundRecorded.selector;
        assembly ("memory-safe") {
            log4(add(encoded, 0x20), mload(encoded), topic, index, record, caller())
        }
        return (record, true);
    }

    /// @dev abi.encode(round), copied as it was sent where it was sent in this very layout (1 500 gas less). The checks of
    /// {_checkParents} have read the numbers and the lengths before; only `members` has not been looked at.
    function _encoded(Round calldata round) private pure returns (bytes memory encoded) {
        uint256 count = round.parents.length;
        uint256 size = 0x1e0 + 0x40 * count;
        bool canonical;
        assembly ("memory-safe") {
            let rounds := eq(calldataload(add(round, 0x40)), 0x180)
            let parents := eq(calldataload(add(round, 0x60)), add(0x1a0, mul(0x20, count)))
            canonical := and(and(rounds, parents), iszero(shr(16, calldataload(add(round, 0x160)))))
        }
        if (!canonical) return abi.encode(round);
        assembly ("memory-safe") {
            encoded := mload(0x40)
            mstore(encoded, size)
            mstore(add(encoded, 0x20), 0x20)
            calldatacopy(add(encoded, 0x40), round, sub(size, 0x20))
            mstore(0x40, add(add(encoded, 0x20), size))
        }
    }

    function _checkParents(Round calldata round) private view {
        bytes32[] calldata parents = round.parents;
        uint64[] calldata parentRounds = round.parentRounds;
        uint256 count = parents.length;
        require(count > 0 && count == parentRounds.length, ParentsMismatch(parentRounds.length, count));
        uint64 newest = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint64 parentRound = parentRounds[i];
            require(isRecorded(parentRound, parents[i]), UnknownParent(parentRound, parents[i]));
            if (parentRound > newest) newest = parentRound;
        }
        require(round.round == newest + 1, WrongRound(round.round, newest + 1));
    }

    /// @dev A slot that holds another round holds an earlier one: had it been overtaken, the parent's slot beside it
    /// would have been overtaken too, and the parent unknown.
    /// @return fresh False if the record was there already.
    function _store(uint64 round, bytes32 record, uint16 seat) private returns (bool fresh) {
        uint256 slot = round % _WINDOW;
        uint256 entry = _ring[slot];
        if (_roundOf(entry) != round) {
            _ring[slot] = _entry(round, record, seat);
        } else {
            if (_sameRecord(entry, record) || _siblings[record].round != 0) return false;
            _siblings[record] = Place(round, seat);
        }
        return true;
    }

    /// @dev A sibling is in the window as long as its round is; round 0 has none, and no slot is empty there.
    function _find(uint64 round, bytes32 record) private view returns (bool recorded, uint16 seat) {
        uint256 entry = _ring[round % _WINDOW];
        if (_roundOf(entry) != round) return (false, 0);
        // forge-lint: disable-next-line(unsafe-typecast) the seat's sixteen bits
        if (_sameRecord(entry, record)) return (true, uint16(entry >> 192));
        Place memory sibling = _siblings[record];
        return round != 0 && sibling.round == round ? (true, sibling.seat) : (false, 0);
    }

    /// @dev A round beyond 48 bits would need 2^48 records below it.
    function _entry(uint64 round, bytes32 record, uint16 seat) private pure returns (uint256) {
        return (uint256(round) << 208) | (uint256(seat) << 192) | (uint256(record) >> 64);
    }

    function _sameRecord(uint256 entry, bytes32 record) private pure returns (bool) {
        return entry << 64 == (uint256(record) >> 64) << 64;
    }

    function _roundOf(uint256 entry) private pure returns (uint256) {
        return entry >> 208;
    }
}
