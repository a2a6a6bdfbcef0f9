//! Medians, and what the data says about them.

use std::fmt;

/// The median of some values with its 95 % interval by order statistics, which assumes nothing about their shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Interval {
    /// # Panics
    ///
    /// Without any value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        let count = values.len();
        // Half the width of the binomial interval for the rank of the median.
        let reach = (0.98 * (count as f64).sqrt()).ceil() as usize;
        let middle = count / 2;
        let median = if count % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        let low = values[((count - 1) / 2).saturating_sub(reach)];
        Self { low, median, high: values[(middle + reach).min(count - 1)] }
    }

    /// Of the ratios of what was measured in the same round.
    pub(crate) fn of_ratio(above: &[f64], below: &[f64]) -> Self {
        Self::of(above.iter().zip(below).map(|(above, below)| above / below).collect())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        let digits = match median {
            ..0.1 => 3,
            0.1..10.0 => 2,
            _ => 1,
        };
        write!(f, "{median:.digits$} ({low:.digits$} to {high:.digits$})")
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    Interval::of(values.to_vec()).median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_holds_the_median_and_stays_within_the_values() {
        let one = Interval::of(vec![3.0]);
        assert_eq!((one.low, one.median, one.high), (3.0, 3.0, 3.0));
        let many = Interval::of((0..=100).rev().map(f64::from).collect());
        assert_eq!((many.low, many.median, many.high), (40.0, 50.0, 60.0));
        let even = Interval::of(vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!((even.low, even.median, even.high), (1.0, 2.5, 4.0));
    }
}
