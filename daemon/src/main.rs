//! Configuration, wiring, signals.

fn main() {}
