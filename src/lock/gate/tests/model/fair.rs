//! Fair locks in every order: one at most relies on the lock, whoever waits is served, and neither key nor line remembers
//! anybody who has gone.

use super::{Faults, Lock, MANY, MS, NONE, explore};
use crate::lock::gate::Ears;

fn fair(callers: &[usize], faults: Faults) -> Lock {
    let mut lock = Lock::new(callers, faults);
    lock.setting.terms.fair = true;
    lock
}

#[test]
fn three_stand_in_line() {
    let hard = Faults { crashes: 1, ..NONE };
    explore((fair(&[1, 1, 1], NONE), 1_000), (fair(&[1, 1, 1], hard), 200_000));
}

#[test]
fn connections_are_lost_with_grants_on_them() {
    let (cut, hard) = (Faults { cuts: 1, ..NONE }, Faults { cuts: 1, leaves: 1, ..NONE });
    explore((fair(&[1, 1], cut), 1_000), (fair(&[1, 1, 1], hard), MANY));
}

#[test]
fn server_does_not_notice_that_somebody_has_gone() {
    let unnoticed = |callers: &[usize], faults| {
        let mut lock = fair(callers, faults);
        lock.setting.half_open = true;
        lock
    };
    let (crash, hard) = (Faults { crashes: 1, ..NONE }, Faults { crashes: 1, cuts: 1, ..NONE });
    explore((unnoticed(&[1, 1], crash), 1_000), (unnoticed(&[1, 1, 1], hard), MANY));
}

#[test]
fn whoever_leaves_passes_on_what_it_is_given() {
    let leave = Faults { leaves: 1, ..NONE };
    let patient = |callers: &[usize], faults| {
        let mut lock = fair(callers, faults);
        lock.setting.patience = Some(250 * MS);
        lock
    };
    explore((fair(&[1, 1], leave), 1_000), (fair(&[1, 1, 1], leave), 350_000));
    explore((patient(&[1, 1], leave), 1_000), (patient(&[2, 1], leave), 190_000));
}

#[test]
fn processes_are_stopped_while_they_are_given_the_lock() {
    let stop = Faults { pauses: 1, ..NONE };
    let late = Faults { delays: 1, ..stop };
    let slow = |callers: &[usize], faults| {
        let mut lock = fair(callers, faults);
        lock.setting.fast = false;
        lock
    };
    explore((fair(&[1, 1], late), 100_000), (fair(&[2, 1], stop), 500_000));
    explore((slow(&[1, 1], stop), 1_000), (slow(&[1, 1, 1], stop), MANY));
}

#[test]
fn answers_are_overdue_and_commands_refused() {
    let slow = Faults { overdue: 1, refusals: 1, ..NONE };
    explore((fair(&[1, 1], slow), 1_000), (fair(&[1, 1, 1], slow), MANY));
}

#[test]
fn line_is_forgotten_with_everything_else() {
    let flush = Faults { flushes: 1, ..NONE };
    explore((fair(&[1, 1], flush), 1_000), (fair(&[1, 1, 1], flush), 900_000));
}

#[test]
fn whoever_is_told_nothing_asks() {
    let deaf = |callers: &[usize], faults| {
        let mut lock = fair(callers, faults);
        lock.setting.ears = Ears { told: false, hears: false, ..lock.setting.ears };
        lock
    };
    let (cut, hard) = (Faults { cuts: 1, ..NONE }, Faults { crashes: 1, ..NONE });
    explore((deaf(&[1, 1], cut), 1_000), (deaf(&[1, 1, 1], hard), 100_000));
}
