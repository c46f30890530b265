// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IQuorumSigned
/// @notice What can be wrong with the signatures of a quorum of peers.
interface IQuorumSigned {
    /// @notice A signer, or the sender, is not an active peer.
    error NotAPeer(address account);

    /// @notice Signatures come in the ascending order of their signers, each once.
    error SignersNotAscending(address previous, address signer);

    /// @notice Too few signatures.
    error QuorumMissing(uint256 signatures, uint256 needed);
}
