//! A run as a picture: who waited for which lock and who held it, over time, with the faults in between.

use crate::history::{Answer, Attempt, History, Who};
use crate::plan::Plan;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

const LEFT: f64 = 90.0;
const WIDTH: f64 = 1_400.0;
const LANE: f64 = 22.0;
const TOP: f64 = 60.0;
/// One for each lock.
const COLOURS: [&str; 3] = ["#2a78c8", "#c8642a", "#3c9a5f"];

/// The picture, as SVG.
pub(crate) fn svg(plan: &Plan, history: &History, simulated: Duration) -> String {
    let mut lanes: BTreeMap<Who, Vec<&Attempt>> = BTreeMap::new();
    for attempt in &history.attempts {
        lanes.entry(attempt.who).or_default().push(attempt);
    }
    let scale = WIDTH / simulated.as_secs_f64().max(0.001);
    let x = |at: Duration| LEFT + at.min(simulated).as_secs_f64() * scale;
    let height = TOP + LANE * lanes.len() as f64 + 30.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"10\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"4\" y=\"14\" font-size=\"13\">seed {}: {} violations</text>\n",
        LEFT + WIDTH + 20.0,
        plan.seed,
        history.violations.len()
    );
    for (number, colour) in COLOURS.iter().enumerate().take(plan.locks) {
        let at = 300.0 + 80.0 * number as f64;
        line(
            &mut out,
            format_args!("<text x=\"{at}\" y=\"14\" fill=\"{colour}\">lock{number}</text>"),
        );
    }
    for (number, (at, fault)) in plan.faults.iter().enumerate() {
        let (x, y) = (x(*at), 24.0 + 9.0 * (number % 4) as f64);
        line(
            &mut out,
            format_args!(
                "<path d=\"M{x:.1} {y} V{:.1}\" stroke=\"#c33\" stroke-width=\"0.5\" opacity=\"0.5\"/>\
             <text x=\"{x:.1}\" y=\"{y}\" fill=\"#c33\" font-size=\"8\">{fault:?}</text>",
                height - 20.0
            ),
        );
    }
    for (number, (who, attempts)) in lanes.iter().enumerate() {
        let y = TOP + LANE * number as f64;
        line(&mut out, format_args!("<text x=\"4\" y=\"{:.1}\">{who}</text>", y + 13.0));
        for attempt in attempts {
            draw(&mut out, attempt, y, &x, simulated);
        }
    }
    let seconds = simulated.as_secs();
    for second in 0..=seconds {
        let x = x(Duration::from_secs(second));
        line(
            &mut out,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"#888\">{second} s</text>",
                height - 8.0
            ),
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Waiting is thin, holding is thick; what was claimed beyond letting go is an outline.
fn draw(
    out: &mut String,
    attempt: &Attempt,
    y: f64,
    x: &impl Fn(Duration) -> f64,
    simulated: Duration,
) {
    let colour = COLOURS[attempt.lock % COLOURS.len()];
    let ended = attempt.ended.unwrap_or(simulated);
    bar(
        out,
        [x(attempt.called), x(ended), y + 8.0, 3.0],
        &format!("fill=\"{colour}\" opacity=\"0.4\""),
    );
    if attempt.answer != Answer::Granted {
        return;
    }
    let end = attempt.let_go.unwrap_or(attempt.claimed).min(attempt.claimed);
    bar(
        out,
        [x(ended), x(attempt.claimed), y + 3.0, 13.0],
        &format!("fill=\"none\" stroke=\"{colour}\""),
    );
    bar(out, [x(ended), x(end), y + 3.0, 13.0], &format!("fill=\"{colour}\""));
}

fn bar(out: &mut String, [from, until, y, height]: [f64; 4], style: &str) {
    let width = (until - from).max(0.5);
    line(
        out,
        format_args!(
            "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" {style}/>"
        ),
    );
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(out, "{text}");
}
