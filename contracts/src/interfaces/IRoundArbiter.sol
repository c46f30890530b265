// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AddressTree} from "../libraries/AddressTree.sol";
import {Statements} from "../libraries/Statements.sol";
import {IRoundLedger} from "./IRoundLedger.sol";

/// @title IRoundArbiter
/// @notice Decides what a chain can decide about rounds: peers that signed two things, and records that are not what their
/// round's statements say. Proofs are settled at once and need no bond: a wrong one reverts. Questions are bonded: whoever
/// has the artefacts answers them in time, or the record is void.
/// @dev A record is shown by its whole Round, which hashes to it. Faults have the numbers of the rules: F1 is 1, and so on.
/// Accusations ask for at least the quorum that a session can have needed, answers for at most that: see
/// docs/RoundArbiter.md, which derives both.
interface IRoundArbiter {
    /// @notice The trees of a record.
    enum Tree {
        Joins,
        Masked,
        Acks,
        Scores,
        Emissions
    }

    /// @notice What a masked session's sid is the hash of, beside the chain, the register and the round's number.
    struct SessionName {
        address initiator;
        bytes32 parent;
        bytes32 params;
        bytes32 nonce;
    }

    /// @notice A session's roster as every masked update commits to it: in the order of the members.
    /// @param joins The digests of their JoinIntents.
    /// @param signatures Their signatures, 65 bytes each, one after the other.
    /// @param u2 Who dealt shares: bit i % 8 of byte i / 8 for member i.
    struct Roster {
        bytes32[] joins;
        bytes signatures;
        bytes u2;
    }

    /// @notice One member's reveal, against what it had committed to.
    /// @param sid The session.
    /// @param roster Under which it masked.
    /// @param member Its place in the roster.
    /// @param join The fields of its JoinIntent.
    /// @param update The fields of its MaskedUpdate.
    /// @param signature Under its MaskedUpdate.
    struct Reveal {
        bytes32 sid;
        Roster roster;
        uint256 member;
        bytes join;
        bytes update;
        bytes signature;
    }

    /// @notice Where the randomness of the parent's session comes from; all empty above the federation's own record.
    /// @param round The parent.
    /// @param members Its roster.
    /// @param joins The fields of their JoinIntents, 320 bytes each, one after the other.
    /// @param signatures Under them, 65 bytes each, one after the other.
    /// @param u2 Who of them dealt shares, as in Roster.
    /// @param rands What each member of U2 put in, in the order of the roster.
    /// @param survivors Who is under `maskedRoot`.
    /// @param masked The digests of their MaskedUpdates.
    /// @param shown Which of the survivors' updates is shown.
    /// @param update Its fields: it commits to roster and U2.
    struct Randomness {
        IRoundLedger.Round round;
        address[] members;
        bytes joins;
        bytes signatures;
        bytes u2;
        bytes32[] rands;
        address[] survivors;
        bytes32[] masked;
        uint256 shown;
        bytes update;
    }

    /// @notice A member whose bucket is not the one that it was drawn into.
    /// @param settings The text whose hash the federation is.
    /// @param robust Where "\n[robust]\n" begins in it.
    /// @param parent Where the seed comes from.
    /// @param members The roster of the round.
    /// @param joins The digests of their JoinIntents.
    /// @param accused The leaf of the member under `maskedRoot`.
    /// @param update The fields of its MaskedUpdate.
    struct Draw {
        bytes settings;
        uint256 robust;
        Randomness parent;
        address[] members;
        bytes32[] joins;
        AddressTree.Leaf accused;
        bytes update;
    }

    /// @notice An open or settled question.
    /// @param challenger Who asked.
    /// @param deadline From when (Unix seconds) silence decides for it.
    /// @param fault 3 or 5.
    /// @param settled Whether it has been answered or has expired.
    /// @param poster Who had recorded the round when it was asked.
    /// @param round Its number.
    /// @param record Its name.
    struct Challenge {
        address challenger;
        uint64 deadline;
        uint8 fault;
        bool settled;
        address poster;
        uint64 round;
        bytes32 record;
    }

    /// @notice A record was proven to be false.
    /// @param record Its name.
    /// @param round Its number.
    /// @param challenger Who brought it up.
    /// @param fault 2, 3, 4, 5 or 10.
    event RoundVoided(bytes32 indexed record, uint64 indexed round, address indexed challenger, uint8 fault);

    /// @notice A signer was convicted by its own signatures.
    /// @param peer The signer.
    /// @param sid The session.
    /// @param challenger Who brought the proof.
    /// @param fault 1 or 10.
    event PeerConvicted(address indexed peer, bytes32 indexed sid, address indexed challenger, uint8 fault);

    /// @notice Somebody put down a bond and asked.
    /// @param question Its name.
    /// @param record What it is about.
    /// @param challenger Who asked.
    /// @param fault 3 or 5.
    /// @param tree For 3: which tree.
    /// @param node For 3: the hash under it that shall be shown.
    /// @param deadline Until when (Unix seconds) it can be answered for sure.
    event QuestionAsked(
        bytes32 indexed question,
        bytes32 indexed record,
        address indexed challenger,
        uint8 fault,
        Tree tree,
        bytes32 node,
        uint64 deadline
    );

    /// @notice A question was answered; its bond is in the pool.
    event QuestionAnswered(bytes32 indexed question, address indexed answerer);

    /// @notice A question was not answered; its bond is back.
    event QuestionExpired(bytes32 indexed question, address indexed challenger);

    /// @notice Statements of this kind may be signed twice in one session.
    error NotConvictable(Statements.Kind kind);

    /// @notice The two statements belong to two sessions.
    error OtherSession(bytes32 one, bytes32 other);

    /// @notice It is one statement twice: sending it again is no fault.
    error SameStatement(bytes32 digest);

    /// @notice Two peers signed one statement each, or somebody else than the one that it should be.
    error OtherSigner(address one, address other);

    /// @notice This signer was convicted for this session, or this record for this fault, before.
    error AlreadyDecided();

    /// @notice The record is not of a masked session with these parts.
    error NotThisSession(bytes32 sid);

    /// @notice The statement is not what the record says of it.
    error NotThisStatement(bytes32 got, bytes32 expected);

    /// @notice The list of members, of signatures, of values or of bits does not fit the others.
    error ListsDiffer();

    /// @notice The acknowledgements name the record's own model.
    error SameModel(bytes32 model);

    /// @notice Too few signatures.
    error QuorumMissing(uint256 signatures, uint256 needed);

    /// @notice Signers come in ascending order, each once.
    error SignersNotAscending(address previous, address signer);

    /// @notice The account never was a peer in this seat.
    error NeverAPeer(address account, uint16 seat);

    /// @notice More seats than that were given.
    error MoreSeats(uint16 seats);

    /// @notice The reveal is what was committed to: there is nothing to prove.
    error HonestReveal();

    /// @notice The value does not open the commitment of this member.
    error NotCommitted(uint256 member);

    /// @notice The buckets were drawn as they should: there is nothing to prove.
    error HonestDraw(uint256 bucket);

    /// @notice The settings are not those of the federation, or draw no buckets.
    error NotDrawn();

    /// @notice This question is open, or was settled before.
    error AlreadyAsked(bytes32 question);

    /// @notice This question is not open.
    error NotOpen(bytes32 question);

    /// @notice There is still time to answer.
    error TooEarly(uint64 deadline);

    /// @notice Only leaves of joins, masked updates and acknowledgements stand for signatures.
    error NotSigned(Tree tree);

    // -- proofs -------------------------------------------------------------------------------------------------------

    /// @notice F1: two different statements of one kind, one session, one signer. The signer loses all and is no peer.
    /// @param kind MaskedUpdate, Vote, ResultAck, Opening, Sketch, Screening or PathGradient.
    /// @param first Fields of the one.
    /// @param firstSignature Under it.
    /// @param second Fields of the other.
    /// @param secondSignature Under it.
    function proveEquivocation(
        Statements.Kind kind,
        bytes calldata first,
        bytes calldata firstSignature,
        bytes calldata second,
        bytes calldata secondSignature
    ) external;

    /// @notice F2: an account acknowledges under `ackRoot` and has no leaf under `joinRoot`.
    /// @param round The record.
    /// @param name Its session: only masked rounds have their acknowledgers among their joins.
    /// @param acknowledged Its leaf under `ackRoot`.
    /// @param around The leaves of `joinRoot` around its place; one for the first or the last, none for the empty tree.
    function proveOmission(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        AddressTree.Leaf calldata acknowledged,
        AddressTree.Leaf[] calldata around
    ) external;

    /// @notice F2, where leaves are not in ascending order: omissions could not be shown there.
    /// @param round The record, of any kind.
    /// @param tree Which tree.
    /// @param left A leaf.
    /// @param right The one behind it, whose account is not higher.
    function proveDisorder(
        IRoundLedger.Round calldata round,
        Tree tree,
        AddressTree.Leaf calldata left,
        AddressTree.Leaf calldata right
    ) external;

    /// @notice F4: a member is in another bucket than the draw from its parent's randomness puts it.
    /// @param round The record, of a masked session with one parent.
    /// @param name Its session.
    /// @param draw The evidence.
    function proveWrongDraw(IRoundLedger.Round calldata round, SessionName calldata name, Draw calldata draw) external;

    /// @notice F5: a quorum of the record's own roster has acknowledged another model for its session.
    /// @param round The record.
    /// @param name Its session.
    /// @param members All accounts under `joinRoot`.
    /// @param joins The values beside them.
    /// @param seats No more seats than that were ever given.
    /// @param ack The fields of the ResultAck that they signed.
    /// @param signatures Theirs, in ascending order of the signers, at least `accusers(members.length, seats)`.
    function proveOtherResult(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        address[] calldata members,
        bytes32[] calldata joins,
        uint16 seats,
        bytes calldata ack,
        bytes[] calldata signatures
    ) external;

    /// @notice F10: a member's MaskedUpdate reveals another rand than its JoinIntent, in the roster that it masked for,
    /// commits to. The signer loses a fifth.
    function proveFalseReveal(Reveal calldata reveal) external;

    /// @notice F10 in a record: an update that was proven false stands under `maskedRoot`. The record is void; the signer
    /// has paid.
    function voidFalseReveal(IRoundLedger.Round calldata round, AddressTree.Leaf calldata leaf) external;

    // -- questions ----------------------------------------------------------------------------------------------------

    /// @notice F3: show what stands at this place of a tree, with its signature. Needs an allowance of `bond()`.
    /// @param round The record.
    /// @param name Its session.
    /// @param tree Joins, Masked or Acks.
    /// @param node A hash of the tree: of a leaf, or of a node whose two ends are then shown.
    /// @param path From there to the root.
    /// @return question Its name.
    function challengeNode(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        Tree tree,
        bytes32 node,
        AddressTree.Path calldata path
    ) external returns (bytes32 question);

    /// @notice F5: show the acknowledgements. Needs an allowance of `bond()`; works for any record.
    /// @param round The record.
    /// @return question Its name.
    function challengeAcknowledgements(IRoundLedger.Round calldata round) external returns (bytes32 question);

    /// @notice Answer F3: the node has two ends.
    /// @param record The record.
    /// @param tree Which tree.
    /// @param left What the node is made of.
    /// @param right What the node is made of.
    function answerNode(bytes32 record, Tree tree, bytes32 left, bytes32 right) external;

    /// @notice Answer F3: the leaf and the statement that it stands for.
    /// @param round The record.
    /// @param tree Which tree.
    /// @param account The leaf's account.
    /// @param seat A seat that it was given.
    /// @param fields Of its JoinIntent, MaskedUpdate or ResultAck.
    /// @param signature Under it.
    function answerLeaf(
        IRoundLedger.Round calldata round,
        Tree tree,
        address account,
        uint16 seat,
        bytes calldata fields,
        bytes calldata signature
    ) external;

    /// @notice Answer F5 for a masked round: a quorum has acknowledged exactly this model.
    /// @param round The record.
    /// @param name Its session.
    /// @param sumRoot What their acknowledgements say of the sum.
    /// @param seats Seats that the signers were given.
    /// @param signatures Theirs, in ascending order of the signers, at least `acknowledgers(round.members)`.
    function answerAcknowledgements(
        IRoundLedger.Round calldata round,
        SessionName calldata name,
        bytes32 sumRoot,
        uint16[] calldata seats,
        bytes[] calldata signatures
    ) external;

    /// @notice Answer F5 for a merge of plain exchange, which its maker alone acknowledges.
    /// @param round The record.
    /// @param seat A seat that its maker was given.
    /// @param fields Of its PlainMerge.
    /// @param signature Under it: what `ackRoot` is made of.
    function answerMerge(
        IRoundLedger.Round calldata round,
        uint16 seat,
        bytes calldata fields,
        bytes calldata signature
    ) external;

    /// @notice Nobody has answered in time: the record is void, the bond goes back.
    function expire(bytes32 question) external;

    // -- views --------------------------------------------------------------------------------------------------------

    /// @notice Whether a record was proven false.
    function voided(bytes32 record) external view returns (bool);

    /// @notice When (Unix seconds) a record was proven false; zero if it was not.
    function voidedAt(bytes32 record) external view returns (uint64);

    /// @notice A question, all zero if nobody asked it.
    function challengeOf(bytes32 question) external view returns (Challenge memory);

    /// @notice The name of an F3 question.
    function nodeQuestion(bytes32 record, Tree tree, bytes32 node) external pure returns (bytes32);

    /// @notice The name of the F5 question.
    function acknowledgementsQuestion(bytes32 record) external pure returns (bytes32);

    /// @notice How many of `members` must have signed another model to void a record: at least what their session needed,
    /// with no more than `seats` peers registered.
    function accusers(uint256 members, uint256 seats) external pure returns (uint256);

    /// @notice How many acknowledgements answer for a record of `survivors`: at most what its session needed.
    function acknowledgers(uint256 survivors) external pure returns (uint256);

    /// @notice What a question costs, in the token's smallest unit, if it is answered.
    function bond() external view returns (uint256);

    /// @notice How long (seconds) a question waits for its answer.
    function answerSeconds() external view returns (uint64);

    /// @notice The peers' register.
    function registry() external view returns (address);

    /// @notice The ledger of the records.
    function ledger() external view returns (address);

    /// @notice The contract that draws buckets again; made by this one.
    function drawJudge() external view returns (address);

    /// @notice Where forfeited bonds go.
    function vault() external view returns (address);

    /// @notice The token of the bonds.
    function token() external view returns (address);
}
