"""Licences for finished models, and the watch over deployed ones: what is signed and paid, and the door to both."""
