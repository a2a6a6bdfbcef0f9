//! In place of `tls.rs` where TLS is left out: there are no such settings, and a URL that asks for them is refused.

use crate::error::Error;
use crate::url::TlsParts;

/// Never made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn of_url(_: TlsParts) -> Result<Self, Error> {
        Err(Error::config(
            "the URL asks for TLS, which this build of tenure leaves out: switch on its feature tls",
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn url_that_asks_for_tls_names_the_feature() {
        let error = Config::from_url("rediss://h").unwrap_err();
        assert!(error.to_string().contains("feature tls"), "{error}");
    }
}
