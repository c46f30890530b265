// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IRoundArbiter} from "../interfaces/IRoundArbiter.sol";
import {AddressTree} from "./AddressTree.sol";
import {Sessions} from "./Sessions.sol";
import {Statements} from "./Statements.sol";
import {Tagged} from "./Tagged.sol";

/// @title Draws
/// @notice Which bucket a member is drawn into, as peerage_crypto.buckets; and the shared randomness of a session, as
/// peerage_crypto.secagg_judge, from what its record commits to.
library Draws {
    uint256 private constant _SMALLEST_BUCKET = 5;
    uint256 private constant _JOIN_BYTES = 320;
    // fields of the statements, counted from 0
    uint256 private constant _JOIN_RAND = 9;
    uint256 private constant _UPDATE_U2 = 1;

    /// @notice The bucket of a member: its place in the order of its draw, modulo the number of buckets.
    function bucketOf(address[] calldata members, uint256 buckets, bytes32 seed, address member)
        internal
        pure
        returns (uint256)
    {
        bytes32 own = _ticket(seed, member);
        uint256 place = 0;
        bool found = false;
        for (uint256 i = 0; i < members.length; ++i) {
            if (members[i] == member) found = true;
            else if (_ticket(seed, members[i]) < own) ++place;
        }
        require(found, IRoundArbiter.ListsDiffer());
        return place % Math.max(1, Math.min(buckets, members.length / _SMALLEST_BUCKET));
    }

    /// @notice The seed of a recorded session: sha256(sid ‖ what each member of U2 has put in, in their order).
    /// @dev The record commits to all of it: `joinRoot` to roster and commitments, `maskedRoot` to the survivors and, by
    /// any one of their updates, to U2. With sketches a member that dropped has put in what stands behind its rand.
    function seedOf(bytes32 domain, bool sketched, IRoundArbiter.Randomness calldata shown)
        internal
        pure
        returns (bytes32)
    {
        bytes32 sid = shown.round.sid;
        bytes32[] memory joins = _joins(domain, shown);
        require(
            AddressTree.rootOf(shown.members, joins) == shown.round.joinRoot
                && AddressTree.rootOf(shown.survivors, shown.masked) == shown.round.maskedRoot,
            AddressTree.NotATable()
        );
        bytes32 update = Statements.digest(domain, Statements.Kind.MaskedUpdate, shown.update);
        require(shown.masked[shown.shown] == update, IRoundArbiter.NotThisStatement(update, shown.masked[shown.shown]));
        bytes32 seen = Sessions.viewOf(sid, joins, shown.signatures, shown.u2);
        bytes32 said = Statements.word(shown.update, _UPDATE_U2);
        require(seen == said, IRoundArbiter.NotThisStatement(seen, said));
        _requireOpened(sid, sketched, shown);
        return sha256(abi.encodePacked(sid, shown.rands));
    }

    function _ticket(bytes32 seed, address member) private pure returns (bytes32) {
        return sha256(
            abi.encodePacked(Tagged.littleEndian(17), "peerage/bucket/v1", Tagged.WORD, seed, Tagged.ACCOUNT, member)
        );
    }

    function _joins(bytes32 domain, IRoundArbiter.Randomness calldata shown)
        private
        pure
        returns (bytes32[] memory joins)
    {
        uint256 count = shown.members.length;
        require(shown.joins.length == count * _JOIN_BYTES, IRoundArbiter.ListsDiffer());
        joins = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes calldata fields = shown.joins[i * _JOIN_BYTES:(i + 1) * _JOIN_BYTES];
            joins[i] = Statements.digest(domain, Statements.Kind.JoinIntent, fields);
        }
    }

    function _requireOpened(bytes32 sid, bool sketched, IRoundArbiter.Randomness calldata shown) private pure {
        uint256 dealt = 0;
        uint256 survived = 0;
        for (uint256 i = 0; i < shown.members.length; ++i) {
            if (!Sessions.isSet(shown.u2, i)) continue;
            address member = shown.members[i];
            bool dropped = survived == shown.survivors.length || shown.survivors[survived] != member;
            if (!dropped) ++survived;
            require(dealt < shown.rands.length, IRoundArbiter.ListsDiffer());
            bytes32 rand = shown.rands[dealt++];
            if (sketched && dropped) rand = Sessions.late(rand);
            bytes calldata fields = shown.joins[i * _JOIN_BYTES:(i + 1) * _JOIN_BYTES];
            bytes32 committed = bytes32(fields[_JOIN_RAND * 32:]);
            require(Sessions.randCommitment(sid, member, rand) == committed, IRoundArbiter.NotCommitted(i));
        }
        require(dealt == shown.rands.length && survived == shown.survivors.length, IRoundArbiter.ListsDiffer());
    }
}
