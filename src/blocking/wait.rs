//! Waits for a future on a thread without a runtime.

use crate::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use tokio::runtime::Handle;

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future to its end; its timers are those of `runtime`, which runs on another thread.
///
/// # Errors
///
/// On a thread that runs asynchronous code, or may: nothing was done.
pub(crate) fn wait<F: Future>(runtime: Option<&Handle>, future: F) -> Result<F::Output, Error> {
    if Handle::try_current().is_ok() {
        return Err(Error::refused(
            "tenure::blocking would keep this thread, which belongs to an async runtime, from everything else: \
             use tenure::Client here, or call from a thread of your own",
        ));
    }
    let _timers = runtime.map(Handle::enter);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(output);
        }
        // Woken before that or for another reason, it returns at once: then the future is looked at once more.
        thread::park();
    }
}
