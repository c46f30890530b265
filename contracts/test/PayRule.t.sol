// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PayRule} from "../src/libraries/PayRule.sol";
import {eq} from "./Federation.sol";

/// @dev The rule behind calls, so that calldata is calldata.
contract Rule {
    function pot(PayRule.Terms memory terms, uint256 done) external pure returns (uint256) {
        return PayRule.pot(terms, done);
    }

    function cut(int256[] memory values, uint256 cap) external pure returns (int256[] memory) {
        PayRule.cut(values, cap);
        return values;
    }

    function read(uint256 members, address[] calldata accounts, bytes32[] calldata leaves)
        external
        pure
        returns (bool legal, int256[] memory values)
    {
        return PayRule.read(members, accounts, leaves);
    }
}

/// @dev The edges of the rule of pay; tests/ledger/test_pay_rule.py compares all of it with what peers compute.
contract PayRuleTest {
    Rule private rule = new Rule();

    function test_the_pots_are_the_pool_and_no_more() public view {
        PayRule.Terms memory terms = PayRule.Terms(1000, 7, 2, 3);
        uint256 given = 0;
        for (uint256 done = 0; done < 7; ++done) {
            uint256 pot = rule.pot(terms, done);
            require(pot == 142 || pot == 143, "parts that differ by a unit");
            given += pot;
        }
        eq(given, 1000);
        eq(rule.pot(terms, 7), 0);
        eq(rule.pot(terms, 8), 0);
    }

    function test_the_median_of_an_even_number_is_the_lower_one() public view {
        int256[] memory values = new int256[](5);
        (values[0], values[1], values[2], values[3], values[4]) = (90, -7, 10, 500, 40);
        values = rule.cut(values, 2);
        require(values[0] == 80 && values[3] == 80, "twice the lower of 40 and 90");
        require(values[1] == -7 && values[2] == 10 && values[4] == 40, "the others stay");
    }

    function test_a_table_with_fewer_lines_than_members_is_none() public view {
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (address(1), address(2));
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = leaves[1] = bytes32(uint256(5) << 64);
        (bool legal, int256[] memory values) = rule.read(2, accounts, leaves);
        require(legal && values[0] == int256(5) << 64, "shown in the unit of all rounds");
        (legal,) = rule.read(3, accounts, leaves);
        require(!legal, "one is left out");
        (legal,) = rule.read(1, accounts, leaves);
        require(!legal, "one is too many");
        (legal,) = rule.read(2, accounts, new bytes32[](1));
        require(!legal, "an account without a value");
    }
}
