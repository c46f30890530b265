// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPayArbiter} from "../../src/interfaces/IPayArbiter.sol";
import {IRewardVault} from "../../src/interfaces/IRewardVault.sol";
import {IRoundLedger} from "../../src/interfaces/IRoundLedger.sol";
import {Federation} from "../Federation.sol";
import {GasFloor} from "./GasFloor.sol";
import {AllSignatures} from "./alternatives/AllSignatures.sol";
import {PerPeerEvent, PerPeerStored} from "./alternatives/PerPeer.sol";
import {vm} from "../Vm.sol";

/// @dev What a round costs in whole transactions, in the steady state (every slot used before), and the floor under it.
/// `npm run gas` compares with ../../snapshots/Gas.json (FORGE_SNAPSHOT_CHECK); docs/RoundLedger.md shows the table.
contract GasTest is Federation {
    uint256 private constant ROUNDS_PER_EPOCH = 100;
    /// gas per peer and round of sixteen peers, four rounds in a transaction, everything after registration
    uint256 private constant CEILING = 3000;

    bytes32 private _head;
    uint64 private _round;

    /// forge-config: default.isolate = true
    function test_a_round_of_4() public {
        _table(4, "n=4, ");
    }

    /// forge-config: default.isolate = true
    function test_a_round_of_8() public {
        _table(8, "n=8, ");
    }

    /// forge-config: default.isolate = true
    function test_a_round_of_16() public {
        require(_table(16, "n=16, ") <= CEILING, "above the ceiling");
    }

    /// forge-config: default.isolate = true
    function test_a_round_of_32() public {
        _table(32, "n=32, ");
    }

    /// forge-config: default.isolate = true
    function test_a_round_of_64() public {
        _table(64, "n=64, ");
    }

    /// forge-config: default.isolate = true
    function test_first_time_costs() public {
        deployWith(2);
        address account = address(0xBEEF);
        token.transfer(account, STAKE);
        vm.prank(account);
        token.approve(address(registry), STAKE);
        vm.prank(account);
        registry.register(keccak256("key"), "tcp://127.0.0.1:5001,5002", STAKE);
        _keep("register", _spent());
        IRoundLedger.Round memory round = child(0, FEDERATION, "");
        vm.prank(peer(1));
        rounds.recordRound(round);
        _keep("recordRound, first lap", _spent());
    }

    /// @return each What a peer pays for a round when four go into a transaction.
    function _table(uint256 peers, string memory n) private returns (uint256 each) {
        deployWith(peers);
        // what the arbiter says of the last record is not ours; that it is asked is measured
        vm.mockCall(PAY_ARBITER, abi.encodeWithSelector(IPayArbiter.isRecorded.selector), abi.encode(true));
        fund(1e24);
        _head = extend(0, FEDERATION, 300); // past one lap of the ring
        _round = 300;
        _alternatives(peers, n);
        (uint256 epoch, uint256 floor) = _thirdEpoch(peers, n);
        for (uint256 count = 1; count <= 8; count *= 2) {
            (uint256 gas, uint256 least) = _record(count);
            string memory name = count == 1 ? "recordRound" : string.concat("recordRounds of ", vm.toString(count));
            if (peers == 16) _keep(name, gas);
            if (peers == 16) _keep(string.concat(name, ", floor"), least);
            uint256 perPeer = (ROUNDS_PER_EPOCH * gas / count + epoch) / (peers * ROUNDS_PER_EPOCH);
            _keep(string.concat(n, name, ": per peer and round"), perPeer);
            uint256 least_ = (ROUNDS_PER_EPOCH * least / count + floor) / (peers * ROUNDS_PER_EPOCH);
            _keep(string.concat(n, name, ": per peer and round, floor"), least_);
            if (count == 4) each = perPeer;
        }
    }

    function _record(uint256 count) private returns (uint256 gas, uint256 floor) {
        IRoundLedger.Round[] memory batch = new IRoundLedger.Round[](count);
        for (uint256 i = 0; i < count; ++i) {
            batch[i] = child(_round, _head, "measured");
            _head = keccak256(abi.encode(batch[i]));
            ++_round;
        }
        uint256 data = abi.encode(batch[0]).length;
        bytes memory call =
            count == 1 ? abi.encodeCall(rounds.recordRound, (batch[0])) : abi.encodeCall(rounds.recordRounds, (batch));
        // who sends: the register's account and one slot; the parent's slot; then per round ring, event and name
        floor = GasFloor.intrinsic(call) + GasFloor.COLD_ACCOUNT + 2 * GasFloor.COLD_READ;
        floor += count * (GasFloor.REWRITE + GasFloor.log(4, data) + GasFloor.hash(data));
        vm.prank(peer(1));
        if (count == 1) rounds.recordRound(batch[0]);
        else rounds.recordRounds(batch);
        gas = _spent();
        require(rounds.isRecorded(_round, _head));
    }

    /// @dev A quorum publishes a hundred rounds and everybody is paid; the third time, when every slot was used before.
    function _thirdEpoch(uint256 peers, string memory n) private returns (uint256 gas, uint256 floor) {
        for (uint64 epoch = 1; epoch <= 3; ++epoch) {
            (address[] memory accounts, uint256[] memory totals, uint256 total) = _earned(epoch);
            (bytes32 root, bytes32[][] memory proofs) = this.treeOf(accounts, totals);
            (gas, floor) = _publish(epoch, root, total);
            if (epoch == 3) _keep(string.concat(n, "publish of 100 rounds"), gas);
            vm.warp(1_700_000_000 + epoch * DELAY);
            vault.claimMany(accounts, totals, proofs);
            uint256 claims = _spent();
            if (epoch == 3) _keep(string.concat(n, "claimMany"), claims);
            gas += claims;
            floor += _claimFloor(peers, abi.encodeCall(vault.claimMany, (accounts, totals, proofs)));
        }
    }

    function _publish(uint64 epoch, bytes32 root, uint256 total) private returns (uint256 gas, uint256 floor) {
        bytes32[] memory records = new bytes32[](ROUNDS_PER_EPOCH);
        bytes32[] memory states = new bytes32[](ROUNDS_PER_EPOCH);
        for (uint256 i = 0; i < ROUNDS_PER_EPOCH; ++i) {
            (records[i], states[i]) = (keccak256(abi.encode(epoch, i)), keccak256(abi.encode(i, epoch)));
        }
        uint256 signers = vault.quorum(secrets.length);
        bytes32 digest = rewardDigest(epoch, root, total, FEDERATION, keccak256(abi.encodePacked(records, states)));
        bytes memory signatures = signedBy(0, signers, digest);
        vault.publish(epoch, root, total, FEDERATION, records, states, signatures);
        gas = _spent();
        bytes memory call =
            abi.encodeCall(IRewardVault.publish, (epoch, root, total, FEDERATION, records, states, signatures));
        // the register, its count and every signer's slot; root, root before, state, state before, digest, epoch and total
        floor = GasFloor.intrinsic(call) + GasFloor.COLD_ACCOUNT + GasFloor.COLD_READ;
        floor += signers * (GasFloor.RECOVER + GasFloor.CALL + GasFloor.COLD_READ) + 7 * GasFloor.REWRITE;
        floor += GasFloor.hash(64 * ROUNDS_PER_EPOCH) + GasFloor.log(2, 5 * 32);
    }

    function _claimFloor(uint256 peers, bytes memory call) private pure returns (uint256 floor) {
        // root, total and claimed; the token's account and the vault's balance; then each account's books and two logs
        floor = GasFloor.intrinsic(call) + 2 * GasFloor.COLD_READ + GasFloor.REWRITE + GasFloor.COLD_ACCOUNT;
        floor += GasFloor.REWRITE + peers * (2 * GasFloor.REWRITE + GasFloor.log(2, 64) + GasFloor.log(3, 32));
    }

    function _alternatives(uint256 peers, string memory n) private {
        if (peers == 16) _perPeer();
        AllSignatures all = new AllSignatures(registry);
        AllSignatures.Signed[] memory signed_ = new AllSignatures.Signed[](peers);
        for (uint256 i = 0; i < peers; ++i) {
            bytes32 statement = keccak256(abi.encode(n, i));
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(secrets[i], statement);
            signed_[i] = AllSignatures.Signed(statement, r, s | bytes32(uint256(v - 27) << 255));
        }
        all.post(1, signed_);
        all.post(257, signed_); // the same slot of the ring
        uint256 gas = _spent();
        uint256 floor = GasFloor.intrinsic(abi.encodeCall(all.post, (257, signed_))) + GasFloor.COLD_ACCOUNT
            + GasFloor.REWRITE + GasFloor.log(2, 64 + 32 * peers) + GasFloor.hash(32 * peers) + peers
            * (GasFloor.RECOVER + GasFloor.CALL + GasFloor.COLD_READ);
        _keep(string.concat(n, "alternative, all signatures in one transaction: per peer and round"), gas / peers);
        _keep(
            string.concat(n, "alternative, all signatures in one transaction: per peer and round, floor"), floor / peers
        );
    }

    function _perPeer() private {
        PerPeerEvent told = new PerPeerEvent(registry);
        PerPeerStored stored = new PerPeerStored(registry);
        uint256 floor = GasFloor.intrinsic(abi.encodeCall(told.contribute, (301, keccak256("two"))));
        floor += GasFloor.COLD_ACCOUNT + GasFloor.COLD_READ + GasFloor.log(3, 32);
        vm.prank(peer(1));
        told.contribute(301, keccak256("two"));
        _keep("alternative, a transaction per peer, event: per peer and round", _spent());
        _keep("alternative, a transaction per peer, event: per peer and round, floor", floor);
        vm.prank(peer(1));
        stored.contribute(300, keccak256("one"));
        vm.prank(peer(1));
        stored.contribute(301, keccak256("two"));
        _keep("alternative, a transaction per peer, stored: per peer and round", _spent());
        _keep("alternative, a transaction per peer, stored: per peer and round, floor", floor + GasFloor.REWRITE);
    }

    /// @dev A call of its own: the compiler would inline the whole of it and run out of stack.
    function treeOf(address[] memory accounts, uint256[] memory totals)
        external
        pure
        returns (bytes32 root, bytes32[][] memory proofs)
    {
        return tree(accounts, totals);
    }

    function _earned(uint64 epoch)
        private
        view
        returns (address[] memory accounts, uint256[] memory totals, uint256 total)
    {
        accounts = new address[](secrets.length);
        totals = new uint256[](secrets.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            accounts[i] = peer(i);
            totals[i] = epoch * (1e18 + uint256(keccak256(abi.encode(i))) % 1e18);
            total += totals[i];
        }
    }

    function _spent() private view returns (uint256) {
        return vm.lastCallGas().gasTotalUsed;
    }

    function _keep(string memory name, uint256 gas) private {
        vm.snapshotValue("Gas", name, gas);
    }
}
