//! Plots as SVG, written by hand: lines over a logarithmic or linear axis, and bars.

use std::fmt::Write as _;
use std::path::PathBuf;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 180.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 54.0;
/// Told apart also by those who do not see red and green alike; the first is for what is ours.
const COLOURS: [&str; 9] = [
    "#0b6e4f", "#d1495b", "#30638e", "#edae49", "#8f6bb0", "#7a7a7a", "#00a6d6", "#b5651d",
    "#222222",
];

/// One axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) log: bool,
}

/// A line through points, in the order of their first coordinate.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) ours: bool,
}

/// Lines over two axes.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// A bar for each name, longer is more.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) bars: Vec<(String, f64, bool)>,
}

/// Writes a plot below `target/plots` and tells where.
pub(crate) fn write(name: &str, svg: &str) -> std::io::Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/plots");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.svg"));
    std::fs::write(&path, svg)?;
    Ok(path)
}

impl Axis {
    fn scale(self, value: f64) -> f64 {
        if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    /// The ends of the axis and the marks on it.
    fn marks(self, values: impl Iterator<Item = f64>) -> (f64, f64, Vec<f64>) {
        let values = values.filter(|value| value.is_finite() && (!self.log || *value > 0.0));
        let (low, high) = values
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if self.log {
            let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
            let marks = (first..=last.max(first + 1)).map(|power| 10_f64.powi(power)).collect();
            return (f64::from(first), f64::from(last.max(first + 1)), marks);
        }
        let high = if high > 0.0 { high } else { 1.0 };
        let rough = 10_f64.powf((high / 5.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0];
        let step = steps.into_iter().map(|by| by * rough).find(|step| high / step <= 6.0);
        let step = step.unwrap_or(rough * 10.0);
        let count = (high / step).ceil() as usize;
        (0.0, step * count as f64, (0..=count).map(|mark| step * mark as f64).collect())
    }
}

impl Lines {
    pub(crate) fn svg(&self) -> String {
        let mut out = begin(&self.title, HEIGHT);
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (x_low, x_high, x_marks) = self.x.marks(points().map(|point| point.0));
        let (y_low, y_high, y_marks) = self.y.marks(points().map(|point| point.1));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x =
            |value: f64| LEFT + (self.x.scale(value) - x_low) / (x_high - x_low) * (right - LEFT);
        let y =
            |value: f64| bottom - (self.y.scale(value) - y_low) / (y_high - y_low) * (bottom - TOP);
        for mark in x_marks {
            let at = x(mark);
            rule(&mut out, (at, TOP), (at, bottom));
            text(&mut out, (at, bottom + 18.0), "middle", &short(mark));
        }
        for mark in y_marks {
            let at = y(mark);
            rule(&mut out, (LEFT, at), (right, at));
            text(&mut out, (LEFT - 8.0, at + 4.0), "end", &short(mark));
        }
        text(&mut out, ((LEFT + right) / 2.0, HEIGHT - 12.0), "middle", self.x.label);
        text(&mut out, (16.0, TOP - 8.0), "start", self.y.label);
        for (at, series) in self.series.iter().enumerate() {
            let (colour, width) = (colour(at, series.ours), if series.ours { 3.0 } else { 1.5 });
            let path = series.points.iter().map(|&(px, py)| format!("{:.1},{:.1}", x(px), y(py)));
            let path = path.collect::<Vec<_>>().join(" ");
            let _ = writeln!(
                out,
                r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>"#
            );
            let line = TOP + 10.0 + at as f64 * 20.0;
            let _ = writeln!(
                out,
                r#"<line x1="{}" y1="{line}" x2="{}" y2="{line}" stroke="{colour}" stroke-width="{width}"/>"#,
                right + 14.0,
                right + 36.0
            );
            text(&mut out, (right + 42.0, line + 4.0), "start", &series.name);
        }
        out + "</svg>\n"
    }
}

impl Bars {
    pub(crate) fn svg(&self) -> String {
        const BAR: f64 = 26.0;
        let height = TOP + BAR * self.bars.len() as f64 + 12.0;
        let mut out = begin(&self.title, height);
        let most = self.bars.iter().map(|bar| bar.1).fold(f64::MIN_POSITIVE, f64::max);
        for (at, (name, value, ours)) in self.bars.iter().enumerate() {
            let top = TOP + at as f64 * BAR;
            let (left, long) = (LEFT + 110.0, value / most * (WIDTH - LEFT - 210.0));
            let colour = if *ours { COLOURS[0] } else { "#9aa5ab" };
            let _ = writeln!(
                out,
                r#"<rect x="{left}" y="{top:.1}" width="{long:.1}" height="{}" fill="{colour}"/>"#,
                BAR - 7.0
            );
            text(&mut out, (left - 8.0, top + 14.0), "end", name);
            text(&mut out, (left + long + 6.0, top + 14.0), "start", &short(*value));
        }
        out + "</svg>\n"
    }
}

fn colour(at: usize, ours: bool) -> &'static str {
    if ours && at == 0 { COLOURS[0] } else { COLOURS[at % COLOURS.len()] }
}

fn begin(title: &str, height: f64) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let title = escaped(title);
    let _ = writeln!(out, r#"<text x="16" y="20" font-weight="bold">{title}</text>"#);
    out
}

fn rule(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        out,
        r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#dddddd"/>"##
    );
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// `1200` as `1.2k`.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        1e6.. => (value / 1e6, "M"),
        1e3..1e6 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_enclose_the_values_on_both_kinds_of_axis() {
        let linear = Axis { label: "", log: false };
        assert_eq!(linear.marks([3.0, 11.0].into_iter()).1, 12.0);
        let log = Axis { label: "", log: true };
        let (low, high, marks) = log.marks([0.5, 200.0].into_iter());
        assert_eq!((low, high, marks.len()), (-1.0, 3.0, 5));
    }

    #[test]
    fn numbers_are_short() {
        let of = [(0.0, "0"), (0.25, "0.25"), (1_200.0, "1.2k"), (150_000.0, "150k"), (2e6, "2M")];
        for (value, text) in of {
            assert_eq!(short(value), text);
        }
    }
}
