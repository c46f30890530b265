// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRewardVault} from "./interfaces/IRewardVault.sol";

/// @title RewardVault
/// @notice See {IRewardVault}. What was funded is what was claimed and what is still here, at every moment.
contract RewardVault is IRewardVault, EIP712 {
    using SafeERC20 for IERC20;

    bytes32 private constant _REWARD_ROOT =
        keccak256("RewardRoot(uint64 epoch,bytes32 root,uint256 total,bytes32 emissionRoot)");

    IERC20 private immutable _token;
    IPeerRegistry private immutable _registry;
    uint64 private immutable _activationDelay;

    uint128 private _funded;
    uint128 private _claimed;
    uint64 private _epoch;
    uint64 private _activeAt;
    uint128 private _total;
    bytes32 private _root;
    bytes32 private _previousRoot;
    mapping(address account => uint256 cumulative) private _claimedBy;

    /// @param token_ A plain ERC-20: what is sent arrives.
    /// @param registry_ Whose active peers sign the roots.
    /// @param activationDelay_ Seconds from `publish` to the first claim.
    constructor(IERC20 token_, IPeerRegistry registry_, uint64 activationDelay_) EIP712("PeerageVault", "1") {
        _token = token_;
        _registry = registry_;
        _activationDelay = activationDelay_;
    }

    /// @inheritdoc IRewardVault
    function fund(uint256 amount) external {
        _funded += SafeCast.toUint128(amount);
        emit VaultFunded(msg.sender, amount);
        _token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRewardVault
    function publish(uint64 epoch, bytes32 root, uint256 total, bytes32 emissionRoot, bytes[] calldata signatures)
        external
    {
        require(epoch == _epoch + 1, WrongEpoch(epoch, _epoch + 1));
        require(block.timestamp >= _activeAt, PreviousRootPending(_activeAt));
        require(total >= _total, TotalBelowPrevious(total, _total));
        require(total <= _funded, TotalAboveFunded(total, _funded));
        bytes32 statement = keccak256(abi.encode(_REWARD_ROOT, epoch, root, total, emissionRoot));
        _checkQuorum(_hashTypedDataV4(statement), signatures);
        _previousRoot = _root;
        _root = root;
        _epoch = epoch;
        _activeAt = SafeCast.toUint64(block.timestamp) + _activationDelay;
        _total = SafeCast.toUint128(total);
        emit RootPublished(epoch, root, total, emissionRoot);
    }

    /// @inheritdoc IRewardVault
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external {
        uint256 amount = _settle(claimableRoot(), account, cumulative, proof);
        require(amount > 0, NothingToClaim(account));
        _book(amount);
        _token.safeTransfer(account, amount);
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
            if (amounts[i] > 0) _token.safeTransfer(accounts[i], amounts[i]);
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
    function claimableRoot() public view returns (bytes32) {
        return block.timestamp >= _activeAt ? _root : _previousRoot;
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
    function activationDelay() external view returns (uint64) {
        return _activationDelay;
    }

    /// @inheritdoc IRewardVault
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _checkQuorum(bytes32 digest, bytes[] calldata signatures) private view {
        uint256 needed = quorum(_registry.activeCount());
        require(signatures.length >= needed, QuorumMissing(signatures.length, needed));
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recover(digest, signatures[i]);
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
        require(sum <= _total, ClaimsAboveTotal(sum, _total));
        _claimed = SafeCast.toUint128(sum);
    }
}
