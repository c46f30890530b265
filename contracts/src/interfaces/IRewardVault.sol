// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IRewardVault
/// @notice Pays what a quorum of peers has signed: one Merkle root of cumulative rewards per epoch, pulled by anyone for
/// anyone. A leaf is keccak256(keccak256(abi.encode(account, cumulative))); nodes are hashed in sorted pairs.
interface IRewardVault {
    /// @notice The last publication, for whoever wants to dispute it; a digest of zero says that it was voided.
    /// @param epoch The last one.
    /// @param digest What its quorum signed (EIP-712).
    /// @param stateBefore The hash of the pay state that its first step starts from; zero before the first epoch.
    /// @param state The hash of its last pay state.
    /// @param publishedAt When it came (Unix seconds).
    /// @param activeAt From when it can be claimed from, and not be voided any more.
    struct Publication {
        uint64 epoch;
        bytes32 digest;
        bytes32 stateBefore;
        bytes32 state;
        uint64 publishedAt;
        uint64 activeAt;
    }

    /// @notice Somebody put tokens into the pool.
    event VaultFunded(address indexed from, uint256 amount);

    /// @notice A quorum published what everybody has earned so far.
    /// @param epoch Counts 1, 2, 3, …
    /// @param root Of the cumulative rewards.
    /// @param total Their sum.
    /// @param emissionRoot Of the emission records that stand beside them; kept in this event alone.
    /// @param steps keccak256(abi.encodePacked(records, states)); both lists are in the calldata of `publish`.
    event RootPublished(uint64 indexed epoch, bytes32 root, uint256 total, bytes32 emissionRoot, bytes32 steps);

    /// @notice A root was proven wrong before anybody could claim from it: the one before it serves again.
    /// @param epoch May be published anew.
    /// @param digest What the quorum had signed; it is never accepted again.
    event RootVoided(uint64 indexed epoch, bytes32 digest);

    /// @notice An account was paid.
    /// @param account Who received it.
    /// @param amount What it received now.
    /// @param cumulative What it has received in all.
    event RewardClaimed(address indexed account, uint256 amount, uint256 cumulative);

    /// @notice Epochs follow one another without a gap.
    error WrongEpoch(uint64 epoch, uint64 expected);

    /// @notice The root before this one cannot be claimed from yet.
    error PreviousRootPending(uint64 activeAt);

    /// @notice Only the pay arbiter voids a root.
    error NotThePayArbiter(address account);

    /// @notice The epoch is not the last one, or its root can be claimed from already.
    error NotPending(uint64 epoch);

    /// @notice What these peers signed was proven wrong once.
    error RootWasVoided(bytes32 digest);

    /// @notice The last record of the line is not on the ledger (yet), or not the one of that round.
    error UnknownRecord(uint64 round, bytes32 record);

    /// @notice Rewards only grow.
    error TotalBelowPrevious(uint256 total, uint256 previous);

    /// @notice More than the vault was given.
    error TotalAboveFunded(uint256 total, uint256 funded);

    /// @notice A signer is not an active peer.
    error NotAPeer(address account);

    /// @notice Signatures come in the ascending order of their signers, each once.
    error SignersNotAscending(address previous, address signer);

    /// @notice Signatures are 64 bytes each.
    error BadSignatures(uint256 length);

    /// @notice Too few signatures.
    error QuorumMissing(uint256 signatures, uint256 needed);

    /// @notice The proof does not lead to the root that can be claimed from.
    error BadProof(address account, uint256 cumulative);

    /// @notice The account has been paid this much already.
    error NothingToClaim(address account);

    /// @notice The claims exceed the total that the quorum signed: the root is not the sum of its leaves.
    error ClaimsAboveTotal(uint256 claimed, uint256 total);

    /// @notice The lists differ in length.
    error LengthMismatch();

    /// @notice Put tokens into the pool; needs an allowance. There is no way back but claims.
    function fund(uint256 amount) external;

    /// @notice Publish the rewards of an epoch; anyone may send what a quorum signed.
    /// @param epoch 1 + the last one.
    /// @param root Of the cumulative rewards.
    /// @param total Their sum; at least the previous one, at most what was funded.
    /// @param emissionRoot Of the emission records.
    /// @param records The rounds that are paid, one after the other; the last one is on the ledger.
    /// @param states The hash of the pay state after each of them (see PayRule), so that a wrong step can be shown.
    /// @param signatures EIP-712 signatures over RewardRoot(uint64 epoch,bytes32 root,uint256 total,bytes32
    /// emissionRoot,bytes32 steps), of at least `quorum(registry.activeCount())` active peers in ascending order of
    /// their addresses: 64 bytes each, as in EIP-2098.
    function publish(
        uint64 epoch,
        bytes32 root,
        uint256 total,
        bytes32 emissionRoot,
        bytes32[] calldata records,
        bytes32[] calldata states,
        bytes calldata signatures
    ) external;

    /// @notice Take back a root that was proven wrong; only the pay arbiter, and only before it can be claimed from.
    function voidRoot(uint64 epoch) external;

    /// @notice Pay an account what it has earned and not received; anyone may call it. The tokens go to
    /// `registry.payeeOf(account)`: the account itself, or the address that recovered it.
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external;

    /// @notice Pay many in one transaction. Who has been paid already is skipped, so that nobody can spoil the batch.
    function claimMany(address[] calldata accounts, uint256[] calldata cumulatives, bytes32[][] calldata proofs)
        external;

    /// @notice How many signatures `peers` active peers need: all of up to three, else ceil((n + n/4) / 2) + 1.
    function quorum(uint256 peers) external pure returns (uint256);

    /// @notice The last epoch, its root and total, and from when (Unix seconds) it can be claimed from.
    function published() external view returns (uint64 epoch, bytes32 root, uint256 total, uint64 activeAt);

    /// @notice The last publication.
    function publication() external view returns (Publication memory);

    /// @notice How many rounds have been paid by the last root and those before it.
    function rounds() external view returns (uint64);

    /// @notice Whether a root with this digest was voided.
    function wasVoided(bytes32 digest) external view returns (bool);

    /// @notice The root that can be claimed from now; zero if none.
    function claimableRoot() external view returns (bytes32);

    /// @notice What was put in.
    function funded() external view returns (uint256);

    /// @notice What was paid out.
    function claimed() external view returns (uint256);

    /// @notice What an account was paid.
    function claimedBy(address account) external view returns (uint256);

    /// @notice The token of the rewards.
    function token() external view returns (address);

    /// @notice The peers' register.
    function registry() external view returns (address);

    /// @notice Who may void a root; zero if nobody may.
    function payArbiter() external view returns (address);

    /// @notice Seconds from `publish` to the first claim.
    function activationDelay() external view returns (uint64);

    /// @notice The EIP-712 domain under which reward roots are signed.
    function domainSeparator() external view returns (bytes32);
}
