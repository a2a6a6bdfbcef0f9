//! `redis://…` and `unix://…` into plain parts, which `config` consumes.
//!
//! Strict about schemes, ports and query keys, with the nearest valid one in the error; lenient about passwords:
//! credentials end at the last `@` of the authority and the user at the first `:`, so raw `@` and `:` work there.
//! No error repeats user, password or the URL as a whole.

use crate::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const SCHEMES: [&str; 7] =
    ["redis", "rediss", "valkey", "valkeys", "unix", "redis+unix", "valkey+unix"];
const TCP_KEYS: [&str; 6] =
    ["client_name", "connect_timeout", "db", "keepalive", "protocol", "response_timeout"];
const TLS_KEYS: [&str; 10] = [
    "client_name",
    "connect_timeout",
    "db",
    "keepalive",
    "protocol",
    "response_timeout",
    "tls_ca",
    "tls_cert",
    "tls_key",
    "tls_server_name",
];
const UNIX_KEYS: [&str; 8] = [
    "client_name",
    "connect_timeout",
    "db",
    "keepalive",
    "pass",
    "protocol",
    "response_timeout",
    "user",
];
const DEFAULT_PORT: u16 = 6379;

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp {
        host: String,
        port: u16,
    },
    Unix {
        path: PathBuf,
    },
    /// Reached through `Config::dialer` only.
    Dialer,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => write!(f, "{}", path.display()),
            Self::Dialer => f.write_str("the dialer's server"),
        }
    }
}

/// Which protocol to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProtocolChoice {
    /// RESP3, and RESP2 where the server does not know `HELLO` or protocol 3.
    #[default]
    Auto,
    /// RESP2 only: no pushes.
    Resp2,
    /// RESP3 or an error.
    Resp3,
}

/// What a URL says of TLS, once its scheme asks for it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TlsParts {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
}

/// What a URL says; `None` where it says nothing.
#[derive(Debug, PartialEq)]
pub(crate) struct Parts {
    pub(crate) address: Address,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) tls: Option<TlsParts>,
    pub(crate) db: Option<u32>,
    pub(crate) client_name: Option<String>,
    pub(crate) protocol: Option<ProtocolChoice>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) keepalive: Option<Duration>,
}

impl Parts {
    fn at(address: Address) -> Self {
        Self {
            address,
            username: None,
            password: None,
            tls: None,
            db: None,
            client_name: None,
            protocol: None,
            connect_timeout: None,
            response_timeout: None,
            keepalive: None,
        }
    }
}

/// Reads a URL.
///
/// # Errors
///
/// Names the part that makes no sense, and the nearest valid one.
pub(crate) fn parse(url: &str) -> Result<Parts, Error> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(Error::config(
            "the URL has no scheme: write redis://HOST:PORT or unix:///PATH".to_owned(),
        ));
    };
    let scheme = scheme.to_ascii_lowercase();
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    if rest.contains('#') || query.is_some_and(|query| query.contains('#')) {
        return Err(Error::config("the URL has a fragment ('#'): in a password, write %23"));
    }
    if query.is_some_and(|query| query.contains('@')) && !rest.contains('@') {
        return Err(Error::config("the credentials hold a raw '?': write %3F"));
    }
    let mut parts = match scheme.as_str() {
        "redis" | "valkey" => tcp(rest)?,
        "unix" | "redis+unix" | "valkey+unix" => unix(rest)?,
        "rediss" | "valkeys" => Parts { tls: Some(TlsParts::default()), ..tcp(rest)? },
        _ => return Err(unknown("scheme", &scheme, &SCHEMES)),
    };
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        set(&mut parts, pair)?;
    }
    Ok(parts)
}

/// `[[user][:pass]@](host|[v6])[:port][/db]`
fn tcp(rest: &str) -> Result<Parts, Error> {
    // A raw '@' in a password is fine; a raw '/' is not, because the path begins at the first one behind the last '@'.
    let (userinfo, host_and_path) = match rest.rsplit_once('@') {
        Some((userinfo, rest)) => (Some(userinfo), rest),
        None => (None, rest),
    };
    if userinfo.is_some_and(|userinfo| userinfo.contains('/')) {
        return Err(Error::config("the credentials have a raw '/': write %2F"));
    }
    let (authority, path) = host_and_path.split_once('/').unwrap_or((host_and_path, ""));
    let (host, port) = host_and_port(authority)?;
    let mut parts = Parts::at(Address::Tcp { host, port });
    if let Some(userinfo) = userinfo {
        let (user, pass) = match userinfo.split_once(':') {
            Some((user, pass)) => (user, Some(pass)),
            None => (userinfo, None),
        };
        parts.username = if user.is_empty() { None } else { Some(decoded("user", user)?) };
        parts.password = pass.map(|pass| decoded("password", pass)).transpose()?;
    }
    if !path.is_empty() {
        parts.db = Some(number("database", path)?);
    }
    Ok(parts)
}

fn host_and_port(authority: &str) -> Result<(String, u16), Error> {
    let (host, port) = if let Some(v6) = authority.strip_prefix('[') {
        let Some((host, rest)) = v6.split_once(']') else {
            return Err(Error::config("the IPv6 address has no closing ']'"));
        };
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(Error::config("behind ']' only ':PORT' may follow")),
        }
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(Error::config("an IPv6 address needs brackets: [::1]:6379"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err(Error::config("the URL names no host: write redis://HOST:PORT"));
    }
    if !host.is_ascii() {
        return Err(Error::config("the host is not ASCII: write its xn-- form"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(text) => match text.parse() {
            Ok(port) if port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => port,
            // What is no number may be a password whose host was forgotten.
            _ if text.bytes().any(|byte| !byte.is_ascii_digit()) => {
                return Err(Error::config(format!(
                    "the port is not a number from 1 to 65535; the usual one is {DEFAULT_PORT} (behind credentials stands '@HOST')"
                )));
            }
            _ => {
                return Err(Error::config(format!(
                    "port '{text}' is not a number from 1 to 65535; the usual one is {DEFAULT_PORT}"
                )));
            }
        },
    };
    Ok((decoded("host", host)?, port))
}

/// `/path`, absolute.
fn unix(rest: &str) -> Result<Parts, Error> {
    if !rest.starts_with('/') || rest.len() == 1 {
        return Err(Error::config("a unix socket needs an absolute path: unix:///run/redis.sock"));
    }
    Ok(Parts::at(Address::Unix { path: decoded("path", rest)?.into() }))
}

fn set(parts: &mut Parts, pair: &str) -> Result<(), Error> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let is_unix = matches!(parts.address, Address::Unix { .. });
    let value = decoded(key, value)?;
    match key {
        "client_name" => parts.client_name = Some(value),
        "connect_timeout" => parts.connect_timeout = Some(duration(key, &value)?),
        "response_timeout" => parts.response_timeout = Some(duration(key, &value)?),
        "keepalive" => parts.keepalive = Some(duration(key, &value)?),
        "db" => {
            let db = number("database", &value)?;
            if parts.db.is_some_and(|path| path != db) {
                return Err(Error::config("the path and 'db=' name different databases"));
            }
            parts.db = Some(db);
        }
        "protocol" => {
            parts.protocol = Some(match value.as_str() {
                "2" | "resp2" => ProtocolChoice::Resp2,
                "3" | "resp3" => ProtocolChoice::Resp3,
                _ => return Err(unknown("protocol", &value, &["resp2", "resp3"])),
            });
        }
        "user" if is_unix => parts.username = Some(value),
        "pass" if is_unix => parts.password = Some(value),
        "user" | "pass" => {
            return Err(Error::config(format!(
                "query key '{key}' belongs to unix sockets: write redis://USER:PASSWORD@HOST"
            )));
        }
        "tls_ca" | "tls_cert" | "tls_key" | "tls_server_name" => {
            let Some(tls) = &mut parts.tls else {
                let message = format!("query key '{key}' goes with TLS: write rediss://HOST:PORT");
                return Err(Error::config(message));
            };
            match key {
                "tls_ca" => tls.ca = Some(value.into()),
                "tls_cert" => tls.cert = Some(value.into()),
                "tls_key" => tls.key = Some(value.into()),
                _ => tls.server_name = Some(value),
            }
        }
        _ if is_unix => return Err(unknown("query key", key, &UNIX_KEYS)),
        _ if parts.tls.is_some() => return Err(unknown("query key", key, &TLS_KEYS)),
        _ => return Err(unknown("query key", key, &TCP_KEYS)),
    }
    Ok(())
}

fn number(what: &str, text: &str) -> Result<u32, Error> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(number) = text.parse() {
            return Ok(number);
        }
    }
    Err(Error::config(format!("{what} '{text}' is not a number such as 0")))
}

fn duration(key: &str, text: &str) -> Result<Duration, Error> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let millis_each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    count
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(millis_each))
        .filter(|&millis| millis > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            Error::config(format!("{key} '{text}' is not a duration such as 500ms, 2s or 1m"))
        })
}

fn decoded(what: &str, text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = (rest.next().and_then(hex), rest.next().and_then(hex));
        let (Some(high), Some(low)) = pair else {
            return Err(Error::config(format!(
                "the {what} has a '%' without two hexadecimal digits: a plain '%' is written %25"
            )));
        };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::config(format!("the {what} is not UTF-8 once its '%XX' are decoded")))
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn unknown(what: &str, got: &str, valid: &[&str]) -> Error {
    // A word that shares no letter in its place with any is no slip of the finger.
    let nearest = valid.iter().map(|candidate| (distance(got, candidate), candidate)).min();
    let hint = match nearest {
        Some((distance, nearest)) if distance < got.len() => format!("did you mean '{nearest}'? "),
        _ => String::new(),
    };
    Error::config(format!("unknown {what} '{got}': {hint}valid are {}", valid.join(", ")))
}

/// Letters to insert, remove or replace to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.bytes().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (want, above) in to.bytes().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(have != want);
            diagonal = *above;
            left = replaced.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
