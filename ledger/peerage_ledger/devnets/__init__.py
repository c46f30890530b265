"""Local chains: Anvil, Ganache and the embedded EVM behind one door."""
