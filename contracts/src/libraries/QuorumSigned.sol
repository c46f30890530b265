// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IPeerRegistry} from "../interfaces/IPeerRegistry.sol";
import {IQuorumSigned} from "../interfaces/IQuorumSigned.sol";
import {Quorum} from "./Quorum.sol";

/// @title QuorumSigned
/// @notice Whether a quorum of the peers that are active now has signed a digest.
library QuorumSigned {
    /// @notice Reverts with an error of {IQuorumSigned}, or of OpenZeppelin's ECDSA, unless it has.
    /// @param digest What was signed (EIP-712).
    /// @param signatures 65 bytes each, of active peers in the ascending order of their addresses.
    function check(IPeerRegistry registry, bytes32 digest, bytes[] calldata signatures) internal view {
        uint256 needed = Quorum.needed(registry.activeCount());
        require(signatures.length >= needed, IQuorumSigned.QuorumMissing(signatures.length, needed));
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recover(digest, signatures[i]);
            require(signer > previous, IQuorumSigned.SignersNotAscending(previous, signer));
            require(registry.isActive(signer), IQuorumSigned.NotAPeer(signer));
            previous = signer;
        }
    }
}
