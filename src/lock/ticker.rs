//! The task that looks at gates when it is time: renewals, deadlines, waits that are over.
//!
//! One timer for all of them. What is due together leaves in one write, and what is due soon may come along.

use crate::client::Flush;
use crate::lock::book::News;
use crate::lock::engine::Engine;
use crate::lock::gate::Event;
use crate::seam::after;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How far ahead to look when something is due anyway: gates themselves know what may be early.
const ALONG: Duration = Duration::from_millis(50);

/// Looks at gates until nobody can come any more and nothing is left to do.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| turn(&engine, &mut timer, cx)).await;
}

fn turn(engine: &Engine, timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        ring(engine, Instant::now());
        let next = {
            let mut book = engine.book();
            if book.stopping && book.gates.are_vacant() {
                return Poll::Ready(());
            }
            book.ticker = Some(cx.waker().clone());
            book.wakes_at = book.next_timer();
            book.wakes_at
        };
        let Some(at) = next else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
    }
}

/// Tells the gates whose time has come.
fn ring(engine: &Engine, now: Instant) {
    engine.act(Flush::Auto, |book| {
        if book.next_timer().is_none_or(|due| now < due) {
            return;
        }
        while let Some(gate) = book.ring(after(now, ALONG)) {
            book.news.push_back(News { gate, event: Event::Tick, clocks: None });
        }
    });
}
