// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";

/// @title PeerRegistry
/// @notice See {IPeerRegistry}. Nobody but its owner can move a stake: there is no role here at all.
contract PeerRegistry is IPeerRegistry {
    using SafeERC20 for IERC20;

    struct Peer {
        bytes32 key;
        // one slot, so that `isActive` costs its callers a single read
        uint128 stake;
        uint64 withdrawableAt;
        bool active;
    }

    uint256 private constant _MAX_ENDPOINT = 255;

    IERC20 private immutable _token;
    uint256 private immutable _minStake;
    uint64 private immutable _unbondingSeconds;

    mapping(address account => Peer) private _peers;
    mapping(bytes32 transportKey => address owner) private _keyOwners;
    uint256 private _activeCount;

    /// @param token_ A plain ERC-20: what is sent arrives.
    /// @param minStake_ The least stake.
    /// @param unbondingSeconds_ Seconds from `leave` to `withdraw`.
    constructor(IERC20 token_, uint256 minStake_, uint64 unbondingSeconds_) {
        _token = token_;
        _minStake = minStake_;
        _unbondingSeconds = unbondingSeconds_;
    }

    modifier onlyPeer() {
        require(_peers[msg.sender].active, NotAPeer(msg.sender));
        _;
    }

    /// @inheritdoc IPeerRegistry
    function register(bytes32 transportKey, string calldata endpoint, uint256 stake) external {
        _register(transportKey, endpoint, stake);
    }

    /// @inheritdoc IPeerRegistry
    function registerWithPermit(
        bytes32 transportKey,
        string calldata endpoint,
        uint256 stake,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        try IERC20Permit(address(_token)).permit(msg.sender, address(this), stake, deadline, v, r, s) {} catch {}
        _register(transportKey, endpoint, stake);
    }

    /// @inheritdoc IPeerRegistry
    function setEndpoint(string calldata endpoint) external onlyPeer {
        _checkEndpoint(endpoint);
        emit EndpointChanged(msg.sender, endpoint);
    }

    /// @inheritdoc IPeerRegistry
    function rotateKey(bytes32 transportKey) external onlyPeer {
        _takeKey(transportKey);
        _peers[msg.sender].key = transportKey;
        emit TransportKeyRotated(msg.sender, transportKey);
    }

    /// @inheritdoc IPeerRegistry
    function leave() external onlyPeer {
        Peer storage peer = _peers[msg.sender];
        uint64 withdrawableAt = SafeCast.toUint64(block.timestamp) + _unbondingSeconds;
        peer.active = false;
        peer.withdrawableAt = withdrawableAt;
        --_activeCount;
        emit PeerLeft(msg.sender, withdrawableAt);
    }

    /// @inheritdoc IPeerRegistry
    function withdraw() external {
        Peer memory peer = _peers[msg.sender];
        require(!peer.active, AlreadyRegistered(msg.sender));
        require(peer.stake > 0, NothingToWithdraw(msg.sender));
        require(block.timestamp >= peer.withdrawableAt, StakeLocked(peer.withdrawableAt));
        delete _peers[msg.sender];
        emit StakeWithdrawn(msg.sender, peer.stake);
        _token.safeTransfer(msg.sender, peer.stake);
    }

    /// @inheritdoc IPeerRegistry
    function isActive(address account) external view returns (bool) {
        return _peers[account].active;
    }

    /// @inheritdoc IPeerRegistry
    function activeCount() external view returns (uint256) {
        return _activeCount;
    }

    /// @inheritdoc IPeerRegistry
    function peerOf(address account)
        external
        view
        returns (bytes32 key, uint256 stake, bool active, uint64 withdrawableAt)
    {
        Peer memory peer = _peers[account];
        return (peer.key, peer.stake, peer.active, peer.withdrawableAt);
    }

    /// @inheritdoc IPeerRegistry
    function ownerOfKey(bytes32 transportKey) external view returns (address) {
        return _keyOwners[transportKey];
    }

    /// @inheritdoc IPeerRegistry
    function token() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IPeerRegistry
    function minStake() external view returns (uint256) {
        return _minStake;
    }

    /// @inheritdoc IPeerRegistry
    function unbondingSeconds() external view returns (uint64) {
        return _unbondingSeconds;
    }

    function _register(bytes32 transportKey, string calldata endpoint, uint256 stake) private {
        Peer memory known = _peers[msg.sender];
        require(!known.active, AlreadyRegistered(msg.sender));
        require(known.stake == 0, StakeLocked(known.withdrawableAt));
        require(stake >= _minStake, StakeTooLow(stake, _minStake));
        _checkEndpoint(endpoint);
        _takeKey(transportKey);
        _peers[msg.sender] =
            Peer({key: transportKey, stake: SafeCast.toUint128(stake), withdrawableAt: 0, active: true});
        ++_activeCount;
        emit PeerRegistered(msg.sender, transportKey, endpoint, stake);
        _token.safeTransferFrom(msg.sender, address(this), stake);
    }

    /// @dev A key is never freed: one that was revoked must not come back as somebody else.
    function _takeKey(bytes32 transportKey) private {
        require(transportKey != bytes32(0), TransportKeyMissing());
        address owner = _keyOwners[transportKey];
        require(owner == address(0) || owner == msg.sender, TransportKeyTaken(transportKey, owner));
        _keyOwners[transportKey] = msg.sender;
    }

    function _checkEndpoint(string calldata endpoint) private pure {
        uint256 length = bytes(endpoint).length;
        require(length > 0 && length <= _MAX_ENDPOINT, EndpointLength(length));
    }
}
