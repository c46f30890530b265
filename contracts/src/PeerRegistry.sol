// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IAdmission} from "./interfaces/IAdmission.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";

/// @title PeerRegistry
/// @notice See {IPeerRegistry}. A stake goes back to its owner or, by an arbiter's verdict, to the challenger and the reward
/// pool; there is no role that could send it anywhere else.
contract PeerRegistry is IPeerRegistry {
    using SafeERC20 for IERC20;

    struct Peer {
        bytes32 key;
        // one slot, so that `isActive` and `seatOf` cost their callers a single read
        uint128 stake;
        uint64 withdrawableAt;
        uint16 seat; // zero: not active
        bool barred;
    }

    uint256 private constant _MAX_ENDPOINT = 255;
    uint16 private constant _WHOLE = 10_000;
    uint256 private constant _BOUNTY_PART = 10;

    IERC20 private immutable _token;
    uint256 private immutable _minStake;
    uint64 private immutable _unbondingSeconds;
    IAdmission private immutable _admission;
    address private immutable _roundArbiter;
    address private immutable _payArbiter;
    IRewardPool private immutable _vault;

    mapping(address account => Peer) private _peers;
    mapping(bytes32 transportKey => address owner) private _keyOwners;
    mapping(uint16 seat => address account) private _seats;
    mapping(address account => address recovery) private _recoveries;
    mapping(address account => address payee) private _payees;
    uint128 private _activeCount;
    uint16 private _lastSeat;

    /// @param token_ A plain ERC-20: what is sent arrives.
    /// @param minStake_ The least stake.
    /// @param unbondingSeconds_ Seconds from `leave` to `withdraw`; longer than any dispute may take.
    /// @param admission_ Who decides on admission; zero: everybody is admitted.
    /// @param arbiters_ The round arbiter and the pay arbiter.
    /// @param vault_ Where slashed stakes go.
    constructor(
        IERC20 token_,
        uint256 minStake_,
        uint64 unbondingSeconds_,
        IAdmission admission_,
        address[2] memory arbiters_,
        IRewardPool vault_
    ) {
        _token = token_;
        _minStake = minStake_;
        _unbondingSeconds = unbondingSeconds_;
        _admission = admission_;
        _roundArbiter = arbiters_[0];
        _payArbiter = arbiters_[1];
        _vault = vault_;
    }

    modifier onlyPeer() {
        require(_peers[msg.sender].seat != 0, NotAPeer(msg.sender));
        _;
    }

    /// @inheritdoc IPeerRegistry
    function register(bytes32 transportKey, string calldata endpoint, uint256 stake) external {
        _register(transportKey, endpoint, stake, new bytes[](0));
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
        _register(transportKey, endpoint, stake, new bytes[](0));
    }

    /// @inheritdoc IPeerRegistry
    function registerInvited(bytes32 transportKey, string calldata endpoint, uint256 stake, bytes[] calldata invitation)
        external
    {
        _register(transportKey, endpoint, stake, invitation);
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
        uint64 withdrawableAt = _deactivate(_peers[msg.sender]);
        emit PeerLeft(msg.sender, withdrawableAt);
    }

    /// @inheritdoc IPeerRegistry
    function withdraw() external {
        require(_payees[msg.sender] == address(0), AccountBarred(msg.sender));
        _withdraw(msg.sender, msg.sender);
    }

    /// @inheritdoc IPeerRegistry
    function setRecovery(address recovery) external onlyPeer {
        address known = _recoveries[msg.sender];
        require(known == address(0), RecoveryFixed(known));
        require(recovery != address(0) && recovery != msg.sender, BadRecovery(recovery));
        _recoveries[msg.sender] = recovery;
        emit RecoverySet(msg.sender, recovery);
    }

    /// @inheritdoc IPeerRegistry
    function recover(address peer) external {
        require(msg.sender == _recoveries[peer], NotRecovery(peer, msg.sender));
        require(_payees[peer] == address(0), AccountBarred(peer));
        Peer storage lost = _peers[peer];
        // who had left already does not wait anew
        uint64 withdrawableAt = lost.seat != 0 ? _deactivate(lost) : lost.withdrawableAt;
        lost.barred = true;
        _payees[peer] = msg.sender;
        emit PeerRecovered(peer, msg.sender, withdrawableAt);
    }

    /// @inheritdoc IPeerRegistry
    function withdrawFor(address peer) external {
        require(msg.sender == _payees[peer], NotRecovery(peer, msg.sender));
        _withdraw(peer, msg.sender);
    }

    /// @inheritdoc IPeerRegistry
    function slash(address peer, uint16 basisPoints, address challenger) external returns (uint256 amount) {
        require(msg.sender == _roundArbiter || msg.sender == _payArbiter, NotAnArbiter(msg.sender));
        require(basisPoints <= _WHOLE, BasisPointsTooHigh(basisPoints));
        Peer storage convicted = _peers[peer];
        uint256 stake = convicted.stake;
        amount = stake * basisPoints / _WHOLE;
        if (basisPoints == _WHOLE) {
            // also without a stake: who has taken it out in time is no peer again
            if (convicted.seat != 0) _deactivate(convicted);
            convicted.barred = true;
        }
        if (amount == 0) {
            if (basisPoints == _WHOLE) emit PeerSlashed(peer, challenger, 0, 0);
            return 0;
        }
        convicted.stake = SafeCast.toUint128(stake - amount);
        uint256 bounty = amount / _BOUNTY_PART;
        emit PeerSlashed(peer, challenger, amount, bounty);
        _token.forceApprove(address(_vault), amount - bounty);
        _vault.fund(amount - bounty);
        _token.safeTransfer(challenger, bounty);
    }

    /// @inheritdoc IPeerRegistry
    function seatOf(address account) external view returns (uint16) {
        return _peers[account].seat;
    }

    /// @inheritdoc IPeerRegistry
    function peerAt(uint16 seat) external view returns (address) {
        return _seats[seat];
    }

    /// @inheritdoc IPeerRegistry
    function payeeOf(address account) external view returns (address) {
        address payee = _payees[account];
        return payee == address(0) ? account : payee;
    }

    /// @inheritdoc IPeerRegistry
    function recoveryOf(address account) external view returns (address) {
        return _recoveries[account];
    }

    /// @inheritdoc IPeerRegistry
    function isBarred(address account) external view returns (bool) {
        return _peers[account].barred;
    }

    /// @inheritdoc IPeerRegistry
    function isActive(address account) external view returns (bool) {
        return _peers[account].seat != 0;
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
        return (peer.key, peer.stake, peer.seat != 0, peer.withdrawableAt);
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
    function arbiters() external view returns (address[2] memory) {
        return [_roundArbiter, _payArbiter];
    }

    /// @inheritdoc IPeerRegistry
    function admission() external view returns (address) {
        return address(_admission);
    }

    /// @inheritdoc IPeerRegistry
    function vault() external view returns (address) {
        return address(_vault);
    }

    /// @inheritdoc IPeerRegistry
    function minStake() external view returns (uint256) {
        return _minStake;
    }

    /// @inheritdoc IPeerRegistry
    function unbondingSeconds() external view returns (uint64) {
        return _unbondingSeconds;
    }

    function _register(bytes32 transportKey, string calldata endpoint, uint256 stake, bytes[] memory invitation)
        private
    {
        Peer memory known = _peers[msg.sender];
        require(known.seat == 0, AlreadyRegistered(msg.sender));
        require(!known.barred, AccountBarred(msg.sender));
        require(known.stake == 0, StakeLocked(known.withdrawableAt));
        require(stake >= _minStake, StakeTooLow(stake, _minStake));
        _checkEndpoint(endpoint);
        require(address(_admission) == address(0) || _admission.admits(msg.sender, invitation), NotAdmitted(msg.sender));
        _takeKey(transportKey);
        require(_lastSeat < type(uint16).max, NoSeatLeft());
        uint16 seat = ++_lastSeat;
        _seats[seat] = msg.sender;
        _peers[msg.sender] =
            Peer({key: transportKey, stake: SafeCast.toUint128(stake), withdrawableAt: 0, seat: seat, barred: false});
        ++_activeCount;
        emit PeerRegistered(msg.sender, transportKey, endpoint, stake);
        _token.safeTransferFrom(msg.sender, address(this), stake);
    }

    function _deactivate(Peer storage peer) private returns (uint64 withdrawableAt) {
        withdrawableAt = SafeCast.toUint64(block.timestamp) + _unbondingSeconds;
        peer.seat = 0;
        peer.withdrawableAt = withdrawableAt;
        --_activeCount;
    }

    function _withdraw(address account, address to) private {
        Peer memory peer = _peers[account];
        require(peer.seat == 0, AlreadyRegistered(account));
        require(peer.stake > 0, NothingToWithdraw(account));
        require(block.timestamp >= peer.withdrawableAt, StakeLocked(peer.withdrawableAt));
        delete _peers[account];
        if (peer.barred) _peers[account].barred = true;
        emit StakeWithdrawn(account, peer.stake);
        _token.safeTransfer(to, peer.stake);
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
