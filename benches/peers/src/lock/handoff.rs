//! From a release to the next holder: two clients, each on a thread of its own, hand one lock to and fro.
//!
//! While one of them holds the lock, it takes the time of a bare round trip over a blocking socket: as often as a lock is handed
//! over, and on a machine that has slept for as long.

use crate::Failure;
use crate::connection::{Flavour, Raw, Target};
use crate::lock::policies::{Policy, WithPolicy};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long a lock is held before it is released, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Game {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    pub(crate) rounds: usize,
}

/// Nanoseconds, one value a round.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// From the call of release to the return of the other's acquire.
    pub(crate) handovers: Vec<u64>,
    /// Bare round trips.
    pub(crate) bare: Vec<u64>,
}

impl Played {
    pub(crate) fn add(&mut self, more: Self) {
        self.handovers.extend(more.handovers);
        self.bare.extend(more.bare);
    }
}

/// Plays a game.
pub(crate) struct Times<'a> {
    pub(crate) target: &'a Target,
    pub(crate) game: Game,
    pub(crate) name: &'a str,
}

impl WithPolicy for Times<'_> {
    type Out = Result<Played, Failure>;

    fn with<P: Policy>(self) -> Self::Out {
        let (to_other, from_one) = unbounded_channel();
        let (to_one, from_other) = unbounded_channel();
        let clock = Arc::new(Clock { begun: Instant::now(), released: AtomicU64::new(0) });
        let start = |first, tell, hear| {
            let side = Side {
                first,
                tell,
                hear,
                clock: Arc::clone(&clock),
                game: self.game,
                name: self.name.to_owned(),
            };
            let target = self.target.clone();
            thread::spawn(move || side.play::<P>(&target).map_err(|error| error.to_string()))
        };
        let sides = [start(true, to_other, from_other), start(false, to_one, from_one)];
        let mut all = Played::default();
        for side in sides {
            all.add(side.join().map_err(|_| "a side has panicked")??);
        }
        Ok(all)
    }
}

struct Clock {
    begun: Instant,
    /// When the lock was released last, in nanoseconds.
    released: AtomicU64,
}

impl Clock {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

struct Side {
    first: bool,
    tell: UnboundedSender<()>,
    hear: UnboundedReceiver<()>,
    clock: Arc<Clock>,
    game: Game,
    name: String,
}

impl Side {
    fn play<P: Policy>(mut self, target: &Target) -> Result<Played, Failure> {
        let mut raw = Raw::connect(&target.url)?;
        let runtime = Flavour::CurrentThread.runtime()?;
        runtime.block_on(async {
            let policy = P::connect(target).await?;
            // The first use opens what is opened late.
            policy.release(policy.acquire(&format!("{}:{}", self.name, self.first)).await).await;
            let mut played = Played::default();
            let mut held = None;
            if self.first {
                held = Some(policy.acquire(&self.name).await);
                self.tell.send(())?;
            } else {
                self.hear.recv().await.ok_or("the other side is gone")?;
            }
            for round in 0..self.game.rounds {
                let holds = (round % 2 == 0) == self.first;
                if holds {
                    let mine = held.take().expect("whoever held not in the last round holds now");
                    self.hear.recv().await.ok_or("the other side is gone")?;
                    let nanos = |duration: Duration| duration.as_nanos() as u64;
                    let hold = rand::random_range(nanos(self.game.least)..nanos(self.game.most));
                    let half = Duration::from_nanos(hold / 2);
                    tokio::time::sleep(half).await;
                    let begun = Instant::now();
                    raw.ask(&["PING"])?;
                    played.bare.push(nanos(begun.elapsed()));
                    tokio::time::sleep(half).await;
                    self.clock.released.store(self.clock.now(), Ordering::SeqCst);
                    policy.release(mine).await;
                    // Who polls would find it taken again.
                    self.hear.recv().await.ok_or("the other side is gone")?;
                } else {
                    self.tell.send(())?;
                    held = Some(policy.acquire(&self.name).await);
                    let released = self.clock.released.load(Ordering::SeqCst);
                    played.handovers.push(self.clock.now() - released);
                    self.tell.send(())?;
                }
            }
            if let Some(mine) = held {
                policy.release(mine).await;
            }
            Ok(played)
        })
    }
}
