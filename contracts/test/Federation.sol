// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PeerRegistry} from "../src/PeerRegistry.sol";
import {PeerageToken} from "../src/PeerageToken.sol";
import {RewardVault} from "../src/RewardVault.sol";
import {RoundLedger} from "../src/RoundLedger.sol";
import {IAdmission} from "../src/interfaces/IAdmission.sol";
import {IRewardPool} from "../src/interfaces/IRewardPool.sol";
import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {vm} from "./Vm.sol";

/// @dev A deployed federation and what a test does with it: peers by number, rounds, signed roots, Merkle trees.
abstract contract Federation {
    uint256 internal constant STAKE = 1e18;
    uint64 internal constant UNBONDING = 1 days;
    uint64 internal constant DELAY = 1 hours;
    uint256 internal constant SUPPLY = 1e27;
    bytes32 internal constant FEDERATION = keccak256("federation");
    /// tests of register and ledger speak for the arbiters themselves
    address internal constant ROUND_ARBITER = address(0xA4B1);
    address internal constant PAY_ARBITER = address(0xA4B2);

    IAdmission internal admission;
    PeerageToken internal token;
    PeerRegistry internal registry;
    RoundLedger internal rounds;
    RewardVault internal vault;
    /// account secrets, in the ascending order of their addresses
    uint256[] internal secrets;

    function deploy() internal {
        vm.warp(1_700_000_000);
        token = new PeerageToken(address(this), SUPPLY);
        uint256 nonce = vm.getNonce(address(this)); // the register's; what it points to comes after it
        address pay = payArbiterAt(nonce + 3);
        address[2] memory arbiters = [ROUND_ARBITER, pay];
        IRewardPool pool = IRewardPool(vm.computeCreateAddress(address(this), nonce + 2));
        registry = new PeerRegistry(token, STAKE, UNBONDING, admission, arbiters, pool);
        rounds = new RoundLedger(registry, FEDERATION);
        vault = new RewardVault(token, registry, DELAY, pay);
        eq(registry.vault(), address(vault));
    }

    function deployWith(uint256 peers) internal {
        deploy();
        joinAll(peers);
    }

    function joinAll(uint256 peers) internal {
        for (uint256 i = 0; i < peers; ++i) {
            _insert(uint256(keccak256(abi.encode("peer", i))));
        }
        for (uint256 i = 0; i < peers; ++i) {
            join(peer(i), keccak256(abi.encode("key", i)));
        }
    }

    function peer(uint256 i) internal view returns (address) {
        return vm.addr(secrets[i]);
    }

    function join(address account, bytes32 key) internal {
        token.transfer(account, STAKE);
        vm.startPrank(account);
        token.approve(address(registry), STAKE);
        registry.register(key, "tcp://127.0.0.1:5001,5002", STAKE);
        vm.stopPrank();
    }

    function fund(uint256 amount) internal {
        token.approve(address(vault), amount);
        vault.fund(amount);
    }

    /// @dev A round with one parent and roots that differ from every other round's.
    function child(uint64 parentRound, bytes32 parent, string memory salt)
        internal
        pure
        returns (IRoundLedger.Round memory r)
    {
        bytes32 seed = keccak256(abi.encode(parentRound, parent, salt));
        r.round = parentRound + 1;
        r.sid = keccak256(abi.encode(seed, "sid"));
        r.parentRounds = new uint64[](1);
        r.parentRounds[0] = parentRound;
        r.parents = new bytes32[](1);
        r.parents[0] = parent;
        r.aggregate = keccak256(abi.encode(seed, "aggregate"));
        r.joinRoot = keccak256(abi.encode(seed, "join"));
        r.maskedRoot = keccak256(abi.encode(seed, "masked"));
        r.ackRoot = keccak256(abi.encode(seed, "ack"));
        r.scoreRoot = keccak256(abi.encode(seed, "score"));
        r.emissionRoot = keccak256(abi.encode(seed, "emission"));
        r.transcript = keccak256(abi.encode(seed, "transcript"));
        r.members = 16;
    }

    /// @dev Records `count` rounds on top of one another and returns the last one's record.
    function extend(uint64 round, bytes32 record, uint64 count) internal returns (bytes32) {
        for (uint64 i = 0; i < count; ++i) {
            vm.prank(peer(i % secrets.length));
            record = rounds.recordRound(child(round + i, record, ""));
        }
        return record;
    }

    /// @dev Who may void a root; a test with a real arbiter says that it is what it deploys next, with this nonce.
    function payArbiterAt(uint256) internal virtual returns (address) {
        return PAY_ARBITER;
    }

    /// @dev What a quorum signs; without steps, as where no round is paid.
    function rewardDigest(uint64 epoch, bytes32 root, uint256 total, bytes32 emissionRoot, bytes32 steps)
        internal
        view
        returns (bytes32)
    {
        bytes32 kind =
            keccak256("RewardRoot(uint64 epoch,bytes32 root,uint256 total,bytes32 emissionRoot,bytes32 steps)");
        bytes32 statement = keccak256(abi.encode(kind, epoch, root, total, emissionRoot, steps));
        return keccak256(abi.encodePacked(hex"1901", vault.domainSeparator(), statement));
    }

    function signed(uint64 epoch, bytes32 root, uint256 total, bytes32 emissionRoot, uint256 count)
        internal
        view
        returns (bytes memory)
    {
        return signedBy(0, count, rewardDigest(epoch, root, total, emissionRoot, keccak256("")));
    }

    /// @dev Peers `first` to `end`, packed: r, then s with the parity in its top bit.
    function signedBy(uint256 first, uint256 end, bytes32 digest) internal view returns (bytes memory signatures) {
        for (uint256 i = first; i < end; ++i) {
            signatures = bytes.concat(signatures, signedAlone(i, digest));
        }
    }

    function signedAlone(uint256 i, bytes32 digest) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secrets[i], digest);
        return abi.encodePacked(r, uint256(s) | (uint256(v - 27) << 255));
    }

    /// @dev A root without rounds.
    function publishRoot(uint64 epoch, bytes32 root, uint256 total, bytes32 emissionRoot, bytes memory signatures)
        internal
    {
        vault.publish(epoch, root, total, emissionRoot, new bytes32[](0), new bytes32[](0), signatures);
    }

    function leafOf(address account, uint256 cumulative) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
    }

    /// @dev Leaves sorted by hash, pairs sorted, the odd one promoted: as peerage_crypto.digest.claim_root.
    function tree(address[] memory accounts, uint256[] memory totals)
        internal
        pure
        returns (bytes32 root, bytes32[][] memory proofs)
    {
        uint256 count = accounts.length;
        bytes32[] memory level = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            level[i] = leafOf(accounts[i], totals[i]);
        }
        bytes32[] memory unsorted = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            unsorted[i] = level[i];
        }
        for (uint256 i = 1; i < count; ++i) {
            for (uint256 j = i; j > 0 && level[j] < level[j - 1]; --j) {
                (level[j], level[j - 1]) = (level[j - 1], level[j]);
            }
        }
        proofs = new bytes32[][](count);
        for (uint256 i = 0; i < count; ++i) {
            proofs[i] = _proof(level, unsorted[i]);
        }
        while (level.length > 1) {
            level = _above(level);
        }
        root = level[0];
    }

    function _above(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            above[i] = 2 * i + 1 == level.length ? level[2 * i] : _pair(level[2 * i], level[2 * i + 1]);
        }
    }

    function _proof(bytes32[] memory level, bytes32 leaf) private pure returns (bytes32[] memory proof) {
        uint256 place = 0;
        while (level[place] != leaf) {
            ++place;
        }
        bytes32[] memory steps = new bytes32[](32);
        uint256 count = 0;
        while (level.length > 1) {
            uint256 other = place ^ 1;
            if (other < level.length) steps[count++] = level[other];
            level = _above(level);
            place /= 2;
        }
        proof = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            proof[i] = steps[i];
        }
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function _insert(uint256 secret) private {
        secrets.push(secret);
        for (uint256 i = secrets.length - 1; i > 0 && vm.addr(secrets[i]) < vm.addr(secrets[i - 1]); --i) {
            (secrets[i], secrets[i - 1]) = (secrets[i - 1], secrets[i]);
        }
    }
}

function eq(uint256 a, uint256 b) pure {
    require(a == b, Differ(bytes32(a), bytes32(b)));
}

function eq(bytes32 a, bytes32 b) pure {
    require(a == b, Differ(a, b));
}

function eq(address a, address b) pure {
    require(a == b, Differ(bytes32(uint256(uint160(a))), bytes32(uint256(uint160(b)))));
}

error Differ(bytes32 got, bytes32 expected);
