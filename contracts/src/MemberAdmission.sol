// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IAdmission} from "./interfaces/IAdmission.sol";
import {IMemberAdmission} from "./interfaces/IMemberAdmission.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {Quorum} from "./libraries/Quorum.sol";

/// @title MemberAdmission
/// @notice See {IMemberAdmission}. Holds nothing but the founders; who else is in is the register's to say.
contract MemberAdmission is IMemberAdmission, EIP712 {
    bytes32 private constant _INVITATION = keccak256("Invitation(address registry,address account,uint64 deadline)");

    IPeerRegistry private immutable _registry;

    mapping(address account => bool) private _founders;

    /// @param registry_ The register that will ask; deployed later, at an address known before.
    /// @param founders_ Who may register without an invitation.
    constructor(IPeerRegistry registry_, address[] memory founders_) EIP712("PeerageAdmission", "1") {
        _registry = registry_;
        for (uint256 i = 0; i < founders_.length; ++i) {
            address founder = founders_[i];
            require(founder != address(0) && !_founders[founder], BadFounder(founder));
            _founders[founder] = true;
        }
    }

    /// @inheritdoc IAdmission
    function admits(address account, bytes[] calldata invitation) external view returns (bool) {
        if (_founders[account]) return true;
        if (invitation.length < 2 || invitation[0].length != 32) return false;
        uint256 deadline = uint256(bytes32(invitation[0]));
        if (deadline > type(uint64).max || block.timestamp > deadline) return false;
        if (invitation.length - 1 < Quorum.needed(_registry.activeCount())) return false;
        // forge-lint: disable-next-line(unsafe-typecast) bounded two lines above
        bytes32 digest = invitationDigest(account, uint64(deadline));
        address previous = address(0);
        for (uint256 i = 1; i < invitation.length; ++i) {
            (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecover(digest, invitation[i]);
            if (fault != ECDSA.RecoverError.NoError || signer <= previous || !_registry.isActive(signer)) return false;
            previous = signer;
        }
        return true;
    }

    /// @inheritdoc IMemberAdmission
    function isFounder(address account) external view returns (bool) {
        return _founders[account];
    }

    /// @inheritdoc IMemberAdmission
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IMemberAdmission
    function invitationDigest(address account, uint64 deadline) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_INVITATION, address(_registry), account, deadline)));
    }

    /// @inheritdoc IMemberAdmission
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }
}
