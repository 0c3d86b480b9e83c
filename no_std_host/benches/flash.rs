//! What a checkpoint costs a flash.
fn main() {}
