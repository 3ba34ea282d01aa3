//! Criterion benches of single operations, and the reference that the codec is measured against.

pub mod serde_reference;
