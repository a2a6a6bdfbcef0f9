//! What befalls a server as a whole: it is started again, with its data or without, or another takes its place.

use crate::keyspace::Keyspace;
use crate::server::Server;
use std::fmt;

/// The data of a server at one moment: what a replica had seen of it, or what was written to disk.
#[derive(Clone)]
pub struct Snapshot {
    dbs: Vec<Keyspace>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Server {
    /// The data as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let dbs = self.shared().with(|core, _| core.state.dbs.clone());
        Snapshot { dbs }
    }

    /// Starts again: every connection ends at once, scripts and tracking are forgotten, and `INFO` shows another `run_id`. With
    /// a snapshot the data is what it was then, as after a crash or on a replica that takes over; without one there is none. New
    /// connections are let in at once; see [`Server::refuse_connections`].
    ///
    /// ```
    /// # use tenure_server::{Profile, Server};
    /// let server = Server::new(Profile::Redis7_0);
    /// let before = server.snapshot();
    /// server.set("lk:job", "acknowledged, and not yet replicated");
    /// server.restart(Some(&before));
    /// assert_eq!(server.get("lk:job"), None);
    /// ```
    pub fn restart(&self, data: Option<&Snapshot>) {
        self.shared().with(|core, now| {
            core.cut_all();
            core.state.begin_anew(now);
            match data {
                Some(snapshot) => core.state.dbs.clone_from(&snapshot.dbs),
                None => core.state.dbs.iter_mut().for_each(Keyspace::clear),
            }
        });
        self.shared().look_again();
    }

    /// Lets the server's clock gain so many microseconds in each second from now on, or lose them if negative: an oscillator
    /// that is off. 1000 is a tenth of a percent.
    pub fn drift_clock(&self, microseconds_per_second: i32) {
        self.shared().with(|core, _| core.clock.drift(i64::from(microseconds_per_second)));
        self.shared().look_again();
    }
}
