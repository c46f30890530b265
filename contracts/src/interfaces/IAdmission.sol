// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IAdmission
/// @notice Who may register as a peer, where a federation is not open to everybody.
interface IAdmission {
    /// @notice Whether the account may register with this invitation.
    /// @dev Asked by the register; never reverts for a bad invitation, so that one refusal has one name.
    /// @param account Who wants to register.
    /// @param invitation What it brings; empty for `register` and `registerWithPermit`.
    function admits(address account, bytes[] calldata invitation) external view returns (bool);
}
