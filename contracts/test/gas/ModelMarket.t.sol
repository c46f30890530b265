// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ModelWatch} from "../../src/ModelWatch.sol";
import {IModelMarket} from "../../src/interfaces/IModelMarket.sol";
import {IModelWatch} from "../../src/interfaces/IModelWatch.sol";
import {Market} from "../Market.sol";
import {vm} from "../Vm.sol";

/// @dev What eight peers and a buyer pay, whole transactions; compared with snapshots/Market.json.
contract MarketGasTest is Market {
    address private constant BUYER = address(0xB0B);

    function setUp() public {
        openMarket();
        give(BUYER, 10 * PRICE);
    }

    /// forge-config: default.isolate = true
    function test_a_sale() public {
        bytes32 name = put(listing());
        _spent("list, 6 signatures");
        bytes32 sale = bought(name, BUYER, 1);
        _spent("buy");
        delivered(sale, 1, CONTENT_KEY);
        _spent("deliver");
        vm.prank(BUYER);
        market.accept(sale);
        _spent("accept");
        market.collectMany(name, earners, earned, proofs);
        _spent("collectMany, 8 accounts");
        sale = bought(name, BUYER, 2);
        delivered(sale, 2, keccak256("another key"));
        (uint256 secret,) = oneTime(2);
        market.complain(sale, secret);
        _spent("complain");
        sale = bought(name, BUYER, 3);
        vm.warp(block.timestamp + DELIVERY + 1);
        market.refund(sale);
        _spent("refund");
    }

    /// forge-config: default.isolate = true
    function test_a_watch() public {
        ModelWatch watch = new ModelWatch(registry, rounds, 0);
        IModelMarket.Listing memory terms = listing();
        IModelWatch.Watch memory rule = IModelWatch.Watch({
            record: terms.record, round: 1, threshold: 8000, recovery: 8500, periods: 2, watchers: 3, serial: 0
        });
        bytes32 name = watch.watchDigest(rule);
        watch.open(rule, quorumOf(name, 6));
        _spent("open, 6 signatures");
        string[2] memory steps = ["report, 6 signatures", "report that opens a task"];
        for (uint64 i = 0; i < 2; ++i) {
            IModelWatch.Performance memory sums =
                IModelWatch.Performance({watch: name, period: i + 1, correct: 1, total: 2, watchers: 8});
            watch.report(sums, quorumOf(watch.performanceDigest(sums), 6));
            _spent(steps[i]);
        }
    }

    function _spent(string memory name) private {
        vm.snapshotValue("Market", name, vm.lastCallGas().gasTotalUsed);
    }
}
