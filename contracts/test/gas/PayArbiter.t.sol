// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PayArbiter} from "../../src/PayArbiter.sol";
import {PayRule} from "../../src/libraries/PayRule.sol";
import {PayWorld} from "../PayWorld.sol";
import {vm} from "../Vm.sol";

/// @dev What a disputed step costs the challenger, by members; every earner has a full window of values.
contract PayArbiterGasTest is PayWorld {
    function setUp() public {
        deployPay(12);
    }

    function _arbiter(PayRule.Terms memory terms) internal override returns (PayArbiter) {
        return new PayArbiter(registry, rounds, vault, ROUND_ARBITER, terms);
    }

    /// forge-config: default.isolate = true
    function test_a_step_of_4() public {
        _measure(4, "proveWrongStep, n=4");
    }

    /// forge-config: default.isolate = true
    function test_a_step_of_16() public {
        _measure(16, "proveWrongStep, n=16");
    }

    /// forge-config: default.isolate = true
    function test_a_step_of_64() public {
        _measure(64, "proveWrongStep, n=64");
    }

    /// forge-config: default.isolate = true
    function test_a_step_of_128() public {
        _measure(128, "proveWrongStep, n=128");
    }

    function _measure(uint256 members, string memory name) private {
        World memory w = world(empty(), 13, members);
        w.published.states[12] = keccak256("garbage");
        bytes memory signatures = publish(w.published);
        proveStep(w, 12, signatures);
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        vm.snapshotValue("Pay", name, gas);
        require(gas < 16_700_000, "a block is too small");
    }
}
