// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PayRule} from "../../src/libraries/PayRule.sol";

/// @notice What Halmos proves of the rule of pay: of the cut, for every two or three values of 128 bits. (Of the pots it proves
/// nothing in time: a product and a quotient of variables are too much for its solver. The fuzz tests draw those.)
contract PayRuleProof {
    /// @dev A cut raises nothing, and takes nothing from who brought nothing.
    function check_a_cut_only_lowers_what_is_positive(int128 a, int128 b, int128 c, uint32 cap) public pure {
        if (cap == 0) return;
        int256[] memory values = new int256[](3);
        (values[0], values[1], values[2]) = (a, b, c);
        PayRule.cut(values, cap);
        assert(values[0] <= a && values[1] <= b && values[2] <= c);
        if (a <= 0) assert(values[0] == a);
        if (b <= 0) assert(values[1] == b);
        if (c <= 0) assert(values[2] == c);
    }

    /// @dev Who is alone with something positive keeps all of it, and nobody is cut below the smaller of two.
    function check_a_cut_takes_nothing_from_the_median(int128 a, int128 b) public pure {
        _keepsTheMedian(a, b, 1);
        _keepsTheMedian(a, b, 2);
        _keepsTheMedian(a, b, 3);
    }

    function _keepsTheMedian(int128 a, int128 b, uint256 cap) private pure {
        int256[] memory values = new int256[](2);
        (values[0], values[1]) = (a, b);
        PayRule.cut(values, cap);
        int256 median = a > 0 && (b <= 0 || a < b) ? a : b;
        if (a > 0) assert(values[0] >= (median < a ? median : a));
        if (b > 0) assert(values[1] >= (median < b ? median : b));
        if (a > 0 && b <= 0) assert(values[0] == a);
    }
}
