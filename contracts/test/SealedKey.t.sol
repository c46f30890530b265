// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SealedKey} from "../src/libraries/SealedKey.sol";
import {vm} from "./Vm.sol";

contract SealedKeyTest {
    bytes32 private constant NO_POINT = bytes32(uint256(5)); // an abscissa of none

    function test_nothing_is_the_secret_of_no_point() public {
        require(!SealedKey.isKey(NO_POINT) && SealedKey.isKey(bytes32(vm.createWallet(7).publicKeyX)));
        require(!SealedKey.isSecret(0, NO_POINT), "zero times the base is no point either");
        require(SealedKey.isSecret(7, bytes32(vm.createWallet(7).publicKeyX)));
        require(!SealedKey.isSecret(8, bytes32(vm.createWallet(7).publicKeyX)));
    }
}
