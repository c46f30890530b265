// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IQuorumSigned} from "./IQuorumSigned.sol";

/// @title IModelWatch
/// @notice Decides when a deployed model is replaced: a quorum reports, period after period, how often the model was right
/// on its watchers' fresh data; when it stays too low, a new task is opened that points at the model.
interface IModelWatch is IQuorumSigned {
    /// @notice What a quorum watches, and by which rule. Its name, the *watch*, is the EIP-712 digest of this.
    struct Watch {
        /// the model's record, by name and number
        bytes32 record;
        uint64 round;
        /// the share of right answers, in basis points: below `threshold` a period is bad, from `recovery` on it is
        /// good; between the two it is neither
        uint16 threshold;
        uint16 recovery;
        /// so many bad periods without a good one between them open a task
        uint16 periods;
        /// the least number of watchers behind a report
        uint16 watchers;
        /// tells watches apart that are alike otherwise
        uint64 serial;
    }

    /// @notice Sums over all watchers for one period; each watcher's own numbers stay under masks.
    struct Performance {
        bytes32 watch;
        /// counts 1, 2, 3, …
        uint64 period;
        uint256 correct;
        uint256 total;
        uint16 watchers;
    }

    /// @notice What the contract holds of a watch.
    struct Standing {
        Watch terms;
        uint64 lastPeriod;
        uint64 reportedAt;
        /// bad periods since the last good one
        uint16 bad;
        /// the task that was opened; zero while there is none
        bytes32 task;
    }

    /// @notice A quorum began to watch a model.
    event WatchOpened(bytes32 indexed watch, bytes32 indexed record, Watch terms);

    /// @notice A period was reported.
    /// @param bad Bad periods since the last good one, this one included.
    event PerformanceReported(
        bytes32 indexed watch, uint64 indexed period, uint256 correct, uint256 total, uint16 watchers, uint16 bad
    );

    /// @notice The model stayed too low: a new task replaces it.
    /// @param task Its name: keccak256(abi.encode(watch, period)).
    /// @param predecessor The record of the model that it replaces.
    event TaskOpened(bytes32 indexed task, bytes32 indexed predecessor, bytes32 indexed watch, uint64 period);

    /// @notice This very watch has been here before.
    error AlreadyWatched(bytes32 watch);

    /// @notice There is no such watch.
    error UnknownWatch(bytes32 watch);

    /// @notice The record is not on the ledger, or behind its window.
    error UnknownRecord(uint64 round, bytes32 record);

    /// @notice 0 < threshold <= recovery <= 10000, at least one period, at least three watchers: a sum of two tells each
    /// of them the other's.
    error BadTerms();

    /// @notice The watch has opened its task.
    error WatchOver(bytes32 watch, bytes32 task);

    /// @notice The period has been reported already.
    error StalePeriod(uint64 period, uint64 last);

    /// @notice A period before this one is missing.
    error PeriodGap(uint64 period, uint64 expected);

    /// @notice The periods are longer than this.
    error TooSoon(uint64 notBefore);

    /// @notice More right answers than answers, none at all, or 2^128 of them and more.
    error BadCounts(uint256 correct, uint256 total);

    /// @notice Too few watchers stand behind the sums.
    error TooFewWatchers(uint16 watchers, uint16 least);

    /// @notice Begin to watch a model; anyone may send what a quorum signed.
    /// @param signatures EIP-712 signatures over Watch(bytes32 record,uint64 round,uint16 threshold,uint16 recovery,uint16
    /// periods,uint16 watchers,uint64 serial) by a quorum of active peers, in the ascending order of their addresses.
    /// @return watch Its name.
    function open(Watch calldata terms, bytes[] calldata signatures) external returns (bytes32 watch);

    /// @notice Report the next period; anyone may send what a quorum signed.
    /// @param signatures Likewise over Performance(bytes32 watch,uint64 period,uint256 correct,uint256 total,uint16
    /// watchers).
    /// @return task The task that it opened; zero for none.
    function report(Performance calldata sums, bytes[] calldata signatures) external returns (bytes32 task);

    /// @notice What the contract holds of a watch; all zero for none.
    function standingOf(bytes32 watch) external view returns (Standing memory);

    /// @notice The model's record that a task replaces; zero for no task.
    function predecessorOf(bytes32 task) external view returns (bytes32);

    /// @notice The name of a watch: what a quorum signs for it.
    function watchDigest(Watch calldata terms) external view returns (bytes32);

    /// @notice What a quorum signs for a period.
    function performanceDigest(Performance calldata sums) external view returns (bytes32);

    /// @notice The least number of seconds from the opening, or from a report, to the next report.
    function periodSeconds() external view returns (uint32);

    /// @notice The peers' register.
    function registry() external view returns (address);

    /// @notice The ledger of the models' records.
    function ledger() external view returns (address);

    /// @notice The EIP-712 domain under which watches and reports are signed.
    function domainSeparator() external view returns (bytes32);
}
