//! Deleting a key only while it has the value that one knows, by whatever the server has for that.
//!
//! | Valkey 9 | Redis 8.4 | others |
//! |---|---|---|
//! | `DELIFEQ` | `DELEX … IFEQ` | a script |
//!
//! Which it is shows when it is asked for: a server that does not know a command, or does not let this user run it, has done
//! nothing, so the next one is tried, once, and remembered. Scripts are known everywhere, so it ends there, also when another
//! server takes the place of this one. A user who may run none of them is asked about anew each time: rights can be given.

use crate::client::at_hand;
use crate::client::convert::{FromReply as _, ToArg};
use crate::client::encode::{Ink, next_bulk};
use crate::client::handle::Client;
use crate::client::script::Script;
use crate::error::{Error, ServerError};
use resp::Frame;
use std::sync::atomic::{AtomicU8, Ordering};

/// What the server is asked by.
#[derive(Debug, Clone, Copy)]
enum Way {
    DelIfEq,
    DelEx,
    Script,
}

/// What a client has found out about its server.
#[derive(Debug)]
pub(crate) struct Comparing {
    way: AtomicU8,
    script: Script,
}

impl Comparing {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        let script = Script::new(include_str!("scripts/del_if_equal.lua"));
        Self { way: AtomicU8::new(Way::DelIfEq as u8), script }
    }

    fn way(&self) -> Way {
        match self.way.load(Ordering::Relaxed) {
            0 => Way::DelIfEq,
            1 => Way::DelEx,
            _ => Way::Script,
        }
    }

    /// There is nothing to be had by this one; nobody goes back behind what another has found out.
    fn leave(&self, way: Way) {
        self.way.fetch_max(way as u8 + 1, Ordering::Relaxed);
    }

    /// Where not even a script may run, the next call asks anew.
    fn heed(&self, answer: Result<bool, Error>) -> Result<bool, Error> {
        let forbidden = |said: &ServerError| said.forbids_command() || said.forbids_in_script();
        if answer.as_ref().is_err_and(|error| error.server().is_some_and(forbidden)) {
            self.way.store(Way::DelIfEq as u8, Ordering::Relaxed);
        }
        answer
    }
}

impl Client {
    /// Deletes a key if it has this value; tells whether it did (`DELIFEQ`, `DELEX … IFEQ` or a script, whichever the server has).
    ///
    /// Comparing and deleting are one step: nobody can store another value in between. Finding out what the server has, and what
    /// of it the user may run, costs one to three round trips, once for each client.
    ///
    /// # Errors
    ///
    /// The server's if the key holds no string, or if the user may run nothing of what the server has for this, not even the
    /// script (`+evalsha +eval`) and what is in it (`+get +del`). The key and the value have to be one argument each;
    /// nothing is sent otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn del_if_equal(&self, key: impl ToArg, value: impl ToArg) -> Result<bool, Error> {
        let mut room = None;
        let [key, value] = at_hand::pair("DELIFEQ", (&key, &value), &mut room)?;
        loop {
            let way = self.comparing().way();
            if matches!(way, Way::Script) {
                let answer = self.comparing().script.run(self, key, value).await;
                return self.comparing().heed(answer);
            }
            match self.say(&[key, value], move |out| write(way, key, value, out)).await {
                Ok(Frame::Integer(deleted @ 0..=1)) => return Ok(deleted == 1),
                Err(error) if is_not_to_be_had(&error) => {
                    self.comparing().leave(way);
                }
                reply => return bool::from_reply(reply?),
            }
        }
    }
}

#[cold]
fn is_not_to_be_had(error: &Error) -> bool {
    error.server().is_some_and(ServerError::is_unknown_command) || is_forbidden(error)
}

#[cold]
fn is_forbidden(error: &Error) -> bool {
    error.server().is_some_and(ServerError::forbids_command)
}

fn write(way: Way, key: &[u8], value: &[u8], out: &mut Ink) {
    let (head, between): (&[u8], &[u8]) = match way {
        Way::DelEx => (b"*4\r\n$5\r\nDELEX", b"\r\n$4\r\nIFEQ"),
        Way::DelIfEq | Way::Script => (b"*3\r\n$7\r\nDELIFEQ", b""),
    };
    out.extend_from_slice(head);
    next_bulk(key, out);
    out.extend_from_slice(between);
    next_bulk(value, out);
    out.extend_from_slice(b"\r\n");
}
