// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {Federation} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev What sixteen peers pay, whole transactions. `forge test` compares with snapshots/Gas.json (FORGE_SNAPSHOT_CHECK).
contract GasTest is Federation {
    uint256 private constant PEERS = 16;
    uint256 private constant ROUNDS_PER_EPOCH = 100;
    /// 21 000 for the transaction, 5 800 calldata, 6 200 event, 7 100 storage, 4 700 asking the registry, each over n,
    /// and 350 for claims and roots; see docs/RoundLedger.md
    uint256 private constant CEILING = 3400;

    function setUp() public {
        deployWith(PEERS);
    }

    /// forge-config: default.isolate = true
    function test_steady_state_of_sixteen_peers() public {
        fund(1e24);
        bytes32 head = extend(0, FEDERATION, 300); // past one lap of the ring
        IRoundLedger.Round memory round = child(300, head, "");
        vm.prank(peer(3));
        rounds.recordRound(round);
        uint256 record = _spent("recordRound, n=16");

        _epoch(1);
        _epoch(2);
        (uint256 publish, uint256 claims) = _epoch(3); // from here on every slot has been used before
        vm.snapshotValue("Gas", "publish, 11 signatures", publish);
        vm.snapshotValue("Gas", "claimMany, 16 accounts", claims);

        uint256 each = (ROUNDS_PER_EPOCH * record + publish + claims) / (PEERS * ROUNDS_PER_EPOCH);
        vm.snapshotValue("Gas", "per peer and round, claims every 100 rounds", each);
        require(each <= CEILING, "above the ceiling");
    }

    /// forge-config: default.isolate = true
    function test_first_time_costs() public {
        address account = address(0xBEEF);
        token.transfer(account, STAKE);
        vm.prank(account);
        token.approve(address(registry), STAKE);
        vm.prank(account);
        registry.register(keccak256("key"), "tcp://127.0.0.1:5001,5002", STAKE);
        _spent("register");
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        vm.prank(peer(3));
        rounds.recordRound(round);
        _spent("recordRound, first lap");
    }

    function _epoch(uint64 epoch) private returns (uint256 publish, uint256 claims) {
        address[] memory accounts = new address[](PEERS);
        uint256[] memory totals = new uint256[](PEERS);
        uint256 total = 0;
        for (uint256 i = 0; i < PEERS; ++i) {
            accounts[i] = peer(i);
            totals[i] = epoch * (1e18 + uint256(keccak256(abi.encode(i))) % 1e18);
            total += totals[i];
        }
        (bytes32 root, bytes32[][] memory proofs) = tree(accounts, totals);
        bytes[] memory signatures = signed(epoch, root, total, keccak256("emissions"), 11);
        vault.publish(epoch, root, total, keccak256("emissions"), signatures);
        publish = vm.lastCallGas().gasTotalUsed;
        vm.warp(1_700_000_000 + epoch * DELAY);
        vault.claimMany(accounts, totals, proofs);
        claims = vm.lastCallGas().gasTotalUsed;
    }

    function _spent(string memory name) private returns (uint256 gas) {
        gas = vm.lastCallGas().gasTotalUsed;
        vm.snapshotValue("Gas", name, gas);
    }
}
