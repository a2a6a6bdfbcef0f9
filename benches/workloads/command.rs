//! The command that the codec is measured with.

/// The command that takes a lock, as its arguments.
pub(crate) const SET: [&str; 6] =
    ["SET", "lk:orders:000000042", "0e8f5c9a-6f5e-4d0c-9a57-3b1de0a4c7f2", "NX", "PX", "10000"];
