// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IPeerRegistry
/// @notice Who is a peer: an account with a seat, a transport key, an endpoint and a stake. Only the account can take the
/// stake out (or the recovery address it chose); only an arbiter that has seen a proof can take from it.
/// Endpoints live in events alone: whoever wants to connect follows them.
interface IPeerRegistry {
    /// @notice A peer joined the register.
    /// @param peer Its account.
    /// @param transportKey Its CURVE (X25519) public key.
    /// @param endpoint Where it listens, as its transport writes it.
    /// @param stake What it put in, in the token's smallest unit.
    event PeerRegistered(address indexed peer, bytes32 transportKey, string endpoint, uint256 stake);

    /// @notice A peer moved to another endpoint.
    event EndpointChanged(address indexed peer, string endpoint);

    /// @notice A peer replaced its transport key; the old one is void from here on.
    event TransportKeyRotated(address indexed peer, bytes32 transportKey);

    /// @notice A peer left; its stake can be taken out from `withdrawableAt` (Unix seconds) on.
    event PeerLeft(address indexed peer, uint64 withdrawableAt);

    /// @notice A former peer took its stake out.
    event StakeWithdrawn(address indexed peer, uint256 amount);

    /// @notice An arbiter has seen a proof against a peer.
    /// @param peer Who loses.
    /// @param challenger Who brought the proof.
    /// @param amount What the stake lost; all of it ends the peer for good. Zero: the account is barred, and had no stake left.
    /// @param bounty The challenger's part of it, a tenth; the rest went into the reward pool.
    event PeerSlashed(address indexed peer, address indexed challenger, uint256 amount, uint256 bounty);

    /// @notice A peer chose the address that may recover it.
    event RecoverySet(address indexed peer, address indexed recovery);

    /// @notice The recovery address took over: stake and future rewards are its own.
    /// @param peer Ended for good.
    /// @param recovery Who is paid instead.
    /// @param withdrawableAt Unix seconds; zero if there was no stake any more.
    event PeerRecovered(address indexed peer, address indexed recovery, uint64 withdrawableAt);

    /// @notice The account is an active peer already; its registration stands.
    error AlreadyRegistered(address peer);

    /// @notice The account is not an active peer.
    error NotAPeer(address account);

    /// @notice The stake is below the least one.
    error StakeTooLow(uint256 stake, uint256 minStake);

    /// @notice The stake of an earlier registration waits to be withdrawn first.
    error StakeLocked(uint64 withdrawableAt);

    /// @notice The account has no stake here.
    error NothingToWithdraw(address account);

    /// @notice The transport key belongs, or belonged, to another peer.
    error TransportKeyTaken(bytes32 transportKey, address owner);

    /// @notice The transport key is zero.
    error TransportKeyMissing();

    /// @notice An endpoint has 1 to 255 bytes.
    error EndpointLength(uint256 length);

    /// @notice The federation's admission does not let the account in.
    error NotAdmitted(address account);

    /// @notice The account lost its whole stake to a proof, or was recovered: it never is a peer again.
    error AccountBarred(address account);

    /// @notice All 65 535 seats have been given away.
    error NoSeatLeft();

    /// @notice Only an arbiter slashes.
    error NotAnArbiter(address account);

    /// @notice More than the whole of a stake: 10 000 basis points.
    error BasisPointsTooHigh(uint16 basisPoints);

    /// @notice The recovery address is zero, or the account itself.
    error BadRecovery(address recovery);

    /// @notice The recovery address stands for good: a thief of the account's key must not change it.
    error RecoveryFixed(address recovery);

    /// @notice The sender is not the account's recovery address, or the account has not been recovered.
    error NotRecovery(address account, address sender);

    /// @notice Become a peer; needs an allowance of `stake`.
    /// @param transportKey CURVE public key, never used by another peer.
    /// @param endpoint 1 to 255 bytes.
    /// @param stake At least `minStake()`.
    function register(bytes32 transportKey, string calldata endpoint, uint256 stake) external;

    /// @notice Become a peer in one transaction, with an ERC-2612 permit instead of an allowance.
    /// @dev A permit that somebody else has already submitted is no fault: the allowance then stands.
    function registerWithPermit(
        bytes32 transportKey,
        string calldata endpoint,
        uint256 stake,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Become a peer of a federation that admits by invitation; needs an allowance of `stake`.
    /// @param invitation What the admission contract wants to see.
    function registerInvited(bytes32 transportKey, string calldata endpoint, uint256 stake, bytes[] calldata invitation)
        external;

    /// @notice Announce another endpoint.
    function setEndpoint(string calldata endpoint) external;

    /// @notice Replace the transport key.
    function rotateKey(bytes32 transportKey) external;

    /// @notice Stop being a peer; the stake stays locked for `unbondingSeconds()`.
    function leave() external;

    /// @notice Take the stake out after the unbonding time.
    function withdraw() external;

    /// @notice Choose, once and for good, the address that may recover this account.
    function setRecovery(address recovery) external;

    /// @notice End a peer whose key is lost or stolen; only its recovery address. Stake (after the unbonding time) and
    /// rewards are the recovery address's from here on.
    function recover(address peer) external;

    /// @notice Take the stake of a recovered peer out after the unbonding time; only its recovery address.
    function withdrawFor(address peer) external;

    /// @notice Take a part of a stake, active or unbonding; only an arbiter. A tenth goes to the challenger, the rest into
    /// the reward pool. Where there is no stake any more it takes nothing, so that a verdict on a round stands regardless.
    /// @param peer Who loses.
    /// @param basisPoints Of what its stake is now; 10 000 ends the peer at once and for good.
    /// @param challenger Who brought the proof.
    /// @return amount What the stake lost.
    function slash(address peer, uint16 basisPoints, address challenger) external returns (uint256 amount);

    /// @notice The seat of an active peer, from 1 on; zero if the account is no peer now. A seat is never given twice: who
    /// comes back after withdrawing gets another.
    function seatOf(address account) external view returns (uint16);

    /// @notice Who was given a seat, whether still active or not; zero for a seat not given yet.
    function peerAt(uint16 seat) external view returns (address);

    /// @notice Who is paid what an account earns: itself, or the address that recovered it.
    function payeeOf(address account) external view returns (address);

    /// @notice The address that may recover an account; zero if none.
    function recoveryOf(address account) external view returns (address);

    /// @notice Whether the account never may be a peer again.
    function isBarred(address account) external view returns (bool);

    /// @notice Whether the account is a peer now.
    function isActive(address account) external view returns (bool);

    /// @notice How many peers there are now.
    function activeCount() external view returns (uint256);

    /// @notice What the register holds of an account; all zero if nothing.
    function peerOf(address account)
        external
        view
        returns (bytes32 key, uint256 stake, bool active, uint64 withdrawableAt);

    /// @notice The account that a transport key belongs to; stays after rotation and after leaving.
    function ownerOfKey(bytes32 transportKey) external view returns (address);

    /// @notice The token of the stakes.
    function token() external view returns (address);

    /// @notice Who decides on evidence: the round arbiter and the pay arbiter.
    function arbiters() external view returns (address[2] memory);

    /// @notice Who decides on admission; zero: everybody is admitted.
    function admission() external view returns (address);

    /// @notice Where slashed stakes go.
    function vault() external view returns (address);

    /// @notice The least stake.
    function minStake() external view returns (uint256);

    /// @notice Seconds from `leave` to `withdraw`.
    function unbondingSeconds() external view returns (uint64);
}
