//! The one place where wall time, entropy and the name of the process enter: tests replace it.
//!
//! Monotonic time needs no seam of its own: the library reads tokio's clock, which tests pause.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What counts as never: tokio's timers reach no further either.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// The instant `by` after another, also for a duration that means "never", such as [`Duration::MAX`].
pub(crate) fn after(at: Instant, by: Duration) -> Instant {
    at.checked_add(by.min(FAR)).unwrap_or(at)
}

/// Where wall time and random numbers come from, and who this process is.
#[derive(Clone)]
pub(crate) struct Seam {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    entropy: Arc<dyn Fn() -> u64 + Send + Sync>,
    process: Option<(Arc<str>, u32)>,
}

impl Seam {
    /// The machine's clock and this thread's generator, which the system seeds.
    pub(crate) fn system() -> Self {
        Self {
            wall: Arc::new(SystemTime::now),
            entropy: Arc::new(rand::random::<u64>),
            process: None,
        }
    }

    pub(crate) fn with_wall(&self, wall: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(wall), ..self.clone() }
    }

    pub(crate) fn with_entropy(&self, entropy: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { entropy: Arc::new(entropy), ..self.clone() }
    }

    pub(crate) fn with_process(&self, host: &str, id: u32) -> Self {
        Self { process: Some((host.into(), id)), ..self.clone() }
    }

    /// The host and the process id to go by, unless they are the real ones.
    pub(crate) fn process(&self) -> Option<(&str, u32)> {
        self.process.as_ref().map(|(host, id)| (&**host, *id))
    }

    pub(crate) fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    pub(crate) fn entropy(&self) -> u64 {
        (self.entropy)()
    }

    /// A generator for one who needs many numbers.
    pub(crate) fn dice(&self) -> Dice {
        Dice { rng: self.generator(), left: ROLLS, seam: self.clone() }
    }

    fn generator(&self) -> StdRng {
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&self.entropy().to_le_bytes());
        }
        StdRng::from_seed(seed)
    }
}

/// A generator gives no more pairs of numbers than this: two copies of one process, such as those of a machine that was cloned, part at the
/// latest then.
const ROLLS: u32 = 2048;

/// Gives numbers that are as hard to guess as those it was begun with.
pub(crate) struct Dice {
    rng: StdRng,
    left: u32,
    seam: Seam,
}

impl Dice {
    #[inline]
    pub(crate) fn roll_both(&mut self) -> [u64; 2] {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.begin_anew(),
        }
        [self.rng.next_u64(), self.rng.next_u64()]
    }

    #[cold]
    fn begin_anew(&mut self) {
        (self.rng, self.left) = (self.seam.generator(), ROLLS - 1);
    }
}

impl fmt::Debug for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seam")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn copies_of_a_generator_part_after_a_while() {
        let told = Arc::new(AtomicU64::new(0));
        let source = Arc::clone(&told);
        let seam = Seam::system().with_entropy(move || source.load(Ordering::Relaxed));
        let (mut one, mut other) = (seam.dice(), seam.dice());
        for _ in 0..ROLLS {
            assert_eq!(one.roll_both(), other.roll_both());
        }
        let first = one.roll_both();
        told.store(1, Ordering::Relaxed);
        assert_ne!(first, other.roll_both());
    }
}
