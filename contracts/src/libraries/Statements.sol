// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Statements
/// @notice What peers sign (EIP-712), as peerage_crypto.statements and peerage_crypto.plain_statements hash it. A statement
/// is its kind and its fields, one word each, in the order of its type; the first field is the session.
library Statements {
    enum Kind {
        JoinIntent,
        MaskedUpdate,
        Vote,
        ResultAck,
        Opening,
        Sketch,
        Screening,
        PlainUpdate,
        PlainMerge,
        PathGradient
    }

    /// @notice A statement of this kind has so many bytes of fields, not these.
    error FieldsLength(Kind kind, uint256 got, uint256 expected);

    bytes32 private constant _JOIN_INTENT = keccak256(
        "JoinIntent(bytes32 sid,uint64 round,uint64 version,bytes32 update,bytes32 dataManifest,bytes32 codeManifest,bytes32 channelKey,bytes32 maskKey,bytes32 selfSeed,bytes32 rand)"
    );
    bytes32 private constant _MASKED_UPDATE = keccak256(
        "MaskedUpdate(bytes32 sid,bytes32 u2,uint8 bucket,bytes32 maskedRoot,bytes32 artefact,uint32 length,bytes32 rand)"
    );
    bytes32 private constant _VOTE = keccak256("Vote(bytes32 sid,bytes32 survivors)");
    bytes32 private constant _RESULT_ACK = keccak256("ResultAck(bytes32 sid,bytes32 sumRoot,bytes32 model)");
    bytes32 private constant _OPENING =
        keccak256("Opening(bytes32 sid,bytes32 direction,bytes32 values,bytes32 emissions)");
    bytes32 private constant _SKETCH = keccak256("Sketch(bytes32 sid,bytes32 survivors,bytes32 values)");
    bytes32 private constant _SCREENING = keccak256("Screening(bytes32 sid,bytes32 survivors)");
    bytes32 private constant _PLAIN_UPDATE = keccak256(
        "PlainUpdate(bytes32 sid,uint64 version,bytes32 artefact,uint64 examples,bytes32 base,uint64 baseRound)"
    );
    bytes32 private constant _PLAIN_MERGE = keccak256("PlainMerge(bytes32 sid,uint64 merge,bytes32 body)");
    bytes32 private constant _PATH_GRADIENT =
        keccak256("PathGradient(bytes32 sid,uint8 half,bytes32 commitment,uint32 length)");

    /// @notice The digest that is signed under a domain; reverts unless `fields` has the length of the kind.
    /// @dev Words are hashed as they come: a field above its type's range gives a digest that no honest peer signs.
    function digest(bytes32 domain, Kind kind, bytes memory fields) internal pure returns (bytes32 result) {
        (bytes32 typeHash, uint256 words) = _typeOf(kind);
        require(fields.length == words * 32, FieldsLength(kind, fields.length, words * 32));
        bytes32 inner = keccak256(bytes.concat(typeHash, fields));
        return keccak256(bytes.concat(hex"1901", domain, inner));
    }

    /// @notice Who signed a digest; reverts for anything but 65 bytes r ‖ s ‖ v with s in the lower half.
    function signer(bytes32 hash, bytes memory signature) internal pure returns (address) {
        return ECDSA.recover(hash, signature);
    }

    /// @notice A field of a statement; the caller has checked the length.
    function word(bytes memory fields, uint256 index) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(add(add(fields, 0x20), mul(index, 0x20)))
        }
    }

    function _typeOf(Kind kind) private pure returns (bytes32 typeHash, uint256 words) {
        if (kind == Kind.JoinIntent) return (_JOIN_INTENT, 10);
        if (kind == Kind.MaskedUpdate) return (_MASKED_UPDATE, 7);
        if (kind == Kind.Vote) return (_VOTE, 2);
        if (kind == Kind.ResultAck) return (_RESULT_ACK, 3);
        if (kind == Kind.Opening) return (_OPENING, 4);
        if (kind == Kind.Sketch) return (_SKETCH, 3);
        if (kind == Kind.Screening) return (_SCREENING, 2);
        if (kind == Kind.PlainUpdate) return (_PLAIN_UPDATE, 6);
        if (kind == Kind.PlainMerge) return (_PLAIN_MERGE, 3);
        return (_PATH_GRADIENT, 4);
    }
}
