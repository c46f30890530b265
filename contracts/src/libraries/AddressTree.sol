// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title AddressTree
/// @notice The SHA-256 trees over address ‖ value of peerage_crypto.digest: a leaf is sha256(0x00 ‖ address ‖ value), a node
/// sha256(0x01 ‖ left ‖ right), an odd last node is promoted, nothing has the root zero.
/// @dev A proof carries the turns from the leaf to the root and no count of leaves: the tree does not hash its count, and
/// a claimed one would let a challenger call two leaves neighbours that are none. Turns are facts: whoever shows hashes
/// that lead to the root has shown the tree itself there. Two leaves are neighbours exactly if, above the node where
/// their paths meet, everything agrees, and below it the left one always turns right and the right one always left.
library AddressTree {
    /// @param turns Bit i is set if the node at height i of the path is the right one of its pair.
    /// @param siblings The other one of each pair, lowest first.
    struct Path {
        uint256 turns;
        bytes32[] siblings;
    }

    /// @param account Whose leaf it is.
    /// @param value What stands beside the account.
    /// @param path From the leaf to the root.
    struct Leaf {
        address account;
        bytes32 value;
        Path path;
    }

    /// @notice The hashes do not lead to the root.
    error NotInTree(bytes32 root, bytes32 node);

    /// @notice The leaves are no neighbours, or the one is not the first or the last.
    error NotNeighbours();

    /// @notice The accounts around the gap do not enclose the one that is said to be missing.
    error NotAGap(address account);

    /// @notice A table's accounts come in ascending order, each once, with one value for each.
    error NotATable();

    uint256 private constant _MAX_HEIGHT = 255;

    /// @notice A leaf's hash.
    function leafHash(address account, bytes32 value) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x00), account, value));
    }

    /// @notice An inner node's hash.
    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @notice Reverts unless the node stands under the root where the path says.
    function requireNode(bytes32 root, bytes32 node, Path calldata path) internal pure {
        bytes32[] calldata siblings = path.siblings;
        uint256 height = siblings.length;
        bytes32 above = node;
        bool whole = height <= _MAX_HEIGHT && path.turns >> height == 0;
        for (uint256 i = 0; whole && i < height; ++i) {
            above = path.turns >> i & 1 == 1 ? nodeHash(siblings[i], above) : nodeHash(above, siblings[i]);
        }
        // nothing stands under zero, the root of the empty tree
        require(whole && above == root && root != bytes32(0), NotInTree(root, node));
    }

    /// @notice Reverts unless the leaf stands under the root.
    function requireLeaf(bytes32 root, Leaf calldata leaf) internal pure {
        requireNode(root, leafHash(leaf.account, leaf.value), leaf.path);
    }

    /// @notice Reverts unless the second leaf stands right behind the first under the root.
    function requireNeighbours(bytes32 root, Leaf calldata left, Leaf calldata right) internal pure {
        requireLeaf(root, left);
        requireLeaf(root, right);
        (uint256 a, uint256 x) = (left.path.siblings.length, left.path.turns);
        (uint256 b, uint256 y) = (right.path.siblings.length, right.path.turns);
        // down from the root as long as both take the same turn
        while (a > 0 && b > 0 && (x >> (a - 1)) & 1 == (y >> (b - 1)) & 1) {
            (--a, --b);
        }
        require(a > 0 && b > 0, NotNeighbours()); // one leaf twice: no leaf lies below another
        // they part: the left one goes left here and right ever after, the right one the other way round
        uint256 below = (uint256(1) << (a - 1)) - 1;
        require(x & (2 * below + 1) == below, NotNeighbours());
        require(y & ((uint256(1) << b) - 1) == uint256(1) << (b - 1), NotNeighbours());
    }

    /// @notice Reverts unless no leaf of an account is under the root, if the tree is sorted: the leaves around the gap, or
    /// the first or the last one; none for the empty tree.
    function requireAbsent(bytes32 root, address account, Leaf[] calldata around) internal pure {
        if (around.length == 0) {
            require(root == bytes32(0), NotAGap(account));
        } else if (around.length == 1) {
            Leaf calldata end = around[0];
            requireLeaf(root, end);
            uint256 last = (uint256(1) << end.path.siblings.length) - 1;
            require(end.path.turns == (account < end.account ? 0 : last), NotNeighbours());
            require(end.account != account, NotAGap(account));
        } else {
            require(around.length == 2, NotAGap(account));
            requireNeighbours(root, around[0], around[1]);
            require(around[0].account < account && account < around[1].account, NotAGap(account));
        }
    }

    /// @notice The root of a whole table; reverts unless accounts ascend. Only the table itself has the root: another
    /// length gives another tree, and equal roots mean equal trees.
    function rootOf(address[] calldata accounts, bytes32[] memory values) internal pure returns (bytes32) {
        uint256 count = accounts.length;
        require(count == values.length, NotATable());
        if (count == 0) return bytes32(0);
        bytes32[] memory level = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            require(i == 0 || accounts[i] > accounts[i - 1], NotATable());
            level[i] = leafHash(accounts[i], values[i]);
        }
        while (count > 1) {
            for (uint256 i = 0; i < count / 2; ++i) {
                level[i] = nodeHash(level[2 * i], level[2 * i + 1]);
            }
            if (count % 2 == 1) level[count / 2] = level[count - 1];
            count = (count + 1) / 2;
        }
        return level[0];
    }
}
