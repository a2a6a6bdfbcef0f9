//! Runs a plan: starts server, network and processes, lets faults happen, heals everything, and waits until it is quiet.

use crate::checks;
use crate::history::{History, Who};
use crate::net::Net;
use crate::plan::{Fault, Plan, Process, Told};
use crate::register::Register;
use crate::sync::lock;
use crate::task;
use rand::RngExt as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tenure::{Backoff, Client, Config};
use tenure_server::{Fault as Disturbance, Server, Snapshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// 2026-09-21, as the server sees it.
const EPOCH: Duration = Duration::from_secs(1_790_000_000);
/// Everybody has come to an end by then: twelve tasks, eight steps each, with their longest holds and leases.
const PATIENCE: Duration = Duration::from_secs(240);

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) history: History,
    /// How much time passed in the simulation.
    pub(crate) simulated: Duration,
}

/// What tasks of a run share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) server: Server,
    begun: Instant,
    history: Mutex<History>,
    bodies: Mutex<Vec<Body>>,
    replica: Mutex<Option<Snapshot>>,
    register: Mutex<Register>,
}

/// One process as it is now.
#[derive(Debug)]
struct Body {
    net: Net,
    /// Those of its earlier lives.
    dead: Vec<Net>,
    wall_ms: Arc<AtomicI64>,
    life: usize,
    alive: Option<Life>,
}

#[derive(Debug)]
struct Life {
    client: Arc<Mutex<Option<Client>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Runs one seed from beginning to end.
pub(crate) fn run(seed: u64) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing from the system");
    runtime.block_on(simulate(Plan::draw(seed)))
}

async fn simulate(plan: Plan) -> Run {
    let server = Server::new(plan.profile);
    server.set_clock(EPOCH);
    server.restart(None); // it counts its ticks from its start, by that clock
    server.drift_clock(plan.drift);
    let bodies = plan.processes.iter().map(|process| Body {
        net: Net::new(process.latency),
        dead: Vec::new(),
        wall_ms: Arc::new(AtomicI64::new(process.wall_skew_ms)),
        life: 0,
        alive: None,
    });
    let world = Arc::new(World {
        server,
        begun: Instant::now(),
        history: Mutex::default(),
        bodies: Mutex::new(bodies.collect()),
        replica: Mutex::default(),
        register: Mutex::default(),
        plan,
    });
    for process in 0..world.plan.processes.len() {
        world.start(process);
    }
    world.disturb().await;
    world.heal();
    world.finish().await;
    checks::after(&world);
    let simulated = world.now();
    let world = Arc::try_unwrap(world).expect("every task of the run has ended");
    let history = world.history.into_inner().unwrap_or_default();
    Run { plan: world.plan, history, simulated }
}

impl World {
    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When that was, in this run.
    pub(crate) fn since_begin(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.begun)
    }

    /// Reads or adds to what has happened.
    pub(crate) fn history<R>(&self, act: impl FnOnce(&mut History) -> R) -> R {
        act(&mut lock(&self.history))
    }

    /// What the locks protect.
    pub(crate) fn register<R>(&self, act: impl FnOnce(&mut Register) -> R) -> R {
        act(&mut lock(&self.register))
    }

    pub(crate) fn note(&self, who: Option<Who>, what: impl Into<String>) {
        let at = self.now();
        self.history(|history| history.note(at, who, what.into()));
    }

    /// The labels of the processes that live now, or lived to the end.
    pub(crate) fn last_lives(&self) -> std::collections::BTreeSet<String> {
        let bodies = lock(&self.bodies);
        bodies.iter().enumerate().map(|(process, body)| checks::label(process, body.life)).collect()
    }

    fn body<R>(&self, process: usize, act: impl FnOnce(&mut Body) -> R) -> R {
        act(&mut lock(&self.bodies)[process])
    }

    /// Lets the faults happen, each at its time.
    async fn disturb(self: &Arc<Self>) {
        for (at, fault) in &self.plan.faults {
            sleep_until(self.begun + *at).await;
            self.note(None, format!("{fault:?}"));
            if fault.loses_keys() {
                let now = self.now();
                self.history(|history| history.losses.push(now));
            }
            self.befall(fault);
        }
        sleep_until(self.begun + self.plan.heal_at).await;
    }

    fn befall(self: &Arc<Self>, fault: &Fault) {
        let server = &self.server;
        match *fault {
            Fault::Crash(process, told) => self.crash(process, told),
            Fault::Start(process) => self.start(process),
            Fault::StepWallClock(process, by) => {
                self.body(process, |body| body.wall_ms.fetch_add(by, Ordering::Relaxed));
            }
            Fault::Freeze => server.freeze(),
            Fault::Thaw => server.thaw(),
            Fault::KillConnections => server.kill_connections(),
            Fault::RefuseConnections(refuse) => server.refuse_connections(refuse),
            Fault::Restart => server.restart(Some(&server.snapshot())),
            Fault::RestartWithoutData => server.restart(None),
            Fault::Replicate => *lock(&self.replica) = Some(server.snapshot()),
            Fault::FailOver => server.restart(lock(&self.replica).as_ref()),
            Fault::Flush => server.flush(),
            Fault::DeleteLock(lock) => {
                server.del(task::lock_key(lock));
            }
            Fault::ForgetScripts => server.script_flush(),
            Fault::Loading(on) => server.set_loading(on),
            Fault::ReadOnly(on) => server.set_read_only(on),
            Fault::Full(on) => server.set_full(on),
            Fault::CutReplies(bytes, times) => {
                server.fault(Disturbance::cut_reply(bytes).times(times));
            }
            Fault::CloseAtRequests(times) => {
                server.fault(Disturbance::close().times(times));
            }
            Fault::DelayRequests(by, times) => {
                server.fault(Disturbance::delay_request(by).times(times));
            }
            Fault::Hold(..)
            | Fault::Pass(..)
            | Fault::Reset(_)
            | Fault::CutAfter(..)
            | Fault::Grain(..)
            | Fault::Window(..)
            | Fault::Latency(..) => self.befall_links(fault),
        }
    }

    fn befall_links(&self, fault: &Fault) {
        let net = |process: usize| self.body(process, |body| body.net.clone());
        match *fault {
            Fault::Hold(process, way) => net(process).hold(way, true),
            Fault::Pass(process, way) => net(process).hold(way, false),
            Fault::Reset(process) => net(process).reset(),
            Fault::CutAfter(process, way, bytes) => net(process).cut_after(way, bytes),
            Fault::Grain(process, grain) => net(process).set_grain(grain),
            Fault::Window(process, window) => net(process).set_window(window),
            Fault::Latency(process, latency) => {
                net(process).set_latency(latency);
            }
            _ => {}
        }
    }

    /// Starts a process, unless it runs.
    fn start(self: &Arc<Self>, process: usize) {
        let spec = self.plan.processes[process].clone();
        let (config, life, net) = self
            .body(process, |body| {
                if body.alive.is_some() {
                    return None;
                }
                body.life += 1;
                let before = std::mem::replace(&mut body.net, Net::new(spec.latency));
                body.dead.push(before);
                Some((self.config(process, body, &spec), body.life, body.net.clone()))
            })
            .map_or((None, 0, None), |(config, life, net)| (Some(config), life, Some(net)));
        let (Some(config), Some(_)) = (config, net) else { return };
        let client = Arc::new(Mutex::new(None));
        let tasks = (0..spec.tasks).map(|number| {
            let who = Who { process, life, task: number };
            let (world, client, config) = (Arc::clone(self), Arc::clone(&client), config.clone());
            tokio::spawn(async move { task::live(&world, who, &client, config).await })
        });
        let tasks = tasks.collect();
        self.body(process, |body| body.alive = Some(Life { client, tasks }));
    }

    /// How a process reaches the server, and its own clock and dice.
    fn config(&self, process: usize, body: &Body, spec: &Process) -> Config {
        let (net, server) = (body.net.clone(), self.server.clone());
        let dial = move || {
            let (net, server) = (net.clone(), server.clone());
            async move { net.dial(&server).await }
        };
        let purpose = 1_000 + process as u64 * 100 + body.life as u64;
        let dice = Mutex::new(self.plan.rng(purpose));
        let (skew, begun) = (Arc::clone(&body.wall_ms), self.begun);
        Config::dialer(dial)
            .client_name(format!("p{process}"))
            .process("simulated", u32::try_from(process).unwrap_or(u32::MAX))
            .connect_timeout(Duration::from_millis(700))
            .response_timeout(spec.response_timeout)
            .keepalive(Duration::from_secs(2))
            .stall_timeout(Duration::from_secs(1))
            .reconnect(Backoff::new(Duration::from_millis(5), 2.0, Duration::from_millis(200)))
            .entropy(move || lock(&dice).random())
            .wall_clock(move || wall_time(begun, skew.load(Ordering::Relaxed)))
    }

    /// Ends a process without a chance to say anything.
    fn crash(&self, process: usize, told: Told) {
        let Some(life) = self.body(process, |body| body.alive.take()) else { return };
        self.body(process, |body| body.net.die(told == Told::Yes));
        life.tasks.iter().for_each(JoinHandle::abort);
        drop(lock(&life.client).take());
    }

    /// Everything goes well again, and everybody is there.
    fn heal(self: &Arc<Self>) {
        self.note(None, "heal");
        let server = &self.server;
        server.clear_faults();
        server.thaw();
        server.refuse_connections(false);
        server.set_loading(false);
        server.set_read_only(false);
        server.set_full(false);
        for process in 0..self.plan.processes.len() {
            let latency = self.plan.processes[process].latency;
            self.body(process, |body| body.net.heal(latency));
            self.start(process);
        }
    }

    /// Waits until every task has ended, and closes every client.
    async fn finish(self: &Arc<Self>) {
        let until = Instant::now() + PATIENCE;
        for process in 0..self.plan.processes.len() {
            let Some(life) = self.body(process, |body| body.alive.take()) else { continue };
            for (number, task) in life.tasks.into_iter().enumerate() {
                let abort = task.abort_handle();
                match tokio::time::timeout_at(until, task).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => self.history(|history| {
                        history.violation(format!("p{process}/t{number} panicked: {error}"));
                    }),
                    Err(_) => {
                        abort.abort();
                        self.history(|history| {
                            history.violation(format!("p{process}/t{number} never ended"));
                        });
                    }
                }
            }
            let client = lock(&life.client).take();
            if let Some(client) = client {
                client.close(Duration::from_secs(5)).await;
            }
        }
        sleep(Duration::from_millis(100)).await;
        self.note(None, "quiet");
        checks::when_quiet(self);
        // Whatever crashed processes have left ends with its lease.
        sleep(task::LONGEST_LEASE * 2).await;
        checks::when_leases_are_over(self);
        sleep(task::ALIVE).await;
        checks::when_lines_are_forgotten(self);
        // Connections of dead machines would stay for ever.
        for body in lock(&self.bodies).iter() {
            body.dead.iter().chain([&body.net]).for_each(Net::bury);
        }
        self.server.kill_connections();
        let _ = timeout(Duration::from_secs(100), self.until_alone()).await;
        checks::when_alone(self);
    }

    /// Waits until no task but this one is left.
    async fn until_alone(&self) {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn wall_time(begun: Instant, skew_ms: i64) -> SystemTime {
    let since = EPOCH + begun.elapsed();
    let skew = Duration::from_millis(skew_ms.unsigned_abs());
    UNIX_EPOCH + if skew_ms < 0 { since.saturating_sub(skew) } else { since + skew }
}
