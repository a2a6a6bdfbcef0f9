//! TLS around a stream, and what went wrong with it in words that say what to change.

use crate::config::{Config, Tls};
use crate::dialer::BoxedStream;
use crate::error::{Error, ErrorKind, Outcome};
use crate::net::Stream;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig};

/// Puts TLS around a stream, if the settings say so. The server's name is checked in every case.
///
/// # Errors
///
/// [`ErrorKind::Config`] for settings that make no sense, [`ErrorKind::Handshake`] if one side does not accept what the other
/// showed, [`ErrorKind::Protocol`] if the other side does not speak TLS, and [`ErrorKind::Connect`] for anything that may pass.
pub(crate) async fn secure(config: &Config, stream: Stream) -> Result<Stream, Error> {
    let Some(tls) = &config.tls else { return Ok(stream) };
    let name = tls.server_name_for(&config.address)?;
    let connector = TlsConnector::from(settings(tls).await?);
    let secured = match stream {
        Stream::Tcp(stream) => connector.connect(name, stream).await.map(boxed),
        #[cfg(unix)]
        Stream::Unix(stream) => connector.connect(name, stream).await.map(boxed),
        Stream::Other(stream) => connector.connect(name, stream).await.map(boxed),
    };
    secured.map(Stream::Other).map_err(|error| failed(config, tls, &error))
}

fn boxed(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> BoxedStream {
    Box::new(stream)
}

/// The settings, ready for use. Reading files and the system's certificates is done once, and keeps no worker.
async fn settings(tls: &Tls) -> Result<Arc<ClientConfig>, Error> {
    if let Some(ready) = tls.ready() {
        return ready;
    }
    let tls = tls.clone();
    let prepared = spawn_blocking(move || tls.prepare()).await;
    prepared.unwrap_or_else(|_| Err(Error::closed(Outcome::NotSent)))
}

/// What to say of a TLS handshake that failed.
fn failed(config: &Config, tls: &Tls, error: &io::Error) -> Error {
    told(config, tls, error).unwrap_or_else(|| {
        let address = &config.address;
        hung_up(format!(
            "{address} ended the TLS handshake: {error} (is it a port without TLS? then write redis://)"
        ))
    })
}

/// What TLS has to do with a connection that breaks before its first answer, if anything: with TLS 1.3 a server refuses the
/// client's certificate, or its lack, as late as that, and its reason may be overtaken by the end of the connection.
pub(crate) fn explain(config: &Config, error: &io::Error) -> Option<Error> {
    let tls = config.tls.as_ref()?;
    told(config, tls, error).or_else(|| {
        let address = &config.address;
        let cure = rejection(AlertDescription::CertificateRequired, tls);
        Some(hung_up(format!("{address} hung up after the TLS handshake: {error}; {cure}")))
    })
}

fn hung_up(message: String) -> Error {
    Error::new(ErrorKind::Connect, Outcome::NotSent, message)
}

/// What rustls has to say.
fn told(config: &Config, tls: &Tls, error: &io::Error) -> Option<Error> {
    let address = &config.address;
    let reason = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let (kind, cure) = match reason {
        rustls::Error::InvalidMessage(_) => {
            let message = format!(
                "{address} does not speak TLS: it answered something else (is it a port without TLS? then write redis://)"
            );
            let (kind, outcome) = (ErrorKind::Protocol, Outcome::NotSent);
            return Some(Error::caused_by(kind, outcome, message, reason.clone()));
        }
        rustls::Error::InvalidCertificate(why) => (ErrorKind::Handshake, distrust(why)),
        rustls::Error::AlertReceived(alert) => (ErrorKind::Handshake, rejection(*alert, tls)),
        rustls::Error::PeerIncompatible(_) => {
            (ErrorKind::Handshake, "server and client have no TLS version or cipher in common")
        }
        _ => (ErrorKind::Connect, "the TLS connection cannot be used"),
    };
    let message = format!("TLS with {address} failed: {reason}; {cure}");
    Some(Error::caused_by(kind, Outcome::NotSent, message, reason.clone()))
}

/// What to do about a server's certificate that is not accepted.
fn distrust(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "name the CA that signed the server's certificate: Tls::ca_file, or tls_ca= in the URL"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew the certificate on the server, or set this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set this machine's clock, or the server's"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "connect by a name that is in the certificate, or say which: Tls::server_name, or tls_server_name= in the URL"
        }
        _ => "the server needs another certificate",
    }
}

/// What to do about a server that turns the client away.
fn rejection(alert: AlertDescription, tls: &Tls) -> &'static str {
    match alert {
        AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
            "server and client have no TLS version or cipher in common"
        }
        AlertDescription::UnrecognisedName => "the server does not know the name it was asked for",
        _ if tls.has_client_certificate() => {
            "the server does not accept the client certificate, or has none for this name"
        }
        _ => {
            "if the server wants a client certificate, give one: Tls::client_certificate_files, or tls_cert= and tls_key= in the URL"
        }
    }
}
