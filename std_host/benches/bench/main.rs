//! Benchmarks of Toehold, as ratios to the interpreter alone.

fn main() {}
