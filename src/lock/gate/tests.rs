//! The rows of the state table, and the invariants under random histories.

use super::*;
use crate::backoff::Backoff;
use crate::lock::lease::Lease;
use crate::lock::options::Renewal;
use std::collections::BTreeMap;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const TRACKS: Ears = Ears { tracks: true, hears: true, echoes: false };

fn terms() -> Terms {
    Terms {
        lease: Lease::new(10 * SECOND).unwrap(),
        renewal: Renewal::Auto,
        max_hold: None,
        heartbeat: None,
        watch_at_once: false,
        wakeup: Wakeup::Track,
        backoff: Backoff::new(100 * MS, 1.0, 100 * MS),
    }
}

/// A gate, the commands that are on their way, and a clock.
struct Desk {
    gate: Gate,
    begun: Instant,
    now: Instant,
    online: bool,
    ears: Ears,
    flying: VecDeque<Errand>,
}

impl Desk {
    fn new() -> Self {
        let now = Instant::now();
        let flying = VecDeque::new();
        Self { gate: Gate::default(), begun: now, now, online: true, ears: TRACKS, flying }
    }

    /// What is ordered when this happens.
    fn on(&mut self, event: Event) -> Vec<Order> {
        let mut orders = Vec::new();
        let (now, online, ears) = (self.now, self.online, self.ears);
        let scene = Scene { now, entropy: u64::MAX, online, ears };
        self.gate.on(event, &scene, &mut orders);
        for order in &orders {
            if let Order::Send(errand) = order {
                self.flying.push_back(*errand);
            }
        }
        orders
    }

    /// The same in words.
    fn told(&mut self, event: Event) -> String {
        let orders = self.on(event);
        orders.iter().map(|order| self.words(order)).collect::<Vec<_>>().join(", ")
    }

    fn words(&self, order: &Order) -> String {
        match order {
            Order::Send(errand) => match errand {
                Errand::Ask { claim, .. } => format!("ask {}", claim.0),
                Errand::Look { claim, .. } => format!("look {}", claim.0),
                Errand::Renew { claim, in_full, .. } => {
                    format!("renew {}{}", claim.0, if *in_full { " in full" } else { "" })
                }
                Errand::Verify { claim, .. } => format!("verify {}", claim.0),
                Errand::HandOver { from, to, .. } => format!("pass {} to {}", from.0, to.0),
                Errand::Release { claim, in_full, .. } => {
                    format!("release {}{}", claim.0, if *in_full { " in full" } else { "" })
                }
            },
            Order::Grant { claim, term } => format!("grant {} until {}", claim.0, self.at(*term)),
            Order::Extend { claim, term } => format!("extend {} until {}", claim.0, self.at(*term)),
            Order::Refuse { claim, why } => format!("refuse {}: {why:?}", claim.0),
            Order::Lose { claim, cause } => format!("lose {}: {cause:?}", claim.0),
            Order::Report { claim, released } => format!("report {}: {released:?}", claim.0),
            Order::Forget(claim) => format!("forget {}", claim.0),
        }
    }

    fn at(&self, term: Term) -> String {
        format!("{:?}", term.deadline - self.begun)
    }

    fn come(&mut self, claim: u64) -> String {
        self.come_with(claim, terms(), Patience::Endless)
    }

    fn come_with(&mut self, claim: u64, terms: Terms, patience: Patience) -> String {
        self.told(Event::Came { claim: Claim(claim), terms, patience })
    }

    fn release(&mut self, claim: u64) -> String {
        self.told(Event::Released { claim: Claim(claim) })
    }

    fn leave(&mut self, claim: u64) -> String {
        self.told(Event::Left { claim: Claim(claim) })
    }

    /// The server answers the oldest errand.
    fn answer(&mut self, said: Said) -> String {
        let errand = self.flying.pop_front().expect("something is on its way");
        self.told(Event::Said { errand, said })
    }

    fn after(&mut self, by: Duration) -> String {
        self.now += by;
        self.told(Event::Tick)
    }

    /// The connection is lost, and with it the answers.
    fn cut(&mut self) -> String {
        let lost = Said::Failed(Failure::Passing { may_have_run: true });
        let flying: Vec<_> = self.flying.drain(..).collect();
        let said: Vec<_> = flying
            .into_iter()
            .map(|errand| self.told(Event::Said { errand, said: lost }))
            .collect();
        self.online = false;
        said.join("; ")
    }

    fn open(&mut self, fenced: bool) -> String {
        self.online = true;
        self.told(Event::Opened { fenced, same: true })
    }

    fn due(&self) -> Option<Duration> {
        self.gate.due().map(|due| due - self.begun)
    }
}

const HELD: Said = Said::Held { holder: 7, left: Left::Unasked };

fn left(ms: u64) -> Said {
    Said::Left(Left::For(Duration::from_millis(ms)))
}

fn holding(claim: u64) -> Desk {
    let mut desk = Desk::new();
    assert_eq!(desk.come(claim), format!("ask {claim}"));
    assert_eq!(desk.answer(Said::Fresh), format!("grant {claim} until 9.978s"));
    desk
}

#[test]
fn uncontended_pair_takes_two_commands() {
    let mut desk = holding(1);
    assert_eq!(desk.release(1), "release 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn lease_counts_from_before_the_question() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.now += 500 * MS;
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s");
    assert_eq!(desk.due(), Some(SECOND * 10 / 3));
}

#[test]
fn grant_that_comes_too_late_is_given_back() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.now += 10 * SECOND;
    assert_eq!(desk.answer(Said::Fresh), "refuse 1: TooShort { took: 10s }, release 1");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn refused_head_looks_rests_and_asks_when_told() {
    let mut desk = Desk::new();
    desk.come(1);
    assert_eq!(desk.answer(HELD), "look 1");
    assert_eq!(desk.answer(left(4_000)), "");
    assert_eq!(desk.due(), Some(4_001 * MS), "by itself when the lease is over");
    assert_eq!(desk.told(Event::Announced), "", "it does not listen for that");
    assert_eq!(desk.told(Event::Changed), "ask 1");
    assert_eq!(desk.answer(Said::Fresh), "grant 1 until 9.978s");
}

#[test]
fn what_is_pushed_before_the_answer_counts_behind_it() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(HELD);
    assert_eq!(desk.told(Event::Changed), "");
    assert_eq!(desk.answer(left(4_000)), "ask 1");
}

#[test]
fn key_that_is_gone_on_second_sight_is_asked_for_at_once() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(HELD);
    assert_eq!(desk.answer(Said::Left(Left::Nothing)), "ask 1");
}

#[test]
fn nobody_relies_on_a_push_for_ever() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(HELD);
    desk.answer(Said::Left(Left::Endless));
    assert_eq!(desk.due(), Some(15 * SECOND));
    assert_eq!(desk.after(15 * SECOND), "ask 1");
}

#[test]
fn deaf_head_asks_at_intervals() {
    let mut desk = Desk::new();
    desk.ears = Ears::default();
    desk.come(1);
    desk.answer(HELD);
    desk.answer(left(4_000));
    assert_eq!(desk.due(), Some(100 * MS - Duration::from_nanos(1)), "by its back-off");
    desk.after(100 * MS);
    desk.answer(HELD);
    desk.answer(left(50));
    assert_eq!(desk.due(), Some(151 * MS), "or sooner, when the lease is over");
}

#[test]
fn single_attempt_is_refused_without_a_second_look() {
    let mut desk = Desk::new();
    let once = Patience::Once(desk.now + SECOND);
    desk.come_with(1, terms(), once);
    assert_eq!(desk.answer(HELD), "refuse 1: Held, forget 1");
    assert_eq!(desk.come_with(2, terms(), once), "ask 2");
    assert_eq!(desk.come_with(3, terms(), once), "refuse 3: Held, forget 3", "2 is before it");
    assert_eq!(desk.after(SECOND), "refuse 2: NoAnswer, release 2");
}

#[test]
fn last_attempt_is_made_at_the_deadline() {
    let mut desk = Desk::new();
    let end = desk.now + 2 * SECOND;
    desk.come_with(1, terms(), Patience::Until(end));
    desk.answer(HELD);
    desk.answer(left(4_000));
    assert_eq!(desk.after(2 * SECOND - MS), "");
    assert_eq!(desk.after(MS), "ask 1");
    assert_eq!(desk.answer(HELD), "refuse 1: TimedOut, forget 1");
}

#[test]
fn last_attempt_without_an_answer_is_undone() {
    let mut desk = Desk::new();
    let end = desk.now;
    desk.come_with(1, terms(), Patience::Until(end));
    assert_eq!(desk.after(99 * MS), "");
    assert_eq!(desk.after(MS), "refuse 1: TimedOut, release 1");
}

#[test]
fn waiters_of_one_process_are_served_in_order_and_only_the_first_asks() {
    let mut desk = holding(1);
    assert_eq!([desk.come(2), desk.come(3), desk.come(4)], ["", "", ""]);
    assert_eq!(desk.leave(3), "forget 3");
    assert_eq!(desk.release(1), "pass 1 to 2");
    let passed = desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(passed, "report 1: Yes, forget 1, grant 2 until 9.978s");
    assert_eq!(desk.release(2), "pass 2 to 4");
    assert_eq!(desk.come(5), "");
    assert_eq!(desk.leave(4), "", "too late: it is on its way");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 2: Yes, forget 2, pass 4 to 5");
    desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(desk.release(5), "release 5");
}

#[test]
fn waiter_in_the_line_gives_up_in_time() {
    let mut desk = holding(1);
    let end = desk.now + SECOND;
    assert_eq!(desk.come_with(2, terms(), Patience::Until(end)), "");
    assert_eq!(desk.come(3), "");
    assert_eq!(desk.due(), Some(SECOND));
    assert_eq!(desk.after(SECOND), "refuse 2: TimedOut, forget 2");
    assert_eq!(desk.release(1), "pass 1 to 3");
}

#[test]
fn others_get_their_turn_after_eight_hand_overs() {
    let mut desk = holding(0);
    for claim in 1..=20 {
        desk.come(claim);
    }
    for claim in 0..8 {
        assert_eq!(desk.release(claim), format!("pass {claim} to {}", claim + 1));
        desk.answer(Said::Ours(Left::Unasked));
    }
    assert_eq!(desk.release(8), "release 8", "and does not ask behind it");
    let answered = desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(answered, "report 8: Yes, forget 8, ask 9");
    desk.answer(Said::Fresh);
    assert_eq!(desk.release(9), "pass 9 to 10", "a new turn");
}

#[test]
fn others_get_their_turn_after_fifty_milliseconds() {
    let mut desk = holding(1);
    desk.come(2);
    desk.come(3);
    desk.release(1);
    desk.answer(Said::Ours(Left::Unasked));
    desk.now += 50 * MS;
    assert_eq!(desk.release(2), "release 2");
    assert_eq!(desk.after(5 * MS), "ask 3", "no longer than a moment, also without an answer");
}

#[test]
fn hand_over_of_a_lost_lock_gives_nothing() {
    let mut desk = holding(1);
    desk.come(2);
    desk.release(1);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1, ask 2");
}

#[test]
fn hand_over_without_an_answer_undoes_the_old_owner_before_the_new_one_asks() {
    let mut desk = holding(1);
    desk.come(2);
    desk.release(1);
    let lost = desk.cut();
    assert_eq!(lost, "release 1, ask 2", "queued, and sent on the next connection in this order");
    desk.open(true);
    assert_eq!(desk.answer(Said::NotOurs), "report 1: Unconfirmed, forget 1");
    assert_eq!(desk.answer(Said::Earlier), "renew 2", "it had been handed over");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "grant 2 until 9.978s");
}

#[test]
fn hand_over_that_is_refused_becomes_a_release() {
    let mut desk = holding(1);
    desk.come(2);
    desk.release(1);
    assert_eq!(desk.answer(Said::InFull), "pass 1 to 2");
    let refused = Said::Failed(Failure::Passing { may_have_run: false });
    assert_eq!(desk.answer(refused), "release 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1, ask 2");
}

#[test]
fn renewal_moves_the_deadline_and_a_lost_one_is_tried_again() {
    let mut desk = holding(1);
    assert_eq!(desk.after(3_334 * MS), "renew 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 13.312s");
    assert_eq!(desk.after(3_334 * MS), "renew 1");
    assert_eq!(desk.answer(Said::Failed(Failure::Passing { may_have_run: true })), "");
    assert_eq!(desk.due(), Some((6_668 + 250) * MS));
    assert_eq!(desk.after(250 * MS), "renew 1");
    assert_eq!(desk.after(6_394 * MS), "lose 1: Unconfirmed, release 1");
    assert_eq!(desk.release(1), "", "it is on its way already");
}

#[test]
fn renewal_whose_script_was_forgotten_is_sent_in_full() {
    let mut desk = holding(1);
    desk.after(4 * SECOND);
    assert_eq!(desk.answer(Said::InFull), "renew 1 in full");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 13.978s");
}

#[test]
fn answer_that_comes_after_the_deadline_does_not_bring_the_hold_back() {
    let mut desk = holding(1);
    desk.after(4 * SECOND);
    desk.now += 10 * SECOND;
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "lose 1: Unconfirmed, release 1");
}

#[test]
fn causes_of_a_loss_are_told_apart() {
    for (said, same, cause) in [
        (Said::Gone, true, "Deleted"),
        (Said::Gone, false, "Failover"),
        (Said::NotOurs, true, "TakenOver"),
        (Said::NotOurs, false, "TakenOver"),
    ] {
        let mut desk = holding(1);
        assert_eq!(desk.told(Event::Opened { fenced: true, same }), "renew 1");
        assert_eq!(desk.answer(said), format!("lose 1: {cause}, forget 1"));
    }
    let mut desk = Desk::new();
    desk.come_with(1, Terms { renewal: Renewal::Off, ..terms() }, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.after(9_978 * MS), "lose 1: Expired, release 1");
    let mut desk = Desk::new();
    desk.come_with(1, Terms { max_hold: Some(12 * SECOND), ..terms() }, Patience::Endless);
    desk.answer(Said::Fresh);
    desk.after(4 * SECOND);
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 12s");
    assert_eq!(desk.after(8 * SECOND), "lose 1: MaxHold, release 1");
    let mut desk = holding(1);
    assert_eq!(desk.told(Event::Closed), "lose 1: Closed, release 1");
}

#[test]
fn lost_lock_is_asked_for_by_the_next_in_line() {
    let mut desk = holding(1);
    desk.come(2);
    desk.told(Event::Changed);
    assert_eq!(desk.answer(Said::Gone), "lose 1: Deleted, forget 1, ask 2");
}

#[test]
fn push_is_answered_by_a_renewal_or_where_there_is_none_by_a_question() {
    let mut desk = holding(1);
    assert_eq!(desk.told(Event::Changed), "renew 1");
    assert_eq!(desk.told(Event::Changed), "", "one at a time");
    let answered = desk.answer(Said::Ours(Left::Unasked));
    assert_eq!(answered, "extend 1 until 9.978s, renew 1", "and one more for the second push");
    desk.ears.echoes = true;
    assert_eq!(desk.told(Event::Changed), "", "our own script's echo");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 9.978s");

    let mut desk = Desk::new();
    desk.come_with(1, Terms { renewal: Renewal::Off, ..terms() }, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.told(Event::Changed), "verify 1");
    let shortened = Said::Ours(Left::For(SECOND));
    assert_eq!(desk.answer(shortened), "extend 1 until 996ms", "somebody shortened the lease");
}

#[test]
fn work_that_misses_its_beat_is_not_renewed_until_it_beats_again() {
    let mut desk = Desk::new();
    let terms = Terms { heartbeat: Some(3 * SECOND), ..terms() };
    desk.come_with(1, terms, Patience::Endless);
    desk.answer(Said::Fresh);
    assert_eq!(desk.after(4 * SECOND), "");
    assert_eq!(desk.due(), Some(9_978 * MS));
    assert_eq!(desk.told(Event::Beat { claim: Claim(1) }), "renew 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "extend 1 until 13.978s");
    desk.after(4 * SECOND);
    assert_eq!(desk.after(5_978 * MS), "lose 1: Expired, release 1");
}

#[test]
fn caller_that_goes_is_undone_behind_its_question_and_the_next_asks_behind_that() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.come(2);
    assert_eq!(desk.leave(1), "release 1, ask 2");
    assert_eq!(desk.answer(Said::Fresh), "", "nobody wants it any more");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "report 1: Yes, forget 1");
    assert_eq!(desk.answer(Said::Fresh), "grant 2 until 9.978s");
}

#[test]
fn caller_that_goes_while_it_rests_leaves_nothing_to_undo() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.answer(HELD);
    assert_eq!(desk.leave(1), "forget 1");
    assert!(desk.gate.is_vacant());
}

#[test]
fn value_whose_fate_is_unknown_is_undone_even_if_its_caller_rests() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.cut();
    assert_eq!(desk.leave(1), "");
    assert_eq!(desk.open(true), "release 1");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs, forget 1");
}

#[test]
fn question_without_an_answer_is_repeated_and_finds_its_own_value() {
    let mut desk = Desk::new();
    desk.come(1);
    assert_eq!(desk.cut(), "");
    assert_eq!(desk.after(SECOND), "", "nothing is sent into the dark");
    assert_eq!(desk.open(true), "ask 1");
    assert_eq!(desk.answer(Said::Earlier), "renew 1");
    assert_eq!(desk.answer(Said::Ours(Left::Unasked)), "grant 1 until 10.978s");
}

#[test]
fn value_that_a_connection_may_still_bring_is_taken_back_until_it_cannot_any_more() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.cut();
    desk.open(false); // the server did not let us kill the old connection
    assert_eq!(desk.leave(1), "release 1");
    assert_eq!(desk.answer(HELD), "", "the answer to the question");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: NotOurs");
    let mut seen = Vec::new();
    while !desk.gate.is_vacant() {
        desk.now = desk.gate.due().unwrap();
        if !desk.told(Event::Tick).starts_with("release 1") {
            break;
        }
        seen.push((desk.now - desk.begun).as_millis());
        desk.answer(Said::NotOurs);
    }
    assert_eq!(seen, [200, 1_200, 6_200]);
    assert!(desk.gate.is_vacant());
    assert_eq!(desk.now - desk.begun, 10_022 * MS);
}

#[test]
fn release_without_an_answer_is_repeated_until_the_lease_has_ended() {
    let mut desk = holding(1);
    assert_eq!(desk.release(1), "release 1");
    desk.cut();
    assert_eq!(desk.after(60 * MS), "");
    assert_eq!(desk.open(true), "release 1");
    assert_eq!(desk.answer(Said::NotOurs), "report 1: Unconfirmed, forget 1");

    let mut desk = holding(1);
    desk.release(1);
    desk.cut();
    assert_eq!(desk.after(10_022 * MS), "report 1: Unconfirmed, forget 1");
}

#[test]
fn refusal_for_good_ends_the_call_and_the_next_one_tries() {
    let mut desk = Desk::new();
    desk.come(1);
    desk.come(2);
    let refused = Said::Failed(Failure::ForGood { may_have_run: false });
    assert_eq!(desk.answer(refused), "refuse 1: Failed, forget 1, ask 2");
    assert_eq!(desk.answer(Said::KeyInUse), "refuse 2: KeyInUse, forget 2");
}

#[test]
fn server_that_turns_us_away_ends_all_waiting_and_no_hold() {
    let mut desk = holding(1);
    desk.come(2);
    assert_eq!(desk.told(Event::Refused), "refuse 2: Failed, forget 2");
    let mut desk = Desk::new();
    desk.online = false;
    assert_eq!(desk.come(1), "");
    assert_eq!(desk.told(Event::Refused), "refuse 1: Failed, forget 1");
}

/// A server with one key, and what a process believes about it.
struct World {
    desk: Desk,
    /// Who has the key, and until when.
    key: Option<(Claim, Instant)>,
    history: BTreeMap<Claim, History>,
    next: u64,
    dice: u64,
}

#[derive(Debug, Default)]
struct History {
    /// Its caller has been told, or has gone.
    told: bool,
    asked: bool,
    released: bool,
    ended: bool,
    forgotten: bool,
    deadline: Option<Instant>,
}

const STRANGER: Claim = Claim(u64::MAX);

impl World {
    fn new(seed: u64) -> Self {
        let history = BTreeMap::new();
        Self { desk: Desk::new(), key: None, history, next: 0, dice: seed }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        (self.dice >> 33) % sides
    }

    fn holder(&self) -> Option<Claim> {
        self.key.filter(|(_, over)| *over > self.desk.now).map(|(holder, _)| holder)
    }

    fn happen(&mut self, event: Event) {
        let orders = self.desk.on(event);
        for order in &orders {
            self.check(order);
        }
        let owed = self.desk.gate.due().is_some() || !self.desk.flying.is_empty();
        assert!(
            self.desk.gate.is_vacant() || owed || !self.desk.online,
            "I5: it waits for nothing: {:?}",
            self.desk.gate
        );
    }

    fn check(&mut self, order: &Order) {
        let now = self.desk.now;
        let claim = match order {
            Order::Send(Errand::HandOver { from, to, .. }) => {
                let from = self.history.entry(*from).or_default();
                assert!(from.asked && !from.forgotten, "I3: it cannot hold");
                from.released = true;
                *to
            }
            Order::Send(
                Errand::Ask { claim, .. }
                | Errand::Look { claim, .. }
                | Errand::Renew { claim, .. }
                | Errand::Verify { claim, .. }
                | Errand::Release { claim, .. },
            )
            | Order::Grant { claim, .. }
            | Order::Refuse { claim, .. }
            | Order::Extend { claim, .. }
            | Order::Lose { claim, .. }
            | Order::Report { claim, .. }
            | Order::Forget(claim) => *claim,
        };
        let history = self.history.entry(claim).or_default();
        assert!(!history.forgotten, "I7: {order:?} after it was forgotten");
        match order {
            Order::Send(Errand::Release { .. }) => history.released = true,
            Order::Send(errand) => {
                assert!(!history.released, "I1, I3: {errand:?} after a release");
                history.asked |= matches!(errand, Errand::Ask { .. } | Errand::HandOver { .. });
                let renews = matches!(errand, Errand::Renew { .. });
                assert!(history.asked || !renews, "I3: renewed before it was asked for");
                assert!(!(renews && history.ended), "I6: renewed after its end");
            }
            Order::Grant { term, .. } => {
                assert!(!history.told && !history.released, "granted twice, or to nobody");
                assert!(now < term.deadline, "I2");
                (history.told, history.deadline) = (true, Some(term.deadline));
            }
            Order::Extend { term, .. } => {
                assert!(!history.ended && !history.released, "I6: extended after its end");
                assert!(now < history.deadline.unwrap(), "I6: extended after its deadline");
                history.deadline = Some(term.deadline);
            }
            Order::Lose { .. } => {
                assert!(!history.ended && history.told, "I6: lost twice, or never held");
                history.ended = true;
            }
            Order::Refuse { .. } => {
                assert!(!history.told || history.deadline.is_none(), "refused what was granted");
                history.told = true;
            }
            Order::Report { .. } => {}
            Order::Forget(_) => history.forgotten = true,
        }
        if let (Order::Grant { .. } | Order::Extend { .. }, Some((holder, over))) =
            (order, self.key)
        {
            if holder == claim {
                assert!(history.deadline <= Some(over), "I2: beyond the server's lease");
            }
        }
    }

    /// The server carries an errand out.
    fn serve(&mut self, errand: Errand) -> Said {
        let (now, holder) = (self.desk.now, self.holder());
        let lease = |lease: Lease| now + lease.length();
        let compared = |claim| match holder {
            Some(holder) if holder == claim => Said::Ours(Left::Unasked),
            Some(_) => Said::NotOurs,
            None => Said::Gone,
        };
        match errand {
            Errand::Ask { claim, lease: new, .. } => match holder {
                None => {
                    self.key = Some((claim, lease(new)));
                    Said::Fresh
                }
                Some(holder) if holder == claim => Said::Earlier,
                Some(holder) => Said::Held { holder: holder.0, left: Left::Unasked },
            },
            Errand::Look { .. } => Said::Left(match self.key {
                Some((_, over)) if over > now => Left::For(over - now),
                _ => Left::Nothing,
            }),
            Errand::Renew { claim, lease: new, .. } => {
                let said = compared(claim);
                if let Said::Ours(_) = said {
                    self.key = Some((claim, lease(new)));
                }
                said
            }
            Errand::Verify { claim, .. } => match compared(claim) {
                Said::Ours(_) => Said::Ours(Left::For(self.key.unwrap().1 - now)),
                said => said,
            },
            Errand::HandOver { from, to, lease: new, .. } => {
                let said = compared(from);
                if let Said::Ours(_) = said {
                    self.key = Some((to, lease(new)));
                }
                said
            }
            Errand::Release { claim, .. } => {
                let said = compared(claim);
                if let Said::Ours(_) = said {
                    self.key = None;
                }
                said
            }
        }
    }

    /// The server answers the oldest question; with some luck.
    fn answer(&mut self) {
        let Some(errand) = self.desk.flying.pop_front() else { return };
        let said = match self.roll(20) {
            0 => Said::Failed(Failure::Passing { may_have_run: false }),
            1 => {
                self.serve(errand);
                Said::Failed(Failure::Passing { may_have_run: true })
            }
            _ => self.serve(errand),
        };
        self.happen(Event::Said { errand, said });
    }

    /// All that was sent is lost, executed or not; what dies last may come back last.
    fn cut(&mut self) {
        let run = usize::try_from(self.roll(8)).unwrap();
        let lost = self.desk.flying.len();
        for errand in self.desk.flying.clone().into_iter().take(run) {
            self.serve(errand);
        }
        for _ in 0..lost {
            let Some(errand) = self.desk.flying.pop_front() else { break };
            let said = Said::Failed(Failure::Passing { may_have_run: true });
            self.happen(Event::Said { errand, said });
        }
        // What was ordered meanwhile waits for the next connection.
        self.desk.online = false;
    }

    fn some_claim(&mut self) -> Claim {
        let next = self.next.max(1);
        Claim(self.next.saturating_sub(self.roll(next.min(6))))
    }

    /// Whether the process believes that the claim holds the lock.
    fn believes(&self, claim: Claim) -> bool {
        self.history.get(&claim).is_some_and(|history| {
            let live = history.deadline.is_some_and(|deadline| self.desk.now < deadline);
            live && !history.ended && !history.released && !history.forgotten
        })
    }

    fn step(&mut self) {
        match self.roll(14) {
            0 | 1 => {
                self.next += 1;
                let now = self.desk.now;
                let patience = match self.roll(4) {
                    0 => Patience::Once(now + SECOND),
                    1 => Patience::Until(now + 300 * MS),
                    _ => Patience::Endless,
                };
                let claim = Claim(self.next);
                self.history.entry(claim).or_default();
                self.happen(Event::Came { claim, terms: terms(), patience });
            }
            2 => {
                let claim = self.some_claim();
                if self.history.get(&claim).is_some_and(|history| !history.told) {
                    self.history.entry(claim).or_default().told = true;
                    self.happen(Event::Left { claim });
                }
            }
            3..=5 => {
                let claim =
                    self.desk.gate.holder().map_or_else(|| self.some_claim(), |(claim, _)| claim);
                if self.believes(claim) && self.desk.flying.is_empty() {
                    self.happen(Event::Released { claim });
                }
            }
            6 => {
                let by = Duration::from_millis(self.roll(4_000));
                self.desk.now += by;
                self.happen(Event::Tick);
            }
            7 if self.desk.online => self.happen(Event::Changed),
            8 if self.roll(6) == 0 => self.cut(),
            9 if !self.desk.online => {
                self.desk.online = true;
                self.happen(Event::Opened { fenced: true, same: true });
            }
            10 if self.holder().is_none() && self.roll(3) == 0 => {
                self.key = Some((STRANGER, self.desk.now + SECOND));
            }
            _ if self.desk.online => self.answer(),
            _ => {}
        }
        let believers = (1..=self.next).filter(|claim| self.believes(Claim(*claim)));
        let believers: Vec<_> = believers.collect();
        assert!(believers.len() <= 1, "two hold it: {believers:?}");
        if let [claim] = believers[..] {
            assert_eq!(self.holder(), Some(Claim(claim)), "it is believed, and not so");
        }
    }

    /// Everybody goes, and the server answers everything.
    fn end(mut self) {
        if !self.desk.online {
            self.desk.online = true;
            self.happen(Event::Opened { fenced: true, same: true });
        }
        self.happen(Event::Closed);
        while !self.desk.gate.is_vacant() {
            match self.desk.flying.pop_front() {
                Some(errand) => {
                    let said = self.serve(errand);
                    self.happen(Event::Said { errand, said });
                }
                None => {
                    self.desk.now = self.desk.gate.due().expect("I5: it is owed something");
                    self.happen(Event::Tick);
                }
            }
        }
        for (claim, history) in &self.history {
            assert!(history.forgotten && history.told, "I7: {claim:?} is left: {history:?}");
            assert_ne!(self.holder(), Some(*claim), "I7: it left its value");
        }
    }
}

#[test]
fn random_histories_keep_the_invariants() {
    for seed in 0..2_000 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.step();
        }
        world.end();
    }
}
