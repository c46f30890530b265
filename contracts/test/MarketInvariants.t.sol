// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {eq} from "./Federation.sol";
import {MarketHandler} from "./MarketHandler.sol";

/// @dev What holds of the market's money after any sequence of calls, honest or not.
contract MarketInvariantsTest {
    MarketHandler private handler;

    function setUp() public {
        handler = new MarketHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_what_buyers_paid_is_held_owed_or_paid() external view {
        require(bytes(handler.broken()).length == 0, handler.broken());
        (uint256 balance, uint256 escrowed, uint256 owed) = handler.books();
        eq(balance, escrowed + owed);
        eq(handler.boughtModel(), escrowed + handler.settledModel() + handler.refundedModel());
        eq(handler.settledModel(), owed + handler.collectedModel());
    }
}
