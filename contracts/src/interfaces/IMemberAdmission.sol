// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IAdmission} from "./IAdmission.sol";

/// @title IMemberAdmission
/// @notice Founders may register as they are; others bring an invitation that a quorum of the peers has signed.
/// @dev An invitation is [abi.encode(uint64 deadline), signature, signature, …]: EIP-712 signatures (65 bytes) over
/// Invitation(address registry,address account,uint64 deadline), in the ascending order of their signers.
interface IMemberAdmission is IAdmission {
    /// @notice A founder is the zero address, or stands twice.
    error BadFounder(address founder);

    /// @notice Whether the account is a founder.
    function isFounder(address account) external view returns (bool);

    /// @notice The peers' register.
    function registry() external view returns (address);

    /// @notice What peers sign to invite an account until `deadline` (Unix seconds).
    function invitationDigest(address account, uint64 deadline) external view returns (bytes32);

    /// @notice The EIP-712 domain under which invitations are signed.
    function domainSeparator() external view returns (bytes32);
}
