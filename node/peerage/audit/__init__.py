"""Carrying the auditor: reads files and chains, recomputes with torch, says what was found."""
