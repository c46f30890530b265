// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {Market} from "./Market.sol";
import {vm} from "./Vm.sol";

/// @dev What buyers, sellers and strangers may do on the market in any order; it keeps its own books beside the contract's.
contract MarketHandler is Market {
    string public broken;
    uint256 public boughtModel;
    uint256 public settledModel;
    uint256 public refundedModel;
    uint256 public collectedModel;

    bytes32[] private _listings;
    bytes32[] private _sales;
    mapping(bytes32 sale => uint256) private _seeds;
    mapping(bytes32 sale => bool) private _honest;
    uint256 private _next;

    constructor() {
        openMarket();
        IModelMarket.Listing memory terms = listing();
        for (uint256 i = 0; i < 3; ++i) {
            terms.price = 1 + 777 * i;
            _listings.push(put(terms));
        }
    }

    function books() external view returns (uint256 balance, uint256 escrowed, uint256 owed) {
        return (token.balanceOf(address(market)), market.escrowed(), market.owed());
    }

    function pass(uint16 time) external {
        vm.warp(block.timestamp + time % DELIVERY);
    }

    function delistFirst() external {
        if (_next % 7 != 6) return;
        bytes[] memory signatures = quorumOf(market.delistingDigest(_listings[0]), 6);
        try market.delist(_listings[0], signatures) {} catch {}
    }

    function buy(uint8 which, uint8 who) external {
        bytes32 name = _listings[which % 3];
        address buyer = address(uint160(0xB000 + who % 4));
        uint256 price = market.offerOf(name).listing.price;
        give(buyer, price);
        (, bytes32 key) = oneTime(_next);
        vm.prank(buyer);
        try market.buy(name, key) returns (bytes32 sale) {
            _sales.push(sale);
            _seeds[sale] = _next;
            boughtModel += price;
        } catch {
            if (!market.offerOf(name).delisted) broken = "a sale refused without a reason";
        }
        ++_next;
    }

    function deliver(uint256 which, bool honest) external {
        if (_sales.length == 0) return;
        bytes32 sale = _sales[which % _sales.length];
        IModelMarket.Receipt memory before = market.receiptOf(sale);
        (uint256 theirs,) = oneTime(_seeds[sale]);
        (uint256 mine, bytes32 senderKey) = oneTime(_seeds[sale] + 1_000_000);
        bytes32 sealedKey = sealedFor(sale, mine, theirs, honest ? CONTENT_KEY : bytes32(which));
        vm.prank(peer(which % PEERS));
        try market.deliver(sale, senderKey, sealedKey) {
            if (before.state != IModelMarket.State.Bought || block.timestamp > before.until) broken = "late or twice";
            _honest[sale] = honest;
        } catch {}
    }

    function accept(uint256 which, bool asBuyer) external {
        if (_sales.length == 0) return;
        bytes32 sale = _sales[which % _sales.length];
        IModelMarket.Receipt memory before = market.receiptOf(sale);
        if (asBuyer) vm.prank(before.buyer);
        try market.accept(sale) {
            if (!asBuyer) broken = "accepted by a stranger";
            _settled(before);
        } catch {}
    }

    function settle(uint256 which) external {
        if (_sales.length == 0) return;
        bytes32 sale = _sales[which % _sales.length];
        IModelMarket.Receipt memory before = market.receiptOf(sale);
        try market.settle(sale) {
            if (block.timestamp <= before.until) broken = "settled before its time";
            _settled(before);
        } catch {}
    }

    function refund(uint256 which) external {
        if (_sales.length == 0) return;
        bytes32 sale = _sales[which % _sales.length];
        IModelMarket.Receipt memory before = market.receiptOf(sale);
        uint256 balance = token.balanceOf(before.buyer);
        try market.refund(sale) {
            if (before.state != IModelMarket.State.Bought || block.timestamp <= before.until) {
                broken = "refunded early";
            }
            _refunded(before, balance);
        } catch {}
    }

    function complain(uint256 which, bool withSecret) external {
        if (_sales.length == 0) return;
        bytes32 sale = _sales[which % _sales.length];
        IModelMarket.Receipt memory before = market.receiptOf(sale);
        uint256 balance = token.balanceOf(before.buyer);
        (uint256 secret,) = oneTime(_seeds[sale] + (withSecret ? 0 : 1));
        try market.complain(sale, secret) {
            if (_honest[sale] || !withSecret) broken = "an honest delivery convicted";
            _refunded(before, balance);
        } catch {
            bool inTime = before.state == IModelMarket.State.Delivered && block.timestamp <= before.until;
            if (inTime && withSecret && !_honest[sale]) broken = "a wrong key went unpunished";
        }
    }

    function collect(uint8 which, uint8 who, uint8 lie) external {
        bytes32 name = _listings[which % 3];
        uint256 i = who % PEERS;
        uint256 before = token.balanceOf(peer(i));
        try market.collect(name, peer(i), earned[i] + (lie < 32 ? lie : 0), proofs[i]) {
            if (lie < 32 && lie > 0) broken = "a lie was paid";
            uint256 amount = token.balanceOf(peer(i)) - before;
            collectedModel += amount;
            if (market.collectedBy(name, peer(i)) != market.offerOf(name).revenue * earned[i] / earnedTotal) {
                broken = "another share";
            }
        } catch {}
    }

    function collectAll(uint8 which) external {
        uint256 before = token.balanceOf(address(market));
        market.collectMany(_listings[which % 3], earners, earned, proofs);
        collectedModel += before - token.balanceOf(address(market));
    }

    function _settled(IModelMarket.Receipt memory before) private {
        if (before.state != IModelMarket.State.Delivered) broken = "settled without a delivery";
        settledModel += before.price;
    }

    function _refunded(IModelMarket.Receipt memory before, uint256 balance) private {
        if (token.balanceOf(before.buyer) - balance != before.price) broken = "a refund came back short";
        refundedModel += before.price;
    }
}
