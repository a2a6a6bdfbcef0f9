//! Plain locks in every order: processes that come and die, stop, lose their connection, hand over and announce.

use super::{Faults, Lock, MANY, MS, NONE, explore};
use crate::lock::options::Wakeup;

#[test]
fn three_processes_come_and_die() {
    let hard = Faults { crashes: 1, cuts: 1, ..NONE };
    explore((Lock::new(&[1, 1, 1], NONE), 100_000), (Lock::new(&[1, 1, 1], hard), MANY));
}

#[test]
fn connections_are_lost_and_answers_with_them() {
    let (cut, late) = (Faults { cuts: 1, ..NONE }, Faults { cuts: 2, delays: 1, ..NONE });
    explore((Lock::new(&[1, 1], cut), 10_000), (Lock::new(&[1, 1], late), MANY));
}

#[test]
fn lock_is_handed_over_within_a_process() {
    let (cut, leave) = (Faults { cuts: 1, ..NONE }, Faults { cuts: 1, leaves: 1, ..NONE });
    explore((Lock::new(&[2], leave), 1_000), (Lock::new(&[2, 1], leave), MANY));
    explore((Lock::new(&[2, 1], NONE), 1_000), (Lock::new(&[3, 1], cut), MANY));
}

#[test]
fn processes_are_stopped_for_longer_than_their_leases() {
    let stop = Faults { pauses: 1, delays: 1, ..NONE };
    explore(
        (Lock::new(&[1, 1], stop), 0),
        (Lock::new(&[1, 1, 1], Faults { delays: 0, ..stop }), 0),
    );
}

#[test]
fn answers_are_overdue_and_commands_refused() {
    let slow = Faults { overdue: 1, refusals: 1, ..NONE };
    let late = Faults { delays: 1, ..slow };
    explore((Lock::new(&[1, 1], slow), 10_000), (Lock::new(&[2, 1], late), MANY));
}

#[test]
fn server_forgets_everything() {
    let flush = Faults { flushes: 1, leaves: 1, ..NONE };
    explore((Lock::new(&[1, 1], flush), 1_000), (Lock::new(&[1, 1, 1], flush), MANY));
}

#[test]
fn releases_are_announced_to_callers_who_wait_for_a_while() {
    let announced = |callers: &[usize], faults| {
        let mut lock = Lock::new(callers, faults);
        lock.setting.terms.wakeup = Wakeup::Announce;
        lock.setting.patience = Some(250 * MS);
        lock.setting.fast = false;
        lock
    };
    let cut = Faults { cuts: 1, ..NONE };
    explore((announced(&[1, 1], cut), 10_000), (announced(&[1, 1, 1], cut), MANY));
}

#[test]
fn states_that_differ_in_names_only_are_one() {
    let crash = Faults { crashes: 1, cuts: 1, ..NONE };
    let alike = |callers: &[usize], faults| {
        let mut lock = Lock::new(callers, faults);
        lock.setting.alike = true;
        lock
    };
    explore((alike(&[1, 1, 1], NONE), 10_000), (alike(&[1, 1, 1], crash), 500_000));
}
