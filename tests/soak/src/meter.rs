//! What a process uses, over time, and whether that grows.

use std::fs;
use std::time::Duration;

/// Samples of one quantity.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    samples: Vec<(f64, f64)>,
}

impl Meter {
    pub(crate) fn add(&mut self, at: Duration, value: u64) {
        self.samples.push((at.as_secs_f64(), value as f64));
    }

    /// The samples from then on.
    pub(crate) fn since(&self, at: Duration) -> Self {
        let late = self.samples.iter().filter(|(time, _)| *time >= at.as_secs_f64());
        Self { samples: late.copied().collect() }
    }

    pub(crate) fn mean(&self) -> f64 {
        self.samples.iter().map(|(_, value)| value).sum::<f64>() / self.samples.len() as f64
    }

    pub(crate) fn most(&self) -> f64 {
        self.samples.iter().map(|(_, value)| *value).fold(0.0, f64::max)
    }

    /// By which part of its mean the quantity grew from the first sample to the last, along the line of least squares.
    pub(crate) fn growth(&self) -> f64 {
        let count = self.samples.len() as f64;
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else {
            return 0.0;
        };
        let time = self.samples.iter().map(|(time, _)| time).sum::<f64>() / count;
        let mean = self.mean();
        let along =
            self.samples.iter().map(|(at, value)| (at - time) * (value - mean)).sum::<f64>();
        let spread = self.samples.iter().map(|(at, _)| (at - time).powi(2)).sum::<f64>();
        if spread == 0.0 || mean == 0.0 { 0.0 } else { along / spread * (last.0 - first.0) / mean }
    }
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The value below which this part of the others lies; `None` if there is none.
pub(crate) fn quantile(values: &mut [u64], part: f64) -> Option<u64> {
    values.sort_unstable();
    let at = (values.len() as f64 * part) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(values: impl IntoIterator<Item = u64>) -> Meter {
        let mut meter = Meter::default();
        for (at, value) in values.into_iter().enumerate() {
            meter.add(Duration::from_secs(at as u64), value);
        }
        meter
    }

    #[test]
    fn growth_is_that_of_the_line_and_not_of_the_last_sample() {
        assert!((meter((0..=100).map(|at| 1_000 + at)).growth() - 100.0 / 1_050.0).abs() < 1e-9);
        assert!(meter((0..100).map(|at| 1_000 + at % 2)).growth().abs() < 0.001);
        assert!(meter([5; 10]).growth().abs() < 1e-9);
        assert!(meter([]).growth().abs() < 1e-9);
    }

    #[test]
    fn warming_up_is_left_out() {
        let warm = meter([1, 50, 100, 100, 100]).since(Duration::from_secs(2));
        assert!(warm.growth().abs() < 1e-9 && (warm.mean() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_values() {
        assert_eq!(quantile(&mut [3, 1, 2], 0.5), Some(2));
        assert_eq!(quantile(&mut [3, 1, 2], 0.99), Some(3));
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(resident(std::process::id()) > 100);
    }
}
