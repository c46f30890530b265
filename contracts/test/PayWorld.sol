// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PayArbiter} from "../src/PayArbiter.sol";
import {IPayArbiter} from "../src/interfaces/IPayArbiter.sol";
import {IRoundArbiter} from "../src/interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {AddressTree} from "../src/libraries/AddressTree.sol";
import {PayRule} from "../src/libraries/PayRule.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev A line of scored rounds on the ledger, the states that follow from them, and quorums that sign them or lies.
abstract contract PayWorld is Federation {
    bytes32 internal constant EMISSIONS = keccak256("emissions");
    uint256 internal constant POOL = 1e21;
    uint256 internal constant QUORUM = 6; // of eight
    address internal constant CHALLENGER = address(0xC0DE);

    PayArbiter internal arbiter;

    /// @dev What everybody knows of an epoch: `states[k]` is the one before round k, the last one that after all.
    struct World {
        IRoundLedger.Round[] rounds;
        PayRule.State[] states;
        address[] accounts;
        bytes32[][] leaves;
        IPayArbiter.Publication published;
    }

    function payArbiterAt(uint256 nonce) internal view override returns (address) {
        return vm.computeCreateAddress(address(this), nonce);
    }

    function deployPay(uint32 window) internal {
        deployWith(8);
        arbiter = _arbiter(PayRule.Terms(uint128(POOL), 40, 2, window));
        eq(address(arbiter), vault.payArbiter());
        _void(bytes32(0), false);
        fund(POOL);
    }

    function _arbiter(PayRule.Terms memory terms) internal virtual returns (PayArbiter);

    /// @dev Of every record, or of one.
    function _void(bytes32 record, bool voided) internal {
        bytes memory call = record == bytes32(0)
            ? abi.encodeWithSelector(IRoundArbiter.voided.selector)
            : abi.encodeCall(IRoundArbiter.voided, (record));
        vm.mockCall(ROUND_ARBITER, call, abi.encode(voided));
    }

    function rootOf(address[] calldata accounts, bytes32[] calldata leaves) external pure returns (bytes32) {
        return AddressTree.rootOf(accounts, leaves);
    }

    function leaf(int256 number, int64 exponent) internal pure returns (bytes32) {
        return bytes32((uint256(number) << 64) | uint64(exponent));
    }

    function people(uint256 count) internal pure returns (address[] memory accounts) {
        accounts = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            accounts[i] = address(uint160(0x10000 + i));
        }
    }

    /// @dev `count` rounds of `members` on the last of `start`, recorded.
    function world(PayRule.State memory start, uint256 count, uint256 members) internal returns (World memory w) {
        w.accounts = people(members);
        w.rounds = new IRoundLedger.Round[](count);
        w.states = new PayRule.State[](count + 1);
        w.leaves = new bytes32[][](count);
        w.states[0] = start;
        for (uint256 k = 0; k < count; ++k) {
            w.leaves[k] = new bytes32[](members);
            for (uint256 i = 0; i < members; ++i) {
                int256 number = int256(uint256(keccak256(abi.encode(start.record, k, i))) % (1 << 31)) - (1 << 29);
                w.leaves[k][i] = i == k + 1 ? PayRule.CLOSED : leaf(number, 30);
            }
            _put(w, k);
        }
        _say(w);
    }

    /// @dev Records round k with its leaves and computes the state after it.
    function _put(World memory w, uint256 k) internal {
        this.recorded(w.states[k].rounds, w.states[k].record, w.accounts, w.leaves[k]);
        (w.rounds[k], w.states[k + 1]) = this.recordedAfter(w.states[k], w.accounts, w.leaves[k]);
    }

    /// @dev Calls of their own: the compiler would inline all of it and run out of stack.
    function recorded(uint64 number, bytes32 parent, address[] memory accounts, bytes32[] memory leaves) external {
        IRoundLedger.Round memory round = _round(number, parent, accounts, leaves);
        vm.prank(peer(0));
        rounds.recordRound(round);
    }

    function recordedAfter(PayRule.State memory before, address[] memory accounts, bytes32[] memory leaves)
        external
        view
        returns (IRoundLedger.Round memory round, PayRule.State memory state)
    {
        round = _round(before.rounds, before.record, accounts, leaves);
        state = _after(before, keccak256(abi.encode(round)), accounts.length, accounts, leaves);
    }

    function _round(uint64 number, bytes32 parent, address[] memory accounts, bytes32[] memory leaves)
        private
        view
        returns (IRoundLedger.Round memory round)
    {
        round = child(number, parent, "");
        round.scoreRoot = this.rootOf(accounts, leaves);
        // forge-lint: disable-next-line(unsafe-typecast) a handful
        round.members = uint16(accounts.length);
    }

    function _after(
        PayRule.State memory before,
        bytes32 record,
        uint256 members,
        address[] memory accounts,
        bytes32[] memory leaves
    ) internal view returns (PayRule.State memory) {
        return arbiter.stateAfter(before, record, members, accounts, leaves);
    }

    /// @dev What an honest quorum signs.
    function _say(World memory w) internal view {
        uint256 count = w.rounds.length;
        w.published.epoch = 1;
        w.published.emissionRoot = EMISSIONS;
        w.published.records = new bytes32[](count);
        w.published.states = new bytes32[](count);
        for (uint256 k = 0; k < count; ++k) {
            w.published.records[k] = w.states[k + 1].record;
            w.published.states[k] = arbiter.digestOf(w.states[k + 1]);
        }
        (w.published.root, w.published.total) = _claims(w.states[count]);
    }

    /// @dev By the test's own tree.
    function _claims(PayRule.State memory state) internal pure returns (bytes32 root, uint256 total) {
        uint256 count = 0;
        for (uint256 i = 0; i < state.earners.length; ++i) {
            if (state.earners[i].cumulative > 0) ++count;
        }
        if (count == 0) return (bytes32(0), 0);
        address[] memory accounts = new address[](count);
        uint256[] memory totals = new uint256[](count);
        count = 0;
        for (uint256 i = 0; i < state.earners.length; ++i) {
            if (state.earners[i].cumulative == 0) continue;
            (accounts[count], totals[count]) = (state.earners[i].account, state.earners[i].cumulative);
            total += totals[count++];
        }
        (root,) = tree(accounts, totals);
    }

    function digestOf(IPayArbiter.Publication memory p) internal view returns (bytes32) {
        bytes32 steps = keccak256(abi.encodePacked(p.records, p.states));
        return rewardDigest(p.epoch, p.root, p.total, p.emissionRoot, steps);
    }

    function publish(IPayArbiter.Publication memory p) internal returns (bytes memory signatures) {
        signatures = signedBy(0, QUORUM, digestOf(p));
        vault.publish(p.epoch, p.root, p.total, p.emissionRoot, p.records, p.states, signatures);
    }

    function proveStep(World memory w, uint256 k, bytes memory signatures) internal {
        vm.prank(CHALLENGER);
        arbiter.proveWrongStep(w.published, k, w.states[k], w.rounds[k], w.accounts, w.leaves[k], signatures);
    }

    function empty() internal pure returns (PayRule.State memory state) {
        state.record = FEDERATION;
    }
}
