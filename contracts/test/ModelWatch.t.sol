// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ModelWatch} from "../src/ModelWatch.sol";
import {IModelWatch} from "../src/interfaces/IModelWatch.sol";
import {IQuorumSigned} from "../src/interfaces/IQuorumSigned.sol";
import {Federation, eq} from "./Federation.sol";
import {vm} from "./Vm.sol";

contract ModelWatchTest is Federation {
    uint256 private constant PEERS = 8; // quorum 6
    uint32 private constant PERIOD = 1 days;

    ModelWatch private watch;
    bytes32 private record;
    bytes32 private name;

    function setUp() public {
        deployWith(PEERS);
        watch = new ModelWatch(registry, rounds, PERIOD);
        record = extend(0, FEDERATION, 1);
        name = _open(_terms());
    }

    function test_what_was_deployed_can_be_read() public view {
        eq(watch.periodSeconds(), PERIOD);
        eq(watch.registry(), address(registry));
        eq(watch.ledger(), address(rounds));
        require(watch.domainSeparator() != rounds.domainSeparator(), "a domain of its own");
    }

    function test_a_watch_is_of_a_recorded_model_under_sound_terms() public {
        IModelWatch.Watch memory terms = _terms();
        _refused(terms, abi.encodeWithSelector(IModelWatch.AlreadyWatched.selector, name));
        terms.record = keccak256("none");
        _refused(terms, abi.encodeWithSelector(IModelWatch.UnknownRecord.selector, 1, terms.record));
        uint16[4][6] memory bad = [
            [uint16(0), 8500, 3, 3], // no threshold
            [uint16(8600), 8500, 3, 3], // recovers before it fails
            [uint16(8000), 10_001, 3, 3], // more than all
            [uint16(8000), 8500, 0, 3], // at once
            [uint16(8000), 8500, 3, 2], // a sum of two hides nobody
            [uint16(8000), 7999, 3, 3]
        ];
        for (uint256 i = 0; i < 6; ++i) {
            terms = _terms();
            (terms.threshold, terms.recovery, terms.periods, terms.watchers) =
            (bad[i][0], bad[i][1], bad[i][2], bad[i][3]);
            terms.serial = 1;
            _refused(terms, abi.encodeWithSelector(IModelWatch.BadTerms.selector));
        }
        terms = _terms();
        terms.serial = 2;
        bytes32 digest = watch.watchDigest(terms);
        vm.expectEmit();
        emit IModelWatch.WatchOpened(digest, record, terms);
        _open(terms);
    }

    function test_the_task_opens_after_exactly_k_bad_periods() public {
        eq(_report(1, 79, 100), bytes32(0));
        eq(_report(2, 79, 100), bytes32(0));
        bytes32 task = keccak256(abi.encode(name, uint64(3)));
        IModelWatch.Performance memory sums = _sums(3, 79, 100);
        bytes[] memory signatures = _signed(watch.performanceDigest(sums), 6);
        vm.warp(block.timestamp + PERIOD);
        vm.expectEmit();
        emit IModelWatch.PerformanceReported(name, 3, 79, 100, 3, 3);
        vm.expectEmit();
        emit IModelWatch.TaskOpened(task, record, name, 3);
        eq(watch.report(sums, signatures), task);
        eq(watch.predecessorOf(task), record);
        eq(watch.standingOf(name).task, task);
        _refusedReport(_sums(4, 99, 100), abi.encodeWithSelector(IModelWatch.WatchOver.selector, name, task));
    }

    function test_hysteresis() public {
        _report(1, 79, 100);
        _report(2, 79, 100);
        _report(3, 84, 100); // above the threshold, below recovery: neither bad nor good
        eq(watch.standingOf(name).bad, 2);
        _report(4, 85, 100); // recovered
        eq(watch.standingOf(name).bad, 0);
        _report(5, 80, 100); // exactly the threshold is not below it
        eq(watch.standingOf(name).bad, 0);
        _report(6, 79, 100);
        _report(7, 80, 100);
        _report(8, 79, 100);
        eq(watch.standingOf(name).bad, 2);
        require(_report(9, 0, 100) != bytes32(0), "the third bad one");
    }

    function test_gaps_replays_and_haste_are_refused() public {
        _report(1, 90, 100);
        _refusedReport(_sums(1, 90, 100), abi.encodeWithSelector(IModelWatch.StalePeriod.selector, 1, 1));
        _refusedReport(_sums(0, 90, 100), abi.encodeWithSelector(IModelWatch.StalePeriod.selector, 0, 1));
        _refusedReport(_sums(3, 90, 100), abi.encodeWithSelector(IModelWatch.PeriodGap.selector, 3, 2));
        uint256 notBefore = block.timestamp + PERIOD;
        vm.warp(notBefore - 1);
        _refusedReport(_sums(2, 90, 100), abi.encodeWithSelector(IModelWatch.TooSoon.selector, notBefore));
        _report(2, 90, 100);
        IModelWatch.Performance memory sums = _sums(3, 90, 100);
        sums.watch = keccak256("none");
        _refusedReport(sums, abi.encodeWithSelector(IModelWatch.UnknownWatch.selector, sums.watch));
    }

    function test_counts_that_cannot_be_are_refused() public {
        vm.warp(block.timestamp + PERIOD);
        uint256 most = type(uint128).max;
        uint256[2][4] memory bad = [[uint256(0), 0], [uint256(101), 100], [uint256(1), most + 1], [most + 1, most]];
        for (uint256 i = 0; i < 4; ++i) {
            _refusedReport(
                _sums(1, bad[i][0], bad[i][1]),
                abi.encodeWithSelector(IModelWatch.BadCounts.selector, bad[i][0], bad[i][1])
            );
        }
        IModelWatch.Performance memory sums = _sums(1, 90, 100);
        sums.watchers = 2;
        _refusedReport(sums, abi.encodeWithSelector(IModelWatch.TooFewWatchers.selector, 2, 3));
        _report(1, most, most);
    }

    function test_a_quorum_reports() public {
        vm.warp(block.timestamp + PERIOD);
        IModelWatch.Performance memory sums = _sums(1, 90, 100);
        bytes[] memory signatures = _signed(watch.performanceDigest(sums), 5);
        vm.expectRevert(abi.encodeWithSelector(IQuorumSigned.QuorumMissing.selector, 5, 6));
        watch.report(sums, signatures);
        signatures = _signed(watch.performanceDigest(_sums(1, 91, 100)), 6); // other numbers: other signers
        vm.expectRevert();
        watch.report(sums, signatures);
    }

    /// @dev The contract's count beside a plain reading of the rule, over any run of periods.
    function testFuzz_the_count_is_that_of_the_rule(uint16[12] calldata rights) public {
        uint256 bad = 0;
        for (uint64 i = 0; i < 12; ++i) {
            uint256 right = rights[i] % 10_001;
            bytes32 task = _report(i + 1, right, 10_000);
            if (right < 8000) ++bad;
            if (right >= 8500) bad = 0;
            require((task != bytes32(0)) == (bad == 3), "the trigger");
            if (task != bytes32(0)) return;
            eq(watch.standingOf(name).bad, bad);
        }
    }

    function _terms() private view returns (IModelWatch.Watch memory) {
        return IModelWatch.Watch({
            record: record, round: 1, threshold: 8000, recovery: 8500, periods: 3, watchers: 3, serial: 0
        });
    }

    function _sums(uint64 period, uint256 correct, uint256 total)
        private
        view
        returns (IModelWatch.Performance memory)
    {
        return IModelWatch.Performance({watch: name, period: period, correct: correct, total: total, watchers: 3});
    }

    function _open(IModelWatch.Watch memory terms) private returns (bytes32) {
        return watch.open(terms, _signed(watch.watchDigest(terms), 6));
    }

    function _report(uint64 period, uint256 correct, uint256 total) private returns (bytes32) {
        vm.warp(block.timestamp + PERIOD);
        IModelWatch.Performance memory sums = _sums(period, correct, total);
        return watch.report(sums, _signed(watch.performanceDigest(sums), 6));
    }

    function _refused(IModelWatch.Watch memory terms, bytes memory reason) private {
        bytes[] memory signatures = _signed(watch.watchDigest(terms), 6);
        vm.expectRevert(reason);
        watch.open(terms, signatures);
    }

    function _refusedReport(IModelWatch.Performance memory sums, bytes memory reason) private {
        bytes[] memory signatures = _signed(watch.performanceDigest(sums), 6);
        vm.expectRevert(reason);
        watch.report(sums, signatures);
    }

    function _signed(bytes32 digest, uint256 count) private view returns (bytes[] memory signatures) {
        signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(secrets[i], digest);
            signatures[i] = abi.encodePacked(r, s, v);
        }
    }
}
