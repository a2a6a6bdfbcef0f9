//! Ceilings on what a peer may make us hold.

/// Ceilings on what a peer may make us hold.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Levels of nesting.
    pub depth: usize,
}
impl Default for Limits {
    fn default() -> Self {
        Self { depth: 128 }
    }
}
