//! Fences in every order: each is granted once, they rise, and what is written with them refuses whoever came before.
//!
//! The server mints as ours do, and loses its fences with everything else or by themselves, but not its clock.

use super::{Faults, Lock, MANY, Minting, NONE, explore};

fn fenced(callers: &[usize], minting: Minting, faults: Faults) -> Lock {
    let mut lock = Lock::new(callers, faults);
    lock.setting.terms.fenced = true;
    lock.setting.minting = minting;
    lock
}

#[test]
fn script_takes_the_lock_and_mints() {
    let lost = Faults { flushes: 1, writes: 2, ..NONE };
    let hard = Faults { cuts: 1, ..lost };
    let script = |callers: &[usize], faults| fenced(callers, Minting::Script, faults);
    explore((script(&[1, 1], lost), 10_000), (script(&[1, 1], hard), MANY));
    let lost = Faults { writes: 1, ..lost };
    explore((script(&[2], lost), 1_000), (script(&[2, 1], lost), MANY));
}

#[test]
fn others_come_between_the_commands_that_mint() {
    let lost = Faults { flushes: 1, ..NONE };
    let hard = Faults { cuts: 1, writes: 2, ..lost };
    let commands = |callers: &[usize], faults| fenced(callers, Minting::Commands, faults);
    explore((commands(&[1, 1], lost), 10_000), (commands(&[1, 1], hard), MANY));
    explore((commands(&[2], lost), 1_000), (commands(&[2, 1], lost), MANY));
}

#[test]
fn holders_write_long_after_their_leases() {
    let late = Faults { pauses: 1, writes: 2, ..NONE };
    let slow = |callers: &[usize], minting, faults| {
        let mut lock = fenced(callers, minting, faults);
        lock.setting.fast = false;
        lock
    };
    let dead = Faults { crashes: 1, delays: 1, ..late };
    explore(
        (slow(&[1, 1], Minting::Script, late), 1_000),
        (slow(&[1, 1], Minting::Commands, dead), MANY),
    );
}
