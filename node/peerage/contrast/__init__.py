"""The same model on the same rows in one place and in a federation, both metered; which published orderings hold."""
