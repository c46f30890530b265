// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IPayArbiter} from "./interfaces/IPayArbiter.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRewardVault} from "./interfaces/IRewardVault.sol";
import {IRoundArbiter} from "./interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {PayRule} from "./libraries/PayRule.sol";

/// @title PayArbiter
/// @notice See {IPayArbiter}. It holds nothing and decides from hashes that a quorum has signed.
contract PayArbiter is IPayArbiter {
    bytes32 private constant _REWARD_ROOT =
        keccak256("RewardRoot(uint64 epoch,bytes32 root,uint256 total,bytes32 emissionRoot,bytes32 steps)");
    uint256 private constant _SIGNATURE = 64;
    uint16 private constant _FIFTH = 2000;
    uint8 private constant _NO_FAULT = 0;
    uint8 private constant _WRONG_STEP = 6;
    uint8 private constant _WRONG_ROOT = 7;
    uint8 private constant _WRONG_TOTAL = 8;

    IPeerRegistry private immutable _registry;
    IRoundLedger private immutable _ledger;
    IRewardVault private immutable _vault;
    IRoundArbiter private immutable _roundArbiter;
    uint128 private immutable _pool;
    uint64 private immutable _planned;
    uint32 private immutable _cap;
    uint32 private immutable _window;

    /// where the steps of a root that was taken back had started
    mapping(bytes32 digest => bytes32 state) private _startOf;
    mapping(bytes32 digest => bool) private _wrong;
    mapping(bytes32 digest => mapping(address signer => bool)) private _convicted;

    /// @dev What a proof speaks of: the digest, the state that its steps start from, whether it can still be taken back.
    struct Case {
        bytes32 digest;
        bytes32 start;
        bool pending;
    }

    /// @param registry_ Which takes the stakes of those who signed what is wrong.
    /// @param ledger_ Of the records.
    /// @param vault_ Of the reward roots; it must know this contract as its pay arbiter.
    /// @param roundArbiter_ Who voids records.
    /// @param terms_ As in the federation's settings.
    constructor(
        IPeerRegistry registry_,
        IRoundLedger ledger_,
        IRewardVault vault_,
        address roundArbiter_,
        PayRule.Terms memory terms_
    ) {
        require(terms_.planned > 0 && terms_.cap > 0 && terms_.window > 0, BadTerms());
        _registry = registry_;
        _ledger = ledger_;
        _vault = vault_;
        _roundArbiter = IRoundArbiter(roundArbiter_);
        _pool = terms_.pool;
        _planned = terms_.planned;
        _cap = terms_.cap;
        _window = terms_.window;
    }

    /// @inheritdoc IPayArbiter
    function proveWrongStep(
        Publication calldata publication,
        uint256 step,
        PayRule.State calldata before,
        IRoundLedger.Round calldata round,
        address[] calldata accounts,
        bytes32[] calldata leaves,
        bytes calldata signatures
    ) external {
        Case memory case_ = _disputable(publication);
        PayRule.State memory state = before;
        _checkState(publication, case_, step, state);
        bytes32 record = _checkRecord(publication, step, round);
        if (round.round == state.rounds + 1 && _standsOn(round, state.record)) {
            bytes32 root = PayRule.tableRoot(accounts, leaves);
            require(root == round.scoreRoot && accounts.length == leaves.length, NotTheScores(root, round.scoreRoot));
            PayRule.skip(state, record);
            bytes32 published = publication.states[step];
            // a round may be voided before or after it is settled: then it is right to pay it and right not to
            bool unpaid = PayRule.digest(state) == published && _roundArbiter.voided(record);
            PayRule.pay(terms(), state, round.members, accounts, leaves);
            require(!unpaid && PayRule.digest(state) != published, HonestStep(step));
        }
        _condemn(publication.epoch, case_, _WRONG_STEP, signatures);
    }

    /// @inheritdoc IPayArbiter
    function proveWrongLine(
        Publication calldata publication,
        uint256 step,
        IRoundLedger.Round calldata round,
        bytes calldata signatures
    ) external {
        Case memory case_ = _disputable(publication);
        _checkRecord(publication, step, round);
        require(step > 0 && !_standsOn(round, publication.records[step - 1]), HonestStep(step));
        _condemn(publication.epoch, case_, _WRONG_STEP, signatures);
    }

    /// @inheritdoc IPayArbiter
    function proveWrongRoot(Publication calldata publication, PayRule.State calldata last, bytes calldata signatures)
        external
    {
        Case memory case_ = _disputable(publication);
        PayRule.State memory state = last;
        _checkState(publication, case_, publication.states.length, state);
        (bytes32 root, uint256 total) = PayRule.claims(state);
        require(root != publication.root || total != publication.total, HonestRoot());
        _condemn(publication.epoch, case_, total != publication.total ? _WRONG_TOTAL : _WRONG_ROOT, signatures);
    }

    /// @inheritdoc IPayArbiter
    function proveVoidedPaid(Publication calldata publication, uint256 step, PayRule.State calldata before) external {
        Case memory case_ = _disputable(publication);
        require(case_.pending, NotDisputable(case_.digest));
        require(step < publication.records.length, NoSuchStep(step, publication.records.length));
        bytes32 record = publication.records[step];
        require(_roundArbiter.voided(record), NotVoided(record));
        PayRule.State memory state = before;
        _checkState(publication, case_, step, state);
        PayRule.skip(state, record);
        require(PayRule.digest(state) != publication.states[step], HonestStep(step));
        _takeBack(publication.epoch, case_, _NO_FAULT);
    }

    /// @inheritdoc IPayArbiter
    function convict(bytes32 digest, bytes calldata signatures) public {
        require(_wrong[digest], NotProvenWrong(digest));
        uint256 length = signatures.length;
        require(length % _SIGNATURE == 0, BadSignatures(length));
        for (uint256 at = 0; at < length; at += _SIGNATURE) {
            address signer =
                ECDSA.recover(digest, bytes32(signatures[at:at + 32]), bytes32(signatures[at + 32:at + 64]));
            if (_convicted[digest][signer]) continue;
            _convicted[digest][signer] = true;
            emit SignerConvicted(digest, signer, msg.sender);
            _registry.slash(signer, _FIFTH, msg.sender);
        }
    }

    /// @inheritdoc IPayArbiter
    function stateAfter(
        PayRule.State calldata before,
        bytes32 record,
        uint256 members,
        address[] calldata accounts,
        bytes32[] calldata leaves
    ) external view returns (PayRule.State memory state) {
        state = before;
        PayRule.skip(state, record);
        PayRule.pay(terms(), state, members, accounts, leaves);
    }

    /// @inheritdoc IPayArbiter
    function digestOf(PayRule.State calldata state) external pure returns (bytes32) {
        return PayRule.digest(state);
    }

    /// @inheritdoc IPayArbiter
    function provenWrong(bytes32 digest) external view returns (bool) {
        return _wrong[digest];
    }

    /// @inheritdoc IPayArbiter
    function convicted(bytes32 digest, address signer) external view returns (bool) {
        return _convicted[digest][signer];
    }

    /// @inheritdoc IPayArbiter
    function isRecorded(uint64 round, bytes32 record) external view returns (bool) {
        return _ledger.isRecorded(round, record);
    }

    /// @inheritdoc IPayArbiter
    function terms() public view returns (PayRule.Terms memory) {
        return PayRule.Terms(_pool, _planned, _cap, _window);
    }

    /// @inheritdoc IPayArbiter
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IPayArbiter
    function ledger() external view returns (address) {
        return address(_ledger);
    }

    /// @inheritdoc IPayArbiter
    function vault() external view returns (address) {
        return address(_vault);
    }

    /// @inheritdoc IPayArbiter
    function roundArbiter() external view returns (address) {
        return address(_roundArbiter);
    }

    /// @dev The root that waits for its activation; or one that was taken back: its signers may still have been wrong.
    function _disputable(Publication calldata p) private view returns (Case memory case_) {
        // one hash over both lists: only their equal lengths say where the one ends and the other begins
        require(p.records.length == p.states.length, ListsDiffer(p.records.length, p.states.length));
        bytes32 steps = keccak256(abi.encodePacked(p.records, p.states));
        bytes32 statement = keccak256(abi.encode(_REWARD_ROOT, p.epoch, p.root, p.total, p.emissionRoot, steps));
        case_.digest = MessageHashUtils.toTypedDataHash(_vault.domainSeparator(), statement);
        IRewardVault.Publication memory last = _vault.publication();
        case_.pending = last.digest == case_.digest && block.timestamp < last.activeAt;
        require(case_.pending || _vault.wasVoided(case_.digest), NotDisputable(case_.digest));
        case_.start = case_.pending ? last.stateBefore : _startOf[case_.digest];
        if (case_.start == bytes32(0)) {
            PayRule.State memory empty;
            empty.record = _ledger.federation();
            case_.start = PayRule.digest(empty);
        }
    }

    /// @dev Reverts unless it is the state that was signed before this step.
    function _checkState(Publication calldata p, Case memory case_, uint256 step, PayRule.State memory state)
        private
        pure
    {
        require(step <= p.states.length, NoSuchStep(step, p.states.length));
        bytes32 expected = step == 0 ? case_.start : p.states[step - 1];
        bytes32 got = PayRule.digest(state);
        require(got == expected, NotThisState(got, expected));
    }

    /// @dev Reverts unless it is the round behind the record of this step.
    function _checkRecord(Publication calldata p, uint256 step, IRoundLedger.Round calldata round)
        private
        pure
        returns (bytes32 record)
    {
        require(step < p.records.length, NoSuchStep(step, p.records.length));
        record = keccak256(abi.encode(round));
        require(record == p.records[step], NotThisRecord(record, p.records[step]));
    }

    function _standsOn(IRoundLedger.Round calldata round, bytes32 parent) private pure returns (bool) {
        return round.parents.length == 1 && round.parents[0] == parent;
    }

    function _condemn(uint64 epoch, Case memory case_, uint8 fault, bytes calldata signatures) private {
        if (case_.pending) _takeBack(epoch, case_, fault);
        if (!_wrong[case_.digest]) {
            _wrong[case_.digest] = true;
            emit PublicationProvenWrong(case_.digest, msg.sender, fault);
        }
        convict(case_.digest, signatures);
    }

    function _takeBack(uint64 epoch, Case memory case_, uint8 fault) private {
        _startOf[case_.digest] = case_.start;
        emit RootTakenBack(epoch, case_.digest, msg.sender, fault);
        _vault.voidRoot(epoch);
    }
}
