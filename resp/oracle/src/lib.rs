//! What `resp` is held to: a naive decoder written from the grammar, wire bytes of every kind, sound and damaged, and eight
//! properties. The tests of this package run them over generated cases, and `fuzz/` under libFuzzer.

mod case;
mod damage;
mod entropy;
mod grammar;
pub mod reference;
mod requests;
mod targets;
mod texts;
mod tree;
mod ways;

pub use case::{Case, Pieces};
pub use damage::damage;
pub use entropy::Entropy;
pub use grammar::Grammar;
pub use requests::{Asked, request};
pub use targets::{TARGETS, Target, compare};
pub use tree::{Tree, tree};
