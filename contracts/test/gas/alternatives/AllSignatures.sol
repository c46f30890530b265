// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPeerRegistry} from "../../../src/interfaces/IPeerRegistry.sol";

/// @dev What we did not build: one transaction a round that brings every peer's statement and signature, each checked on
/// chain. The statements stand in the event, their hash in a ring. For the gas table alone.
contract AllSignatures {
    struct Signed {
        bytes32 statement;
        bytes32 r;
        bytes32 vs; // s, and the parity in its top bit
    }

    IPeerRegistry private immutable _registry;
    mapping(uint256 slot => bytes32 commitment) private _ring;

    event RoundPosted(uint64 indexed round, bytes32[] statements);

    constructor(IPeerRegistry registry_) {
        _registry = registry_;
    }

    function post(uint64 round, Signed[] calldata all) external {
        bytes32[] memory statements = new bytes32[](all.length);
        address previous = address(0);
        for (uint256 i = 0; i < all.length; ++i) {
            Signed calldata one = all[i];
            address signer = _signer(one);
            require(signer > previous && _registry.isActive(signer));
            statements[i] = one.statement;
            previous = signer;
        }
        _ring[round % 256] = keccak256(abi.encodePacked(statements));
        emit RoundPosted(round, statements);
    }

    function _signer(Signed calldata one) private pure returns (address) {
        bytes32 s = one.vs & bytes32(uint256(type(int256).max));
        return ecrecover(one.statement, uint8(27 + uint256(one.vs >> 255)), one.r, s);
    }
}
