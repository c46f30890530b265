// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ModelMarket} from "../src/ModelMarket.sol";
import {IModelMarket} from "../src/interfaces/IModelMarket.sol";
import {IQuorumSigned} from "../src/interfaces/IQuorumSigned.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {eq} from "./Federation.sol";
import {Market} from "./Market.sol";
import {vm} from "./Vm.sol";

contract ModelMarketTest is Market {
    address private constant BUYER = address(0xB0B);
    bytes32 private name;

    function setUp() public {
        openMarket();
        give(BUYER, 10 * PRICE);
        name = put(listing());
    }

    function test_what_was_deployed_can_be_read() public view {
        eq(market.deliverySeconds(), DELIVERY);
        eq(market.token(), address(token));
        eq(market.registry(), address(registry));
        eq(market.ledger(), address(rounds));
        eq(market.vault(), address(vault));
        require(market.domainSeparator() != vault.domainSeparator(), "a domain of its own");
    }

    // -- listing

    function test_a_listing_freezes_the_root_that_splits_its_price() public {
        IModelMarket.Listing memory terms = listing();
        terms.price = PRICE + 1;
        (, bytes32 root, uint256 total,) = vault.published();
        bytes32 digest = market.listingDigest(terms);
        vm.expectEmit();
        emit IModelMarket.ModelListed(digest, terms, root, total);
        eq(put(terms), digest);
        earned[0] += 400;
        earnedTotal += 400;
        publishEarned(2);
        IModelMarket.Offer memory offer = market.offerOf(digest);
        eq(offer.root, root);
        eq(offer.total, total);
        eq(offer.listing.licence, keccak256("licence"));
    }

    function test_only_a_recorded_model_is_listed() public {
        IModelMarket.Listing memory terms = listing();
        terms.aggregate = keccak256("another");
        _refused(terms, abi.encodeWithSelector(IModelMarket.NotTheRecords.selector, terms.record, terms.aggregate));
        terms = listing();
        terms.round = 2;
        _refused(terms, abi.encodeWithSelector(IModelMarket.NotTheRecords.selector, terms.record, terms.aggregate));
        model = child(0, FEDERATION, "never recorded");
        _refused(listing(), abi.encodeWithSelector(IModelMarket.UnknownRecord.selector, 1, listing().record));
    }

    function test_the_price_is_more_than_nothing_and_below_two_to_the_128() public {
        IModelMarket.Listing memory terms = listing();
        terms.price = 0;
        _refused(terms, abi.encodeWithSelector(IModelMarket.BadPrice.selector, 0));
        terms.price = uint256(type(uint128).max) + 1;
        _refused(terms, abi.encodeWithSelector(IModelMarket.BadPrice.selector, terms.price));
        terms.price = type(uint128).max;
        put(terms);
    }

    function test_a_stale_or_pending_root_splits_nothing() public {
        IModelMarket.Listing memory terms = listing();
        earned[0] += 400;
        earnedTotal += 400;
        publishEarned(2);
        terms.price = 7;
        _refused(terms, abi.encodeWithSelector(IModelMarket.WrongEpoch.selector, 1, 2));
        terms.epoch = 2;
        _refused(terms, abi.encodeWithSelector(IModelMarket.RootPending.selector, block.timestamp + DELAY));
        vm.warp(block.timestamp + DELAY);
        put(terms);
    }

    function test_an_epoch_in_which_nobody_earned_sells_nothing() public {
        deployWith(0);
        for (uint256 i = 0; i < PEERS; ++i) {
            join(peer(i), keccak256(abi.encode("again", i)));
        }
        market = new ModelMarket(registry, rounds, vault, token, DELIVERY);
        model = child(0, FEDERATION, "model");
        vm.prank(peer(0));
        rounds.recordRound(model);
        publishRoot(1, keccak256("nothing"), 0, bytes32(0), signed(1, keccak256("nothing"), 0, bytes32(0), 6));
        vm.warp(block.timestamp + DELAY);
        _refused(listing(), abi.encodeWithSelector(IModelMarket.NobodyContributed.selector, 1));
    }

    function test_a_quorum_of_peers_lists_and_delists() public {
        IModelMarket.Listing memory terms = listing();
        terms.price = 5;
        bytes32 digest = market.listingDigest(terms);
        bytes[] memory signatures = quorumOf(digest, 5);
        vm.expectRevert(abi.encodeWithSelector(IQuorumSigned.QuorumMissing.selector, 5, 6));
        market.list(terms, model, signatures);
        signatures = quorumOf(digest, 6);
        (signatures[0], signatures[1]) = (signatures[1], signatures[0]);
        vm.expectRevert(abi.encodeWithSelector(IQuorumSigned.SignersNotAscending.selector, peer(1), peer(0)));
        market.list(terms, model, signatures);
        signatures = quorumOf(digest, 6);
        signatures[1] = signatures[0];
        vm.expectRevert(abi.encodeWithSelector(IQuorumSigned.SignersNotAscending.selector, peer(0), peer(0)));
        market.list(terms, model, signatures);
        signatures = quorumOf(digest, 7);
        vm.prank(peer(3));
        registry.leave();
        vm.expectRevert(abi.encodeWithSelector(IQuorumSigned.NotAPeer.selector, peer(3)));
        market.list(terms, model, signatures);

        bytes[] memory few = quorumOf(market.delistingDigest(name), 2);
        vm.expectRevert(abi.encodeWithSelector(IQuorumSigned.QuorumMissing.selector, 2, 5)); // of seven
        market.delist(name, few);
    }

    function test_a_listing_comes_once_and_goes_for_good() public {
        IModelMarket.Listing memory terms = listing();
        _refused(terms, abi.encodeWithSelector(IModelMarket.AlreadyListed.selector, name));
        bytes32 sale = bought(name, BUYER, 1);
        bytes[] memory signatures = quorumOf(market.delistingDigest(name), 6);
        vm.expectEmit();
        emit IModelMarket.ModelDelisted(name);
        market.delist(name, signatures);
        (, bytes32 key) = oneTime(2);
        vm.prank(BUYER);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.NotListed.selector, name));
        market.buy(name, key);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.NotListed.selector, name));
        market.delist(name, signatures);
        _refused(terms, abi.encodeWithSelector(IModelMarket.AlreadyListed.selector, name));
        delivered(sale, 1, CONTENT_KEY); // what was sold is still delivered
        vm.prank(BUYER);
        market.accept(sale);
        eq(market.offerOf(name).revenue, PRICE);
    }

    function test_a_market_without_time_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.NoTime.selector));
        new ModelMarket(registry, rounds, vault, token, 0);
    }

    // -- buying and delivering

    function test_a_sale_from_money_to_receipt() public {
        (, bytes32 key) = oneTime(1);
        bytes32 sale = keccak256(abi.encode(name, BUYER, key));
        vm.expectEmit();
        emit IModelMarket.LicenceBought(
            sale, name, BUYER, keccak256("licence"), PRICE, key, uint64(block.timestamp) + DELIVERY
        );
        vm.prank(BUYER);
        market.buy(name, key);
        eq(market.escrowed(), PRICE);
        delivered(sale, 1, CONTENT_KEY);
        eq(market.escrowed(), PRICE); // not theirs yet
        IModelMarket.Receipt memory receipt = market.receiptOf(sale);
        eq(receipt.aggregate, model.aggregate);
        eq(receipt.licence, keccak256("licence"));
        eq(receipt.buyer, BUYER);
        eq(receipt.deliverer, peer(1));
        eq(uint256(receipt.state), uint256(IModelMarket.State.Delivered));
        vm.expectEmit();
        emit IModelMarket.SaleSettled(sale, name, PRICE);
        vm.prank(BUYER);
        market.accept(sale);
        eq(market.escrowed(), 0);
        eq(market.owed(), PRICE);
    }

    function test_the_sealed_key_opens_for_the_buyer_alone() public {
        bytes32 sale = bought(name, BUYER, 1);
        delivered(sale, 1, CONTENT_KEY);
        IModelMarket.Receipt memory receipt = market.receiptOf(sale);
        (uint256 mine,) = oneTime(1);
        (uint256 sender,) = oneTime(1_000_001);
        eq(sealedFor(sale, mine, sender, receipt.sealedKey), CONTENT_KEY);
        (uint256 other,) = oneTime(2);
        require(sealedFor(sale, other, sender, receipt.sealedKey) != CONTENT_KEY);
    }

    function test_the_same_purchase_comes_once_and_another_key_makes_another() public {
        bytes32 sale = bought(name, BUYER, 1);
        (, bytes32 key) = oneTime(1);
        vm.prank(BUYER);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.AlreadyBought.selector, sale));
        market.buy(name, key);
        bought(name, BUYER, 2);
        eq(market.escrowed(), 2 * PRICE);
    }

    function test_a_key_that_is_no_point_is_refused() public {
        bytes32 sale = bought(name, BUYER, 1);
        bytes32[3] memory bad = [bytes32(0), bytes32(uint256(5)), bytes32(type(uint256).max)]; // 5: no point there
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(BUYER);
            vm.expectRevert(abi.encodeWithSelector(IModelMarket.BadKey.selector, bad[i]));
            market.buy(name, bad[i]);
            vm.prank(peer(0));
            vm.expectRevert(abi.encodeWithSelector(IModelMarket.BadKey.selector, bad[i]));
            market.deliver(sale, bad[i], bytes32(0));
        }
    }

    function test_only_peers_deliver_once_and_in_time() public {
        bytes32 sale = bought(name, BUYER, 1);
        (, bytes32 senderKey) = oneTime(9);
        vm.expectRevert(abi.encodeWithSelector(IQuorumSigned.NotAPeer.selector, address(this)));
        market.deliver(sale, senderKey, bytes32(0));
        uint64 until = uint64(block.timestamp) + DELIVERY;
        vm.warp(until + 1);
        vm.prank(peer(1));
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.TooLate.selector, until));
        market.deliver(sale, senderKey, bytes32(0));
        vm.warp(until);
        delivered(sale, 1, CONTENT_KEY);
        vm.prank(peer(2));
        _wrongState(sale, IModelMarket.State.Delivered);
        market.deliver(sale, senderKey, bytes32(0));
    }

    function test_nobody_delivers_and_the_buyer_has_its_money_back_once() public {
        bytes32 sale = bought(name, BUYER, 1);
        uint64 until = uint64(block.timestamp) + DELIVERY;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.TooEarly.selector, until));
        market.refund(sale);
        vm.warp(until + 1);
        vm.expectEmit();
        emit IModelMarket.SaleRefunded(sale, BUYER, PRICE);
        market.refund(sale);
        eq(token.balanceOf(BUYER), 10 * PRICE);
        eq(market.escrowed(), 0);
        _wrongState(sale, IModelMarket.State.Refunded);
        market.refund(sale);
        _wrongState(sale, IModelMarket.State.Refunded);
        market.settle(sale);
    }

    function test_no_refund_after_delivery() public {
        bytes32 sale = bought(name, BUYER, 1);
        delivered(sale, 1, CONTENT_KEY);
        vm.warp(block.timestamp + 3 * DELIVERY);
        _wrongState(sale, IModelMarket.State.Delivered);
        market.refund(sale);
        market.settle(sale);
        _wrongState(sale, IModelMarket.State.Settled);
        market.settle(sale);
        vm.prank(BUYER);
        _wrongState(sale, IModelMarket.State.Settled);
        market.accept(sale);
    }

    function test_the_money_waits_for_the_buyers_word_or_its_time() public {
        bytes32 sale = bought(name, BUYER, 1);
        delivered(sale, 1, CONTENT_KEY);
        uint64 until = uint64(block.timestamp) + DELIVERY;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.TooEarly.selector, until));
        market.settle(sale);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.NotTheBuyer.selector, address(this)));
        market.accept(sale);
        vm.warp(until + 1);
        market.settle(sale);
    }

    // -- complaints

    function test_a_wrong_key_is_proven_by_the_buyers_secret() public {
        bytes32 sale = bought(name, BUYER, 1);
        delivered(sale, 1, keccak256("another key"));
        (uint256 secret,) = oneTime(1);
        vm.expectEmit();
        emit IModelMarket.WrongKeyProven(sale, peer(1));
        vm.expectEmit();
        emit IModelMarket.SaleRefunded(sale, BUYER, PRICE);
        market.complain(sale, secret); // anybody may send it: the money goes to the buyer
        eq(token.balanceOf(BUYER), 10 * PRICE);
        _wrongState(sale, IModelMarket.State.Refunded);
        market.complain(sale, secret);
    }

    function test_a_right_key_is_not_convicted() public {
        bytes32 sale = bought(name, BUYER, 1);
        delivered(sale, 1, CONTENT_KEY);
        (uint256 secret,) = oneTime(1);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.KeyIsRight.selector, sale));
        market.complain(sale, secret);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.WrongSecret.selector, sale));
        market.complain(sale, ORDER - secret); // of the point with the odd ordinate
    }

    function test_another_secret_convicts_nobody() public {
        bytes32 sale = bought(name, BUYER, 1);
        delivered(sale, 1, CONTENT_KEY);
        (uint256 other,) = oneTime(2);
        uint256[4] memory wrong = [other, 0, ORDER, type(uint256).max];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IModelMarket.WrongSecret.selector, sale));
            market.complain(sale, wrong[i]);
        }
    }

    function test_a_complaint_that_comes_too_late_changes_nothing() public {
        bytes32 sale = bought(name, BUYER, 1);
        delivered(sale, 1, keccak256("another key"));
        (uint256 secret,) = oneTime(1);
        uint64 until = uint64(block.timestamp) + DELIVERY;
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.TooLate.selector, until));
        market.complain(sale, secret);
    }

    function testFuzz_whatever_key_was_delivered_the_verdict_is_right(uint256 seed, bytes32 content) public {
        seed %= 1_000_000;
        bytes32 sale = bought(name, BUYER, seed);
        if (uint256(content) % 2 == 0) content = CONTENT_KEY;
        delivered(sale, seed, content);
        (uint256 secret,) = oneTime(seed);
        if (content == CONTENT_KEY) vm.expectRevert(abi.encodeWithSelector(IModelMarket.KeyIsRight.selector, sale));
        market.complain(sale, secret);
    }

    // -- collecting

    function test_the_price_is_split_by_contribution() public {
        _sell(1);
        market.collectMany(name, earners, earned, proofs);
        uint256 sum = 0;
        for (uint256 i = 0; i < PEERS; ++i) {
            eq(token.balanceOf(peer(i)), PRICE * earned[i] / earnedTotal);
            sum += token.balanceOf(peer(i));
        }
        eq(token.balanceOf(address(market)), PRICE - sum); // the dust stays
        eq(market.owed(), PRICE - sum);
        market.collectMany(name, earners, earned, proofs); // nobody is paid twice
        eq(market.owed(), PRICE - sum);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.NothingToCollect.selector, peer(2)));
        market.collect(name, peer(2), earned[2], proofs[2]);
        _sell(2);
        vm.expectEmit();
        emit IModelMarket.ShareCollected(
            name, peer(2), 2 * PRICE * earned[2] / earnedTotal - PRICE * earned[2] / earnedTotal, 166
        );
        market.collect(name, peer(2), earned[2], proofs[2]);
        eq(market.collectedBy(name, peer(2)), 166);
    }

    function test_a_false_share_and_an_unknown_listing_pay_nobody() public {
        _sell(1);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.BadProof.selector, peer(1), earned[1] + 1));
        market.collect(name, peer(1), earned[1] + 1, proofs[1]);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.BadProof.selector, BUYER, earned[1]));
        market.collect(name, BUYER, earned[1], proofs[1]);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.NotListed.selector, keccak256("none")));
        market.collect(keccak256("none"), peer(1), earned[1], proofs[1]);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.LengthMismatch.selector));
        market.collectMany(name, earners, new uint256[](1), proofs);
    }

    function test_a_root_whose_leaves_exceed_its_total_takes_no_other_listings_money() public {
        earnedTotal += 1; // rewards only grow; the leaves below sum to far more than this total
        uint256 told = earnedTotal;
        for (uint256 i = 0; i < PEERS; ++i) {
            earned[i] = told;
        }
        publishEarned(2);
        vm.warp(block.timestamp + DELAY);
        IModelMarket.Listing memory terms = listing();
        terms.epoch = 2;
        bytes32 second = put(terms);
        _sell(1); // somebody else's money
        bytes32 sale = bought(second, BUYER, 5);
        delivered(sale, 5, CONTENT_KEY);
        vm.prank(BUYER);
        market.accept(sale);
        market.collect(second, peer(0), told, proofs[0]);
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.SharesAboveRevenue.selector, 2 * PRICE, PRICE));
        market.collect(second, peer(1), told, proofs[1]);
        eq(market.owed(), PRICE);
    }

    function test_a_recovered_account_is_paid_at_its_recovery_address() public {
        address saved = address(0x5AFE);
        vm.prank(peer(4));
        registry.setRecovery(saved);
        vm.prank(saved);
        registry.recover(peer(4));
        _sell(1);
        market.collect(name, peer(4), earned[4], proofs[4]);
        eq(token.balanceOf(saved), PRICE * earned[4] / earnedTotal);
        eq(token.balanceOf(peer(4)), 0);
    }

    function testFuzz_shares_add_up_to_the_price_less_a_unit_each_at_most(uint128 price, uint8 sales) public {
        IModelMarket.Listing memory terms = listing();
        terms.price = uint256(price) % 1e24 + 1;
        vm.assume(terms.price != PRICE);
        bytes32 second = put(terms);
        uint256 count = uint256(sales) % 4 + 1;
        token.transfer(BUYER, count * terms.price);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 sale = bought(second, BUYER, 100 + i);
            delivered(sale, 100 + i, CONTENT_KEY);
            vm.prank(BUYER);
            market.accept(sale);
            market.collectMany(second, earners, earned, proofs);
        }
        IModelMarket.Offer memory offer = market.offerOf(second);
        eq(offer.revenue, count * terms.price);
        require(offer.paid <= offer.revenue && offer.revenue - offer.paid < PEERS, "dust");
        eq(token.balanceOf(address(market)), market.owed());
    }

    // -- a token that does not do what it says

    function test_a_token_that_returns_false_loses_nothing() public {
        Liar liar = new Liar();
        ModelMarket other = new ModelMarket(registry, rounds, vault, IERC20(address(liar)), DELIVERY);
        IModelMarket.Listing memory terms = listing();
        bytes32 second = other.list(terms, model, quorumOf(other.listingDigest(terms), 6));
        (, bytes32 key) = oneTime(1);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar)));
        other.buy(second, key);
        eq(other.escrowed(), 0);
        liar.tell(true);
        bytes32 sale = other.buy(second, key);
        liar.tell(false);
        vm.warp(block.timestamp + DELIVERY + 1);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(liar)));
        other.refund(sale);
        eq(other.escrowed(), PRICE); // and can be asked for again
    }

    function _sell(uint256 seed) private {
        bytes32 sale = bought(name, BUYER, seed);
        delivered(sale, seed, CONTENT_KEY);
        vm.prank(BUYER);
        market.accept(sale);
    }

    function _refused(IModelMarket.Listing memory terms, bytes memory reason) private {
        bytes[] memory signatures = quorumOf(market.listingDigest(terms), 6);
        IRoundLedger.Round memory round = model;
        vm.expectRevert(reason);
        market.list(terms, round, signatures);
    }

    function _wrongState(bytes32 sale, IModelMarket.State state) private {
        vm.expectRevert(abi.encodeWithSelector(IModelMarket.WrongState.selector, sale, state));
    }
}

/// @dev Moves nothing and says what it is told to say.
contract Liar {
    bool private _answer;

    function tell(bool answer) external {
        _answer = answer;
    }

    function transferFrom(address, address, uint256) external view returns (bool) {
        return _answer;
    }

    function transfer(address, uint256) external view returns (bool) {
        return _answer;
    }
}
