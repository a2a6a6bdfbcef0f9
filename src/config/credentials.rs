//! Who a client says it is: a fixed user and password, or whatever a callback gives at each handshake.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

type BoxedError = Box<dyn Error + Send + Sync>;
type Given = Pin<Box<dyn Future<Output = Result<Credentials, BoxedError>> + Send>>;
pub(crate) type BoxedProvider = Arc<dyn Provider>;

/// User and password for one handshake. Neither is ever printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl Credentials {
    /// A password for the server's `default` user.
    pub fn password(password: impl Into<String>) -> Self {
        Self { username: None, password: Some(password.into()) }
    }

    /// An ACL user with its password.
    pub fn user(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: Some(username.into()), password: Some(password.into()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.username.is_some() || self.password.is_some();
        f.write_str(if given { "set" } else { "none" })
    }
}

/// Where the credentials of each handshake come from.
pub(crate) trait Provider: Send + Sync {
    fn ask(&self) -> Given;
}

/// Makes a [`Provider`] of a closure.
pub(crate) struct Ask<F>(pub(crate) F);

impl<F, R, E> Provider for Ask<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = Result<Credentials, E>> + Send + 'static,
    E: Into<BoxedError> + 'static,
{
    fn ask(&self) -> Given {
        let asked = (self.0)();
        Box::pin(async move { asked.await.map_err(Into::into) })
    }
}
