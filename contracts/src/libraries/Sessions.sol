// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Tagged} from "./Tagged.sol";

/// @title Sessions
/// @notice The names and commitments of a session, as peerage_crypto.statements and peerage_crypto.session hash them.
library Sessions {
    /// @notice The lists of a roster do not fit one another.
    error BadRoster(uint256 joins, uint256 signatures, uint256 u2);

    uint256 private constant _SIGNATURE = 65;
    uint256 private constant _ENTRY = 8 + 32 + _SIGNATURE; // a join's digest and signature behind their length

    /// @notice The sid of a masked session.
    function sidOf(address registry, uint64 round, address initiator, bytes32 parent, bytes32 params, bytes32 nonce)
        internal
        view
        returns (bytes32)
    {
        bytes memory place = abi.encodePacked(
            Tagged.littleEndian(17),
            "peerage/secagg/v1",
            Tagged.NUMBER,
            Tagged.littleEndian(block.chainid),
            Tagged.ACCOUNT,
            registry,
            Tagged.NUMBER,
            Tagged.littleEndian(round)
        );
        return sha256(
            abi.encodePacked(
                place, Tagged.ACCOUNT, initiator, Tagged.WORD, parent, Tagged.WORD, params, Tagged.WORD, nonce
            )
        );
    }

    /// @notice The sid of a merge of plain exchange.
    function mergeOf(bytes32 exchange, address initiator, uint64 merge) internal pure returns (bytes32) {
        return sha256(
            abi.encodePacked(
                Tagged.littleEndian(22),
                "peerage/plain-merge/v1",
                Tagged.WORD,
                exchange,
                Tagged.ACCOUNT,
                initiator,
                Tagged.NUMBER,
                Tagged.littleEndian(merge)
            )
        );
    }

    /// @notice What a JoinIntent says of the randomness that its signer will put in.
    function randCommitment(bytes32 sid, address owner, bytes32 rand) internal pure returns (bytes32) {
        return sha256(
            abi.encodePacked(
                Tagged.littleEndian(15), "peerage/rand/v1", Tagged.WORD, sid, Tagged.ACCOUNT, owner, Tagged.WORD, rand
            )
        );
    }

    /// @notice What stands in for randomness that is kept until the vectors are in (federations with sketches).
    function late(bytes32 rand) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(Tagged.littleEndian(15), "peerage/late/v1", Tagged.WORD, rand));
    }

    /// @notice The value of an acknowledgement's leaf.
    function ackLeaf(bytes memory signature) internal pure returns (bytes32) {
        return Tagged.hashOf("peerage/ack/v1", signature);
    }

    /// @notice What a MaskedUpdate says of roster and U2: only these joins, signatures and bits have this hash.
    /// @param sid The session.
    /// @param joins The digests of the members' JoinIntents.
    /// @param signatures Under them, 65 bytes each.
    /// @param u2 One bit for each member.
    function viewOf(bytes32 sid, bytes32[] memory joins, bytes calldata signatures, bytes calldata u2)
        internal
        pure
        returns (bytes32)
    {
        uint256 count = joins.length;
        require(
            signatures.length == count * _SIGNATURE && u2.length == (count + 7) / 8,
            BadRoster(count, signatures.length, u2.length)
        );
        bytes memory entries = new bytes(count * _ENTRY);
        bytes8 length = Tagged.littleEndian(32 + _SIGNATURE);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 join = joins[i];
            // each entry in its place, since growing the buffer would copy it over and over
            assembly ("memory-safe") {
                let at := add(add(entries, 0x20), mul(i, 105))
                mstore(at, length)
                mstore(add(at, 8), join)
                calldatacopy(add(at, 40), add(signatures.offset, mul(i, 65)), 65)
            }
        }
        bytes32 roster =
            sha256(abi.encodePacked(Tagged.littleEndian(17), "peerage/roster/v1", Tagged.WORD, sid, entries));
        return sha256(
            abi.encodePacked(
                Tagged.littleEndian(13), "peerage/u2/v1", Tagged.WORD, roster, Tagged.littleEndian(u2.length), u2
            )
        );
    }

    /// @notice Whether a bit of a bitmap is set: bit i % 8 of byte i / 8.
    function isSet(bytes calldata bits, uint256 index) internal pure returns (bool) {
        return uint8(bits[index / 8]) >> (index % 8) & 1 == 1;
    }
}
