// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRoundLedger} from "../src/interfaces/IRoundLedger.sol";
import {Federation} from "./Federation.sol";
import {vm} from "./Vm.sol";

/// @dev What anybody may do to a federation, in any order, honest and not; it keeps its own books beside the contracts'.
/// Six peers sign; twelve accounts earn. A `broken` that is not empty names a rule that a contract let pass.
contract Handler is Federation {
    uint256 public constant EARNERS = 12;
    uint256 private constant PEERS = 6;

    address public constant CHALLENGER = address(0xC4A1);

    string public broken;
    uint256 public fundedModel;
    uint256 public claimedModel;
    uint256 public recordsModel;
    uint64 public newest;
    /// what verdicts took from stakes, what stakes came in and went out
    uint256 public slashedModel;
    uint256 public bountiesModel;
    uint256 public stakedModel;
    uint256 public withdrawnModel;
    uint16 public seatsModel;
    mapping(bytes32 record => uint64 round) public roundOf;

    bytes32[] private _records;
    bytes32 private _head = FEDERATION;
    uint256[] private _earned = new uint256[](EARNERS);
    bytes32[][] private _proofs;
    uint256[] private _claimable = new uint256[](EARNERS);
    /// what the root before the last one pays
    uint256[] private _claimableBefore = new uint256[](EARNERS);
    bytes32[][] private _proofsBefore;
    uint256 private _publications;

    constructor() {
        deployWith(PEERS);
        stakedModel = PEERS * STAKE;
        seatsModel = uint16(PEERS);
        _records.push(FEDERATION);
    }

    function contracts() external view returns (address, address, address, address) {
        return (address(token), address(registry), address(rounds), address(vault));
    }

    function member(uint256 i) external view returns (address) {
        return peer(i);
    }

    function members() external pure returns (uint256) {
        return PEERS;
    }

    function earner(uint256 i) public pure returns (address) {
        return address(uint160(0xE000 + i));
    }

    function leave(uint256 who) external {
        address account = peer(who % PEERS);
        if (!registry.isActive(account)) return;
        vm.prank(account);
        registry.leave();
    }

    function withdraw(uint256 who) external {
        address account = peer(who % PEERS);
        (, uint256 stake, bool active, uint64 withdrawableAt) = registry.peerOf(account);
        uint256 before = token.balanceOf(account);
        vm.prank(account);
        try registry.withdraw() {
            if (active || block.timestamp < withdrawableAt) broken = "a locked stake went out";
            if (token.balanceOf(account) - before != stake) broken = "a stake came back short";
            if (registry.payeeOf(account) != account) broken = "a recovered account took its stake";
            withdrawnModel += stake;
        } catch {}
    }

    function comeBack(uint256 who, uint64 extra) external {
        address account = peer(who % PEERS);
        (, uint256 stake, bool active,) = registry.peerOf(account);
        if (active || stake > 0 || registry.isBarred(account)) return;
        token.transfer(account, extra);
        uint256 balance = token.balanceOf(account);
        if (balance < STAKE) return;
        vm.startPrank(account);
        token.approve(address(registry), balance);
        registry.register(keccak256(abi.encode("key", account)), "tcp://127.0.0.1:1,2", balance);
        vm.stopPrank();
        stakedModel += balance;
        if (registry.seatOf(account) != ++seatsModel) broken = "not the next seat";
    }

    /// @dev Whoever asks; only an arbiter may, and never for more than there is.
    function slash(uint256 who, uint16 basisPoints, uint8 asker) external {
        address account = peer(who % PEERS);
        (, uint256 stake, bool active,) = registry.peerOf(account);
        address sender = asker < 40 ? peer(asker % PEERS) : asker % 2 == 0 ? ROUND_ARBITER : PAY_ARBITER;
        // mostly a fifth, as for a bad round: the whole stake ends an account for good
        uint16 part = basisPoints % 8 == 0 ? basisPoints % 10_500 : 2000;
        vm.prank(sender);
        try registry.slash(account, part, CHALLENGER) returns (uint256 amount) {
            if (asker < 40) broken = "a peer slashed";
            if (amount > stake || part > 10_000) broken = "more than the stake";
            if (amount != stake * part / 10_000) broken = "another part";
            (, uint256 left, bool still,) = registry.peerOf(account);
            if (left != stake - amount) broken = "a stake lost something else";
            if (stake > 0 && still != (active && left > 0)) broken = "ended, or not, without a reason";
            slashedModel += amount;
            bountiesModel += amount / 10;
            fundedModel += amount - amount / 10;
        } catch {
            if (asker >= 40 && part <= 10_000) broken = "an arbiter was refused";
        }
    }

    function setRecovery(uint256 who) external {
        address account = peer(who % PEERS);
        if (!registry.isActive(account) || registry.recoveryOf(account) != address(0)) return;
        vm.prank(account);
        registry.setRecovery(safeOf(account));
    }

    /// @dev Seldom, for it ends the peer; the safe then also tries to get the stake out.
    function recover(uint256 who, uint8 luck) external {
        address account = peer(who % PEERS);
        if (registry.recoveryOf(account) == address(0)) return;
        if (registry.payeeOf(account) == account) {
            if (luck > 25) return;
            vm.prank(safeOf(account));
            registry.recover(account);
            return;
        }
        (, uint256 stake,, uint64 withdrawableAt) = registry.peerOf(account);
        vm.prank(safeOf(account));
        try registry.withdrawFor(account) {
            if (block.timestamp < withdrawableAt) broken = "a locked stake went to the safe";
            withdrawnModel += stake;
        } catch {}
    }

    function safeOf(address account) public pure returns (address) {
        return address(uint160(account) ^ 1);
    }

    function pass(uint32 time) external {
        vm.warp(block.timestamp + time % (2 * UNBONDING));
    }

    function fundPool(uint64 amount) external {
        fund(amount);
        fundedModel += amount;
    }

    /// @dev Everyone earns something more, as far as the pool goes, and whoever is a peer signs.
    function publish(uint64[12] calldata more) external {
        (uint64 epoch,, uint256 previous, uint64 activeAt) = vault.published();
        if (block.timestamp < activeAt) return;
        if (registry.activeCount() == 0) return _publishAlone(epoch + 1, previous);
        uint256 total = previous;
        for (uint256 i = 0; i < EARNERS; ++i) {
            uint256 part = more[i] % ((fundedModel - total) / EARNERS + 1);
            _earned[i] += part;
            total += part;
        }
        (bytes32 root, bytes32[][] memory proofs) = tree(_earners(), _earned);
        bytes32 emissions = bytes32(++_publications); // what was voided is never published again
        bytes32 digest = rewardDigest(epoch + 1, root, total, emissions, keccak256(""));
        bytes memory signatures;
        for (uint256 i = 0; i < PEERS; ++i) {
            if (registry.isActive(peer(i))) signatures = bytes.concat(signatures, signedAlone(i, digest));
        }
        publishRoot(epoch + 1, root, total, emissions, signatures);
        _proofsBefore = _proofs;
        _claimableBefore = _claimable;
        _proofs = proofs;
        _claimable = _earned;
    }

    /// @dev The pay arbiter takes the last root back; what only it would have paid is never paid.
    function takeBack(uint256 who) external {
        (uint64 epoch,,, uint64 activeAt) = vault.published();
        bool pending = block.timestamp < activeAt;
        vm.prank(PAY_ARBITER);
        try vault.voidRoot(epoch) {
            if (!pending) broken = "a root that can be claimed from was voided";
        } catch {
            if (pending) broken = "a root that waits was not voided";
            return;
        }
        uint256 i = who % EARNERS;
        if (_claimable[i] > _claimableBefore[i]) {
            try vault.claim(earner(i), _claimable[i], _proofs[i]) {
                broken = "a voided root was paid";
            } catch {}
        }
        _claimable = _claimableBefore;
        _earned = _claimableBefore;
        _proofs = _proofsBefore;
    }

    /// @dev May come too early, a second time, or with somebody else's number.
    function claim(uint256 who, uint8 lie) external {
        if (_proofs.length == 0) return;
        uint256 i = who % EARNERS;
        uint256 cumulative = _claimable[i] + (lie < 32 ? lie : 0);
        uint256 before = token.balanceOf(earner(i));
        try vault.claim(earner(i), cumulative, _proofs[i]) {
            uint256 paid = token.balanceOf(earner(i)) - before;
            if (cumulative != _claimable[i]) broken = "a lie was paid";
            if (before + paid != cumulative) broken = "paid something else than was due";
            claimedModel += paid;
        } catch {}
    }

    function claimAll() external {
        if (_proofs.length == 0) return;
        uint256 before = token.balanceOf(address(vault));
        try vault.claimMany(_earners(), _claimable, _proofs) {
            claimedModel += before - token.balanceOf(address(vault));
        } catch {}
    }

    /// @dev On any record there ever was; what is on the ledger must have had known parents, once.
    function record(uint256 which, uint256 who, uint8 salt) external {
        bytes32 parent = _records[which % _records.length];
        _try(child(roundOf[parent], parent, salt % 4 == 0 ? "" : string(abi.encodePacked(salt))), peer(who % PEERS));
    }

    function merge(uint256 one, uint256 two, uint256 who) external {
        bytes32 a = _records[one % _records.length];
        bytes32 b = _records[two % _records.length];
        IRoundLedger.Round memory round = child(roundOf[a], a, "merge");
        round.parentRounds = new uint64[](2);
        round.parents = new bytes32[](2);
        (round.parents[0], round.parents[1]) = (a, b);
        (round.parentRounds[0], round.parentRounds[1]) = (roundOf[a], roundOf[b]);
        round.round = 1 + (roundOf[a] > roundOf[b] ? roundOf[a] : roundOf[b]);
        _try(round, peer(who % PEERS));
    }

    function recordOnNothing(bytes32 parent, uint64 parentRound, uint256 who) external {
        vm.assume(parentRound < type(uint64).max);
        if (roundOf[parent] == parentRound && (parentRound > 0 || parent == FEDERATION)) return;
        uint256 before = recordsModel;
        _try(child(parentRound, parent, ""), peer(who % PEERS));
        if (recordsModel != before) broken = "an unknown parent";
    }

    /// @dev Sixty-four rounds on the newest, so that the ring goes round several times.
    function lap() external {
        for (uint256 i = 0; i < PEERS; ++i) {
            if (!registry.isActive(peer(i))) continue;
            for (uint256 j = 0; j < 64; ++j) {
                _try(child(newest, _head, "run"), peer(i));
            }
            return;
        }
    }

    /// @dev Several in one transaction, some of them recorded already, some on nothing: all or none.
    function recordSeveral(uint256 which, uint256 who, uint8 count, uint8 bad) external {
        bytes32 parent = _records[which % _records.length];
        uint64 at = roundOf[parent];
        IRoundLedger.Round[] memory batch = new IRoundLedger.Round[](1 + count % 4);
        for (uint256 i = 0; i < batch.length; ++i) {
            batch[i] = child(at, bad % 8 == i ? keccak256("nothing") : parent, "");
            parent = keccak256(abi.encode(batch[i]));
            ++at;
        }
        bool known = rounds.isRecorded(batch[0].parentRounds[0], batch[0].parents[0]) && bad % 8 >= batch.length;
        address sender = peer(who % PEERS);
        bool active = registry.isActive(sender);
        vm.prank(sender);
        try rounds.recordRounds(batch) returns (bytes32[] memory names) {
            if (!active || !known) broken = "a batch that is not a peer's, or on nothing";
            for (uint256 i = 0; i < names.length; ++i) {
                if (names[i] != keccak256(abi.encode(batch[i]))) broken = "another name in a batch";
                if (roundOf[names[i]] == 0) _keep(names[i], batch[i], sender);
            }
        } catch {
            if (active && known) broken = "a batch refused without a reason";
        }
    }

    function _keep(bytes32 name, IRoundLedger.Round memory round, address sender) private {
        for (uint256 i = 0; i < round.parents.length; ++i) {
            // hence no record is its own ancestor
            if (roundOf[round.parents[i]] >= round.round) broken = "a parent that is not below its child";
        }
        if (!rounds.isRecorded(round.round, name)) broken = "forgotten at once";
        if (rounds.posterOf(round.round, name) != sender) broken = "another poster";
        roundOf[name] = round.round;
        _records.push(name);
        ++recordsModel;
        if (round.round > newest + 1) broken = "a round was skipped";
        if (round.round > newest) (newest, _head) = (round.round, name);
    }

    function _publishAlone(uint64 epoch, uint256 total) private {
        try vault.publish(epoch, FEDERATION, total, FEDERATION, new bytes32[](0), new bytes32[](0), "") {
            broken = "a root without a peer";
        } catch {}
    }

    function _try(IRoundLedger.Round memory round, address sender) private {
        bytes32 name = keccak256(abi.encode(round));
        bool active = registry.isActive(sender);
        bool known = true;
        for (uint256 i = 0; i < round.parents.length; ++i) {
            known = known && rounds.isRecorded(round.parentRounds[i], round.parents[i]);
            bool there = round.parents[i] == FEDERATION || roundOf[round.parents[i]] > 0;
            if (known && !there) broken = "known, but never recorded";
        }
        vm.prank(sender);
        try rounds.recordRound(round) returns (bytes32 got) {
            if (got != name) broken = "another name";
            if (!active) broken = "not a peer's";
            if (!known) broken = "parents not known";
            if (roundOf[name] != 0) broken = "twice";
            _keep(name, round, sender);
        } catch {
            if (active && known && roundOf[name] == 0) broken = "refused without a reason";
        }
    }

    function _earners() private pure returns (address[] memory accounts) {
        accounts = new address[](EARNERS);
        for (uint256 i = 0; i < EARNERS; ++i) {
            accounts[i] = earner(i);
        }
    }
}
