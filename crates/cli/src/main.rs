//! The command `cleanslide`.
fn main() {}
