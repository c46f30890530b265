// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Quorum
/// @notice How many of a federation's peers speak for it: two quorums share more than a quarter of all peers.
library Quorum {
    /// @notice How many signatures `peers` active peers need: all of up to three, three of four, else
    /// ceil((n + n/4) / 2) + 1; one of none, which nobody can give.
    function needed(uint256 peers) internal pure returns (uint256) {
        if (peers <= 4) return Math.max(1, Math.min(peers, 3));
        return Math.ceilDiv(peers + peers / 4, 2) + 1;
    }
}
