//! The soak: one worker lives from beginning to end and is measured, others come and go, and the server has a hard life.
//!
//! The server writes down everything before it answers, so that no restart loses a key: no two holds may overlap, ever.

use crate::body::{Body, Heard, send};
use crate::ledger::Ledger;
use crate::line::{Lane, Line, Nanos, now};
use crate::meter::{self, Meter};
use crate::real::{Kind, Options as ServerOptions, RealServer};
use crate::worker::{Job, Tempo, descriptors};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LOCKS: u64 = 6;
const VICTIMS: usize = 3;
/// A client that has not come back by then will not.
const RECOVERY: Duration = Duration::from_secs(15);
/// Growth of memory that is none, once a soak lasts long enough to tell it from warming up.
const MOST_GROWTH: (f64, Duration) = (0.02, Duration::from_secs(600));

/// What the command line says.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    lasts: Duration,
    kind: Kind,
    seed: u64,
}

impl Options {
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        let mut options = Self { lasts: Duration::ZERO, kind: Kind::Redis7_0, seed: 1 };
        for pair in words.chunks(2) {
            match *pair {
                ["--minutes", minutes] => {
                    let minutes: f64 = minutes.parse().ok().filter(|minutes| *minutes > 0.0)?;
                    options.lasts = Duration::try_from_secs_f64(minutes * 60.0).ok()?;
                }
                ["--server", "redis"] => options.kind = Kind::Redis7_0,
                ["--server", "valkey"] => options.kind = Kind::Valkey9_1,
                ["--seed", seed] => options.seed = seed.parse().ok()?,
                _ => return None,
            }
        }
        (!options.lasts.is_zero()).then_some(options)
    }
}

struct Soak {
    options: Options,
    server: RealServer,
    begun: Instant,
    rng: StdRng,
    heard: Receiver<Heard>,
    ears: Sender<Heard>,
    veteran: Body,
    victims: Vec<Body>,
    bodies: usize,
    ledger: Ledger,
    memory: Meter,
    descriptors: Meter,
    tasks: Meter,
    sampled: Option<Instant>,
    /// When a connection of the veteran came up last.
    up: [Nanos; 2],
    recoveries: [Vec<u64>; 2],
    commands: u64,
    faults: u64,
    ended: Option<(usize, usize)>,
    wrong: Vec<String>,
}

/// Soaks, says what was found, and whether all is well.
pub(crate) fn run(options: Options) -> bool {
    if !RealServer::available() {
        return true;
    }
    let config = ["appendonly yes", "appendfsync no"].map(str::to_owned).to_vec();
    let server = RealServer::start(options.kind, ServerOptions { config, ..Default::default() });
    let (ears, heard) = channel();
    let seed = options.seed;
    let job = job(&server, seed, true);
    let mut soak = Soak {
        options,
        begun: Instant::now(),
        rng: StdRng::seed_from_u64(seed),
        veteran: Body::start(0, &words(&job), &ears),
        server,
        heard,
        ears,
        victims: Vec::new(),
        bodies: 0,
        ledger: Ledger::default(),
        memory: Meter::default(),
        descriptors: Meter::default(),
        tasks: Meter::default(),
        sampled: None,
        up: [0; 2],
        recoveries: [Vec::new(), Vec::new()],
        commands: 0,
        faults: 0,
        ended: None,
        wrong: Vec::new(),
    };
    for _ in 0..VICTIMS {
        let victim = soak.victim();
        soak.victims.push(victim);
    }
    while soak.begun.elapsed() < soak.options.lasts && soak.wrong.len() < 20 {
        let pause = Duration::from_millis(soak.rng.random_range(200..2_000));
        soak.listen(pause);
        soak.befall();
    }
    soak.finish();
    soak.report()
}

/// The veteran has company: callers, and probes that tell when connections come up.
fn job(server: &RealServer, seed: u64, veteran: bool) -> Job {
    Job {
        url: server.url(),
        prefix: String::new(),
        tempo: Tempo::SOAK,
        seed,
        locks: LOCKS,
        tasks: if veteran { 12 } else { 4 },
        callers: if veteran { 200 } else { 0 },
        steps: None,
        punctual: veteran,
    }
}

/// What the program is started with to do a job.
fn words(job: &Job) -> Vec<String> {
    let (steps, punctual) = (job.steps.unwrap_or_default(), u64::from(job.punctual));
    let numbers = [job.seed, job.locks, job.tasks as u64, job.callers as u64, steps, punctual];
    let numbers = numbers.iter().map(ToString::to_string);
    ["worker".to_owned(), job.url.clone()].into_iter().chain(numbers).collect()
}

impl Soak {
    fn victim(&mut self) -> Body {
        self.bodies += 1;
        let seed = self.options.seed + 1_000_000 * self.bodies as u64;
        Body::start(self.bodies, &words(&job(&self.server, seed, false)), &self.ears)
    }

    /// Takes in what the workers tell, for so long.
    fn listen(&mut self, lasting: Duration) {
        let until = Instant::now() + lasting;
        loop {
            self.sample();
            let left = until.saturating_duration_since(Instant::now());
            let step = left.min(Duration::from_millis(500));
            match self.heard.recv_timeout(step) {
                Ok(heard) => self.take(heard),
                Err(RecvTimeoutError::Timeout) if left > step => {}
                Err(_) => return,
            }
            if left.is_zero() {
                return;
            }
        }
    }

    fn take(&mut self, heard: Heard) {
        let Heard(body, line) = heard;
        self.ledger.heard(body, &line);
        let veteran = body == self.veteran.number;
        match line {
            Line::Wrong(what) => self.wrong.push(format!("worker {body}: {what}")),
            Line::Up { lane, at } if veteran => self.up[lane as usize] = at,
            Line::Count { commands, tasks, .. } if veteran => {
                self.commands = commands;
                self.tasks.add(self.begun.elapsed(), tasks as u64);
            }
            Line::End { tasks, descriptors } if veteran => self.ended = Some((tasks, descriptors)),
            _ => {}
        }
        self.wrong.append(&mut self.ledger.found);
    }

    fn sample(&mut self) {
        if self.sampled.is_some_and(|last| last.elapsed() < Duration::from_secs(1)) {
            return;
        }
        self.sampled = Some(Instant::now());
        let (at, pid) = (self.begun.elapsed(), self.veteran.pid());
        self.memory.add(at, meter::resident(pid));
        self.descriptors.add(at, descriptors(pid) as u64);
    }

    /// Something goes wrong.
    fn befall(&mut self) {
        self.faults += 1;
        let for_a_while = Duration::from_millis(self.rng.random_range(50..1_500));
        match self.rng.random_range(0..9) {
            0 => self.tell("CLIENT KILL TYPE normal"),
            1 => self.tell("CLIENT KILL TYPE pubsub"),
            2 => self.tell(&format!("CLIENT PAUSE {}", for_a_while.as_millis() / 3)),
            3 => self.tell("SCRIPT FLUSH"),
            4 => {
                let server = self.server.pid();
                send(server, Signal::STOP);
                self.listen(for_a_while);
                send(server, Signal::CONT);
            }
            5 => {
                let at = self.rng.random_range(0..self.victims.len());
                self.victims[at].signal(Signal::STOP);
                self.listen(for_a_while * 3);
                self.victims[at].signal(Signal::CONT);
            }
            6 => {
                let at = self.rng.random_range(0..self.victims.len());
                let died = self.victims[at].kill();
                // What it still said is in the channel, in front of the news of its death.
                while let Ok(heard) = self.heard.try_recv() {
                    self.take(heard);
                }
                self.ledger.died(self.victims[at].number, died);
                self.victims[at] = self.victim();
            }
            _ => self.restart(for_a_while),
        }
    }

    /// Kills the server and starts it again, and waits until the veteran has come back.
    fn restart(&mut self, down: Duration) {
        let killed = now();
        self.server.kill();
        self.listen(down);
        self.server.restart();
        let ready = now();
        let until = Instant::now() + RECOVERY;
        while self.up.iter().any(|up| *up < killed) && Instant::now() < until {
            self.listen(Duration::from_millis(20));
        }
        for lane in [Lane::Data, Lane::Locks] {
            let up = self.up[lane as usize];
            if up < killed {
                self.wrong.push(format!("{lane:?} did not come back within {RECOVERY:?}"));
            } else {
                self.recoveries[lane as usize].push(up.saturating_sub(ready) / 1_000);
            }
        }
    }

    /// Tells the server something, on a connection of its own.
    fn tell(&mut self, command: &str) {
        let answer = ask(self.server.port(), command);
        if let Err(problem) = answer {
            self.wrong.push(format!("{command}: {problem}"));
        }
    }

    /// Ends everybody in order, and looks at what is left.
    fn finish(&mut self) {
        for body in self.victims.iter_mut().chain([&mut self.veteran]) {
            body.finish();
        }
        let until = Instant::now() + RECOVERY;
        while self.ended.is_none() && Instant::now() < until {
            self.listen(Duration::from_millis(50));
        }
        for mut victim in std::mem::take(&mut self.victims) {
            victim.wait();
        }
        self.veteran.wait();
        self.listen(Duration::from_millis(50));
        if self.ledger.open() > 0 {
            self.wrong.push(format!("{} attempts never came to an end", self.ledger.open()));
        }
        sleep(Duration::from_secs(3)); // what the dead have left ends with its lease
        for (command, nothing) in [
            ("EVAL \"return #redis.call('keys','lk:*')\" 0", ":0\r\n"),
            ("PUBSUB CHANNELS", "*0\r\n"),
        ] {
            match ask(self.server.port(), command) {
                Ok(left) if left == nothing => {}
                other => self.wrong.push(format!("{command}: left {other:?}")),
            }
        }
    }

    fn report(mut self) -> bool {
        let warm = (self.options.lasts / 10).min(Duration::from_secs(180));
        let [memory, descriptors, tasks] =
            [&self.memory, &self.descriptors, &self.tasks].map(|meter| meter.since(warm));
        println!(
            "{:?} on {:?}, seed {}: {} faults, {} holds, {} commands",
            self.begun.elapsed(),
            self.options.kind,
            self.options.seed,
            self.faults,
            self.ledger.holds,
            self.commands
        );
        for (what, meter) in [("KiB", &memory), ("descriptors", &descriptors), ("tasks", &tasks)] {
            let (mean, most, growth) = (meter.mean(), meter.most(), 100.0 * meter.growth());
            println!("{what}: {mean:.1} on average, at most {most}, growth {growth:+.2} %");
        }
        for lane in [Lane::Data, Lane::Locks] {
            let took = &mut self.recoveries[lane as usize];
            let ms = |us: Option<u64>| us.unwrap_or_default() as f64 / 1e3;
            let (half, most) = (ms(meter::quantile(took, 0.5)), ms(meter::quantile(took, 0.99)));
            let times = took.len();
            println!(
                "{lane:?}: back after {times} restarts, p50 {half:.1} ms, p99 {most:.1} ms after the server"
            );
        }
        match self.ended {
            Some((0, 0)) => println!("at the end: no task and no descriptor is left"),
            other => self.wrong.push(format!("tasks and descriptors left at the end: {other:?}")),
        }
        let (most, judged_from) = MOST_GROWTH;
        if memory.growth() >= most && self.options.lasts >= judged_from {
            self.wrong.push(format!("memory grew by {:.2} %", 100.0 * memory.growth()));
        }
        self.wrong.iter().for_each(|wrong| println!("WRONG: {wrong}"));
        println!("{} mismatches", self.wrong.len());
        self.wrong.is_empty()
    }
}

/// One command and the first packet of its answer.
pub(crate) fn ask(port: u16, command: &str) -> Result<String, String> {
    let say = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(say)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(say)?;
    stream.write_all(format!("{command}\r\n").as_bytes()).map_err(say)?;
    let mut answer = [0; 256];
    let count = stream.read(&mut answer).map_err(say)?;
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    if answer.starts_with('-') { Err(answer) } else { Ok(answer) }
}
