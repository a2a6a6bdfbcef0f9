//! What must hold in every run, whatever went wrong in it.

use crate::history::{Answer, Attempt, History};
use crate::linear;
use crate::plan::{Fault, Plan};
use crate::task::SHORTEST_LEASE;
use crate::world::World;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tenure::{FencingToken, Outcome};
use tenure_server::Logged;

/// What timers of milliseconds add to a call.
const SLACK: Duration = Duration::from_millis(5);

/// A lock of somebody who lives is gone once everybody has let go: nobody waits for a lease to end.
pub(crate) fn when_quiet(world: &World) {
    let crashed: BTreeSet<String> = world.history(|history| {
        let dead = history.attempts.iter().filter(|attempt| attempt.ended.is_none());
        dead.map(|attempt| label(attempt.who.process, attempt.who.life)).collect()
    });
    let lives = world.last_lives();
    let excused = world.history(|history| !history.losses.is_empty());
    for key in world.server.keys().into_iter().filter(|key| key.starts_with(b"lk:lock")) {
        let value = world.server.get(&key).unwrap_or_default();
        let owner = owner(&value);
        // A replica that takes over may bring back what was released after it had last been in step.
        if excused || crashed.contains(&owner) || !lives.contains(&owner) {
            continue;
        }
        let key = String::from_utf8_lossy(&key).into_owned();
        complain(world, format!("{key} was left behind by {owner}, who lives"));
    }
}

/// No key outlives its lease, but for what has an end of its own: fences, who counts as alive for fair locks, and the places in
/// line of those who have died, or that a replica has brought back.
pub(crate) fn when_leases_are_over(world: &World) {
    let excused = world.history(|history| {
        let died = history.attempts.iter().any(|attempt| attempt.ended.is_none());
        died || !history.losses.is_empty()
    });
    for (key, has_end) in keys_of_locks(world) {
        let stays = key.ends_with(":f") || key.ends_with(":w") || key.ends_with(":q") && excused;
        if !(stays && has_end) {
            complain(world, format!("{key} outlived every lease"));
        }
    }
}

/// No line is remembered for longer than somebody in it counts as alive, whatever went wrong.
pub(crate) fn when_lines_are_forgotten(world: &World) {
    for (key, has_end) in keys_of_locks(world) {
        if !(key.ends_with(":f") && has_end) {
            complain(world, format!("{key} outlived everybody who waited"));
        }
    }
}

/// What is left of locks, and whether it goes by itself.
fn keys_of_locks(world: &World) -> Vec<(String, bool)> {
    let of_a_lock = |key: &Bytes| key.starts_with(b"lk:lock") || key.starts_with(b"{lk:lock");
    let keys = world.server.keys().into_iter().filter(of_a_lock);
    let told =
        |key: Bytes| (String::from_utf8_lossy(&key).into_owned(), world.server.ttl(&key).is_some());
    keys.map(told).collect()
}

/// Closed clients leave no task behind.
pub(crate) fn when_alone(world: &World) {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    if tasks > 0 {
        complain(world, format!("{tasks} tasks are left after every client was closed"));
    }
}

/// What is looked for in the history once it is whole.
pub(crate) fn after(world: &World) {
    let log = world.server.log();
    let lost = world.register(|register| register.lost());
    world.history(|history| {
        let mut found = overlaps(history);
        found.extend(writes(history, &log));
        found.extend(foreign_deletes(&log));
        found.extend(late_renewals(&log));
        found.extend(fences(history));
        if world.plan.faults.is_empty() {
            found.extend(overtakers(&world.plan, history));
        }
        found.extend(lost);
        if history.losses.is_empty() {
            found.extend(out_of_turn(&world.plan, history));
            found.extend(linear::check(&history.attempts));
        }
        history.violations.extend(found);
        for logged in &log {
            let what = format!("server: #{} {}", logged.connection, logged.line());
            history.note(world.since_begin(logged.at), None, what);
        }
        history.events.sort_by_key(|event| event.at);
    });
}

fn complain(world: &World, what: String) {
    world.note(None, format!("VIOLATION: {what}"));
    world.history(|history| history.violation(what));
}

/// What the values of a process's locks are labelled with.
pub(crate) fn label(process: usize, life: usize) -> String {
    format!("p{process}.{life}")
}

/// The label in a lock's value.
fn owner(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.split(';').nth(2).unwrap_or_default().to_owned()
}

/// No two owners rely on one lock at the same time, unless the server lost the key in between.
fn overlaps(history: &History) -> Vec<String> {
    let mut held: BTreeMap<usize, Vec<&Attempt>> = BTreeMap::new();
    for attempt in history.attempts.iter().filter(|attempt| attempt.claimed > Duration::ZERO) {
        held.entry(attempt.lock).or_default().push(attempt);
    }
    let mut found = Vec::new();
    for (lock, mut holds) in held {
        holds.sort_by_key(|hold| hold.ended);
        for (at, first) in holds.iter().enumerate() {
            let end = first.let_go.map_or(first.claimed, |let_go| first.claimed.min(let_go));
            for second in &holds[at + 1..] {
                let granted = second.ended.unwrap_or_default();
                let since = first.called.min(second.called);
                let lost = |at: &Duration| (since..=granted).contains(at);
                if granted < end && !history.losses.iter().any(lost) {
                    found.push(format!(
                        "lock{lock} was granted to {} at {granted:?} while {} relied on it until {end:?}",
                        second.who, first.who
                    ));
                }
            }
        }
    }
    found
}

/// Nothing that was not sent has reached the server, and nothing that was acknowledged is absent.
fn writes(history: &History, log: &[Logged]) -> Vec<String> {
    let executed: BTreeSet<&[u8]> =
        log.iter().flat_map(|logged| logged.args.get(2)).map(|arg| &arg[..]).collect();
    let mut found = Vec::new();
    for write in &history.writes {
        let there = executed.contains(write.payload.as_bytes());
        match write.failed {
            None if !there => {
                found.push(format!(
                    "{} of {} was acknowledged and never executed",
                    write.payload, write.who
                ));
            }
            Some(Outcome::NotSent) if there => {
                found.push(format!(
                    "{} of {} was executed and called not sent",
                    write.payload, write.who
                ));
            }
            _ => {}
        }
    }
    found
}

/// Locks are only ever deleted by comparing the owner.
fn foreign_deletes(log: &[Logged]) -> Vec<String> {
    let deletes = ["DEL", "UNLINK", "GETDEL"];
    let blind = log.iter().filter(|logged| {
        let key = logged.args.get(1);
        deletes.contains(&logged.name().as_str()) && key.is_some_and(|key| key.starts_with(b"lk:"))
    });
    blind.map(|logged| format!("deleted without a look at the owner: {}", logged.line())).collect()
}

/// Fences rise from each grant to those that were asked for after it, and none is given twice: whatever the server has lost.
fn fences(history: &History) -> Vec<String> {
    let fenced = history.attempts.iter().filter(|attempt| attempt.fence.is_some());
    let mut grants: Vec<_> = fenced.collect();
    grants.sort_by_key(|grant| (grant.lock, grant.fence));
    let mut found = Vec::new();
    for (at, first) in grants.iter().enumerate() {
        for second in grants[at + 1..].iter().filter(|second| second.lock == first.lock) {
            if first.fence == second.fence || second.ended < Some(first.called) {
                found.push(format!(
                    "{} of {} comes before {} of {} on lock{}",
                    told(first.fence),
                    first.who,
                    told(second.fence),
                    second.who,
                    first.lock
                ));
            }
        }
    }
    found
}

/// Where nothing goes wrong, nobody in the line for a fair lock is overtaken by somebody who came when it stood there already.
fn overtakers(plan: &Plan, history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let granted = history.attempts.iter().filter(|attempt| attempt.answer == Answer::Granted);
    for late in granted.filter(|attempt| plan.fair[attempt.lock]) {
        for early in history.attempts.iter().filter(|early| early.lock == late.lock && early.waits)
        {
            // The clock goes by whole milliseconds: what takes less takes one.
            let way = plan.processes[early.who.process].latency + Duration::from_millis(1);
            // Connecting, and two round trips to listen and stand in line.
            let there = early.called + 10 * way + SLACK;
            let waited_on = early
                .ended
                .is_none_or(|ended| ended > late.ended.unwrap_or_default() + SLACK + 2 * way);
            if there < late.called && waited_on {
                found.push(format!("{} overtook {} on lock{}", late.who, early.who, late.lock));
            }
        }
    }
    found
}

/// Where a process has the server to itself, those of its tasks that wait for a fair lock are served in the order in which they
/// came, whatever happens to its connection. A grant that is not confirmed costs a place; so nothing is said about times in which nobody
/// had the lock for as long as that may take. Nor about those in which the server took no places.
fn out_of_turn(plan: &Plan, history: &History) -> Vec<String> {
    let served = |attempt: &&Attempt| attempt.waits && attempt.answer == Answer::Granted;
    let served: Vec<_> = history.attempts.iter().filter(served).collect();
    let mut found = Vec::new();
    for late in served.iter().filter(|late| plan.processes.len() == 1 && plan.fair[late.lock]) {
        for early in served.iter().filter(|early| early.lock == late.lock) {
            let together = early.who.life == late.who.life;
            let overtook = early.called < late.called && late.ended < early.ended;
            let excused = was_idle(history, early, late) || took_no_places(plan, early, late);
            if together && overtook && !excused {
                let (late, early) = (late.who, early.who);
                found.push(format!("{late} was served before {early}, who came before it"));
            }
        }
    }
    found
}

/// Whether a grant may have been lost between one's coming and another's grant.
fn was_idle(history: &History, early: &Attempt, late: &Attempt) -> bool {
    let (since, until) = (early.called, late.ended.unwrap_or_default());
    let same = history.attempts.iter().filter(|attempt| attempt.lock == late.lock);
    let mut holds: Vec<_> = same.filter(|hold| hold.answer == Answer::Granted).collect();
    holds.sort_by_key(|hold| hold.ended);
    let mut freed = since;
    holds.into_iter().any(|hold| {
        let granted = hold.ended.unwrap_or_default();
        let idle = (since..=until).contains(&granted) && granted >= freed + SHORTEST_LEASE;
        freed = freed.max(hold.let_go.or(hold.released).unwrap_or_default()); // the answer may take its time
        idle
    })
}

/// Whether the server refused to write between one's coming and another's grant.
fn took_no_places(plan: &Plan, early: &Attempt, late: &Attempt) -> bool {
    let (since, until) = (early.called, late.ended.unwrap_or_default());
    let kinds = [Fault::Loading, Fault::ReadOnly, Fault::Full];
    kinds.iter().any(|kind| {
        let mut began = None;
        plan.faults.iter().any(|(at, fault)| {
            if *fault == kind(true) {
                began.get_or_insert(*at);
            }
            let over = *fault == kind(false) && *at >= since;
            began.take_if(|_| *fault == kind(false)).is_some_and(|began| over && began <= until)
        }) || began.is_some_and(|began| began <= until)
    })
}

fn told(fence: Option<FencingToken>) -> String {
    fence.map_or_else(|| "no fence".to_owned(), |fence| format!("fence {fence}"))
}

/// What was released is not renewed any more.
fn late_renewals(log: &[Logged]) -> Vec<String> {
    let mut released = BTreeSet::new();
    let mut found = Vec::new();
    for logged in log {
        let args: Vec<&[u8]> = logged.args.iter().map(|arg| &arg[..]).collect();
        match *args {
            [b"DELIFEQ", _, value] | [b"DELEX", _, b"IFEQ", value] => {
                released.insert(value.to_vec());
            }
            [b"SET", _, new, b"IFEQ", old, b"PX", _] if new == old && released.contains(old) => {
                found.push(format!("renewed after its release: {}", logged.line()));
            }
            _ => {}
        }
    }
    found
}
