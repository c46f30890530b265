// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {PayRule} from "../libraries/PayRule.sol";
import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IPayArbiter
/// @notice Executes a disputed step of pay again. What a quorum signs for an epoch is a line of records and the pay state
/// after each; one wrong state, a claim tree that is not that of the last state, or another total takes the reward root
/// back as long as nobody can claim from it, and costs every signer a fifth of its stake. No bond: a proof that does not
/// hold reverts.
interface IPayArbiter {
    /// @notice What a publication was, for its digest; all of it is in the calldata of `RewardVault.publish`.
    /// @param epoch As published.
    /// @param root As published.
    /// @param total As published.
    /// @param emissionRoot As published.
    /// @param records As published.
    /// @param states As published.
    struct Publication {
        uint64 epoch;
        bytes32 root;
        uint256 total;
        bytes32 emissionRoot;
        bytes32[] records;
        bytes32[] states;
    }

    /// @notice A reward root was taken back.
    /// @param epoch May be published anew.
    /// @param digest What its quorum had signed.
    /// @param challenger Who brought the proof.
    /// @param fault 6: a step, 7: the claim tree, 8: the total, 0: a step pays a round that was voided, which is no fault.
    event RootTakenBack(uint64 indexed epoch, bytes32 indexed digest, address indexed challenger, uint8 fault);

    /// @notice What a quorum signed was proven wrong: whoever signed it loses a fifth of its stake, now or later.
    event PublicationProvenWrong(bytes32 indexed digest, address indexed challenger, uint8 fault);

    /// @notice A signer of a publication that was proven wrong was slashed.
    event SignerConvicted(bytes32 indexed digest, address indexed signer, address indexed challenger);

    /// @notice A rule of pay without rounds, without a cap or without a window.
    error BadTerms();

    /// @notice This is not the last publication, or its root can be claimed from already.
    error NotDisputable(bytes32 digest);

    /// @notice A publication has as many records as states.
    error ListsDiffer(uint256 records, uint256 states);

    /// @notice There is no such step.
    error NoSuchStep(uint256 step, uint256 steps);

    /// @notice The state has another hash than the one that was published, or that the steps start from.
    error NotThisState(bytes32 got, bytes32 expected);

    /// @notice The round has another hash than the record that was published.
    error NotThisRecord(bytes32 got, bytes32 expected);

    /// @notice The table has another root than the record says.
    error NotTheScores(bytes32 got, bytes32 expected);

    /// @notice The step is right: there is nothing to prove.
    error HonestStep(uint256 step);

    /// @notice Root and total are those of the last state: there is nothing to prove.
    error HonestRoot();

    /// @notice The record was not voided.
    error NotVoided(bytes32 record);

    /// @notice Nothing was proven against what these peers signed.
    error NotProvenWrong(bytes32 digest);

    /// @notice Signatures are 64 bytes each.
    error BadSignatures(uint256 length);

    /// @notice F6, F7: one step, executed again, leads to another state than the one that was signed. The first wrong state
    /// of a publication can always be shown: the state before it is right, so everybody can compute it.
    /// @param publication What was published.
    /// @param step Which of its records.
    /// @param before The state that the step starts from.
    /// @param round The record.
    /// @param accounts Who has a leaf under its score root, in the order of the tree; none if the record does not follow
    /// the one before it, which alone is wrong.
    /// @param leaves The values beside them.
    /// @param signatures Of those who signed, 64 bytes each (EIP-2098): each signer loses a fifth of its stake.
    function proveWrongStep(
        Publication calldata publication,
        uint256 step,
        PayRule.State calldata before,
        IRoundLedger.Round calldata round,
        address[] calldata accounts,
        bytes32[] calldata leaves,
        bytes calldata signatures
    ) external;

    /// @notice F6: a record does not stand on the record before it, whatever the states around it are.
    /// @param publication What was published.
    /// @param step Which of its records, above zero.
    /// @param round That record.
    /// @param signatures As in `proveWrongStep`.
    function proveWrongLine(
        Publication calldata publication,
        uint256 step,
        IRoundLedger.Round calldata round,
        bytes calldata signatures
    ) external;

    /// @notice F7, F8: the claim tree or its sum is not that of the last state.
    /// @param publication What was published.
    /// @param last The last state.
    /// @param signatures As in `proveWrongStep`.
    function proveWrongRoot(Publication calldata publication, PayRule.State calldata last, bytes calldata signatures)
        external;

    /// @notice A step pays a round that was voided: the root is taken back, and nobody is blamed.
    /// @param publication What was published.
    /// @param step Which of its records.
    /// @param before The state that the step starts from.
    function proveVoidedPaid(Publication calldata publication, uint256 step, PayRule.State calldata before) external;

    /// @notice Bring more signatures under what was proven wrong: it does not matter who was first.
    /// @param digest What they signed.
    /// @param signatures 64 bytes each.
    function convict(bytes32 digest, bytes calldata signatures) external;

    /// @notice The state that a step leads to, for whoever wants to check a computation against the contract's.
    /// @param before The state that it starts from.
    /// @param record The round's record.
    /// @param members How many peers it says are in the sum.
    /// @param accounts Who has a leaf under its score root.
    /// @param leaves The values beside them.
    function stateAfter(
        PayRule.State calldata before,
        bytes32 record,
        uint256 members,
        address[] calldata accounts,
        bytes32[] calldata leaves
    ) external view returns (PayRule.State memory);

    /// @notice A state's name.
    function digestOf(PayRule.State calldata state) external pure returns (bytes32);

    /// @notice Whether something that peers signed was proven wrong.
    function provenWrong(bytes32 digest) external view returns (bool);

    /// @notice Whether a signer was convicted for having signed it.
    function convicted(bytes32 digest, address signer) external view returns (bool);

    /// @notice Whether the ledger knows this record as one of that round, inside its window.
    function isRecorded(uint64 round, bytes32 record) external view returns (bool);

    /// @notice What the rule of pay is called with.
    function terms() external view returns (PayRule.Terms memory);

    /// @notice The peers' register.
    function registry() external view returns (address);

    /// @notice The ledger of the records.
    function ledger() external view returns (address);

    /// @notice The vault of the reward roots.
    function vault() external view returns (address);

    /// @notice Who voids records.
    function roundArbiter() external view returns (address);
}
