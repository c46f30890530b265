"""Watching a deployed model: everybody's counts under masks, and a quorum's word on what they add up to."""
