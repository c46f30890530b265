// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title IRoundLedger
/// @notice Where every model came from: one record per round, naming its parents. The chain keeps what is needed to check
/// the next records; the history is in the events.
interface IRoundLedger {
    /// @notice One round. Its name, the *record*, is keccak256(abi.encode(round)).
    struct Round {
        /// 1 + the highest parent round
        uint64 round;
        /// the session that produced it
        bytes32 sid;
        /// the round of each parent, in the order of `parents`
        uint64[] parentRounds;
        /// the records it merges; the federation hash stands for round 0
        bytes32[] parents;
        /// SHA-256 of the canonical parameter bytes
        bytes32 aggregate;
        /// roots over the statements of the round, sorted by address
        bytes32 joinRoot;
        bytes32 maskedRoot;
        bytes32 ackRoot;
        bytes32 scoreRoot;
        bytes32 emissionRoot;
        /// SHA-256 of the artefact that holds every statement of the round
        bytes32 transcript;
        /// how many peers are in the sum
        uint16 members;
    }

    /// @notice A round was recorded.
    /// @param round Its number.
    /// @param record Its name.
    /// @param initiator The peer that sent it.
    /// @param data The whole of it.
    event RoundRecorded(uint64 indexed round, bytes32 indexed record, address indexed initiator, Round data);

    /// @notice The sender is not an active peer.
    error NotAPeer(address account);

    /// @notice This very record is on the ledger; sending it again changes nothing.
    error AlreadyRecorded(uint64 round, bytes32 record);

    /// @notice A parent is not on the ledger, or lies behind the window.
    error UnknownParent(uint64 round, bytes32 record);

    /// @notice A round without parents, or with another number of parent rounds.
    error ParentsMismatch(uint256 rounds, uint256 records);

    /// @notice The number is not 1 + the highest parent round.
    error WrongRound(uint64 round, uint64 expected);

    /// @notice Record a round.
    /// @param round What to record.
    /// @return record Its name.
    function recordRound(Round calldata round) external returns (bytes32 record);

    /// @notice Record several rounds in one transaction; those that are recorded already are skipped, so that whoever is
    /// first spoils nobody's batch. A later one may stand on an earlier one.
    /// @param batch What to record, parents before children.
    /// @return records Their names, the skipped ones' too.
    function recordRounds(Round[] calldata batch) external returns (bytes32[] memory records);

    /// @notice The peer that recorded a record; zero if it is not on the ledger or behind the window.
    function posterOf(uint64 round, bytes32 record) external view returns (address);

    /// @notice Whether a record is on the ledger and inside the window.
    function isRecorded(uint64 round, bytes32 record) external view returns (bool);

    /// @notice The peers' register.
    function registry() external view returns (address);

    /// @notice The federation's hash: the record of round 0.
    function federation() external view returns (bytes32);

    /// @notice How many rounds back a parent may lie.
    function window() external view returns (uint64);

    /// @notice The EIP-712 domain under which peers sign the statements of a round.
    function domainSeparator() external view returns (bytes32);
}
