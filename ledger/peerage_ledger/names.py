"""The contracts of a federation, in the order of their deployment.

No imports: scripts/compile_contracts runs this file too.
"""

# each at the deployer's next nonce, so that every address is known before the first contract is there
ORDER = (
    "PeerageToken",
    "PeerRegistry",
    "RoundLedger",
    "RewardVault",
    "RoundArbiter",
    "PayArbiter",
    "ModelMarket",
    "ModelWatch",
)
# what every federation has; grows as contracts are written, never out of order
NAMES = ORDER
# what a federation may have besides, deployed before the others
OPTIONAL = ("MemberAdmission",)
# made by another one of ours: in no deployment.json
PENDING = ("DrawJudge",)
