"""Who is paid what, offline: federations of plain integers, without masks, processes or chain."""
