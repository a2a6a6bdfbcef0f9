//! What an idle connection and a waiting call keep allocated.

use crate::Failure;
use crate::connection::contestant::{Flavour, NAMES, WithPeer, with_peer};
use crate::connection::peers::{Peer, Target};
use crate::connection::settings::Settings;
use crate::table::Table;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

const CONNECTIONS: usize = 64;
const CALLS: usize = 10_000;

/// Bytes that stay allocated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) name: &'static str,
    pub(crate) connection: f64,
    /// Beyond the future that the caller holds.
    pub(crate) call: Option<f64>,
}

pub(crate) fn measure(settings: &Settings, sink: &Target) -> Result<Vec<Memory>, Failure> {
    let mut all = Vec::new();
    let head = ["", "bytes of an idle connection", "bytes of a waiting call, beyond its future"];
    let mut table = Table::new(head);
    for name in NAMES.into_iter().filter(|name| settings.wants_client(name)) {
        let kept = with_peer(name, Kept { name, sink });
        let kept = kept.expect("the name is that of a client")?;
        let call = kept.call.map_or_else(|| "–".to_owned(), |bytes| format!("{bytes:.0}"));
        table.row([name.to_owned(), format!("{:.0}", kept.connection), call]);
        all.push(kept);
    }
    println!(
        "**Memory, current-thread, of {CONNECTIONS} connections and {CALLS} calls**\n\n{table}"
    );
    Ok(all)
}

struct Kept<'a> {
    name: &'static str,
    sink: &'a Target,
}

impl WithPeer for Kept<'_> {
    type Out = Result<Memory, Failure>;

    fn with<P: Peer>(self) -> Self::Out {
        let runtime = Flavour::CurrentThread.runtime()?;
        // The first one brings what all share.
        let first = runtime.block_on(P::connect(self.sink))?;
        let slot = first.slot(0);
        runtime.block_on(first.pair(&slot));
        let mut peers = Vec::with_capacity(CONNECTIONS);
        let connections = native::count(|| {
            runtime.block_on(async {
                for task in 0..CONNECTIONS {
                    let peer = P::connect(self.sink).await.expect("the sink takes everybody");
                    // A connection that is opened late is opened here.
                    peer.pair(&peer.slot(task)).await;
                    peers.push(peer);
                }
            });
        });
        let connection = connections.kept() / CONNECTIONS as f64;
        drop(peers);
        // What ends with them ends now, and not while the calls are counted.
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
        let call = P::GETS.then(|| {
            let mut calls: Vec<Pin<Box<_>>> =
                (0..CALLS).map(|_| Box::pin(first.unanswered())).collect();
            let waiting = native::count(|| {
                runtime.block_on(async {
                    poll_fn(|cx| {
                        let answered =
                            calls.iter_mut().filter_map(|call| match call.as_mut().poll(cx) {
                                Poll::Ready(()) => Some(()),
                                Poll::Pending => None,
                            });
                        assert_eq!(answered.count(), 0, "nobody answers");
                        Poll::Ready(())
                    })
                    .await;
                    // All is written and nothing comes back.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                });
            });
            waiting.kept() / CALLS as f64
        });
        Ok(Memory { name: self.name, connection, call })
    }
}
