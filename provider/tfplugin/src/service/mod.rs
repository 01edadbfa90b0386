//! RPCs.
