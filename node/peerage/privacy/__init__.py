"""What rounds give away of a peer: noise, its accounting, the meter. Pure, so that an audit computes the same."""
