// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {AddressTree} from "./AddressTree.sol";

/// @title PayRule
/// @notice One step of pay, as `peerage_ledger.rewards` computes it: integers only, every division rounds towards minus
/// infinity. A round's numbers are cut at `cap` times the lower median of the positive ones; a member's weight is the mean
/// of what it brought in its last `window` rounds, but no less than an eighth of what the good ones alone would give; the
/// round's pot goes to the members by weight, split exactly.
library PayRule {
    /// @dev No weight falls below this part of the good rounds.
    int256 private constant _DOUBT = 8;

    /// @param pool What the planned rounds share.
    /// @param planned Their number; rounds beyond it pay nothing.
    /// @param cap In medians of the positive values.
    /// @param window In rounds attended.
    struct Terms {
        uint128 pool;
        uint64 planned;
        uint32 cap;
        uint32 window;
    }

    /// @param account Whose pay it is.
    /// @param cumulative What it has earned in all.
    /// @param values Its last capped values, the oldest first: number << (64 - exponent).
    struct Earner {
        address account;
        uint256 cumulative;
        int256[] values;
    }

    /// @param rounds How many rounds there were.
    /// @param record The last of them; the federation's hash before the first.
    /// @param earners By ascending account.
    struct State {
        uint64 rounds;
        bytes32 record;
        Earner[] earners;
    }

    /// @notice The leaf of a number that stayed closed: 24 zero bytes and the least exponent.
    bytes32 internal constant CLOSED = bytes32(uint256(1) << 63);
    int256 private constant _EXPONENTS = 64;

    /// @notice A state's name.
    function digest(State memory state) internal pure returns (bytes32) {
        return keccak256(abi.encode(state));
    }

    /// @notice What the round after `done` others pays.
    function pot(Terms memory terms, uint256 done) internal pure returns (uint256) {
        if (done >= terms.planned) return 0;
        return terms.pool * (done + 1) / terms.planned - terms.pool * done / terms.planned;
    }

    /// @notice The state after a round that pays nothing: only the count and the record change. Changes its argument.
    function skip(State memory state, bytes32 record) internal pure {
        ++state.rounds;
        state.record = record;
    }

    /// @notice Pays the round that `skip` has just counted. Changes its argument; a table that is empty, or that no honest
    /// peer makes, pays nobody.
    /// @param members How many peers the record says are in the sum.
    /// @param accounts Who has a leaf under the record's score root, in the order of the tree.
    /// @param leaves The values beside them.
    function pay(
        Terms memory terms,
        State memory state,
        uint256 members,
        address[] calldata accounts,
        bytes32[] calldata leaves
    ) internal pure {
        (bool legal, int256[] memory values) = read(members, accounts, leaves);
        if (!legal) return;
        cut(values, terms.cap);
        _share(terms, state, _enter(state, accounts), values);
    }

    /// @dev Remembers each value with its earner, weighs the earners and splits the pot.
    function _share(Terms memory terms, State memory state, uint256[] memory places, int256[] memory values)
        private
        pure
    {
        uint256[] memory weights = new uint256[](places.length);
        uint256 sum = 0;
        for (uint256 i = 0; i < places.length; ++i) {
            Earner memory earner = state.earners[places[i]];
            earner.values = _remember(earner.values, values[i], terms.window);
            weights[i] = _weight(earner.values);
            sum += weights[i];
        }
        if (sum != 0) _split(state, places, weights, sum, pot(terms, state.rounds - 1));
    }

    /// @dev Splits a pot by weight, exactly: each gets what rounds down up to it and including it, less what went before.
    function _split(State memory state, uint256[] memory places, uint256[] memory weights, uint256 sum, uint256 whole)
        private
        pure
    {
        (uint256 before, uint256 given) = (0, 0);
        for (uint256 i = 0; i < places.length; ++i) {
            before += weights[i];
            uint256 upTo = Math.mulDiv(whole, before, sum); // 512 bits in between
            state.earners[places[i]].cumulative += upTo - given;
            given = upTo;
        }
    }

    /// @notice The values of a score table in the unit that all rounds share, if it is one that an honest peer makes:
    /// accounts ascend, there are as many as members, every number has 64 bits, and all have one exponent within ±64.
    function read(uint256 members, address[] calldata accounts, bytes32[] calldata leaves)
        internal
        pure
        returns (bool legal, int256[] memory values)
    {
        uint256 count = accounts.length;
        if (count == 0 || count != members || count != leaves.length) return (false, values);
        values = new int256[](count);
        int256 exponent = type(int256).min;
        for (uint256 i = 0; i < count; ++i) {
            if (i > 0 && accounts[i] <= accounts[i - 1]) return (false, values);
            if (leaves[i] == CLOSED) continue;
            int256 number = int256(uint256(leaves[i])) >> 64;
            // forge-lint: disable-next-line(unsafe-typecast) the low 64 bits are the exponent
            int256 own = int64(uint64(uint256(leaves[i])));
            if (own < -_EXPONENTS || own > _EXPONENTS || (exponent != type(int256).min && own != exponent)) {
                return (false, values);
            }
            if (number < type(int64).min || number > type(int64).max) return (false, values);
            exponent = own;
            // forge-lint: disable-next-line(unsafe-typecast) own is at most _EXPONENTS
            values[i] = number << uint256(_EXPONENTS - own);
        }
        return (true, values);
    }

    /// @notice Cuts the values at `cap` times the lower median of the positive ones. Changes its argument.
    function cut(int256[] memory values, uint256 cap) internal pure {
        uint256 count = values.length;
        uint256[] memory positive = new uint256[](count);
        uint256 found = 0;
        for (uint256 i = 0; i < count; ++i) {
            // forge-lint: disable-next-line(unsafe-typecast) above zero
            if (values[i] > 0) positive[found++] = uint256(values[i]);
        }
        if (found == 0) return;
        // forge-lint: disable-next-line(unsafe-typecast) the 192 bits of a value
        int256 limit = int256(cap) * int256(_sorted(positive, found)[(found - 1) / 2]);
        for (uint256 i = 0; i < count; ++i) {
            if (values[i] > limit) values[i] = limit;
        }
    }

    /// @notice The root over a score table, sorted or not: only this table has it.
    function tableRoot(address[] calldata accounts, bytes32[] calldata leaves) internal pure returns (bytes32) {
        uint256 count = accounts.length;
        if (count == 0 || count != leaves.length) return bytes32(0);
        bytes32[] memory level = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            level[i] = AddressTree.leafHash(accounts[i], leaves[i]);
        }
        for (; count > 1; count = (count + 1) / 2) {
            for (uint256 i = 0; i < count / 2; ++i) {
                level[i] = AddressTree.nodeHash(level[2 * i], level[2 * i + 1]);
            }
            if (count % 2 == 1) level[count / 2] = level[count - 1];
        }
        return level[0];
    }

    /// @notice The claim tree over what the earners of a state have earned, and its sum: leaves sorted by their hash,
    /// commutative pairs, an odd last node promoted, nobody's root zero.
    function claims(State memory state) internal pure returns (bytes32 root, uint256 total) {
        uint256[] memory level = new uint256[](state.earners.length);
        uint256 count = 0;
        for (uint256 i = 0; i < state.earners.length; ++i) {
            Earner memory earner = state.earners[i];
            if (earner.cumulative == 0) continue;
            total += earner.cumulative;
            level[count++] = uint256(keccak256(bytes.concat(keccak256(abi.encode(earner.account, earner.cumulative)))));
        }
        if (count == 0) return (bytes32(0), 0);
        level = _sorted(level, count);
        for (; count > 1; count = (count + 1) / 2) {
            for (uint256 i = 0; i < count / 2; ++i) {
                (uint256 a, uint256 b) = (level[2 * i], level[2 * i + 1]);
                level[i] = uint256(a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a)));
            }
            if (count % 2 == 1) level[count / 2] = level[count - 1];
        }
        root = bytes32(level[0]);
    }

    /// @dev The first `count` entries in ascending order, merged upwards: insertion would take 110 million gas for a thousand
    /// accounts, and no block would take the proof. Changes its argument.
    function _sorted(uint256[] memory list, uint256 count) private pure returns (uint256[] memory) {
        uint256[] memory other = new uint256[](list.length);
        for (uint256 width = 1; width < count; width *= 2) {
            for (uint256 low = 0; low < count; low += 2 * width) {
                (uint256 i, uint256 middle) = (low, Math.min(low + width, count));
                (uint256 j, uint256 high) = (middle, Math.min(low + 2 * width, count));
                for (uint256 k = low; k < high; ++k) {
                    other[k] = j == high || (i < middle && list[i] <= list[j]) ? list[i++] : list[j++];
                }
            }
            (list, other) = (other, list);
        }
        return list;
    }

    /// @dev Enters who is not among the earners yet, in its place; returns where each account stands.
    function _enter(State memory state, address[] calldata accounts) private pure returns (uint256[] memory places) {
        Earner[] memory old = state.earners;
        Earner[] memory all = new Earner[](old.length + accounts.length);
        places = new uint256[](accounts.length);
        (uint256 count, uint256 i) = (0, 0);
        for (uint256 j = 0; j < accounts.length; ++j) {
            for (; i < old.length && old[i].account < accounts[j]; ++i) {
                all[count++] = old[i];
            }
            places[j] = count;
            if (i < old.length && old[i].account == accounts[j]) {
                all[count++] = old[i++];
            } else {
                all[count++].account = accounts[j];
            }
        }
        for (; i < old.length; ++i) {
            all[count++] = old[i];
        }
        assembly ("memory-safe") {
            mstore(all, count) // it only becomes shorter
        }
        state.earners = all;
    }

    /// @dev The last `window` values with one more; a new list, since the old one may be full.
    function _remember(int256[] memory values, int256 value, uint256 window)
        private
        pure
        returns (int256[] memory kept)
    {
        uint256 drop = values.length + 1 > window ? values.length + 1 - window : 0;
        uint256 count = values.length + 1 - drop;
        kept = new int256[](count);
        for (uint256 i = 0; i + 1 < count; ++i) {
            kept[i] = values[i + drop];
        }
        kept[count - 1] = value;
    }

    /// @dev The mean, but no less than an eighth of what the good rounds alone would give; without them nothing.
    function _weight(int256[] memory values) private pure returns (uint256) {
        int256 sum = 0;
        int256 good = 0;
        for (uint256 i = 0; i < values.length; ++i) {
            int256 value = values[i];
            sum += value;
            if (value > 0) good += value;
        }
        int256 doubt = good / _DOUBT;
        return uint256(sum > doubt ? sum : doubt) / values.length; // never below zero: doubt is not
    }
}
