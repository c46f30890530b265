// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {RewardVault} from "../../src/RewardVault.sol";
import {IPeerRegistry} from "../../src/interfaces/IPeerRegistry.sol";

/// @notice What Halmos proves of the vault's quorum, for every number of peers below 2^32.
contract QuorumProof {
    RewardVault private _vault;

    function setUp() public {
        _vault = new RewardVault(IERC20(address(1)), IPeerRegistry(address(2)), 0, address(0));
    }

    /// @dev Two quorums share more than a quarter of all peers, so one honest peer at least.
    function check_two_quorums_share_more_than_a_quarter(uint32 peers) public view {
        if (peers < 4) return;
        uint256 needed = _vault.quorum(peers);
        assert(2 * needed > uint256(peers) + uint256(peers) / 4);
    }

    /// @dev All of them can always meet it, and none cannot.
    function check_a_quorum_is_at_least_one_and_at_most_all(uint32 peers) public view {
        uint256 needed = _vault.quorum(peers);
        assert(needed >= 1);
        if (peers > 0) assert(needed <= peers);
    }
}
