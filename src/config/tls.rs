//! `Tls`: whom to trust, who to be, and which cryptography does it.
//!
//! The provider of the cryptography is always named, never the one that some other crate made the default of the process.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Outcome};
use crate::url::{Address, TlsParts};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// TLS settings of a [`Config`], built by value.
///
/// ```no_run
/// use tenure::{Config, Tls};
///
/// # fn demo() -> Result<(), tenure::Error> {
/// let tls = Tls::new()
///     .ca_file("/etc/redis/ca.pem")
///     .client_certificate_files("/etc/billing/cert.pem", "/etc/billing/key.pem");
/// let config = Config::from_url("rediss://10.0.0.7")?.tls(tls);
/// # Ok(())
/// # }
/// ```
///
/// The server has to show a certificate that is valid now, is signed by somebody trusted, and is for the name that the client
/// connects to. None of that can be switched off here. Files are read once, at the first attempt to connect; what is wrong with them fails it
/// with [`ErrorKind::Config`].
#[derive(Clone)]
pub struct Tls {
    settings: Arc<Settings>,
    prepared: Arc<OnceLock<Result<Arc<ClientConfig>, Error>>>,
}

#[derive(Clone, Default)]
struct Settings {
    authorities: Vec<Pem>,
    with_native_roots: bool,
    identity: Option<(Pem, Pem)>,
    server_name: Option<String>,
    provider: Option<Arc<CryptoProvider>>,
    whole: Option<Arc<ClientConfig>>,
}

/// Text with certificates or a key in it.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

impl Config {
    /// Speaks TLS to the server, with these settings. Default: those of a `rediss://` or `valkeys://` URL, else no TLS.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl Tls {
    /// Trusts whom the system trusts, shows no certificate, and expects the server to have one for the host that the client
    /// connects to.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// Uses rustls' own settings as they are. Only [`Tls::server_name`] still counts beside them.
    pub fn with_client_config(config: Arc<ClientConfig>) -> Self {
        Self::with(Settings { whole: Some(config), ..Settings::default() })
    }

    fn with(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), prepared: Arc::default() }
    }

    fn but(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        Self::with(settings)
    }

    /// Trusts the certificates in this PEM file, and no others unless they are named as well. May be called again for more.
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        self.but(|settings| settings.authorities.push(Pem::File(path.into())))
    }

    /// As [`Tls::ca_file`], with the text itself.
    pub fn ca_pem(self, text: impl Into<Vec<u8>>) -> Self {
        self.but(|settings| settings.authorities.push(Pem::Text(text.into())))
    }

    /// Trusts whom the system trusts, also beside an own CA.
    pub fn native_roots(self) -> Self {
        self.but(|settings| settings.with_native_roots = true)
    }

    /// Shows the server this certificate, a PEM file with the chain that signed it, of which the other file has the key.
    pub fn client_certificate_files(
        self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let identity = (Pem::File(certificate.into()), Pem::File(key.into()));
        self.but(|settings| settings.identity = Some(identity))
    }

    /// As [`Tls::client_certificate_files`], with the texts themselves.
    pub fn client_certificate_pem(
        self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        let identity = (Pem::Text(certificate.into()), Pem::Text(key.into()));
        self.but(|settings| settings.identity = Some(identity))
    }

    /// The name that the server's certificate must be for. Default: the host of the URL; a dialer and a unix socket have
    /// none.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        self.but(|settings| settings.server_name = Some(name.into()))
    }

    /// The cryptography to use. Default: aws-lc-rs where the feature `tls-aws-lc-rs` is on, else ring with `tls-ring`.
    pub fn provider(self, provider: Arc<CryptoProvider>) -> Self {
        self.but(|settings| settings.provider = Some(provider))
    }

    /// # Errors
    ///
    /// There is a certificate without its key, or the other way round.
    pub(crate) fn of_url(parts: TlsParts) -> Result<Self, Error> {
        let mut settings = Settings::default();
        settings.authorities.extend(parts.ca.map(Pem::File));
        settings.server_name = parts.server_name;
        settings.identity = match (parts.cert, parts.key) {
            (Some(cert), Some(key)) => Some((Pem::File(cert), Pem::File(key))),
            (None, None) => None,
            (Some(_), None) => return Err(Error::config("tls_cert needs its key: add tls_key=")),
            (None, Some(_)) => {
                return Err(Error::config("tls_key needs its certificate: add tls_cert="));
            }
        };
        Ok(Self::with(settings))
    }

    pub(crate) fn has_client_certificate(&self) -> bool {
        self.settings.identity.is_some() || self.settings.whole.is_some()
    }

    /// The name that the server's certificate must be for.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be one.
    pub(crate) fn server_name_for(&self, address: &Address) -> Result<ServerName<'static>, Error> {
        let name = match (&self.settings.server_name, address) {
            (Some(name), _) => name.as_str(),
            // A link-local address names an interface of this machine, which no certificate knows.
            (None, Address::Tcp { host, .. }) => host.split('%').next().unwrap_or(host),
            (None, Address::Unix { .. } | Address::Dialer) => {
                return Err(Error::config(
                    "TLS through a unix socket or a dialer needs the name that the server's certificate is for: Tls::server_name",
                ));
            }
        };
        ServerName::try_from(name.to_owned())
            .map_err(|_| Error::config(format!("'{name}' cannot be the name of a TLS server")))
    }

    /// What was prepared before.
    pub(crate) fn ready(&self) -> Option<Result<Arc<ClientConfig>, Error>> {
        self.prepared.get().cloned()
    }

    /// Reads and checks everything, the first time. Blocks.
    ///
    /// # Errors
    ///
    /// The settings make no sense; says which.
    pub(crate) fn prepare(&self) -> Result<Arc<ClientConfig>, Error> {
        self.prepared.get_or_init(|| self.settings.prepare()).clone()
    }
}

impl Settings {
    fn prepare(&self) -> Result<Arc<ClientConfig>, Error> {
        if let Some(whole) = &self.whole {
            return Ok(Arc::clone(whole));
        }
        let Some(provider) = self.provider.clone().or_else(compiled_in::provider) else {
            return Err(Error::config(
                "TLS needs a provider of cryptography: the feature tls-ring or tls-aws-lc-rs, or Tls::provider",
            ));
        };
        let refused = |error| wrong("the TLS settings do not fit together", error);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(self.roots()?);
        let Some((certificate, key)) = &self.identity else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let chain = certificate.certificates("the client certificate")?;
        let key_text = key.read("the key of the client certificate")?;
        let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| {
            wrong(format!("the key of the client certificate, {key}, is no PEM"), error)
        })?;
        builder.with_client_auth_cert(chain, key).map(Arc::new).map_err(refused)
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            for certificate in authority.certificates("the CA")? {
                roots.add(certificate).map_err(|error| {
                    wrong(format!("the CA, {authority}, has a certificate that is none"), error)
                })?;
            }
        }
        if self.with_native_roots || self.authorities.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let message = "the system has no trusted certificates: name a CA, or install them (ca-certificates)";
                return Err(match found.errors.into_iter().next() {
                    Some(error) => wrong(message, error),
                    None => Error::config(message),
                });
            }
        }
        Ok(roots)
    }
}

impl Pem {
    fn read(&self, what: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => std::fs::read(path)
                .map_err(|error| wrong(format!("{what}, {self}, cannot be read: {error}"), error)),
        }
    }

    fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
        let text = self.read(what)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates =
            certificates.map_err(|error| wrong(format!("{what}, {self}, is no PEM"), error))?;
        if certificates.is_empty() {
            return Err(Error::config(format!("{what}, {self}, holds no certificate in PEM")));
        }
        Ok(certificates)
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(_) => f.write_str("given as text"),
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows no key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { authorities, with_native_roots, identity, server_name, .. } =
            &*self.settings;
        f.debug_struct("Tls")
            .field("own_ca", &!authorities.is_empty())
            .field("native_roots", &(*with_native_roots || authorities.is_empty()))
            .field("client_certificate", &identity.is_some())
            .field("server_name", server_name)
            .finish_non_exhaustive()
    }
}

fn wrong(
    message: impl Into<String>,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::caused_by(ErrorKind::Config, Outcome::NotSent, message, source)
}

/// The cryptography that the features chose.
#[cfg(feature = "tls-aws-lc-rs")]
mod compiled_in {
    use std::sync::Arc;
    use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};

    pub(super) fn provider() -> Option<Arc<CryptoProvider>> {
        Some(Arc::new(aws_lc_rs::default_provider()))
    }
}

#[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc-rs")))]
mod compiled_in {
    use std::sync::Arc;
    use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

    pub(super) fn provider() -> Option<Arc<CryptoProvider>> {
        Some(Arc::new(ring::default_provider()))
    }
}

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc-rs")))]
mod compiled_in {
    use std::sync::Arc;
    use tokio_rustls::rustls::crypto::CryptoProvider;

    pub(super) fn provider() -> Option<Arc<CryptoProvider>> {
        None
    }
}
