// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IPeerRegistry
/// @notice Who is a peer: an account with a transport key, an endpoint and a stake that only this account can take out.
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

    /// @notice Announce another endpoint.
    function setEndpoint(string calldata endpoint) external;

    /// @notice Replace the transport key.
    function rotateKey(bytes32 transportKey) external;

    /// @notice Stop being a peer; the stake stays locked for `unbondingSeconds()`.
    function leave() external;

    /// @notice Take the stake out after the unbonding time.
    function withdraw() external;

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

    /// @notice The least stake.
    function minStake() external view returns (uint256);

    /// @notice Seconds from `leave` to `withdraw`.
    function unbondingSeconds() external view returns (uint64);
}
