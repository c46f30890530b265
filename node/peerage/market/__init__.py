"""Selling and buying a finished model: artefact and key on one side, money and receipts on the chain."""
