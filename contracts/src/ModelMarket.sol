// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IModelMarket} from "./interfaces/IModelMarket.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRewardVault} from "./interfaces/IRewardVault.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {QuorumSigned} from "./libraries/QuorumSigned.sol";
import {SealedKey} from "./libraries/SealedKey.sol";

/// @title ModelMarket
/// @notice See {IModelMarket}. What buyers paid is held for them, owed to contributors, or paid, at every moment.
contract ModelMarket is IModelMarket, EIP712 {
    using SafeERC20 for IERC20;

    struct Sale {
        bytes32 listing;
        address buyer;
        uint64 until;
        State state;
        address deliverer;
        bytes32 buyerKey;
        bytes32 senderKey;
        bytes32 sealedKey;
    }

    bytes32 private constant _LISTING = keccak256(
        "Listing(bytes32 aggregate,bytes32 record,uint64 round,uint256 price,bytes32 licence,bytes32 ciphertext,"
        "bytes32 keyCommitment,uint64 epoch)"
    );
    bytes32 private constant _DELISTING = keccak256("Delisting(bytes32 listing)");

    IPeerRegistry private immutable _registry;
    IRoundLedger private immutable _ledger;
    IRewardVault private immutable _vault;
    IERC20 private immutable _token;
    uint64 private immutable _deliverySeconds;

    mapping(bytes32 listing => Offer) private _offers;
    mapping(bytes32 sale => Sale) private _sales;
    mapping(bytes32 listing => mapping(address account => uint256)) private _collected;
    uint256 private _escrowed;
    uint256 private _owed;

    /// @param registry_ Whose active peers list and deliver.
    /// @param ledger_ Where the models come from.
    /// @param vault_ Whose rewards split the prices.
    /// @param token_ A plain ERC-20: what is sent arrives.
    /// @param deliverySeconds_ For a delivery, and for a complaint about it.
    constructor(
        IPeerRegistry registry_,
        IRoundLedger ledger_,
        IRewardVault vault_,
        IERC20 token_,
        uint64 deliverySeconds_
    ) EIP712("PeerageMarket", "1") {
        require(deliverySeconds_ > 0, NoTime());
        _registry = registry_;
        _ledger = ledger_;
        _vault = vault_;
        _token = token_;
        _deliverySeconds = deliverySeconds_;
    }

    /// @inheritdoc IModelMarket
    function list(Listing calldata terms, IRoundLedger.Round calldata round, bytes[] calldata signatures)
        external
        returns (bytes32 listing)
    {
        listing = listingDigest(terms);
        Offer storage offer = _offers[listing];
        require(offer.total == 0, AlreadyListed(listing));
        require(terms.price > 0 && terms.price <= type(uint128).max, BadPrice(terms.price));
        require(
            keccak256(abi.encode(round)) == terms.record && round.aggregate == terms.aggregate
                && round.round == terms.round,
            NotTheRecords(terms.record, terms.aggregate)
        );
        require(_ledger.isRecorded(terms.round, terms.record), UnknownRecord(terms.round, terms.record));
        (uint64 epoch, bytes32 root, uint256 total, uint64 activeAt) = _vault.published();
        require(terms.epoch == epoch, WrongEpoch(terms.epoch, epoch));
        require(block.timestamp >= activeAt, RootPending(activeAt));
        require(total > 0, NobodyContributed(epoch));
        QuorumSigned.check(_registry, listing, signatures);
        offer.listing = terms;
        offer.root = root;
        offer.total = total;
        emit ModelListed(listing, terms, root, total);
    }

    /// @inheritdoc IModelMarket
    function delist(bytes32 listing, bytes[] calldata signatures) external {
        _forSale(listing);
        QuorumSigned.check(_registry, delistingDigest(listing), signatures);
        _offers[listing].delisted = true;
        emit ModelDelisted(listing);
    }

    /// @inheritdoc IModelMarket
    function buy(bytes32 listing, bytes32 buyerKey) external returns (bytes32 sale) {
        _forSale(listing);
        require(SealedKey.isKey(buyerKey), BadKey(buyerKey));
        sale = keccak256(abi.encode(listing, msg.sender, buyerKey));
        Sale storage made = _sales[sale];
        require(made.state == State.None, AlreadyBought(sale));
        uint64 until = _deadline();
        (made.listing, made.buyer, made.until, made.state, made.buyerKey) =
        (listing, msg.sender, until, State.Bought, buyerKey);
        Listing storage terms = _offers[listing].listing;
        uint256 price = terms.price;
        _escrowed += price;
        emit LicenceBought(sale, listing, msg.sender, terms.licence, price, buyerKey, until);
        _token.safeTransferFrom(msg.sender, address(this), price);
    }

    /// @inheritdoc IModelMarket
    function deliver(bytes32 sale, bytes32 senderKey, bytes32 sealedKey) external {
        require(_registry.isActive(msg.sender), NotAPeer(msg.sender));
        Sale storage made = _in(sale, State.Bought);
        require(block.timestamp <= made.until, TooLate(made.until));
        require(SealedKey.isKey(senderKey), BadKey(senderKey));
        uint64 until = _deadline();
        (made.until, made.state, made.deliverer) = (until, State.Delivered, msg.sender);
        (made.senderKey, made.sealedKey) = (senderKey, sealedKey);
        emit KeyDelivered(sale, msg.sender, senderKey, sealedKey, until);
    }

    /// @inheritdoc IModelMarket
    function accept(bytes32 sale) external {
        Sale storage made = _in(sale, State.Delivered);
        require(msg.sender == made.buyer, NotTheBuyer(msg.sender));
        _settle(sale, made);
    }

    /// @inheritdoc IModelMarket
    function settle(bytes32 sale) external {
        Sale storage made = _in(sale, State.Delivered);
        require(block.timestamp > made.until, TooEarly(made.until));
        _settle(sale, made);
    }

    /// @inheritdoc IModelMarket
    function complain(bytes32 sale, uint256 secret) external {
        Sale storage made = _in(sale, State.Delivered);
        require(block.timestamp <= made.until, TooLate(made.until));
        require(SealedKey.isSecret(secret, made.buyerKey), WrongSecret(sale));
        bytes32 key = SealedKey.open(secret, made.senderKey, made.sealedKey, sale);
        require(keccak256(abi.encode(key)) != _offers[made.listing].listing.keyCommitment, KeyIsRight(sale));
        emit WrongKeyProven(sale, made.deliverer);
        _refund(sale, made);
    }

    /// @inheritdoc IModelMarket
    function refund(bytes32 sale) external {
        Sale storage made = _in(sale, State.Bought);
        require(block.timestamp > made.until, TooEarly(made.until));
        _refund(sale, made);
    }

    /// @inheritdoc IModelMarket
    function collect(bytes32 listing, address account, uint256 cumulative, bytes32[] calldata proof) external {
        uint256 amount = _share(listing, account, cumulative, proof);
        require(amount > 0, NothingToCollect(account));
        _book(listing, amount);
        _token.safeTransfer(_registry.payeeOf(account), amount);
    }

    /// @inheritdoc IModelMarket
    function collectMany(
        bytes32 listing,
        address[] calldata accounts,
        uint256[] calldata cumulatives,
        bytes32[][] calldata proofs
    ) external {
        uint256 count = accounts.length;
        require(count == cumulatives.length && count == proofs.length, LengthMismatch());
        uint256[] memory amounts = new uint256[](count);
        uint256 sum = 0;
        for (uint256 i = 0; i < count; ++i) {
            amounts[i] = _share(listing, accounts[i], cumulatives[i], proofs[i]);
            sum += amounts[i];
        }
        _book(listing, sum);
        for (uint256 i = 0; i < count; ++i) {
            if (amounts[i] > 0) _token.safeTransfer(_registry.payeeOf(accounts[i]), amounts[i]);
        }
    }

    /// @inheritdoc IModelMarket
    function offerOf(bytes32 listing) external view returns (Offer memory) {
        return _offers[listing];
    }

    /// @inheritdoc IModelMarket
    function receiptOf(bytes32 sale) external view returns (Receipt memory) {
        Sale memory made = _sales[sale];
        Listing memory terms = _offers[made.listing].listing;
        return Receipt({
            listing: made.listing,
            aggregate: terms.aggregate,
            licence: terms.licence,
            price: terms.price,
            buyer: made.buyer,
            state: made.state,
            until: made.until,
            deliverer: made.deliverer,
            buyerKey: made.buyerKey,
            senderKey: made.senderKey,
            sealedKey: made.sealedKey
        });
    }

    /// @inheritdoc IModelMarket
    function collectedBy(bytes32 listing, address account) external view returns (uint256) {
        return _collected[listing][account];
    }

    /// @inheritdoc IModelMarket
    function escrowed() external view returns (uint256) {
        return _escrowed;
    }

    /// @inheritdoc IModelMarket
    function owed() external view returns (uint256) {
        return _owed;
    }

    /// @inheritdoc IModelMarket
    function listingDigest(Listing calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_LISTING, terms)));
    }

    /// @inheritdoc IModelMarket
    function delistingDigest(bytes32 listing) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_DELISTING, listing)));
    }

    /// @inheritdoc IModelMarket
    function deliverySeconds() external view returns (uint64) {
        return _deliverySeconds;
    }

    /// @inheritdoc IModelMarket
    function token() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IModelMarket
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IModelMarket
    function ledger() external view returns (address) {
        return address(_ledger);
    }

    /// @inheritdoc IModelMarket
    function vault() external view returns (address) {
        return address(_vault);
    }

    /// @inheritdoc IModelMarket
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _forSale(bytes32 listing) private view {
        Offer storage offer = _offers[listing];
        require(offer.total > 0 && !offer.delisted, NotListed(listing));
    }

    function _in(bytes32 sale, State state) private view returns (Sale storage made) {
        made = _sales[sale];
        require(made.state == state, WrongState(sale, made.state));
    }

    function _deadline() private view returns (uint64) {
        return SafeCast.toUint64(block.timestamp) + _deliverySeconds;
    }

    function _settle(bytes32 sale, Sale storage made) private {
        Offer storage offer = _offers[made.listing];
        uint256 price = offer.listing.price;
        made.state = State.Settled;
        offer.revenue += price;
        _escrowed -= price;
        _owed += price;
        emit SaleSettled(sale, made.listing, price);
    }

    function _refund(bytes32 sale, Sale storage made) private {
        uint256 price = _offers[made.listing].listing.price;
        made.state = State.Refunded;
        _escrowed -= price;
        emit SaleRefunded(sale, made.buyer, price);
        _token.safeTransfer(made.buyer, price);
    }

    /// @dev Notes what an account is due now and returns it; zero if it was paid already. Rounded down: what is left
    /// over stays here for the next sale of this listing.
    function _share(bytes32 listing, address account, uint256 cumulative, bytes32[] calldata proof)
        private
        returns (uint256 amount)
    {
        Offer storage offer = _offers[listing];
        uint256 total = offer.total;
        require(total > 0, NotListed(listing));
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        require(
            cumulative <= total && MerkleProof.verifyCalldata(proof, offer.root, leaf), BadProof(account, cumulative)
        );
        uint256 due = Math.mulDiv(offer.revenue, cumulative, total);
        uint256 before = _collected[listing][account];
        if (due <= before) return 0;
        _collected[listing][account] = due;
        amount = due - before;
        emit ShareCollected(listing, account, amount, due);
    }

    /// @dev Whatever the leaves say, no more leaves than the sales of this listing have earned.
    function _book(bytes32 listing, uint256 amount) private {
        Offer storage offer = _offers[listing];
        uint256 sum = offer.paid + amount;
        require(sum <= offer.revenue, SharesAboveRevenue(sum, offer.revenue));
        offer.paid = sum;
        _owed -= amount;
    }
}
