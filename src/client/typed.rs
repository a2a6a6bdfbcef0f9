//! Values of one type under one name.

use crate::client::convert::{FromReply, ToArg};
use crate::client::handle::Client;
use crate::error::Error;
use std::fmt;
use std::marker::PhantomData;

/// A view of a client that reads and writes values of one type, each under `name:id`, made by [`Client::typed`].
pub struct Typed<T> {
    client: Client,
    name: String,
    values: PhantomData<fn(T) -> T>,
}

impl Client {
    /// A view that reads and writes values of type `T` under `name:`, and has a lock of its own.
    ///
    /// ```no_run
    /// # async fn run(client: tenure::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let balances = client.typed::<i64>("balance");
    /// let guard = balances.lock().acquire().await?;
    /// let old = balances.get(7).await?.unwrap_or(0); // the key is "balance:7"
    /// balances.set(7, &(old + 1)).await?;
    /// guard.release().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn typed<T: ToArg + FromReply>(&self, name: impl Into<String>) -> Typed<T> {
        Typed { client: self.clone(), name: name.into(), values: PhantomData }
    }
}

impl<T> Typed<T> {
    /// The name, which is also the name of the lock.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client behind the view.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn key(&self, id: impl fmt::Display) -> String {
        format!("{}:{id}", self.name)
    }
}

impl<T: ToArg + FromReply> Typed<T> {
    /// The value with this id, if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedReply`](crate::ErrorKind::UnexpectedReply) if what is stored is no `T`; otherwise as
    /// [`Client::get`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: reading changes nothing.
    pub async fn get(&self, id: impl fmt::Display) -> Result<Option<T>, Error> {
        self.client.command("GET").arg(self.key(id)).send().await
    }

    /// Stores a value under this id, without expiry.
    ///
    /// # Errors
    ///
    /// As [`Client::set`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn set(&self, id: impl fmt::Display, value: &T) -> Result<(), Error> {
        self.client.set(self.key(id), value).await
    }

    /// Deletes the value with this id; tells whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Client::del`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn del(&self, id: impl fmt::Display) -> Result<bool, Error> {
        self.client.del(self.key(id)).await.map(|count| count > 0)
    }
}

impl Typed<i64> {
    /// Adds one; gives the sum. A value that does not exist counts as zero.
    ///
    /// # Errors
    ///
    /// As [`Client::incr`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn incr(&self, id: impl fmt::Display) -> Result<i64, Error> {
        self.client.incr(self.key(id)).await
    }

    /// Adds `amount`; gives the sum. A value that does not exist counts as zero.
    ///
    /// # Errors
    ///
    /// As [`Client::incr_by`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop a command on its way.
    pub async fn incr_by(&self, id: impl fmt::Display, amount: i64) -> Result<i64, Error> {
        self.client.incr_by(self.key(id), amount).await
    }
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), name: self.name.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("name", &self.name).finish_non_exhaustive()
    }
}
