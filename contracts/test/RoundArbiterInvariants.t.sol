// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PeerRegistry} from "../src/PeerRegistry.sol";
import {PeerageToken} from "../src/PeerageToken.sol";
import {RewardVault} from "../src/RewardVault.sol";
import {RoundArbiter} from "../src/RoundArbiter.sol";
import {RoundArbiterHandler} from "./RoundArbiterHandler.sol";
import {eq} from "./Federation.sol";

/// @dev Whatever is asked, answered and left unanswered: the arbiter holds the open bonds and nothing else, and the honest
/// record stands.
contract RoundArbiterInvariantsTest {
    RoundArbiterHandler private _handler;
    RoundArbiter private _arbiter;
    PeerageToken private _token;
    PeerRegistry private _registry;
    RewardVault private _vault;

    function setUp() public {
        _handler = new RoundArbiterHandler();
        (address arbiter, address token, address registry, address vault) = _handler.contracts();
        (_arbiter, _token, _registry, _vault) =
        (RoundArbiter(arbiter), PeerageToken(token), PeerRegistry(registry), RewardVault(vault));
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function invariant_the_arbiter_holds_the_open_bonds() public view {
        eq(_token.balanceOf(address(_arbiter)), _handler.openBonds() * _arbiter.bond());
    }

    function invariant_the_honest_record_stands() public view {
        require(!_arbiter.voided(_handler.honest()), "framed");
    }

    function invariant_the_pool_has_what_it_was_given() public view {
        eq(_token.balanceOf(address(_vault)), _vault.funded());
    }

    function invariant_no_rule_was_broken() public view {
        require(bytes(_handler.broken()).length == 0, _handler.broken());
    }
}
