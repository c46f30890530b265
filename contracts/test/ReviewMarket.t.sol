// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {eq} from "./Federation.sol";
import {Market} from "./Market.sol";
import {vm} from "./Vm.sol";

/// @dev What a hostile reading of the market asked of it.
contract ReviewMarketTest is Market {
    address private constant BUYER = address(0xB0B);

    /// @dev Not stopped: docs/ModelMarket.md says so. The buyer reads the right delivery in the mempool; its friend, any peer, delivers garbage before it.
    function test_a_buyer_with_a_friend_gets_the_key_for_nothing() public {
        openMarket();
        give(BUYER, PRICE);
        bytes32 sale = bought(put(listing()), BUYER, 1);
        (uint256 mine, bytes32 senderKey) = oneTime(77);
        (uint256 theirs,) = oneTime(1);
        bytes32 right = sealedFor(sale, mine, theirs, CONTENT_KEY); // in the mempool, hence the buyer's
        delivered(sale, 1, keccak256("garbage")); // peer 1
        vm.prank(peer(2));
        (bool done,) = address(market).call(abi.encodeCall(market.deliver, (sale, senderKey, right)));
        require(!done); // and its calldata shows the key
        market.complain(sale, theirs);
        eq(token.balanceOf(BUYER), PRICE);
    }
}
