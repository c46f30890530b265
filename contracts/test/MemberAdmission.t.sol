// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MemberAdmission} from "../src/MemberAdmission.sol";
import {IMemberAdmission} from "../src/interfaces/IMemberAdmission.sol";
import {IPeerRegistry} from "../src/interfaces/IPeerRegistry.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev A federation of four founders; others are invited by three of them.
contract MemberAdmissionTest is Federation {
    address private constant GUEST = address(0x6E57);
    MemberAdmission private members;
    uint64 private deadline;

    function setUp() public {
        address[] memory founders = new address[](4);
        for (uint256 i = 0; i < 4; ++i) {
            founders[i] = vm.addr(uint256(keccak256(abi.encode("peer", i))));
        }
        uint256 nonce = vm.getNonce(address(this)); // admission, token, register
        members = new MemberAdmission(IPeerRegistry(vm.computeCreateAddress(address(this), nonce + 2)), founders);
        admission = members;
        deployWith(4);
        deadline = uint64(block.timestamp) + 1 days;
        token.transfer(GUEST, STAKE);
        vm.prank(GUEST);
        token.approve(address(registry), STAKE);
    }

    function test_founders_are_in_and_wired() public view {
        eq(registry.activeCount(), 4);
        eq(members.registry(), address(registry));
        eq(registry.admission(), address(members));
        require(members.isFounder(peer(0)) && !members.isFounder(GUEST));
        bytes32 domain = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 name = keccak256("PeerageAdmission");
        eq(
            members.domainSeparator(),
            keccak256(abi.encode(domain, name, keccak256("1"), block.chainid, address(members)))
        );
    }

    function test_a_stranger_is_not_admitted_by_any_door() public {
        vm.startPrank(GUEST);
        bytes memory refusal = abi.encodeWithSelector(IPeerRegistry.NotAdmitted.selector, GUEST);
        vm.expectRevert(refusal);
        registry.register(keccak256("guest"), "tcp://here", STAKE);
        vm.expectRevert(refusal);
        registry.registerWithPermit(keccak256("guest"), "tcp://here", STAKE, 0, 27, 0, 0);
        vm.expectRevert(refusal);
        registry.registerInvited(keccak256("guest"), "tcp://here", STAKE, new bytes[](0));
    }

    function test_a_quorum_invites() public {
        bytes[] memory invitation = _invitation(GUEST, 1, 3);
        vm.warp(deadline);
        vm.prank(GUEST);
        registry.registerInvited(keccak256("guest"), "tcp://here", STAKE, invitation);
        require(registry.isActive(GUEST));
    }

    function test_an_invitation_ends_with_its_deadline() public {
        bytes[] memory invitation = _invitation(GUEST, 0, 3);
        require(members.admits(GUEST, invitation));
        vm.warp(deadline);
        require(members.admits(GUEST, invitation), "to its last second");
        vm.warp(deadline + 1);
        require(!members.admits(GUEST, invitation));
    }

    function test_too_few_or_repeated_or_strange_signatures_admit_nobody() public {
        require(!members.admits(GUEST, _invitation(GUEST, 0, 2)), "two of four");
        bytes[] memory invitation = _invitation(GUEST, 0, 3);
        invitation[2] = invitation[1];
        require(!members.admits(GUEST, invitation), "one signs twice");
        invitation = _invitation(GUEST, 0, 3);
        invitation[3] = "short";
        require(!members.admits(GUEST, invitation), "no signature");
        vm.prank(peer(2));
        registry.leave();
        require(!members.admits(GUEST, _invitation(GUEST, 0, 3)), "one has left");
    }

    function test_an_invitation_is_for_one_account_one_deadline_and_this_register() public {
        require(!members.admits(address(0x6E58), _invitation(GUEST, 0, 3)));
        bytes[] memory invitation = _invitation(GUEST, 0, 3);
        invitation[0] = abi.encode(deadline + 1);
        require(!members.admits(GUEST, invitation), "a later deadline");
        invitation[0] = abi.encode(uint256(deadline) + (1 << 64));
        require(!members.admits(GUEST, invitation), "a deadline that wraps round");
        invitation[0] = abi.encode(deadline, deadline);
        require(!members.admits(GUEST, invitation), "no deadline");
        MemberAdmission other = new MemberAdmission(registry, new address[](0));
        require(!other.admits(GUEST, _invitation(GUEST, 0, 3)), "signed for another contract");
    }

    function test_founders_are_accounts_and_listed_once() public {
        address[] memory founders = new address[](2);
        founders[0] = GUEST;
        vm.expectRevert(abi.encodeWithSelector(IMemberAdmission.BadFounder.selector, address(0)));
        new MemberAdmission(registry, founders);
        founders[1] = GUEST;
        vm.expectRevert(abi.encodeWithSelector(IMemberAdmission.BadFounder.selector, GUEST));
        new MemberAdmission(registry, founders);
    }

    function test_nobody_invites_where_there_are_no_peers() public {
        MemberAdmission empty = new MemberAdmission(IPeerRegistry(address(new NoPeers())), new address[](0));
        bytes[] memory invitation = new bytes[](1);
        invitation[0] = abi.encode(deadline);
        require(!empty.admits(GUEST, invitation));
    }

    function _invitation(address account, uint256 first, uint256 count)
        private
        view
        returns (bytes[] memory invitation)
    {
        invitation = new bytes[](count + 1);
        invitation[0] = abi.encode(deadline);
        bytes32 digest = members.invitationDigest(account, deadline);
        for (uint256 i = 0; i < count; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(secrets[first + i], digest);
            invitation[i + 1] = abi.encodePacked(r, s, v);
        }
    }
}

contract NoPeers {
    function activeCount() external pure returns (uint256) {
        return 0;
    }
}
