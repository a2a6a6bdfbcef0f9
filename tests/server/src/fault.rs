//! Faults on request: which requests go wrong, in which way, how often. Pure.

use crate::command::lower;
use crate::session::ClientId;
use bytes::Bytes;
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Drop,
    DropAndClose,
    DelayRequest(Duration),
    DelayReply(Duration),
    CutReply(usize),
    LoseReply,
    DuplicateReply,
    /// Not executed; these bytes are sent.
    Answer(Bytes),
    /// Executed; these bytes are sent before the reply.
    Precede(Bytes),
    Freeze,
}

/// A way for requests to go wrong, and which requests it befalls: every one, unless narrowed down.
///
/// Where several faults fit a request, the one that was added first befalls it.
///
/// ```
/// use tenure_server::{Fault, Profile, Server};
/// let server = Server::new(Profile::Valkey9);
/// // The second DELIFEQ is executed, but its reply is lost together with the connection.
/// let lost = server.fault(Fault::cut_reply(0).on("delifeq").after(1).times(1));
/// assert_eq!(lost.hits(), 0);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a fault does nothing until it is given to `Server::fault`"]
pub struct Fault {
    effect: Effect,
    commands: Vec<String>,
    connection: Option<ClientId>,
    skip: u64,
    left: Option<u64>,
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self { effect, commands: Vec::new(), connection: None, skip: 0, left: None }
    }

    /// The request is neither executed nor answered.
    pub fn drop_request() -> Self {
        Self::new(Effect::Drop)
    }

    /// The request is not executed, and its connection ends.
    pub fn close() -> Self {
        Self::new(Effect::DropAndClose)
    }

    /// The request is executed later; those behind it on its connection wait.
    pub fn delay_request(by: Duration) -> Self {
        Self::new(Effect::DelayRequest(by))
    }

    /// The request is executed at once and answered later; what else its connection is sent waits behind the reply.
    pub fn delay_reply(by: Duration) -> Self {
        Self::new(Effect::DelayReply(by))
    }

    /// The request is executed, and its connection ends after the first `bytes` bytes of the reply.
    pub fn cut_reply(bytes: usize) -> Self {
        Self::new(Effect::CutReply(bytes))
    }

    /// The request is executed and never answered; its connection stays.
    pub fn lose_reply() -> Self {
        Self::new(Effect::LoseReply)
    }

    /// The request is executed and answered twice.
    pub fn duplicate_reply() -> Self {
        Self::new(Effect::DuplicateReply)
    }

    /// The request is not executed; `bytes` are sent for a reply, whatever they are.
    pub fn raw_reply(bytes: impl Into<Bytes>) -> Self {
        Self::new(Effect::Answer(bytes.into()))
    }

    /// The request is executed; `bytes` are sent in front of its reply, whatever they are.
    pub fn stray_bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(Effect::Precede(bytes.into()))
    }

    /// The request is not executed and answered with an error, given without its leading dash.
    pub fn error(text: &str) -> Self {
        Self::raw_reply(format!("-{}\r\n", text.replace(['\r', '\n'], " ")))
    }

    /// The request is refused as by a server that reads its data from disk. See also [`crate::Server::set_loading`].
    pub fn loading() -> Self {
        Self::error("LOADING Redis is loading the dataset in memory")
    }

    /// The request is refused as by a replica. See also [`crate::Server::set_read_only`].
    pub fn read_only() -> Self {
        Self::error("READONLY You can't write against a read only replica.")
    }

    /// The request is refused for want of memory. See also [`crate::Server::set_full`].
    pub fn out_of_memory() -> Self {
        Self::error("OOM command not allowed when used memory > 'maxmemory'.")
    }

    /// The whole server stops reading and answering when the request arrives, and takes it up when it is
    /// [thawed](crate::Server::thaw).
    pub fn freeze() -> Self {
        Self::new(Effect::Freeze).times(1)
    }

    /// Befalls this command only: `set`, `client|kill`. Said more than once: any of them.
    pub fn on(mut self, command: &str) -> Self {
        self.commands.push(command.to_ascii_lowercase());
        self
    }

    /// Befalls requests of this connection only, named by its `CLIENT ID`.
    pub fn on_connection(mut self, id: u64) -> Self {
        self.connection = Some(id);
        self
    }

    /// Lets the first `requests` that fit pass unharmed.
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Ends after so many requests. Otherwise it lasts until it is removed.
    pub fn times(mut self, requests: u64) -> Self {
        self.left = Some(requests);
        self
    }

    fn fits(&self, connection: ClientId, name: &str, full: &str) -> bool {
        self.connection.is_none_or(|id| id == connection)
            && (self.commands.is_empty()
                || self.commands.iter().any(|command| command == name || command == full))
    }
}

#[derive(Debug)]
struct Rule {
    id: u64,
    fault: Fault,
    hits: u64,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    next_id: u64,
    rules: Vec<Rule>,
}

impl Rules {
    pub(crate) fn add(&mut self, fault: Fault) -> u64 {
        self.next_id += 1;
        self.rules.push(Rule { id: self.next_id, fault, hits: 0 });
        self.next_id
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.rules.retain(|rule| rule.id != id);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// How many requests a rule has befallen; 0 for one that was removed.
    pub(crate) fn hits(&self, id: u64) -> u64 {
        self.rules.iter().find(|rule| rule.id == id).map_or(0, |rule| rule.hits)
    }

    /// What befalls this request.
    pub(crate) fn pick(&mut self, connection: ClientId, args: &[Bytes]) -> Option<Effect> {
        if self.rules.is_empty() {
            return None;
        }
        let name = lower(args.first());
        let full = format!("{name}|{}", lower(args.get(1)));
        for rule in &mut self.rules {
            let fault = &mut rule.fault;
            if fault.left == Some(0) || !fault.fits(connection, &name, &full) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if let Some(left) = &mut fault.left {
                *left -= 1;
            }
            rule.hits += 1;
            return Some(fault.effect.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<Bytes> {
        line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn a_fault_befalls_only_what_it_is_narrowed_down_to() {
        let mut rules = Rules::default();
        let fault = Fault::drop_request().on("client|kill").on("SET").on_connection(2);
        let id = rules.add(fault.after(1).times(2));
        for (connection, line, befallen) in [
            (1, "SET k v", false),
            (2, "GET k", false),
            (2, "CLIENT ID", false),
            (2, "set k v", false), // the one that passes
            (2, "CLIENT KILL ID 1", true),
            (2, "SET k v", true),
            (2, "SET k v", false), // used up
        ] {
            let picked = rules.pick(connection, &args(line));
            assert_eq!(picked.is_some(), befallen, "{connection} {line}");
        }
        assert_eq!(rules.hits(id), 2);
        rules.remove(id);
        assert_eq!(rules.hits(id), 0);
    }

    #[test]
    fn the_fault_that_was_added_first_wins() {
        let mut rules = Rules::default();
        rules.add(Fault::lose_reply().times(1));
        rules.add(Fault::drop_request());
        assert!(matches!(rules.pick(1, &args("PING")), Some(Effect::LoseReply)));
        assert!(matches!(rules.pick(1, &args("PING")), Some(Effect::Drop)));
    }
}
