//! Grammar and snapshots.
