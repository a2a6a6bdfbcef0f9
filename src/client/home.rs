//! Where connections live: the runtime of whoever connects, one that was named, or a thread of our own.
//!
//! A socket belongs to the runtime on which it was opened, so a connection is dialled where it will be driven. The thread
//! of our own ends when the last task on it has ended and nobody who could start another is left.

use crate::config::{Config, Placement};
use crate::error::{Error, ErrorKind, Outcome};
use std::fmt;
use std::sync::Arc;
use std::thread;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where the tasks of one client run.
#[derive(Clone)]
pub(crate) struct Home(Place);

#[derive(Clone)]
enum Place {
    /// On the runtime that the caller is on.
    Here(Handle),
    There(Handle),
    Thread(Arc<OwnThread>),
}

/// A thread with a runtime of its own; it ends when this is dropped.
struct OwnThread {
    runtime: Handle,
    _alive: oneshot::Sender<()>,
}

/// A runtime that can be dropped anywhere: dropping a bare one in async code panics.
struct Quiet(Option<Runtime>);

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Home {
    /// The place that `config` asks for; a thread of our own is started here.
    ///
    /// # Errors
    ///
    /// There is no runtime here, or the system gives no thread.
    pub(crate) fn of(config: &Config) -> Result<Self, Error> {
        let place = match &config.placement {
            Placement::Caller => Place::Here(Handle::try_current().map_err(|_| {
                Error::config(
                    "there is no tokio runtime here: connect inside one, or set Config::runtime or Config::own_thread",
                )
            })?),
            Placement::Runtime(handle) => Place::There(handle.clone()),
            Placement::OwnThread => Place::Thread(Arc::new(OwnThread::start()?)),
        };
        Ok(Self(place))
    }

    /// The runtime on which the tasks run.
    pub(crate) fn handle(&self) -> &Handle {
        match &self.0 {
            Place::Here(runtime) | Place::There(runtime) => runtime,
            Place::Thread(thread) => &thread.runtime,
        }
    }

    /// Starts a task, which keeps a thread of our own alive until it has ended.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.0 {
            Place::Here(runtime) | Place::There(runtime) => drop(runtime.spawn(task)),
            Place::Thread(thread) => {
                let kept = Arc::clone(thread);
                thread.runtime.spawn(async move {
                    task.await;
                    drop(kept);
                });
            }
        }
    }

    /// Runs `work` where the tasks run, and waits for it. Dropping the future ends the work.
    ///
    /// # Errors
    ///
    /// The runtime has ended.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Error> {
        if let Place::Here(_) = &self.0 {
            return Ok(work.await);
        }
        let mut work = Ended(self.handle().spawn(work));
        (&mut work.0).await.map_err(|_| {
            Error::new(
                ErrorKind::Closed,
                Outcome::NotSent,
                "the runtime that was to drive the connection has ended",
            )
        })
    }
}

/// Work that ends when nobody waits for it any more.
struct Ended<T>(JoinHandle<T>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl OwnThread {
    fn start() -> Result<Self, Error> {
        let refused = |error| {
            let message = format!("Config::own_thread: the system gives no thread: {error}");
            Error::caused_by(ErrorKind::Config, Outcome::NotSent, message, error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let handle = runtime.handle().clone();
        let runtime = Quiet(Some(runtime));
        let (alive, ended) = oneshot::channel::<()>();
        let drive = move || {
            if let Some(runtime) = &runtime.0 {
                // Nothing is ever sent: it ends when the other half is dropped.
                let _ = runtime.block_on(ended);
            }
        };
        thread::Builder::new().name("tenure".to_owned()).spawn(drive).map_err(refused)?;
        Ok(Self { runtime: handle, _alive: alive })
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Place::Here(_) => "Here",
            Place::There(_) => "There",
            Place::Thread(_) => "Thread",
        })
    }
}
