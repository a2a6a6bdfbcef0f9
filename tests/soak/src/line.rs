//! What a worker process tells, one line each, with the machine's monotonic time: the same clock for every process on it.

use std::fmt;
use std::str::FromStr;

/// Nanoseconds of the machine's monotonic clock.
pub(crate) type Nanos = u64;

/// The time now.
pub(crate) fn now() -> Nanos {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// How an attempt to acquire ended that brought no lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    /// Somebody else held it.
    Denied,
    /// Nobody knows whether it had an effect, and it may have one later.
    Unknown,
}

/// Which of a client's connections answers again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Data,
    Locks,
}

/// One thing that happened in a worker; attempts to acquire have numbers of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Called {
        attempt: u64,
        lock: usize,
        task: usize,
        at: Nanos,
    },
    Granted {
        attempt: u64,
        at: Nanos,
    },
    Without {
        attempt: u64,
        at: Nanos,
        why: Without,
    },
    /// The guard says that the lock is held until then.
    Claimed {
        attempt: u64,
        until: Nanos,
    },
    /// The hold is given up, or its loss was noticed.
    LetGo {
        attempt: u64,
        at: Nanos,
    },
    /// The server has confirmed the release.
    Released {
        attempt: u64,
        at: Nanos,
    },
    /// A connection answers after it had not for a while.
    Up {
        lane: Lane,
        at: Nanos,
    },
    /// What was done so far.
    Count {
        commands: u64,
        grants: u64,
        tasks: usize,
    },
    /// What was ordered is done; so many commands are still on their way, and will be for ever.
    Played {
        busy: usize,
    },
    /// Every task has ended, and the client is closed: what is left.
    End {
        tasks: usize,
        descriptors: usize,
    },
    /// Something is not as it should be.
    Wrong(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called { attempt, lock, task, at } => {
                write!(f, "called {attempt} {lock} {task} {at}")
            }
            Self::Granted { attempt, at } => write!(f, "granted {attempt} {at}"),
            Self::Without { attempt, at, why: Without::Denied } => {
                write!(f, "denied {attempt} {at}")
            }
            Self::Without { attempt, at, why: Without::Unknown } => {
                write!(f, "unknown {attempt} {at}")
            }
            Self::Claimed { attempt, until } => write!(f, "claimed {attempt} {until}"),
            Self::LetGo { attempt, at } => write!(f, "let-go {attempt} {at}"),
            Self::Released { attempt, at } => write!(f, "released {attempt} {at}"),
            Self::Up { lane: Lane::Data, at } => write!(f, "up-data {at}"),
            Self::Up { lane: Lane::Locks, at } => write!(f, "up-locks {at}"),
            Self::Count { commands, grants, tasks } => {
                write!(f, "count {commands} {grants} {tasks}")
            }
            Self::Played { busy } => write!(f, "played {busy}"),
            Self::End { tasks, descriptors } => write!(f, "end {tasks} {descriptors}"),
            Self::Wrong(what) => write!(f, "wrong {}", what.escape_debug()),
        }
    }
}

/// Not a line of a worker; one that was cut short by its death, perhaps.
#[derive(Debug)]
pub(crate) struct NotALine;

impl FromStr for Line {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Self, NotALine> {
        let (word, rest) = text.split_once(' ').ok_or(NotALine)?;
        if word == "wrong" {
            return Ok(Self::Wrong(rest.to_owned()));
        }
        let numbers: Result<Vec<u64>, _> = rest.split(' ').map(str::parse).collect();
        let numbers = numbers.map_err(|_| NotALine)?;
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(match (word, &numbers[..]) {
            ("called", &[attempt, lock, task, at]) => {
                Self::Called { attempt, lock: size(lock), task: size(task), at }
            }
            ("granted", &[attempt, at]) => Self::Granted { attempt, at },
            ("denied", &[attempt, at]) => Self::Without { attempt, at, why: Without::Denied },
            ("unknown", &[attempt, at]) => Self::Without { attempt, at, why: Without::Unknown },
            ("claimed", &[attempt, until]) => Self::Claimed { attempt, until },
            ("let-go", &[attempt, at]) => Self::LetGo { attempt, at },
            ("released", &[attempt, at]) => Self::Released { attempt, at },
            ("up-data", &[at]) => Self::Up { lane: Lane::Data, at },
            ("up-locks", &[at]) => Self::Up { lane: Lane::Locks, at },
            ("count", &[commands, grants, tasks]) => {
                Self::Count { commands, grants, tasks: size(tasks) }
            }
            ("played", &[busy]) => Self::Played { busy: size(busy) },
            ("end", &[tasks, descriptors]) => {
                Self::End { tasks: size(tasks), descriptors: size(descriptors) }
            }
            _ => return Err(NotALine),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back() {
        for line in [
            Line::Called { attempt: 1, lock: 2, task: 3, at: 4 },
            Line::Granted { attempt: 1, at: 2 },
            Line::Without { attempt: 1, at: 2, why: Without::Denied },
            Line::Without { attempt: 1, at: 2, why: Without::Unknown },
            Line::Claimed { attempt: 1, until: u64::MAX },
            Line::LetGo { attempt: 1, at: 2 },
            Line::Released { attempt: 1, at: 2 },
            Line::Up { lane: Lane::Data, at: 1 },
            Line::Up { lane: Lane::Locks, at: 1 },
            Line::Count { commands: 1, grants: 2, tasks: 3 },
            Line::Played { busy: 1 },
            Line::End { tasks: 0, descriptors: 9 },
            Line::Wrong("asked a and got b".to_owned()),
        ] {
            assert_eq!(line.to_string().parse::<Line>().ok(), Some(line));
        }
        assert!("granted 1".parse::<Line>().is_err(), "a line that was cut short");
    }
}
