// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IQuorumSigned} from "./IQuorumSigned.sol";
import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IModelMarket
/// @notice Sells licences for a federation's finished models and splits the price by what each account has contributed.
/// A quorum of peers lists a model; a buyer's money is held until a peer has delivered the key to the model, and given
/// back when nobody does or when the key is proven wrong.
interface IModelMarket is IQuorumSigned {
    /// @notice What a quorum offers. Its name, the *listing*, is the EIP-712 digest of this.
    struct Listing {
        /// SHA-256 of the model's canonical parameter bytes
        bytes32 aggregate;
        /// the round that made it, by name and number
        bytes32 record;
        uint64 round;
        /// in the token's smallest unit
        uint256 price;
        /// SHA-256 of the licence's text
        bytes32 licence;
        /// SHA-256 of the encrypted artefact
        bytes32 ciphertext;
        /// keccak256(abi.encode(content key))
        bytes32 keyCommitment;
        /// whose cumulative rewards split the price
        uint64 epoch;
    }

    /// @notice What the market holds of a listing.
    struct Offer {
        Listing listing;
        /// no longer for sale; what was sold is still delivered and paid
        bool delisted;
        /// the vault's root at listing time, and the sum of its leaves
        bytes32 root;
        uint256 total;
        /// what sales have earned, and what of it was paid out
        uint256 revenue;
        uint256 paid;
    }

    /// @notice How far a sale is.
    enum State {
        None,
        Bought,
        Delivered,
        Settled,
        Refunded
    }

    /// @notice The receipt of a sale.
    struct Receipt {
        bytes32 listing;
        bytes32 aggregate;
        bytes32 licence;
        uint256 price;
        address buyer;
        State state;
        /// until when (Unix seconds) the key may be delivered, or, once it is, be proven wrong
        uint64 until;
        /// who delivered
        address deliverer;
        bytes32 buyerKey;
        bytes32 senderKey;
        bytes32 sealedKey;
    }

    /// @notice A quorum put a model up for sale.
    /// @param listing Its name here.
    /// @param terms What is sold.
    /// @param root Of the rewards that split the price.
    /// @param total Their sum.
    event ModelListed(bytes32 indexed listing, Listing terms, bytes32 root, uint256 total);

    /// @notice A quorum took a model off the market.
    event ModelDelisted(bytes32 indexed listing);

    /// @notice Somebody paid for a licence; the price is held here.
    /// @param sale Its name: keccak256(abi.encode(listing, buyer, buyerKey)).
    /// @param licence SHA-256 of the text that was bought.
    /// @param until The last moment for delivery.
    event LicenceBought(
        bytes32 indexed sale,
        bytes32 indexed listing,
        address indexed buyer,
        bytes32 licence,
        uint256 price,
        bytes32 buyerKey,
        uint64 until
    );

    /// @notice A peer delivered the content key, sealed to the buyer's.
    /// @param until The last moment to prove it wrong.
    event KeyDelivered(
        bytes32 indexed sale, address indexed deliverer, bytes32 senderKey, bytes32 sealedKey, uint64 until
    );

    /// @notice The buyer proved that what was delivered is not the key that the quorum had committed to.
    event WrongKeyProven(bytes32 indexed sale, address indexed deliverer);

    /// @notice The price went back.
    event SaleRefunded(bytes32 indexed sale, address indexed buyer, uint256 price);

    /// @notice The price now belongs to those who contributed.
    event SaleSettled(bytes32 indexed sale, bytes32 indexed listing, uint256 price);

    /// @notice An account was paid its share.
    /// @param collected What it has received of this listing in all.
    event ShareCollected(bytes32 indexed listing, address indexed account, uint256 amount, uint256 collected);

    /// @notice Money needs time: the constructor was given none.
    error NoTime();

    /// @notice This very listing has been here before.
    error AlreadyListed(bytes32 listing);

    /// @notice The model is not, or no longer, for sale.
    error NotListed(bytes32 listing);

    /// @notice The record is not on the ledger, or behind its window.
    error UnknownRecord(uint64 round, bytes32 record);

    /// @notice The listing speaks of another round or another model than the record.
    error NotTheRecords(bytes32 record, bytes32 aggregate);

    /// @notice A licence costs something, and less than 2^128 units.
    error BadPrice(uint256 price);

    /// @notice The rewards of another epoch split the price now.
    error WrongEpoch(uint64 epoch, uint64 current);

    /// @notice The epoch's root can still be disputed.
    error RootPending(uint64 activeAt);

    /// @notice Nobody has earned anything in this epoch: there is nobody to pay.
    error NobodyContributed(uint64 epoch);

    /// @notice No point of secp256k1 has this abscissa.
    error BadKey(bytes32 key);

    /// @notice This account has bought this listing with this key before.
    error AlreadyBought(bytes32 sale);

    /// @notice The sale is in another state.
    error WrongState(bytes32 sale, State state);

    /// @notice The time for this is over.
    error TooLate(uint64 until);

    /// @notice The time to wait for is not over.
    error TooEarly(uint64 until);

    /// @notice Only the buyer says that it is content.
    error NotTheBuyer(address account);

    /// @notice This is not the secret of the buyer's key.
    error WrongSecret(bytes32 sale);

    /// @notice The key that was delivered is the one that was sold. (Whoever sends this complaint has shown it to all.)
    error KeyIsRight(bytes32 sale);

    /// @notice The proof does not lead to the listing's root.
    error BadProof(address account, uint256 cumulative);

    /// @notice The account has been paid its share.
    error NothingToCollect(address account);

    /// @notice The shares exceed the revenue: the root is not the sum of its leaves.
    error SharesAboveRevenue(uint256 shares, uint256 revenue);

    /// @notice The lists differ in length.
    error LengthMismatch();

    /// @notice Put a model up for sale; anyone may send what a quorum signed.
    /// @param terms What is sold; its epoch is the vault's newest, and in force.
    /// @param round The round that made the model, as it was recorded.
    /// @param signatures EIP-712 signatures over Listing(bytes32 aggregate,bytes32 record,uint64 round,uint256
    /// price,bytes32 licence,bytes32 ciphertext,bytes32 keyCommitment,uint64 epoch) by a quorum of active peers, in
    /// the ascending order of their addresses.
    /// @return listing Its name.
    function list(Listing calldata terms, IRoundLedger.Round calldata round, bytes[] calldata signatures)
        external
        returns (bytes32 listing);

    /// @notice Take a model off the market for good.
    /// @param signatures Of a quorum over Delisting(bytes32 listing).
    function delist(bytes32 listing, bytes[] calldata signatures) external;

    /// @notice Buy a licence; needs an allowance of the price, which is held here until the key is delivered.
    /// @param buyerKey Abscissa of a one-time public key on secp256k1 whose ordinate is even.
    /// @return sale Its name.
    function buy(bytes32 listing, bytes32 buyerKey) external returns (bytes32 sale);

    /// @notice Deliver the content key; any active peer may, once.
    /// @param senderKey One-time public key of the sender, an abscissa too.
    /// @param sealedKey The content key, XORed with keccak256(abi.encode(sale, address of the common point)).
    function deliver(bytes32 sale, bytes32 senderKey, bytes32 sealedKey) external;

    /// @notice The buyer has opened the model and waits no longer.
    function accept(bytes32 sale) external;

    /// @notice Nobody proved the key wrong in time: the price goes to the contributors. Anyone may call it.
    function settle(bytes32 sale) external;

    /// @notice Prove that the delivered key is wrong; the price goes back to the buyer, whoever calls.
    /// @dev Shows the secret to all: never call it for a key that is right.
    /// @param secret Of the buyer's one-time key.
    function complain(bytes32 sale, uint256 secret) external;

    /// @notice Nobody delivered in time: the price goes back to the buyer. Anyone may call it.
    function refund(bytes32 sale) external;

    /// @notice Pay an account its share of what a listing has earned; anyone may call it.
    /// @param cumulative Its reward under the listing's root.
    /// @param proof That it is.
    function collect(bytes32 listing, address account, uint256 cumulative, bytes32[] calldata proof) external;

    /// @notice Pay many in one transaction. Who has been paid already is skipped, so that nobody can spoil the batch.
    function collectMany(
        bytes32 listing,
        address[] calldata accounts,
        uint256[] calldata cumulatives,
        bytes32[][] calldata proofs
    ) external;

    /// @notice What the market holds of a listing; all zero for none.
    function offerOf(bytes32 listing) external view returns (Offer memory);

    /// @notice The receipt of a sale; all zero for none.
    function receiptOf(bytes32 sale) external view returns (Receipt memory);

    /// @notice What an account was paid of a listing.
    function collectedBy(bytes32 listing, address account) external view returns (uint256);

    /// @notice What is held for sales that are neither settled nor refunded.
    function escrowed() external view returns (uint256);

    /// @notice What settled sales have earned and nobody has collected.
    function owed() external view returns (uint256);

    /// @notice The name of a listing: what a quorum signs for it.
    function listingDigest(Listing calldata terms) external view returns (bytes32);

    /// @notice What a quorum signs to take a listing off the market.
    function delistingDigest(bytes32 listing) external view returns (bytes32);

    /// @notice Seconds from purchase to the last moment of delivery, and from delivery to the last complaint.
    function deliverySeconds() external view returns (uint64);

    /// @notice The token of the prices.
    function token() external view returns (address);

    /// @notice The peers' register.
    function registry() external view returns (address);

    /// @notice The ledger of the models' records.
    function ledger() external view returns (address);

    /// @notice The vault whose roots split the prices.
    function vault() external view returns (address);

    /// @notice The EIP-712 domain under which listings are signed.
    function domainSeparator() external view returns (bytes32);
}
