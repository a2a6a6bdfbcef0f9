//! Which locks are held: for operators, page by page.

use crate::client::{Client, Frame, FromReply as _, Ttl};
use crate::error::Error;
use crate::lock::inspect::Observed;
use crate::lock::options::Options;
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};

/// How many keys the server looks at for each answer.
const PAGE: i64 = 500;

/// Locks that are held, made by [`Client::list_locks`].
#[derive(Debug)]
pub struct Listing {
    client: Client,
    key_prefix: String,
    name_prefix: String,
    /// Where the server is to go on; `None` at the end.
    cursor: Option<u64>,
    page: VecDeque<Listed>,
    /// A server may name a key twice.
    named: BTreeSet<String>,
}

/// A lock that is held.
#[derive(Debug, Clone)]
pub struct Listed {
    name: String,
    observed: Observed,
}

impl Listed {
    /// Its name, without the prefix of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who holds it, and for how long; what [`Lock::force_release`](crate::Lock::force_release) and
    /// [`Lock::steal`](crate::Lock::steal) take.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }
}

impl Client {
    /// The locks that are held and whose names begin like this, whoever holds them; with `""` all of them.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), tenure::Error> {
    /// let mut listing = client.list_locks("invoice:");
    /// while let Some(held) = listing.next().await? {
    ///     println!("{}: {}", held.name(), held.observed().holder());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The server walks through all its keys (`SCAN`), a page for each answer: cheap for others, and slow where there are millions.
    /// It is no snapshot: a lock that was taken or released meanwhile may be in it or not; one that was held all the time is. Needs
    /// the right to `SCAN`, and uses the data connection.
    pub fn list_locks(&self, name_prefix: impl Into<String>) -> Listing {
        Listing {
            client: self.clone(),
            key_prefix: Options::new().key_prefix,
            name_prefix: name_prefix.into(),
            cursor: Some(0),
            page: VecDeque::new(),
            named: BTreeSet::new(),
        }
    }
}

impl Listing {
    /// What stands in front of the names in the keys. Default: `lk:`, as for [`Options::key_prefix`]. With `""` every key that holds a
    /// string counts as a lock.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// The next lock that is held; `None` at the end.
    ///
    /// # Errors
    ///
    /// As every call; calling this again goes on where it was.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a page that was on its way is asked for again.
    pub async fn next(&mut self) -> Result<Option<Listed>, Error> {
        loop {
            if let Some(listed) = self.page.pop_front() {
                return Ok(Some(listed));
            }
            let Some(cursor) = self.cursor else { return Ok(None) };
            let (next, keys) = self.scan(cursor).await?;
            let page = self.look(keys).await?;
            let fresh = page.into_iter().filter(|listed| self.named.insert(listed.name.clone()));
            self.page.extend(fresh);
            self.cursor = Some(next).filter(|next| *next != 0);
        }
    }

    /// All of them that are still to come.
    ///
    /// # Errors
    ///
    /// As every call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn all(mut self) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        while let Some(listed) = self.next().await? {
            all.push(listed);
        }
        Ok(all)
    }

    async fn scan(&self, cursor: u64) -> Result<(u64, Vec<Bytes>), Error> {
        let pattern = format!("{}{}", self.key_prefix, self.name_prefix);
        let scan = self.client.command("SCAN").arg(cursor.to_string());
        let scan = scan.arg(("MATCH", begins_with(&pattern), "COUNT", PAGE, "TYPE", "string"));
        scan.send().await
    }

    /// Who holds the locks with these keys. Those that are gone by now are left out.
    async fn look(&self, keys: Vec<Bytes>) -> Result<Vec<Listed>, Error> {
        let names: Vec<&str> =
            keys.iter().filter_map(|key| std::str::from_utf8(key).ok()).collect();
        let mut batch = self.client.pipeline();
        for name in &names {
            batch = batch.command("GET").arg(*name).command("PTTL").arg(*name);
        }
        let replies: Vec<Result<Frame, Error>> = batch.send().await?;
        let mut page = Vec::new();
        let mut replies = replies.into_iter();
        for key in names {
            let (Some(value), Some(ttl)) = (replies.next(), replies.next()) else { break };
            let (Ok(Frame::Bulk(value)), Ok(ttl)) = (value, ttl) else { continue };
            let ttl = Ttl::from_reply(ttl)?;
            let Some(name) = key.strip_prefix(&self.key_prefix) else { continue };
            if ttl != Ttl::Missing {
                let observed = Observed::new(value.into(), ttl);
                page.push(Listed { name: name.to_owned(), observed });
            }
        }
        Ok(page)
    }
}

/// A pattern that matches whatever begins like this.
fn begins_with(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_pattern_is_taken_as_it_is() {
        assert_eq!(begins_with("lk:a"), "lk:a*");
        assert_eq!(begins_with("lk:[x]*\\?"), "lk:\\[x\\]\\*\\\\\\?*");
    }
}
