// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PeerRegistry} from "../src/PeerRegistry.sol";
import {PeerageToken} from "../src/PeerageToken.sol";
import {RewardVault} from "../src/RewardVault.sol";
import {eq} from "./Federation.sol";
import {Handler} from "./Handler.sol";

/// @dev What holds after any sequence of calls, honest or not.
contract InvariantsTest {
    Handler private handler;
    PeerageToken private token;
    PeerRegistry private registry;
    RewardVault private vault;

    function setUp() public {
        handler = new Handler();
        (address t, address r,, address v) = handler.contracts();
        (token, registry, vault) = (PeerageToken(t), PeerRegistry(r), RewardVault(v));
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev One campaign for all of them: it is the sequences that take the time.
    function invariant_the_books_balance() external view {
        require(bytes(handler.broken()).length == 0, handler.broken());
        funded_is_claimed_plus_balance();
        nobody_is_paid_twice();
        every_stake_is_there();
    }

    function funded_is_claimed_plus_balance() private view {
        eq(vault.funded(), vault.claimed() + token.balanceOf(address(vault)));
        eq(vault.funded(), handler.fundedModel());
        eq(vault.claimed(), handler.claimedModel());
    }

    function nobody_is_paid_twice() private view {
        uint256 sum = 0;
        for (uint256 i = 0; i < handler.EARNERS(); ++i) {
            address account = handler.earner(i);
            eq(token.balanceOf(account), vault.claimedBy(account));
            sum += vault.claimedBy(account);
        }
        eq(sum, vault.claimed());
        (,, uint256 total,) = vault.published();
        require(sum <= total && total <= vault.funded());
    }

    function every_stake_is_there() private view {
        uint256 stakes = 0;
        uint256 active = 0;
        for (uint256 i = 0; i < handler.members(); ++i) {
            (, uint256 stake, bool isActive,) = registry.peerOf(handler.member(i));
            stakes += stake;
            if (isActive) ++active;
        }
        eq(stakes, token.balanceOf(address(registry)));
        eq(active, registry.activeCount());
    }
}
