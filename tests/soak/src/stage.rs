//! A real server, the processes that use it, and a link in front of each: one history after another is played on it.

use crate::body::{Body, Heard, send};
use crate::ledger;
use crate::line::Line;
use crate::plan::{Damage, Event, Fault, Plan, WORKERS};
use crate::player::{order, step};
use crate::real::{Kind, Options as ServerOptions, RealServer};
use crate::record::Record;
use crate::soak::ask;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tenure_server::{Ending, Flaw, Link, Proxy, Way};
use tenure_sim::Answer;
use tokio::runtime::Handle;

/// Once all is well everybody comes to an end, and every lease does, within that: also on a machine that has hardly any time for it.
const QUIET: Duration = Duration::from_secs(120);
const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

/// What became of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Stopped,
    Dead,
}

/// A worker with its own way to the server.
struct Place {
    link: Link,
    proxy: Proxy,
    body: Body,
    /// Where its connections are to be cut in this history.
    cuts: Vec<(bool, u64)>,
    /// Connections that no client may go on with.
    spoilt: Vec<u64>,
}

/// What one history came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Where connections were cut: a direction and an offset.
    pub(crate) cuts: Vec<(bool, u64)>,
    /// What did not hold.
    pub(crate) wrong: Vec<String>,
}

/// All of it.
pub(crate) struct Stage {
    server: RealServer,
    state: State,
    places: Vec<Place>,
    bodies: ledger::Body,
    heard: Receiver<Heard>,
    ears: Sender<Heard>,
    playing: BTreeSet<ledger::Body>,
    record: Record,
    outcome: Outcome,
}

impl Stage {
    /// Starts everybody. What is written down before it is answered survives the server.
    pub(crate) fn open(kind: Kind, runtime: &Handle) -> Self {
        let config = ["appendonly yes", "appendfsync no"].map(str::to_owned).to_vec();
        let server = RealServer::start(kind, ServerOptions { config, ..Default::default() });
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        let (ears, heard) = channel();
        let mut places = Vec::new();
        for number in 0..WORKERS {
            let link = Link::new();
            let proxy = runtime.block_on(link.listen(target)).expect("loopback has a free port");
            let body = Body::start(number, &words(&proxy), &ears);
            places.push(Place { link, proxy, body, cuts: Vec::new(), spoilt: Vec::new() });
        }
        Self {
            server,
            state: State::Up,
            places,
            bodies: WORKERS,
            heard,
            ears,
            playing: BTreeSet::new(),
            record: Record::default(),
            outcome: outcome(0),
        }
    }

    /// Plays one history, and says what it came to.
    pub(crate) fn play(&mut self, seed: u64) -> Outcome {
        let plan = Plan::draw(seed);
        self.outcome = outcome(seed);
        for worker in 0..plan.workers {
            self.order(worker, &plan, 0);
        }
        self.live_through(&plan);
        self.heal();
        let until = Instant::now() + QUIET;
        while !self.playing.is_empty() && Instant::now() < until {
            self.listen(until);
        }
        let late = std::mem::take(&mut self.playing);
        for worker in 0..plan.workers {
            let body = self.places[worker].body.number;
            if late.contains(&body) {
                self.record.complain(format!("worker {body} did not come to an end"));
                self.replace(worker, &plan);
            }
        }
        if let Err(left) = self.comes_to("EVAL \"return #redis.call('keys','*')\" 0", ":0\r\n") {
            self.record.complain(format!("keys are left: {left}"));
        }
        self.see_spoilt_connections_end();
        let record = std::mem::take(&mut self.record);
        let answers = [
            ("attempts granted", Answer::Granted),
            ("attempts denied", Answer::Denied),
            ("attempts of unknown outcome", Answer::Unknown),
        ];
        for (what, answer) in answers {
            *self.outcome.counts.entry(what).or_default() += record.count(answer);
        }
        self.outcome.wrong = record.judge();
        std::mem::replace(&mut self.outcome, outcome(0))
    }

    /// Ends everybody in order, and says who left something.
    pub(crate) fn close(mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        // For a while clients keep listening to locks that nobody waits for any more.
        if let Err(left) = self.comes_to("PUBSUB CHANNELS", "*0\r\n") {
            wrong.push(format!("subscriptions are left: {left}"));
        }
        self.places.iter_mut().for_each(|place| place.body.finish());
        self.places.iter_mut().for_each(|place| place.body.wait());
        let told: Vec<Heard> = self.heard.try_iter().collect();
        for place in &self.places {
            let number = place.body.number;
            let end =
                told.iter().find(|heard| heard.0 == number && matches!(heard.1, Line::End { .. }));
            if !matches!(end, Some(Heard(_, Line::End { tasks: 0, descriptors: 0 }))) {
                wrong.push(format!("worker {number} has left something at its end: {end:?}"));
            }
        }
        wrong
    }

    fn order(&mut self, worker: usize, plan: &Plan, life: u64) {
        let seed = self.outcome.seed;
        let job = [seed * 100 + worker as u64 * 10 + life, plan.locks, plan.tasks, plan.steps];
        let body = &mut self.places[worker].body;
        body.tell(&order(&format!("h{seed}-"), job));
        self.playing.insert(body.number);
    }

    /// Lets happen what is planned, as long as anybody plays.
    fn live_through(&mut self, plan: &Plan) {
        let begun = Instant::now();
        let begins = plan.events.iter().map(|event| (event.at, true, event));
        let ends = plan.events.iter().map(|event| (event.until, false, event));
        let mut moments: Vec<_> = begins.chain(ends).collect();
        moments.sort_by_key(|(at, begins, _)| (*at, !begins));
        for (at, begins, event) in moments {
            if !self.listen_until(begun + at) {
                return;
            }
            if begins {
                *self.outcome.counts.entry(event.fault.name()).or_default() += 1;
                self.begin(event, plan);
            } else {
                self.end(event);
            }
        }
        self.listen_until(begun + plan.heals);
    }

    /// Listens until then; whether anybody still plays.
    fn listen_until(&mut self, until: Instant) -> bool {
        while !self.playing.is_empty() && Instant::now() < until {
            self.listen(until);
        }
        !self.playing.is_empty()
    }

    fn listen(&mut self, until: Instant) {
        let patience = until.saturating_duration_since(Instant::now());
        if let Ok(heard) = self.heard.recv_timeout(patience) {
            self.take(&heard);
        }
    }

    fn take(&mut self, heard: &Heard) {
        if let Line::Played { .. } = heard.1 {
            self.playing.remove(&heard.0);
        }
        self.record.heard(heard);
    }

    fn begin(&mut self, event: &Event, plan: &Plan) {
        let place = &mut self.places[event.worker];
        place.cuts.extend(cut(&event.fault));
        let link = place.link.clone();
        match event.fault {
            Fault::Cut(way, ending, after) => link.flaw(Flaw::cut(way, ending).after(after)),
            Fault::CutAgain(way, ending, after) => {
                link.cut(Ending::Reset);
                link.flaw(Flaw::cut(way, ending).after(after).on_connection(link.dialled()));
            }
            Fault::Hold(way) => link.hold(way),
            Fault::HoldBoth => WAYS.iter().for_each(|way| link.hold(*way)),
            Fault::Drip(way, bytes, every) => link.drip(way, bytes, every),
            Fault::Delay(way, by) => link.delay(way, by),
            Fault::Window(bytes) => link.window(bytes),
            Fault::Refuse => {
                link.refuse(true);
                link.cut(Ending::Close);
            }
            Fault::Ignore => {
                link.ignore(true);
                link.cut(Ending::Reset);
            }
            Fault::KillConnections => self.tell_server("CLIENT KILL TYPE normal"),
            Fault::KillListeners => self.tell_server("CLIENT KILL TYPE pubsub"),
            Fault::PauseServer => {
                let lasts = event.until.saturating_sub(event.at).as_millis();
                self.tell_server(&format!("CLIENT PAUSE {lasts}"));
            }
            Fault::FlushScripts => self.tell_server("SCRIPT FLUSH"),
            Fault::StopServer => {
                send(self.server.pid(), Signal::STOP);
                self.state = State::Stopped;
            }
            Fault::KillServer => {
                self.server.kill();
                self.state = State::Dead;
            }
            Fault::StopWorker => self.places[event.worker].body.signal(Signal::STOP),
            Fault::KillWorker => self.replace(event.worker, plan),
            Fault::Damage(damage, after, pick) => place.spoil(damage, after, pick),
            Fault::StepClock(by_ms) => place.body.tell(&step(by_ms)),
        }
    }

    /// What lasts for a while is over; the rest ends by itself, or is healed at the end.
    fn end(&mut self, event: &Event) {
        let place = &mut self.places[event.worker];
        match event.fault {
            Fault::Hold(way) => place.link.release(way),
            Fault::HoldBoth => WAYS.iter().for_each(|way| place.link.release(*way)),
            Fault::Refuse => place.link.refuse(false),
            Fault::Ignore => place.link.ignore(false),
            Fault::StopServer | Fault::KillServer => self.revive(),
            Fault::StopWorker => place.body.signal(Signal::CONT),
            Fault::StepClock(by_ms) => place.body.tell(&step(-by_ms)),
            _ => {}
        }
    }

    /// Whatever is wrong still is set right.
    fn heal(&mut self) {
        self.revive();
        for place in &self.places {
            place.body.signal(Signal::CONT);
        }
        for place in &mut self.places {
            let cuts = std::mem::take(&mut place.cuts);
            // Otherwise fewer bytes have passed than were to.
            if place.link.flaws_left() == 0 {
                self.outcome.cuts.extend(cuts);
            } else {
                place.spoilt.clear();
            }
            place.link.heal();
            place.link.window(64 * 1024);
            place.link.reap();
        }
    }

    /// Whoever was told what cannot be has ended that connection.
    fn see_spoilt_connections_end(&mut self) {
        let until = Instant::now() + QUIET;
        for place in &mut self.places {
            for connection in place.spoilt.drain(..) {
                while place.link.connections().contains(&connection) && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if place.link.connections().contains(&connection) {
                    let worker = place.body.number;
                    let goes_on = format!("worker {worker} goes on with a connection that lied");
                    self.record.complain(goes_on);
                }
                *self.outcome.counts.entry("connections ended for that").or_default() += 1;
            }
        }
    }

    /// Kills a process; another one begins in its place, if there was something to do.
    fn replace(&mut self, worker: usize, plan: &Plan) {
        let place = &mut self.places[worker];
        let died = place.body.kill();
        // What it still said is in the channel, in front of the news of its death.
        while let Ok(heard) = self.heard.try_recv() {
            self.take(&heard);
        }
        let place = &mut self.places[worker];
        self.record.died(place.body.number, died);
        let played = self.playing.remove(&place.body.number);
        place.body = Body::start(self.bodies, &words(&place.proxy), &self.ears);
        self.bodies += 1;
        if played {
            self.order(worker, plan, 1);
        }
    }

    fn revive(&mut self) {
        match std::mem::replace(&mut self.state, State::Up) {
            State::Up => {}
            State::Stopped => send(self.server.pid(), Signal::CONT),
            State::Dead => self.server.restart(),
        }
    }

    /// Tells the server something on a connection of its own, unless nobody would answer.
    fn tell_server(&mut self, command: &str) {
        if self.state != State::Up {
            return;
        }
        if let Err(problem) = ask(self.server.port(), command) {
            self.record.complain(format!("{command}: {problem}"));
        }
    }

    /// Asks until this is the answer; the last one if it never is.
    fn comes_to(&self, question: &str, wanted: &str) -> Result<(), String> {
        let until = Instant::now() + QUIET;
        loop {
            match ask(self.server.port(), question) {
                Ok(answer) if answer == wanted => return Ok(()),
                Ok(answer) | Err(answer) if Instant::now() > until => return Err(answer),
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Place {
    /// Damages a byte of one of the connections that are open now.
    fn spoil(&mut self, damage: Damage, after: u64, pick: usize) {
        let open = self.link.connections();
        let Some(&connection) = open.get(pick % open.len().max(1)) else { return };
        let flaw = match damage {
            // A line may not have it; a text that has it is too long, and what ends it is not what is to end it.
            Damage::MadeUpReply => {
                self.spoilt.push(connection);
                Flaw::insert(Way::ToClient, "\r")
            }
            Damage::FlippedReply => Flaw::flip(Way::ToClient, 0x80),
            Damage::MadeUpRequest => Flaw::insert(Way::ToServer, &[0xff][..]),
        };
        self.link.flaw(flaw.after(after).on_connection(connection));
    }
}

/// What a worker is started with.
fn words(proxy: &Proxy) -> Vec<String> {
    vec!["player".to_owned(), format!("redis://{}", proxy.address())]
}

fn outcome(seed: u64) -> Outcome {
    Outcome { seed, counts: BTreeMap::new(), cuts: Vec::new(), wrong: Vec::new() }
}

fn cut(fault: &Fault) -> Option<(bool, u64)> {
    match fault {
        Fault::Cut(way, _, after) | Fault::CutAgain(way, _, after) => {
            Some((*way == Way::ToServer, *after))
        }
        _ => None,
    }
}
