//! Processes with one gate each, connections that keep order until they are lost, and a server with one key.
//!
//! Time goes from one moment at which it changes something to the next. Whatever a gate orders is checked on the spot.

mod fences;
mod line;
mod server;

pub(super) use fences::{Fences, Minting};
pub(super) use line::Line;

use super::setting::{Faults, Setting};
use crate::lock::fence::FencingToken;
use crate::lock::gate::tests::told_of;
use crate::lock::gate::{Claim, Errand, Event, Failure, Gate, Given, Order, Patience, Said, Scene};
use crate::lock::hold::Clocks;
use fences::Progress;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// What a gate may send at one moment; whoever sends more goes round in circles.
const HURRY: u8 = 16;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) key: Option<Key>,
    pub(super) line: Line,
    pub(super) fences: Fences,
    pub(super) processes: Vec<Process>,
    pub(super) left: Faults,
    /// What did not hold.
    pub(super) broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) process: usize,
    pub(super) claim: Claim,
    pub(super) until: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) gate: Gate,
    pub(super) life: Life,
    pub(super) online: bool,
    pub(super) requests: VecDeque<Request>,
    pub(super) inbound: VecDeque<Word>,
    /// What a connection that is lost may still bring to the server.
    pub(super) ghosts: VecDeque<Request>,
    pub(super) tracks: bool,
    pub(super) listens: bool,
    pub(super) callers: Vec<Caller>,
    /// What was sent at this moment.
    hurry: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Runs,
    /// Stopped: it neither hears nor sees time pass.
    Stopped,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Request {
    errand: Errand,
    progress: Progress,
    /// Nobody waits for the answer any more.
    pub(super) overdue: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Word {
    Answer { request: Request, said: Said },
    Changed,
    Announced { process: u64, waits: bool },
    Pleaded { process: u64 },
    Given(Given),
}

/// One acquire call; its claim is its place, counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    pub(super) stage: Stage,
    /// A release was ordered.
    released: bool,
    /// The server was told to forget everything while it held.
    pub(super) robbed: bool,
    pub(super) forgotten: bool,
    /// What it was granted.
    pub(super) fence: Option<FencingToken>,
    /// The greatest fence that had been granted to anybody when it came.
    after: Option<FencingToken>,
    pub(super) wrote: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Away,
    Waits,
    /// It relies on the lock until then.
    Holds(Instant),
    /// It let the lock go, which may have been over by then.
    LetsGo,
    Over,
}

impl Process {
    pub(super) fn new(callers: usize) -> Self {
        let caller = Caller {
            stage: Stage::Away,
            released: false,
            robbed: false,
            forgotten: false,
            fence: None,
            after: None,
            wrote: false,
        };
        Self {
            gate: Gate::default(),
            life: Life::Runs,
            online: true,
            requests: VecDeque::new(),
            inbound: VecDeque::new(),
            ghosts: VecDeque::new(),
            tracks: false,
            listens: false,
            callers: vec![caller; callers],
            hurry: 0,
        }
    }

    /// Whether something is on its way that will arrive.
    pub(super) fn is_talking(&self) -> bool {
        let hears = self.life == Life::Runs && !self.inbound.is_empty();
        hears || (self.online && !self.requests.is_empty()) || !self.ghosts.is_empty()
    }

    /// Whether something will still be heard, or done at a time that is known: else it would be stuck.
    pub(super) fn is_owed(&self) -> bool {
        let answers = |word: &Word| matches!(word, Word::Answer { .. });
        self.gate.due().is_some()
            || !self.online
            || !self.requests.is_empty()
            || self.inbound.iter().any(answers)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.life == Life::Runs && self.gate.due().is_some_and(|due| due <= now)
    }
}

fn claim(caller: usize) -> Claim {
    Claim(caller as u64 + 1)
}

fn caller(claim: Claim) -> usize {
    usize::try_from(claim.0).unwrap() - 1
}

/// What processes do and suffer.
impl World {
    pub(super) fn come(&mut self, at: usize, number: usize, setting: &Setting) {
        let caller = &mut self.processes[at].callers[number];
        (caller.stage, caller.after) = (Stage::Waits, self.fences.granted());
        let (terms, patience) = (setting.terms, setting.patience);
        let patience = patience.map_or(Patience::Endless, |most| Patience::Until(self.now + most));
        self.tell(at, Event::Came { claim: claim(number), terms, patience }, setting);
    }

    pub(super) fn leave(&mut self, at: usize, number: usize, setting: &Setting) {
        self.processes[at].callers[number].stage = Stage::Over;
        self.tell(at, Event::Left { claim: claim(number) }, setting);
    }

    pub(super) fn release(&mut self, at: usize, number: usize, setting: &Setting) {
        self.processes[at].callers[number].stage = Stage::LetsGo;
        self.tell(at, Event::Released { claim: claim(number) }, setting);
    }

    /// A connection is lost: what was sent may have run, or may yet, until there is another.
    pub(super) fn cut(&mut self, at: usize, setting: &Setting) {
        let process = &mut self.processes[at];
        let unheard: Vec<_> = process
            .inbound
            .drain(..)
            .filter_map(|word| match word {
                Word::Answer { request, .. } => Some(request),
                Word::Changed | Word::Announced { .. } | Word::Pleaded { .. } | Word::Given(_) => {
                    None
                }
            })
            .collect();
        let unserved: Vec<_> = process.requests.drain(..).collect();
        process.ghosts = unserved.iter().copied().collect();
        process.tracks = false;
        process.listens &= setting.half_open;
        for Request { errand, overdue, .. } in unheard.into_iter().chain(unserved) {
            if !overdue {
                let said = Said::Failed(Failure::Passing { may_have_run: true });
                self.tell(at, Event::Said { errand, said }, setting);
            }
        }
        // What was ordered meanwhile waits for the next connection.
        self.processes[at].online = false;
    }

    /// There is another connection, and the server has been told to close the one before.
    pub(super) fn open(&mut self, at: usize, setting: &Setting) {
        let process = &mut self.processes[at];
        process.ghosts.clear();
        (process.online, process.listens) = (true, false);
        self.tell(at, Event::Opened { fenced: true, same: true }, setting);
    }

    /// A process dies. What it has sent may still run.
    pub(super) fn crash(&mut self, at: usize, setting: &Setting) {
        let callers = std::mem::take(&mut self.processes[at].callers);
        let sent = std::mem::take(&mut self.processes[at].requests);
        let mut ghosts = std::mem::take(&mut self.processes[at].ghosts);
        if self.processes[at].online {
            ghosts.extend(sent);
        }
        let listens = self.processes[at].listens && setting.half_open;
        let dead = Process { ghosts, listens, life: Life::Dead, ..Process::new(callers.len()) };
        self.processes[at] = dead;
        for (caller, before) in self.processes[at].callers.iter_mut().zip(callers) {
            // What it was granted it may have told others.
            let Caller { fence, after, wrote, .. } = before;
            *caller = Caller { stage: Stage::Over, fence, after, wrote, ..*caller };
        }
    }

    /// The server carries out the oldest command, or does not.
    pub(super) fn serve(&mut self, at: usize, refuse: bool, setting: &Setting) {
        let Some(mut request) = self.processes[at].requests.pop_front() else { return };
        let said = if refuse {
            Some(Said::Failed(Failure::Refused))
        } else {
            self.go_on(at, &mut request, setting)
        };
        let process = &mut self.processes[at];
        match said {
            Some(said) => process.inbound.push_back(Word::Answer { request, said }),
            None => process.requests.push_front(request),
        }
    }

    pub(super) fn serve_ghost(&mut self, at: usize, setting: &Setting) {
        let Some(mut request) = self.processes[at].ghosts.pop_front() else { return };
        if self.go_on(at, &mut request, setting).is_none() {
            self.processes[at].ghosts.push_front(request);
        }
    }

    pub(super) fn deliver(&mut self, at: usize, setting: &Setting) {
        match self.processes[at].inbound.pop_front() {
            Some(Word::Answer { request: Request { errand, overdue: false, .. }, said }) => {
                self.tell(at, Event::Said { errand, said }, setting);
            }
            Some(Word::Changed) => self.tell(at, Event::Changed, setting),
            Some(Word::Announced { process, waits }) => {
                self.tell(at, Event::Announced { process, waits }, setting);
            }
            Some(Word::Pleaded { process }) => self.tell(at, Event::Pleaded { process }, setting),
            // Whoever is forgotten is not told, as nobody knows it any more.
            Some(Word::Given(Given { claim, .. }))
                if self.processes[at].callers[caller(claim)].forgotten => {}
            Some(Word::Given(given)) => self.tell(at, Event::Given(given), setting),
            Some(Word::Answer { .. }) | None => {}
        }
    }

    /// Nobody waits any longer for the oldest answer; a command that could not be sent yet is not sent any more.
    pub(super) fn be_overdue(&mut self, at: usize, setting: &Setting) {
        let process = &mut self.processes[at];
        let online = process.online;
        let answers = process.inbound.iter_mut().filter_map(|word| match word {
            Word::Answer { request, .. } => Some(request),
            Word::Changed | Word::Announced { .. } | Word::Pleaded { .. } | Word::Given(_) => None,
        });
        let mut waiting = answers.chain(&mut process.requests).filter(|request| !request.overdue);
        let Some(request) = waiting.next() else { return };
        request.overdue = true;
        let errand = request.errand;
        if !online {
            process.requests.pop_front();
        }
        let said = Said::Failed(Failure::Passing { may_have_run: online });
        self.tell(at, Event::Said { errand, said }, setting);
    }

    /// The server is told to forget everything: whoever holds the lock cannot know.
    pub(super) fn flush(&mut self, setting: &Setting) {
        self.key = None;
        self.line.clear();
        self.lose_fences(setting);
        for caller in self.processes.iter_mut().flat_map(|process| &mut process.callers) {
            caller.robbed |= !matches!(caller.stage, Stage::Away);
        }
    }

    pub(super) fn tick(&mut self, at: usize, setting: &Setting) {
        self.tell(at, Event::Tick, setting);
    }

    pub(super) fn wait_until(&mut self, next: Instant) {
        self.now = next;
        self.key = self.key.filter(|key| key.until > next);
        self.processes.iter_mut().for_each(|process| process.hurry = 0);
    }

    fn tell(&mut self, at: usize, event: Event, setting: &Setting) {
        let process = &mut self.processes[at];
        let (now, online, ears) = (self.now, process.online, setting.ears);
        let clocks = Some(Clocks { now: told_of(&event, now), wall: Duration::ZERO });
        let scene = Scene { now, clocks, entropy: u64::MAX, online, ears };
        let mut orders = Vec::new();
        process.gate.on(&event, &scene, &mut orders);
        for order in orders {
            self.perform(at, order, setting);
        }
    }

    fn perform(&mut self, at: usize, order: Order, setting: &Setting) {
        let process = &mut self.processes[at];
        let broken = match order {
            Order::Send(errand) => {
                let progress = Progress::default();
                process.requests.push_back(Request { errand, progress, overdue: false });
                process.hurry += 1;
                let caller = &mut process.callers[caller(errand.owner_after())];
                let releases = matches!(errand, Errand::Release { .. } | Errand::Leave { .. });
                let late = caller.released && !releases;
                caller.released |= releases;
                match (late, caller.forgotten, process.hurry > HURRY) {
                    (true, ..) => Some("something is sent after the release of the same claim"),
                    (_, true, _) => Some("something is sent for a claim that was forgotten"),
                    (.., true) => Some("a gate goes round in circles"),
                    _ => None,
                }
            }
            Order::Grant { claim, term, fence } => {
                let stage = &mut process.callers[caller(claim)].stage;
                let waited = *stage == Stage::Waits && self.now < term.deadline;
                *stage = Stage::Holds(term.deadline);
                let vain = (!waited).then_some("the lock was granted to nobody, or for no time");
                vain.or_else(|| self.granted(at, caller(claim), fence, setting))
            }
            Order::Extend { claim, term } => match &mut process.callers[caller(claim)].stage {
                Stage::Holds(until) if self.now < *until => {
                    *until = term.deadline;
                    None
                }
                _ => Some("a hold that was over was extended"),
            },
            Order::Lose { claim, .. } => {
                let stage = &mut process.callers[caller(claim)].stage;
                let held = matches!(stage, Stage::Holds(_) | Stage::LetsGo);
                *stage = Stage::Over;
                (!held).then_some("what nobody held was lost")
            }
            Order::Refuse { claim, .. } => {
                let stage = &mut process.callers[caller(claim)].stage;
                let held = matches!(stage, Stage::Holds(_));
                *stage = Stage::Over;
                held.then_some("what was granted was refused")
            }
            Order::Report { .. } => None,
            Order::Forget(claim) => {
                let forgotten = &mut process.callers[caller(claim)].forgotten;
                let twice = std::mem::replace(forgotten, true);
                twice.then_some("a claim was forgotten twice")
            }
        };
        self.broken = self.broken.or(broken);
    }
}
