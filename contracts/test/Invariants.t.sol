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
        what_was_slashed_is_bounty_and_pool();
        seats_are_unique();
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
        eq(stakes, handler.stakedModel() - handler.withdrawnModel() - handler.slashedModel());
        eq(active, registry.activeCount());
    }

    /// @dev The pool's part is in `fundedModel`, which the vault's books are held against.
    function what_was_slashed_is_bounty_and_pool() private view {
        eq(token.balanceOf(handler.CHALLENGER()), handler.bountiesModel());
        require(handler.fundedModel() >= handler.slashedModel() - handler.bountiesModel());
    }

    function seats_are_unique() private view {
        for (uint256 i = 0; i < handler.members(); ++i) {
            uint16 seat = registry.seatOf(handler.member(i));
            if (seat == 0) continue;
            require(seat <= handler.seatsModel());
            eq(registry.peerAt(seat), handler.member(i));
            for (uint256 j = 0; j < i; ++j) {
                require(registry.seatOf(handler.member(j)) != seat, "two on one seat");
            }
        }
        eq(registry.peerAt(0), address(0));
        eq(registry.peerAt(handler.seatsModel() + 1), address(0));
    }
}
