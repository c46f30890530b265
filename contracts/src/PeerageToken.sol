// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title PeerageToken
/// @notice Peerage Credit (PEER): what peers stake and what rounds pay. The whole supply is minted once, at deployment;
/// there is no owner, no minter and no pause.
contract PeerageToken is ERC20, ERC20Permit {
    /// @param holder Receives the whole supply.
    /// @param supply In the smallest unit (18 decimals).
    constructor(address holder, uint256 supply) ERC20("Peerage Credit", "PEER") ERC20Permit("Peerage Credit") {
        _mint(holder, supply);
    }
}
