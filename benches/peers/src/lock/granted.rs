//! What the server and the kernel alone take to grant a lock to the next in line: blocking sockets, no runtime, no library.
//!
//! Who is refused stands in a list, and reads on until it is told. Whoever releases takes the next from the list, tells it and
//! gives it the key, all in one script: the least that a direct grant can do. Nobody confirms anything, and nobody may die.

use crate::Failure;
use crate::connection::Target;
use crate::lock::floor::{Hold, LEASE_MS, Wire};
use crate::lock::policies::Policy;
use resp::Frame;
use std::sync::{Arc, Mutex, PoisonError};

const ACQUIRE: &str = "\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 0";

const RELEASE: &str = "\
local next = redis.call('LPOP', KEYS[2])
if not next then return redis.call('DEL', KEYS[1]) end
redis.call('PUBLISH', next, KEYS[1])
redis.call('SET', KEYS[1], next, 'PX', ARGV[1])
return 1";

#[derive(Clone)]
pub(crate) struct Granted(Arc<Side>);

struct Side {
    wire: Mutex<Wire>,
    /// Its value, and the channel on which it is told.
    name: String,
    acquire: String,
    release: String,
}

impl Policy for Granted {
    const NAME: &'static str = "blocking sockets, fair";
    type Held = Hold;

    async fn connect(target: &Target) -> Result<Self, Failure> {
        let mut wire = Wire::connect(target)?;
        let name = format!("{:060x}", rand::random::<u128>());
        wire.ask(&["HELLO", "3"])?;
        let mut load = |script| match wire.ask(&["SCRIPT", "LOAD", script])? {
            Frame::Bulk(digest) => Ok::<_, Failure>(String::from_utf8_lossy(&digest).into_owned()),
            other => Err(format!("SCRIPT LOAD was answered {other:?}").into()),
        };
        let (acquire, release) = (load(ACQUIRE)?, load(RELEASE)?);
        wire.subscribe(&name)?;
        Ok(Self(Arc::new(Side { wire: Mutex::new(wire), name, acquire, release })))
    }

    async fn acquire(&self, name: &str) -> Hold {
        let Side { name: own, acquire, .. } = &*self.0;
        let mut wire = self.wire();
        let (line, told) = (format!("{name}:line"), wire.pushes);
        let asked = wire.ask(&["EVALSHA", acquire, "2", name, &line, own, LEASE_MS]);
        if asked.expect("nothing goes wrong here") == Frame::Integer(0) {
            wire.wait(told).expect("nothing goes wrong here");
        }
        (name.to_owned(), own.clone())
    }

    async fn release(&self, (key, _): Hold) {
        let line = format!("{key}:line");
        let reply = self.wire().ask(&["EVALSHA", &self.0.release, "2", &key, &line, LEASE_MS]);
        assert_eq!(reply.expect("nothing goes wrong here"), Frame::Integer(1));
    }
}

impl Granted {
    fn wire(&self) -> std::sync::MutexGuard<'_, Wire> {
        self.0.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
