// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRoundArbiter} from "./interfaces/IRoundArbiter.sol";
import {IRoundLedger} from "./interfaces/IRoundLedger.sol";
import {AddressTree} from "./libraries/AddressTree.sol";
import {Draws} from "./libraries/Draws.sol";
import {Sessions} from "./libraries/Sessions.sol";
import {Settings} from "./libraries/Settings.sol";
import {Statements} from "./libraries/Statements.sol";

/// @title DrawJudge
/// @notice The part of the round arbiter that draws buckets again (F4), apart because one contract may not be that long. It
/// holds nothing and changes nothing; the round arbiter makes it and hands it its own calldata.
contract DrawJudge {
    // fields of the statements, counted from 0
    uint256 private constant _SID = 0;
    uint256 private constant _UPDATE_BUCKET = 2;

    address private immutable _registry;
    IRoundLedger private immutable _ledger;

    /// @param registry_ Whose sessions they are.
    /// @param ledger_ Under whose domain statements are signed, and whose round 0 is the settings' hash.
    constructor(address registry_, IRoundLedger ledger_) {
        _registry = registry_;
        _ledger = ledger_;
    }

    /// @notice Returns if the evidence proves a wrong draw, reverts otherwise; see {IRoundArbiter-proveWrongDraw}.
    function proveWrongDraw(
        IRoundLedger.Round calldata round,
        IRoundArbiter.SessionName calldata name,
        IRoundArbiter.Draw calldata draw
    ) external view {
        bytes32 sid = round.sid;
        bytes32 named = Sessions.sidOf(_registry, round.round, name.initiator, name.parent, name.params, name.nonce);
        require(sid == named, IRoundArbiter.NotThisSession(sid));
        require(AddressTree.rootOf(draw.members, draw.joins) == round.joinRoot, AddressTree.NotATable());
        AddressTree.requireLeaf(round.maskedRoot, draw.accused);
        bytes32 domain = _ledger.domainSeparator();
        bytes32 update = Statements.digest(domain, Statements.Kind.MaskedUpdate, draw.update);
        require(update == draw.accused.value, IRoundArbiter.NotThisStatement(update, draw.accused.value));
        bytes32 said = Statements.word(draw.update, _SID);
        require(said == sid, IRoundArbiter.OtherSession(said, sid));
        (uint256 buckets, bytes32 seed) = _terms(domain, round, draw);
        uint256 drawn = Draws.bucketOf(draw.members, buckets, seed, draw.accused.account);
        require(uint256(Statements.word(draw.update, _UPDATE_BUCKET)) != drawn, IRoundArbiter.HonestDraw(drawn));
    }

    /// @notice The peers' register.
    function registry() external view returns (address) {
        return _registry;
    }

    /// @notice The ledger of the records.
    function ledger() external view returns (address) {
        return address(_ledger);
    }

    /// @dev The first session draws by the federation's own record, every other one by its parent's randomness.
    function _terms(bytes32 domain, IRoundLedger.Round calldata round, IRoundArbiter.Draw calldata draw)
        private
        view
        returns (uint256 buckets, bytes32 seed)
    {
        bytes32 federation = _ledger.federation();
        bool sketched;
        (buckets, sketched) = Settings.robust(draw.settings, federation, draw.robust);
        require(buckets > 1 && round.parents.length == 1, IRoundArbiter.NotDrawn());
        seed = round.parents[0];
        if (seed == federation) return (buckets, seed);
        bytes32 parent = keccak256(abi.encode(draw.parent.round));
        require(parent == seed, IRoundArbiter.NotThisStatement(parent, seed));
        seed = Draws.seedOf(domain, sketched, draw.parent);
    }
}
