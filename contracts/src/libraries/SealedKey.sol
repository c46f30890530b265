// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title SealedKey
/// @notice A key sealed so that the EVM can open it again when its recipient shows the secret of one sale.
/// @dev Diffie-Hellman on secp256k1, where `ecrecover` multiplies points: for a message of zero it returns the address of
/// s/r times the point with the abscissa r. Public keys are abscissas, their ordinate is the even one. X25519 would need
/// a field arithmetic that the EVM lacks. The pad comes from the address of the common point: 160 bits that only the two
/// ends can compute.
library SealedKey {
    uint256 private constant _ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    uint256 private constant _BASE_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798;
    uint8 private constant _EVEN = 27;

    /// @notice Whether there is a point with this abscissa (one of 2^128 abscissas above the order is refused too).
    function isKey(bytes32 x) internal pure returns (bool) {
        return _times(x, 1) != address(0);
    }

    /// @notice Whether this is the secret of that public key.
    function isSecret(uint256 secret, bytes32 x) internal pure returns (bool) {
        address point = _times(bytes32(_BASE_X), secret);
        return point != address(0) && point == _times(x, 1);
    }

    /// @notice Open a sealed key; whatever was sealed comes out, right or wrong.
    /// @param secret Of the recipient's public key.
    /// @param sender The sender's one-time public key.
    /// @param sale What the key was sealed for.
    function open(uint256 secret, bytes32 sender, bytes32 sealedKey, bytes32 sale) internal pure returns (bytes32) {
        return sealedKey ^ keccak256(abi.encode(sale, _times(sender, secret)));
    }

    /// @dev The address of `factor` times the point with the abscissa x and an even ordinate; zero where there is none.
    function _times(bytes32 x, uint256 factor) private pure returns (address) {
        return ecrecover(bytes32(0), _EVEN, x, bytes32(mulmod(factor, uint256(x), _ORDER)));
    }
}
