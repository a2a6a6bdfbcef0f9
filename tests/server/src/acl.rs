//! Users, their passwords and which commands they may run. Pure.

use bytes::Bytes;
use std::collections::BTreeMap;

/// Which commands a user may run: everything or nothing to begin with, then exceptions.
///
/// ```
/// use tenure_server::AclRules;
/// let careful = AclRules::all().deny("client|kill").deny("flushall");
/// let narrow = AclRules::none().allow("get").allow("hello").allow("ping");
/// assert_ne!(careful, narrow);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclRules {
    everything: bool,
    exceptions: Vec<(String, bool)>,
}

impl AclRules {
    /// May run every command.
    pub fn all() -> Self {
        Self { everything: true, exceptions: Vec::new() }
    }

    /// May run no command.
    pub fn none() -> Self {
        Self { everything: false, exceptions: Vec::new() }
    }

    /// Allows a command, or one subcommand of it: `get`, `client|kill`. The last rule that fits a command counts.
    pub fn allow(mut self, command: &str) -> Self {
        self.exceptions.push((command.to_ascii_lowercase(), true));
        self
    }

    /// Denies a command, or one subcommand of it. The last rule that fits a command counts.
    pub fn deny(mut self, command: &str) -> Self {
        self.exceptions.push((command.to_ascii_lowercase(), false));
        self
    }

    /// Whether `command` (`get`, `client|kill`) may run.
    pub(crate) fn permits(&self, command: &str) -> bool {
        let parent = command.split('|').next();
        let fits = |rule: &str| rule == command || Some(rule) == parent;
        let last = self.exceptions.iter().rev().find(|(rule, _)| fits(rule));
        last.map_or(self.everything, |(_, allowed)| *allowed)
    }
}

#[derive(Clone)]
struct User {
    /// `None` takes any password.
    password: Option<Bytes>,
    rules: AclRules,
}

/// Everybody who may log in.
#[derive(Clone)]
pub(crate) struct Users {
    users: BTreeMap<Bytes, User>,
}

/// The user of those who name none.
pub(crate) const DEFAULT_USER: &[u8] = b"default";

impl Default for Users {
    fn default() -> Self {
        let mut users = Self { users: BTreeMap::new() };
        users.put(DEFAULT_USER, None, AclRules::all());
        users
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.users.keys()).finish() // names only, no passwords
    }
}

impl Users {
    pub(crate) fn put(&mut self, name: &[u8], password: Option<&str>, rules: AclRules) {
        let password = password.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        self.users.insert(Bytes::copy_from_slice(name), User { password, rules });
    }

    /// Sets or takes away the password of the default user, and leaves its rules.
    pub(crate) fn set_default_password(&mut self, password: Option<&str>) {
        let password = password.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        if let Some(user) = self.users.get_mut(DEFAULT_USER) {
            user.password = password;
        }
    }

    /// Whether who names nobody must log in first.
    pub(crate) fn default_needs_password(&self) -> bool {
        self.users.get(DEFAULT_USER).is_none_or(|user| user.password.is_some())
    }

    pub(crate) fn login(&self, name: &[u8], password: &[u8]) -> bool {
        let Some(user) = self.users.get(name) else { return false };
        user.password.as_ref().is_none_or(|held| held == password)
    }

    pub(crate) fn permits(&self, name: &[u8], command: &str) -> bool {
        self.users.get(name).is_some_and(|user| user.rules.permits(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_counts() {
        let rules = AclRules::all().deny("client|kill").deny("config").allow("config|get");
        for (command, permitted) in [
            ("get", true),
            ("client|kill", false),
            ("client|id", true),
            ("config|set", false),
            ("config|get", true),
        ] {
            assert_eq!(rules.permits(command), permitted, "{command}");
        }
        assert!(!AclRules::none().permits("get"));
    }

    #[test]
    fn a_user_without_a_password_takes_any() {
        let mut users = Users::default();
        assert!(users.login(b"default", b"anything"));
        users.set_default_password(Some("secret"));
        assert!(!users.login(b"default", b"anything"));
        assert!(users.login(b"default", b"secret"));
        assert!(!users.login(b"nobody", b"secret"));
    }
}
