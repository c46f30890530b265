// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PeerageToken} from "../src/PeerageToken.sol";
import {Federation, eq} from "./Federation.sol";

contract PeerageTokenTest is Federation {
    function test_the_holder_gets_the_whole_supply_and_nobody_more() public {
        token = new PeerageToken(address(0xA11CE), 42);
        eq(token.totalSupply(), 42);
        eq(token.balanceOf(address(0xA11CE)), 42);
        eq(keccak256(bytes(token.name())), keccak256("Peerage Credit"));
        eq(keccak256(bytes(token.symbol())), keccak256("PEER"));
        eq(token.decimals(), 18);
    }
}
