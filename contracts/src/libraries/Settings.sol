// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Tagged} from "./Tagged.sol";

/// @title Settings
/// @notice What the federation's settings say of buckets. The record of round 0 is the tagged hash of their canonical TOML
/// text, so whoever brings the text brings what all have agreed on, and no contract needs a term for it.
/// @dev A string in the text holds no line feed (it is written \n), so a line feed always ends a setting, and a line that
/// begins with a bracket begins a table.
library Settings {
    /// @notice The text is not the federation's, or is not written as the settings of this version are.
    error NotTheSettings();

    /// @notice How many buckets are drawn, and whether sketches are agreed. Regions count as one bucket: nothing is drawn.
    /// @param text The settings.
    /// @param federation Their hash.
    /// @param at Where "\n[robust]\n" begins.
    function robust(bytes calldata text, bytes32 federation, uint256 at)
        internal
        pure
        returns (uint256 buckets, bool sketched)
    {
        require(Tagged.hashOf("peerage/federation/1", text) == federation && at < text.length, NotTheSettings());
        at = _after(text, at, "\n[robust]\nrule = ");
        while (at < text.length && text[at] != "\n") {
            ++at;
        }
        uint256 sketches;
        (buckets, at) = _number(text, _after(text, at, "\nbuckets = "));
        (, at) = _number(text, _after(text, at, "\nbyzantine = "));
        (sketches, at) = _number(text, _after(text, at, "\nsketches = "));
        if (_hasRegions(text)) buckets = 1;
        sketched = sketches > 0;
    }

    function _after(bytes calldata text, uint256 at, bytes memory expected) private pure returns (uint256 end) {
        end = at + expected.length;
        require(end <= text.length && keccak256(text[at:end]) == keccak256(expected), NotTheSettings());
    }

    function _number(bytes calldata text, uint256 at) private pure returns (uint256 value, uint256 end) {
        end = at;
        while (end < text.length && text[end] != "\n") {
            uint8 digit = uint8(text[end]);
            require(digit >= 0x30 && digit <= 0x39, NotTheSettings());
            value = value * 10 + digit - 0x30;
            ++end;
        }
        require(end > at, NotTheSettings());
    }

    /// @dev Lists of tables are regions and the cast, which is no rule and stands in no such text.
    function _hasRegions(bytes calldata text) private pure returns (bool) {
        for (uint256 i = 2; i < text.length; ++i) {
            if (text[i] == "[" && text[i - 1] == "[" && text[i - 2] == "\n") return true;
        }
        return false;
    }
}
