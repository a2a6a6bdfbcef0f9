//! `Locker`: what all locks of one client share. One lock connection, one engine, one identity.

use crate::client::{Client, Connection, Flush, Listener, State};
use crate::config::Config;
use crate::error::Error;
use crate::lock::aside::Aside;
use crate::lock::dialect;
use crate::lock::ear::{Ear, FarEar};
use crate::lock::engine::Engine;
use crate::lock::error::AcquireError;
use crate::lock::gate::{Event, Terms};
use crate::lock::options::Options;
use crate::lock::plan::{self, Key, Kind, Plan};
use crate::lock::ticker;
use crate::lock::token::Signature;
use crate::observe::Purpose;
use crate::seam::after;
use bytes::Bytes;
use std::hash::RandomState;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Locker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) connection: Connection,
    hasher: RandomState,
    host: String,
    process: u32,
    /// Of holds without label and purpose.
    signature: Arc<Signature>,
}

impl Locker {
    /// The locker of a client; the first call opens the lock connection in the background.
    pub(crate) fn of(client: &Client) -> Arc<Self> {
        client.companion(|| Self::new(client))
    }

    /// The locker of a client that has one.
    pub(crate) fn existing(client: &Client) -> Option<Arc<Self>> {
        client.existing_companion()
    }

    fn new(client: &Client) -> Self {
        let (home, config) = (client.home(), client.config().clone());
        let engine = Arc::new(Engine::new(config.seam.clone(), config.witness(Purpose::Locks)));
        let hasher = RandomState::new();
        let (number, hasher_too) = (engine.number, hasher.clone());
        let (engine_too, inbox) = (Arc::downgrade(&engine), plan::inbox(number));
        let ear = Ear { engine: engine_too, hasher: hasher_too, number, inbox };
        let (far, far_home, far_config) = (FarEar(ear.clone()), home.clone(), config.clone());
        let far: Arc<dyn Listener> = Arc::new(far);
        let _ = engine.aside.set(Aside::new(move || {
            let (config, ear) = (far_config.clone(), Arc::clone(&far));
            Connection::lazy(&far_home, config, Purpose::Locks, |_| Vec::new(), Some(ear))
        }));
        let listener: Arc<dyn Listener> = Arc::new(ear);
        let connection =
            Connection::lazy(home, config, Purpose::Locks, dialect::setup, Some(listener));
        let connection = engine.connection.get_or_init(|| connection).clone();
        home.spawn(ticker::run(Arc::clone(&engine)));
        if let State::Closed(_) = client.state() {
            engine.book().bar(Some(AcquireError::Closed));
            let connection = connection.clone();
            home.spawn(async move { connection.close(Duration::ZERO).await });
        }
        let named = connection.config().seam.process().map(|(host, id)| (host.to_owned(), id));
        let (host, process) = named.unwrap_or_else(|| (host(), std::process::id()));
        let signature = Arc::new(Signature::new(["", &host, ""], process, engine.number));
        Self { engine, connection, hasher, host, process, signature }
    }

    pub(crate) fn config(&self) -> &Config {
        self.connection.config()
    }

    /// What all acquire calls on one lock share.
    ///
    /// # Errors
    ///
    /// If the options make no sense.
    pub(crate) fn plan(
        &self,
        key: String,
        options: &Options,
        kind: Kind,
    ) -> Result<Arc<Plan>, Error> {
        let terms = Terms::new(options, kind)?;
        let signature = match (options.label.as_str(), options.purpose.as_str()) {
            ("", "") => Arc::clone(&self.signature),
            (label, purpose) => {
                let fields = [label, &self.host, purpose];
                Arc::new(Signature::new(fields, self.process, self.engine.number))
            }
        };
        let key = Key::new(Bytes::from(key), &self.hasher);
        // Whoever waits for a lock mostly does so as others before it.
        let known = self.engine.book().gates.plan(&key, &terms, &signature);
        let number = self.engine.number;
        Ok(known.unwrap_or_else(|| Arc::new(Plan::new(key, terms, signature, number))))
    }

    /// Why there is no connection, where that is known.
    pub(crate) fn last_failure(&self) -> Option<Error> {
        self.connection.last_failure()
    }

    /// Releases what is held, waits at most `patience` for the answers, and ends.
    pub(crate) async fn close(&self, patience: Duration) {
        let until = after(Instant::now(), patience);
        self.engine.act(Flush::Auto, |book| {
            book.barred = Some(AcquireError::Closed);
            book.tell_all(Event::Closing);
        });
        let quiet = async {
            loop {
                let mut answered = pin!(self.engine.quiet.notified());
                answered.as_mut().enable();
                if self.engine.book().gates.are_quiet() {
                    return;
                }
                answered.await;
            }
        };
        // Out of patience is no error: the leases end by themselves.
        let _ = tokio::time::timeout_at(until, quiet).await;
        if let Some(aside) = self.engine.aside.get().and_then(Aside::existing) {
            aside.end();
        }
        self.connection.close(until.saturating_duration_since(Instant::now())).await;
    }
}

/// Lets the task end when it has nothing left to do.
impl Drop for Locker {
    fn drop(&mut self) {
        self.engine.stop();
    }
}

/// The machine's name, for people; empty where nobody tells.
fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    told.map(|name| name.trim().to_owned()).unwrap_or_default()
}
