// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPeerRegistry} from "../../../src/interfaces/IPeerRegistry.sol";

/// @dev What we did not build: every peer sends a transaction of its own each round. For the gas table alone.
contract PerPeerEvent {
    IPeerRegistry private immutable _registry;

    event Contributed(address indexed peer, uint64 indexed round, bytes32 statement);

    constructor(IPeerRegistry registry_) {
        _registry = registry_;
    }

    function contribute(uint64 round, bytes32 statement) external {
        require(_registry.isActive(msg.sender));
        emit Contributed(msg.sender, round, statement);
    }
}

/// @dev The same, and the contract remembers the statement (a slot per peer, used again each round).
contract PerPeerStored {
    IPeerRegistry private immutable _registry;

    mapping(address peer => bytes32 statement) private _latest;

    event Contributed(address indexed peer, uint64 indexed round, bytes32 statement);

    constructor(IPeerRegistry registry_) {
        _registry = registry_;
    }

    function contribute(uint64 round, bytes32 statement) external {
        require(_registry.isActive(msg.sender));
        _latest[msg.sender] = statement;
        emit Contributed(msg.sender, round, statement);
    }
}
