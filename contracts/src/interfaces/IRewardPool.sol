// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IRewardPool
/// @notice What the register knows of the vault: slashed stakes go there. Apart from {IRewardVault}, so that the register's
/// code does not depend on how rewards are paid.
interface IRewardPool {
    /// @notice Put tokens into the pool; needs an allowance.
    function fund(uint256 amount) external;
}
