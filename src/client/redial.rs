//! Opens connections: look-up, dial and handshake within one budget.

use crate::client::canary;
use crate::client::handshake::{Handshake, Session, Setup, Step};
use crate::config::{Config, Credentials};
use crate::error::{Error, ErrorKind, Outcome};
use crate::net::{self, Reader, Writer};
use bytes::BytesMut;
use resp::{Decoder, Frame, Limits};
use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A connection that is ready, with whatever the server has sent already.
pub(crate) struct Link {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) decoder: Decoder,
    pub(crate) received: BytesMut,
    pub(crate) session: Session,
    /// From sending `HELLO` to its answer.
    pub(crate) round_trip: Duration,
}

/// Opens a connection. `previous` is the session before, which the setup may want to put an end to.
///
/// # Errors
///
/// [`ErrorKind::Connect`] for anything that may pass, [`ErrorKind::Handshake`] for a refusal in the server's words,
/// [`ErrorKind::Protocol`] for a peer that is not Redis.
pub(crate) async fn open(
    config: &Config,
    setup: Setup,
    previous: Option<&Session>,
) -> Result<Link, Error> {
    let mut stage = Stage::Asking;
    let attempted = timeout(config.connect_timeout, attempt(config, setup(previous), &mut stage));
    attempted.await.unwrap_or_else(|_| Err(connect_error(stage.overran(config))))
}

/// How far an attempt has come.
#[derive(Clone, Copy)]
enum Stage {
    Asking,
    Dialling,
    Securing,
    Greeting,
}

impl Stage {
    /// What to say of an attempt that came no further.
    fn overran(self, config: &Config) -> String {
        let (address, budget) = (&config.address, config.connect_timeout);
        match self {
            Self::Asking => format!("the credentials provider gave nothing within {budget:?}"),
            Self::Dialling => format!("{address} did not accept a connection within {budget:?}"),
            Self::Securing => format!(
                "{address} did not answer the TLS handshake within {budget:?} (is it a port without TLS? then write redis://)"
            ),
            Self::Greeting => {
                let doubt = doubt(config);
                format!("{address} did not answer HELLO within {budget:?} ({doubt})")
            }
        }
    }
}

async fn attempt(
    config: &Config,
    setup: Vec<Vec<Vec<u8>>>,
    stage: &mut Stage,
) -> Result<Link, Error> {
    let credentials = credentials(config).await?;
    *stage = Stage::Dialling;
    let stream = net::dial(config).await.map_err(|error| {
        let message = format!("could not connect to {}: {error}", config.address);
        Error::caused_by(ErrorKind::Connect, Outcome::NotSent, message, error)
    })?;
    *stage = Stage::Securing;
    let (reader, writer) = net::secure(config, stream).await?.split();
    *stage = Stage::Greeting;
    let words = canary::words(config.seam.entropy(), 0);
    let (mut handshake, greeting) = Handshake::start(config, &credentials, setup, words);
    let mut wire = Wire {
        decoder: Decoder::new(handshake.protocol(), Limits::default()),
        received: BytesMut::with_capacity(4096),
        reader,
        writer,
    };
    let sent_at = Instant::now();
    wire.write(config, &greeting).await?;
    let mut round_trip = None;
    loop {
        let reply = wire.next(config).await?;
        round_trip.get_or_insert_with(|| sent_at.elapsed());
        match handshake.on_reply(reply)? {
            Step::Wait => {}
            Step::Send(bytes) => {
                wire.decoder.set_protocol(handshake.protocol());
                wire.write(config, &bytes).await?;
            }
            Step::Ready(session) => {
                wire.nothing_more(config)?;
                wire.decoder.set_protocol(session.protocol);
                return Ok(Link {
                    reader: wire.reader,
                    writer: wire.writer,
                    decoder: wire.decoder,
                    received: wire.received,
                    session,
                    round_trip: round_trip.unwrap_or_default(),
                });
            }
        }
    }
}

/// Who to be this time. Asked before the dial, so that no server waits for a slow answer with a connection open.
async fn credentials(config: &Config) -> Result<Cow<'_, Credentials>, Error> {
    let Some(provider) = &config.provider else { return Ok(Cow::Borrowed(&config.credentials)) };
    let given = provider.ask().await.map_err(|error| {
        let message = "the credentials provider failed";
        Error::caused_by(ErrorKind::Connect, Outcome::NotSent, message, error)
    })?;
    Ok(Cow::Owned(given))
}

struct Wire {
    reader: Reader,
    writer: Writer,
    decoder: Decoder,
    received: BytesMut,
}

impl Wire {
    async fn write(&mut self, config: &Config, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| self.writer.poll_write(cx, bytes)).await;
            match written {
                Ok(count) if count > 0 => bytes = bytes.get(count..).unwrap_or_default(),
                Ok(_) => return Err(lost(config, &io::ErrorKind::WriteZero.into())),
                Err(error) => return Err(lost(config, &error)),
            }
        }
        poll_fn(|cx| self.writer.poll_flush(cx)).await.map_err(|error| lost(config, &error))
    }

    /// # Errors
    ///
    /// If more has come than was asked for: the first call would take it for its reply. Pushes may come at any time.
    fn nothing_more(&self, config: &Config) -> Result<(), Error> {
        match self.received.first() {
            None | Some(b'>') => Ok(()),
            Some(_) => {
                let message = format!("{} answered more often than it was asked", config.address);
                Err(Error::new(ErrorKind::Protocol, Outcome::NotSent, message))
            }
        }
    }

    /// The next reply; pushes are not replies.
    async fn next(&mut self, config: &Config) -> Result<Frame, Error> {
        loop {
            // A socket that never runs dry would not let go of the thread, and the time to connect would pass unseen.
            tokio::task::coop::consume_budget().await;
            match self.decoder.decode(&mut self.received) {
                Ok(Some(push)) if push.is_push() => {}
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => match poll_fn(|cx| self.reader.poll_read(cx, &mut self.received)).await
                {
                    Ok(0) => {
                        let (address, doubt) = (&config.address, doubt(config));
                        return Err(connect_error(format!(
                            "{address} closed the connection during the handshake ({doubt})"
                        )));
                    }
                    Ok(_) => {}
                    Err(error) => return Err(lost(config, &error)),
                },
                Err(error) => {
                    let message = format!("{} does not speak RESP: {error}", config.address);
                    let kind = ErrorKind::Protocol;
                    return Err(Error::caused_by(kind, Outcome::NotSent, message, error));
                }
            }
        }
    }
}

fn connect_error(message: String) -> Error {
    Error::new(ErrorKind::Connect, Outcome::NotSent, message)
}

/// What a peer that ends the connection or says nothing may be.
fn doubt(config: &Config) -> &'static str {
    match config.tls {
        None => "is it Redis? for a TLS port write rediss://",
        Some(_) => "is it Redis?",
    }
}

fn lost(config: &Config, error: &io::Error) -> Error {
    net::explain(config, error).unwrap_or_else(|| {
        let (address, doubt) = (&config.address, doubt(config));
        connect_error(format!(
            "the connection to {address} broke during the handshake: {error} ({doubt})"
        ))
    })
}
