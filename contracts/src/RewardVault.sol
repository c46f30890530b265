// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPayArbiter} from "./interfaces/IPayArbiter.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRewardVault} from "./interfaces/IRewardVault.sol";

/// @title RewardVault
/// @notice See {IRewardVault}. What was funded is what was claimed and what is still here, at every moment.
contract RewardVault is IRewardVault, EIP712 {
    using SafeERC20 for IERC20;

    bytes32 private constant _REWARD_ROOT =
        keccak256("RewardRoot(uint64 epoch,bytes32 root,uint256 total,bytes32 emissionRoot,bytes32 steps)");
    uint256 private constant _SIGNATURE = 64;

    IERC20 private immutable _token;
    IPeerRegistry private immutable _registry;
    uint64 private immutable _activationDelay;
    address private immutable _payArbiter;

    uint128 private _funded;
    uint128 private _claimed;
    /// the last publication, in one word; forty-eight bits of seconds last for nine million years
    uint32 private _epoch;
    uint48 private _activeAt;
    uint48 private _rounds;
    uint128 private _total;
    /// the one before it, to which a voided one gives way
    uint48 private _roundsBefore;
    uint128 private _totalBefore;
    bytes32 private _root;
    bytes32 private _rootBefore;
    bytes32 private _state;
    bytes32 private _stateBefore;
    bytes32 private _digest;
    mapping(bytes32 digest => bool voided) private _voided;
    mapping(address account => uint256 cumulative) private _claimedBy;

    /// @param token_ A plain ERC-20: what is sent arrives.
    /// @param registry_ Whose active peers sign the roots.
    /// @param activationDelay_ Seconds from `publish` to the first claim: the time to dispute a root.
    /// @param payArbiter_ Who may void a root, and knows which records are on the ledger; zero: nobody, and no record
    /// is asked for.
    constructor(IERC20 token_, IPeerRegistry registry_, uint64 activationDelay_, address payArbiter_)
        EIP712("PeerageVault", "1")
    {
        _token = token_;
        _registry = registry_;
        _activationDelay = activationDelay_;
        _payArbiter = payArbiter_;
    }

    /// @inheritdoc IRewardVault
    function fund(uint256 amount) external {
        _funded += SafeCast.toUint128(amount);
        emit VaultFunded(msg.sender, amount);
        _token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRewardVault
    function publish(
        uint64 epoch,
        bytes32 root,
        uint256 total,
        bytes32 emissionRoot,
        bytes32[] calldata records,
        bytes32[] calldata states,
        bytes calldata signatures
    ) external {
        require(epoch == _epoch + 1, WrongEpoch(epoch, _epoch + 1));
        require(block.timestamp >= _activeAt, PreviousRootPending(_activeAt));
        require(total >= _total, TotalBelowPrevious(total, _total));
        require(total <= _funded, TotalAboveFunded(total, _funded));
        bytes32 steps = keccak256(abi.encodePacked(records, states));
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(_REWARD_ROOT, epoch, root, total, emissionRoot, steps)));
        require(!_voided[digest], RootWasVoided(digest));
        _checkQuorum(digest, signatures);
        (_roundsBefore, _totalBefore) = (_rounds, _total);
        _stateBefore = _state;
        _extend(records, states);
        _rootBefore = _root;
        _root = root;
        _digest = digest;
        ++_epoch;
        _activeAt = SafeCast.toUint48(block.timestamp + _activationDelay);
        _total = SafeCast.toUint128(total);
        emit RootPublished(epoch, root, total, emissionRoot, steps);
    }

    /// @inheritdoc IRewardVault
    function voidRoot(uint64 epoch) external {
        require(msg.sender == _payArbiter, NotThePayArbiter(msg.sender));
        require(epoch == _epoch && block.timestamp < _activeAt, NotPending(epoch));
        bytes32 digest = _digest;
        _voided[digest] = true;
        _digest = 0;
        --_epoch;
        _activeAt = 0;
        (_rounds, _total) = (_roundsBefore, _totalBefore);
        _root = _rootBefore;
        _state = _stateBefore;
        emit RootVoided(epoch, digest);
    }

    /// @inheritdoc IRewardVault
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external {
        uint256 amount = _settle(claimableRoot(), account, cumulative, proof);
        require(amount > 0, NothingToClaim(account));
        _book(amount);
        _token.safeTransfer(_registry.payeeOf(account), amount);
    }

    /// @inheritdoc IRewardVault
    function claimMany(address[] calldata accounts, uint256[] calldata cumulatives, bytes32[][] calldata proofs)
        external
    {
        uint256 count = accounts.length;
        require(count == cumulatives.length && count == proofs.length, LengthMismatch());
        bytes32 root = claimableRoot();
        uint256[] memory amounts = new uint256[](count);
        uint256 sum = 0;
        for (uint256 i = 0; i < count; ++i) {
            amounts[i] = _settle(root, accounts[i], cumulatives[i], proofs[i]);
            sum += amounts[i];
        }
        _book(sum);
        for (uint256 i = 0; i < count; ++i) {
            if (amounts[i] > 0) _token.safeTransfer(_registry.payeeOf(accounts[i]), amounts[i]);
        }
    }

    /// @inheritdoc IRewardVault
    function quorum(uint256 peers) public pure returns (uint256) {
        // none registered is not "none needed"
        if (peers <= 4) return Math.max(1, Math.min(peers, 3));
        return Math.ceilDiv(peers + peers / 4, 2) + 1;
    }

    /// @inheritdoc IRewardVault
    function published() external view returns (uint64 epoch, bytes32 root, uint256 total, uint64 activeAt) {
        return (_epoch, _root, _total, _activeAt);
    }

    /// @inheritdoc IRewardVault
    function publication() external view returns (Publication memory) {
        uint64 activeAt = _activeAt;
        uint64 publishedAt = activeAt == 0 ? 0 : activeAt - _activationDelay;
        return Publication(_epoch, _digest, _stateBefore, _state, publishedAt, activeAt);
    }

    /// @inheritdoc IRewardVault
    function rounds() external view returns (uint64) {
        return _rounds;
    }

    /// @inheritdoc IRewardVault
    function wasVoided(bytes32 digest) external view returns (bool) {
        return _voided[digest];
    }

    /// @inheritdoc IRewardVault
    function claimableRoot() public view returns (bytes32) {
        return block.timestamp >= _activeAt ? _root : _rootBefore;
    }

    /// @inheritdoc IRewardVault
    function funded() external view returns (uint256) {
        return _funded;
    }

    /// @inheritdoc IRewardVault
    function claimed() external view returns (uint256) {
        return _claimed;
    }

    /// @inheritdoc IRewardVault
    function claimedBy(address account) external view returns (uint256) {
        return _claimedBy[account];
    }

    /// @inheritdoc IRewardVault
    function token() external view returns (address) {
        return address(_token);
    }

    /// @inheritdoc IRewardVault
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IRewardVault
    function payArbiter() external view returns (address) {
        return _payArbiter;
    }

    /// @inheritdoc IRewardVault
    function activationDelay() external view returns (uint64) {
        return _activationDelay;
    }

    /// @inheritdoc IRewardVault
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @dev Puts the rounds that are paid behind those that were. The arbiter's ledger must know the last of them:
    /// then it knows all of a line, and everybody can find what they hold.
    function _extend(bytes32[] calldata records, bytes32[] calldata states) private {
        uint256 count = records.length;
        require(count == states.length, LengthMismatch());
        if (count == 0) return;
        uint64 last = _rounds + SafeCast.toUint32(count);
        bytes32 record = records[count - 1];
        if (_payArbiter != address(0)) {
            require(IPayArbiter(_payArbiter).isRecorded(last, record), UnknownRecord(last, record));
        }
        _rounds = SafeCast.toUint48(last);
        _state = states[count - 1];
    }

    function _checkQuorum(bytes32 digest, bytes calldata signatures) private view {
        uint256 length = signatures.length;
        require(length % _SIGNATURE == 0, BadSignatures(length));
        uint256 needed = quorum(_registry.activeCount());
        require(length / _SIGNATURE >= needed, QuorumMissing(length / _SIGNATURE, needed));
        address previous = address(0);
        for (uint256 at = 0; at < length; at += _SIGNATURE) {
            address signer =
                ECDSA.recover(digest, bytes32(signatures[at:at + 32]), bytes32(signatures[at + 32:at + 64]));
            require(signer > previous, SignersNotAscending(previous, signer));
            require(_registry.isActive(signer), NotAPeer(signer));
            previous = signer;
        }
    }

    /// @dev Notes what an account is due now and returns it; zero if it was paid already.
    function _settle(bytes32 root, address account, uint256 cumulative, bytes32[] calldata proof)
        private
        returns (uint256 amount)
    {
        uint256 paid = _claimedBy[account];
        if (cumulative <= paid) return 0;
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        require(MerkleProof.verifyCalldata(proof, root, leaf), BadProof(account, cumulative));
        _claimedBy[account] = cumulative;
        amount = cumulative - paid;
        emit RewardClaimed(account, amount, cumulative);
    }

    /// @dev The last line of defence: whatever the leaves say, no more than the signed total leaves the vault.
    function _book(uint256 amount) private {
        uint256 sum = _claimed + amount;
        uint256 total = block.timestamp >= _activeAt ? _total : _totalBefore;
        require(sum <= total, ClaimsAboveTotal(sum, total));
        _claimed = SafeCast.toUint128(sum);
    }
}
