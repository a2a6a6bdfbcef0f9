//! A gate that is kept folded is told everything beside one that never is.

use super::{HELD, SECOND, TRACKS, terms};
use crate::lock::fence::FencingToken;
use crate::lock::gate::{
    Claim, Ears, Errand, Event, Failure, Gate, Left, Order, Patience, Said, Scene, Terms,
};
use crate::lock::options::Wakeup;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Two gates to which the same happens.
#[derive(Clone)]
struct Twins {
    folded: Gate,
    ordinary: Gate,
    begun: Instant,
    now: Instant,
    online: bool,
    terms: Terms,
    /// How long callers wait, if not for ever.
    patience: Option<Duration>,
    flying: VecDeque<Errand>,
    last: u64,
}

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Act {
    Come,
    Tell(fn(Claim) -> Event),
    Answer(Said),
    /// The lock is ours, with its fence.
    Fence,
    /// Time passes, and nobody looks at the gates.
    Sleep(Duration),
    Cut,
    Open,
}

const LOST: Said = Said::Failed(Failure::Passing { may_have_run: true });
const ACTS: [Act; 23] = [
    Act::Come,
    Act::Tell(|claim| Event::Released { claim }),
    Act::Tell(|claim| Event::Declined { claim }),
    Act::Tell(|claim| Event::Left { claim }),
    Act::Tell(|claim| Event::Doubted { claim }),
    Act::Tell(|_| Event::Changed),
    Act::Tell(|_| Event::Announced { process: 7, waits: false }),
    Act::Tell(|_| Event::Refused),
    Act::Tell(|_| Event::Closing),
    Act::Answer(Said::Fresh),
    Act::Answer(HELD),
    Act::Answer(Said::Earlier),
    Act::Answer(Said::Ours(Left::Unasked)),
    Act::Answer(Said::Freed { told: 0 }),
    Act::Answer(Said::Freed { told: 1 }),
    Act::Answer(Said::Gone),
    Act::Answer(LOST),
    Act::Sleep(Duration::from_secs(4)),
    Act::Sleep(Duration::from_secs(10)),
    Act::Tell(|_| Event::Tick),
    Act::Cut,
    Act::Open,
    Act::Fence,
];

impl Twins {
    fn new(terms: Terms, patience: Option<Duration>) -> Self {
        let now = Instant::now();
        let (folded, ordinary, flying) = (Gate::default(), Gate::default(), VecDeque::new());
        Self { folded, ordinary, begun: now, now, online: true, terms, patience, flying, last: 0 }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Come => {
                self.last += 1;
                let (claim, terms) = (Claim(self.last), self.terms);
                let patience = self
                    .patience
                    .map_or(Patience::Endless, |most| Patience::Until(self.now + most));
                self.tell(Event::Came { claim, terms, patience });
            }
            Act::Tell(event) => self.tell(event(Claim(self.last))),
            Act::Answer(said) => {
                if let Some(errand) = self.flying.pop_front() {
                    self.tell(Event::Said { errand, said });
                }
            }
            Act::Fence => {
                let fence = FencingToken::parse(b"7-1").unwrap();
                self.act(Act::Answer(Said::Fenced(fence)));
            }
            Act::Sleep(time) => self.now += time,
            Act::Cut => {
                for errand in std::mem::take(&mut self.flying) {
                    self.tell(Event::Said { errand, said: LOST });
                }
                self.online = false;
            }
            Act::Open => {
                self.online = true;
                self.tell(Event::Opened { fenced: true, same: true });
            }
        }
    }

    /// Both order the same, and what the folded one says of itself, or unfolds to, is what the other is.
    fn tell(&mut self, event: Event) {
        let ears = Ears { echoes: false, ..TRACKS };
        let scene = Scene { now: self.now, clocks: None, entropy: 7, online: self.online, ears };
        let (mut orders, mut others) = (Vec::new(), Vec::new());
        self.folded.on(&event, &scene, &mut orders);
        self.ordinary.on_any(event, &scene, &mut others);
        let at = self.now - self.begun;
        assert_eq!(orders, others, "{event:?} after {at:?}");
        self.flying.extend(orders.iter().filter_map(|order| match order {
            Order::Send(errand) => Some(*errand),
            _ => None,
        }));
        let (folded, ordinary) = (&self.folded, &self.ordinary);
        assert_eq!(folded.due(), ordinary.due(), "{event:?} after {at:?}");
        assert_eq!(folded.holder(), ordinary.holder());
        assert_eq!(folded.is_leaving(), ordinary.is_leaving());
        assert_eq!(folded.is_vacant(), ordinary.is_vacant());
        let mut unfolded = folded.clone();
        unfolded.unfold(&scene);
        assert_eq!(unfolded, *ordinary, "{event:?} after {at:?}");
    }

    /// Everything that can happen next, so many times.
    fn explore(&self, acts: usize) {
        if acts == 0 {
            return;
        }
        for act in ACTS {
            let mut next = self.clone();
            next.act(act);
            next.explore(acts - 1);
        }
    }
}

#[test]
fn folded_gate_decides_as_an_ordinary_one_whatever_happens() {
    let plain = Terms { wakeup: Wakeup::Auto, max_hold: Some(3_600 * SECOND), ..terms() };
    let aloud = Terms { wakeup: Wakeup::Announce, ..terms() };
    let brief = Terms { max_hold: Some(5 * SECOND), ..terms() };
    let kept = Terms { at_least: SECOND, ..terms() };
    let fenced = Terms { fenced: true, ..plain };
    let cases = [(plain, None), (plain, Some(5 * SECOND)), (aloud, None), (fenced, None)];
    for (terms, patience) in cases {
        let mut twins = Twins::new(terms, patience);
        let granted = if terms.fenced { ACTS[22] } else { ACTS[9] };
        for act in [ACTS[0], granted, ACTS[1], ACTS[12]] {
            twins.explore(3);
            twins.act(act);
        }
        assert!(twins.folded.is_vacant());
    }
    for terms in [brief, kept] {
        Twins::new(terms, None).explore(4);
    }
}

#[test]
fn hold_to_which_nothing_happens_is_kept_folded() {
    for (fenced, granted) in [(false, ACTS[9]), (true, ACTS[22])] {
        let mut twins = Twins::new(Terms { fenced, ..terms() }, None);
        for act in [ACTS[0], granted, ACTS[1]] {
            twins.act(act);
            assert!(twins.folded.alone.is_some(), "{act:?}");
        }
        twins.act(ACTS[12]);
        assert_eq!(twins.folded, Gate::default());
    }
}
