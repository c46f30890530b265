// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Tagged
/// @notice The tagged SHA-256 of peerage_crypto.digest: over tag and parts, each behind its length (8 bytes, little-endian).
/// The lengths of what has a fixed one are constants, to be packed before it.
library Tagged {
    bytes8 internal constant WORD = 0x2000000000000000; // 32
    bytes8 internal constant ACCOUNT = 0x1400000000000000; // 20
    bytes8 internal constant NUMBER = 0x0800000000000000; // 8

    /// @notice The 8 bytes of a number, lowest first.
    function littleEndian(uint256 value) internal pure returns (bytes8) {
        // forge-lint: disable-next-line(unsafe-typecast) lengths and rounds; what is above 64 bits hashes to nothing known
        uint64 v = uint64(value);
        v = (v >> 8 & 0x00FF00FF00FF00FF) | (v & 0x00FF00FF00FF00FF) << 8;
        v = (v >> 16 & 0x0000FFFF0000FFFF) | (v & 0x0000FFFF0000FFFF) << 16;
        return bytes8(v >> 32 | v << 32);
    }

    /// @notice The hash of a tag and one part of any length.
    function hashOf(bytes memory tag, bytes memory data) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(littleEndian(tag.length), tag, littleEndian(data.length), data));
    }
}
