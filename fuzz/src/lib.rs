//! The properties of `resp-oracle` under libFuzzer, with a mutator that knows where values begin.

#![forbid(unsafe_code)]

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use resp_oracle::Target;

#[doc(hidden)]
pub use libfuzzer_sys;

/// One step of a mutator: the first `size` bytes of `data` become another case, whose length is given.
///
/// Half of all steps are left to libFuzzer, which knows the dictionary and what other cases have.
///
/// # Panics
///
/// If there is no such property.
pub fn mutate(name: &str, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let target = Target::named(name).expect("a property of this name");
    let mut rng = StdRng::seed_from_u64(u64::from(seed));
    let max_size = max_size.min(data.len());
    if rng.random() {
        let mut case = data[..size].to_vec();
        if target.mutate(&mut rng, &mut case) && case.len() <= max_size {
            data[..case.len()].copy_from_slice(&case);
            return case.len();
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
}

/// Makes a fuzz target of the property of this name.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        use $crate::libfuzzer_sys::{fuzz_mutator, fuzz_target};

        fuzz_target!(|data: &[u8]| {
            let target = ::resp_oracle::Target::named($name).expect("a property of this name");
            (target.check)(data);
        });

        fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate($name, data, size, max_size, seed)
        });
    };
}
