//! Certificates that are made for each test, and servers' ends of TLS that show them.

use super::NAME;
use crate::real::{Certificates, Options};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tenure::Tls;
use tenure::rustls::crypto::ring;
use tenure::rustls::pki_types::pem::PemObject as _;
use tenure::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tenure::rustls::server::WebPkiClientVerifier;
use tenure::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// A certificate with its key, as PEM texts.
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Somebody who signs certificates.
pub(super) struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(super) fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    pub(super) fn server(&self, names: &[&str]) -> Identity {
        self.sign(&server_params(names))
    }

    pub(super) fn client(&self) -> Identity {
        let mut params = CertificateParams::new(vec!["billing".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    pub(super) fn tls(&self) -> Tls {
        Tls::new().ca_pem(self.certificate.clone()).server_name(NAME)
    }

    /// What a real server is started with.
    pub(super) fn serves(&self, clients_show_one: bool) -> Options {
        let Identity { certificate, key } = self.server(&["localhost", "127.0.0.1"]);
        let authority = self.certificate.clone();
        let tls = Some(Certificates { certificate, key, authority, clients_show_one });
        Options { tls, ..Options::default() }
    }
}

pub(super) fn server_params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).unwrap()
}

/// The server's end of TLS: it shows `identity`, and wants its clients to be known to `clients`, if given.
pub(super) fn acceptor(identity: &Identity, clients: Option<&Authority>) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let known = CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap();
            roots.add(known).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}
