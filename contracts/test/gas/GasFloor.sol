// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @dev What the protocol charges whatever the code does (Shanghai): the least that a transaction can cost which brings
/// these bytes, touches these slots and leaves these logs. Measurements stand beside it.
library GasFloor {
    uint256 internal constant TRANSACTION = 21_000;
    uint256 internal constant COLD_ACCOUNT = 2_600;
    uint256 internal constant COLD_READ = 2_100;
    uint256 internal constant REWRITE = 5_000; // a slot that was not zero: 2 100 cold, 2 900 the change
    uint256 internal constant REWRITE_READ = 2_900; // the same, read before
    uint256 internal constant RECOVER = 3_000 + 100; // ecrecover, and calling it
    uint256 internal constant CALL = 100; // an account that is warm

    function intrinsic(bytes memory data) internal pure returns (uint256 gas) {
        gas = TRANSACTION;
        for (uint256 i = 0; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }

    function log(uint256 topics, uint256 length) internal pure returns (uint256) {
        return 375 + 375 * topics + 8 * length;
    }

    function hash(uint256 length) internal pure returns (uint256) {
        return 30 + 6 * ((length + 31) / 32);
    }
}
