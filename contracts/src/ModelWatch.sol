// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IModelWatch} from "./interfaces/IModelWatch.sol";
import {IPeerRegistry} from "./interfaces/IPeerRegistry.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {QuorumSigned} from "./libraries/QuorumSigned.sol";

/// @title ModelWatch
/// @notice See {IModelWatch}. It holds no money and decides by comparing integers.
contract ModelWatch is IModelWatch, EIP712 {
    bytes32 private constant _WATCH = keccak256(
        "Watch(bytes32 record,uint64 round,uint16 threshold,uint16 recovery,uint16 periods,uint16 watchers,uint64 serial)"
    );
    bytes32 private constant _PERFORMANCE =
        keccak256("Performance(bytes32 watch,uint64 period,uint256 correct,uint256 total,uint16 watchers)");
    uint256 private constant _WHOLE = 10_000;
    uint16 private constant _LEAST_WATCHERS = 3;

    IPeerRegistry private immutable _registry;
    IRoundLedger private immutable _ledger;
    uint32 private immutable _periodSeconds;

    mapping(bytes32 watch => Standing) private _standings;
    mapping(bytes32 task => bytes32 record) private _predecessors;

    /// @param registry_ Whose active peers watch.
    /// @param ledger_ Where the models come from.
    /// @param periodSeconds_ The least time between two reports; zero on a devnet.
    constructor(IPeerRegistry registry_, IRoundLedger ledger_, uint32 periodSeconds_) EIP712("PeerageWatch", "1") {
        _registry = registry_;
        _ledger = ledger_;
        _periodSeconds = periodSeconds_;
    }

    /// @inheritdoc IModelWatch
    function open(Watch calldata terms, bytes[] calldata signatures) external returns (bytes32 watch) {
        watch = watchDigest(terms);
        Standing storage standing = _standings[watch];
        require(standing.terms.periods == 0, AlreadyWatched(watch));
        require(
            terms.threshold > 0 && terms.threshold <= terms.recovery && terms.recovery <= _WHOLE && terms.periods > 0
                && terms.watchers >= _LEAST_WATCHERS,
            BadTerms()
        );
        require(_ledger.isRecorded(terms.round, terms.record), UnknownRecord(terms.round, terms.record));
        QuorumSigned.check(_registry, watch, signatures);
        standing.terms = terms;
        standing.reportedAt = SafeCast.toUint64(block.timestamp);
        emit WatchOpened(watch, terms.record, terms);
    }

    /// @inheritdoc IModelWatch
    function report(Performance calldata sums, bytes[] calldata signatures) external returns (bytes32 task) {
        Standing storage standing = _standings[sums.watch];
        _checkReport(standing, sums);
        QuorumSigned.check(_registry, performanceDigest(sums), signatures);
        uint16 bad = _badAfter(standing, sums);
        (standing.lastPeriod, standing.reportedAt, standing.bad) =
        (sums.period, SafeCast.toUint64(block.timestamp), bad);
        emit PerformanceReported(sums.watch, sums.period, sums.correct, sums.total, sums.watchers, bad);
        if (bad < standing.terms.periods) return bytes32(0);
        task = keccak256(abi.encode(sums.watch, sums.period));
        bytes32 record = standing.terms.record;
        standing.task = task;
        _predecessors[task] = record;
        emit TaskOpened(task, record, sums.watch, sums.period);
    }

    /// @inheritdoc IModelWatch
    function standingOf(bytes32 watch) external view returns (Standing memory) {
        return _standings[watch];
    }

    /// @inheritdoc IModelWatch
    function predecessorOf(bytes32 task) external view returns (bytes32) {
        return _predecessors[task];
    }

    /// @inheritdoc IModelWatch
    function watchDigest(Watch calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_WATCH, terms)));
    }

    /// @inheritdoc IModelWatch
    function performanceDigest(Performance calldata sums) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(_PERFORMANCE, sums)));
    }

    /// @inheritdoc IModelWatch
    function periodSeconds() external view returns (uint32) {
        return _periodSeconds;
    }

    /// @inheritdoc IModelWatch
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IModelWatch
    function ledger() external view returns (address) {
        return address(_ledger);
    }

    /// @inheritdoc IModelWatch
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _checkReport(Standing storage standing, Performance calldata sums) private view {
        require(standing.terms.periods > 0, UnknownWatch(sums.watch));
        require(standing.task == bytes32(0), WatchOver(sums.watch, standing.task));
        uint64 last = standing.lastPeriod;
        require(sums.period > last, StalePeriod(sums.period, last));
        require(sums.period == last + 1, PeriodGap(sums.period, last + 1));
        uint64 notBefore = standing.reportedAt + _periodSeconds;
        require(block.timestamp >= notBefore, TooSoon(notBefore));
        require(
            sums.total > 0 && sums.correct <= sums.total && sums.total <= type(uint128).max,
            BadCounts(sums.correct, sums.total)
        );
        uint16 least = standing.terms.watchers;
        require(sums.watchers >= least, TooFewWatchers(sums.watchers, least));
    }

    /// @dev Bad periods count, a good one sets them back, one between the two leaves them as they are.
    function _badAfter(Standing storage standing, Performance calldata sums) private view returns (uint16) {
        uint256 right = sums.correct * _WHOLE;
        if (right < standing.terms.threshold * sums.total) return standing.bad + 1;
        return right >= standing.terms.recovery * sums.total ? 0 : standing.bad;
    }
}
