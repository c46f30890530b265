// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ModelMarket} from "../src/ModelMarket.sol";
import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {Federation} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev A federation with a recorded model, rewards in force and a market; one-time keys, and what sellers do with them.
abstract contract Market is Federation {
    uint64 internal constant DELIVERY = 1 hours;
    uint256 internal constant PEERS = 8; // quorum 6
    uint256 internal constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    bytes32 internal constant CONTENT_KEY = keccak256("content key");
    uint256 internal constant PRICE = 1000;

    ModelMarket internal market;
    IRoundLedger.Round internal model;
    bytes32[][] internal proofs;
    address[] internal earners;
    uint256[] internal earned;
    uint256 internal earnedTotal;

    /// @dev Peer i has earned i + 1 hundredths of the sum of them all; the last epoch is in force.
    function openMarket() internal {
        deployWith(PEERS);
        market = new ModelMarket(registry, rounds, vault, token, DELIVERY);
        fund(1e24);
        model = child(0, FEDERATION, "model");
        vm.prank(peer(0));
        rounds.recordRound(model);
        for (uint256 i = 0; i < PEERS; ++i) {
            earners.push(peer(i));
            earned.push(100 * (i + 1));
            earnedTotal += earned[i];
        }
        publishEarned(1);
        vm.warp(block.timestamp + DELAY);
    }

    function publishEarned(uint64 epoch) internal {
        (bytes32 root, bytes32[][] memory found) = tree(earners, earned);
        publishRoot(epoch, root, earnedTotal, bytes32(0), signed(epoch, root, earnedTotal, bytes32(0), 6));
        proofs = found;
    }

    function listing() internal view returns (IModelMarket.Listing memory terms) {
        terms.aggregate = model.aggregate;
        terms.record = keccak256(abi.encode(model));
        terms.round = model.round;
        terms.price = PRICE;
        terms.licence = keccak256("licence");
        terms.ciphertext = keccak256("ciphertext");
        terms.keyCommitment = keccak256(abi.encode(CONTENT_KEY));
        terms.epoch = 1;
    }

    function quorumOf(bytes32 digest, uint256 count) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(secrets[i], digest);
            signatures[i] = abi.encodePacked(r, s, v);
        }
    }

    function put(IModelMarket.Listing memory terms) internal returns (bytes32) {
        return market.list(terms, model, quorumOf(market.listingDigest(terms), 6));
    }

    /// @dev A secret and the abscissa of its point, whose ordinate is even.
    function oneTime(uint256 seed) internal returns (uint256 secret, bytes32 key) {
        secret = 1 + uint256(keccak256(abi.encode("one-time", seed))) % (ORDER - 1);
        uint256 y = vm.createWallet(secret).publicKeyY;
        key = bytes32(vm.createWallet(secret).publicKeyX);
        if (y % 2 == 1) secret = ORDER - secret;
    }

    /// @dev The seller's side, from both secrets: the common point is their product times the base.
    function sealedFor(bytes32 sale, uint256 mine, uint256 theirs, bytes32 key) internal pure returns (bytes32) {
        return key ^ keccak256(abi.encode(sale, vm.addr(mulmod(mine, theirs, ORDER))));
    }

    function give(address account, uint256 amount) internal {
        token.transfer(account, amount);
        vm.prank(account);
        token.approve(address(market), type(uint256).max);
    }

    function bought(bytes32 name, address buyer, uint256 seed) internal returns (bytes32 sale) {
        (, bytes32 key) = oneTime(seed);
        vm.prank(buyer);
        return market.buy(name, key);
    }

    function delivered(bytes32 sale, uint256 seed, bytes32 content) internal {
        (uint256 theirs,) = oneTime(seed);
        (uint256 mine, bytes32 senderKey) = oneTime(seed + 1_000_000);
        vm.prank(peer(1));
        market.deliver(sale, senderKey, sealedFor(sale, mine, theirs, content));
    }
}
