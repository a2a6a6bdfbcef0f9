//! How does a table refuse a holder that has lost its lock without knowing? It keeps the greatest fencing token in a column,
//! and every statement names its own: here in SQLite, and the same in any database.
//!
//! Runs on a server inside this process, or on the one that `REDIS_URL` names:
//!
//! ```text
//! cargo run --release --example fencing_sql
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --release --example fencing_sql
//! ```
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use rusqlite::Connection;
use std::error::Error;
use support::Backend;
use tenure::{Client, FencingToken};

const TABLE: &str = "CREATE TABLE invoices (id INTEGER PRIMARY KEY, total INTEGER NOT NULL, fence INTEGER NOT NULL);
                     INSERT INTO invoices VALUES (42, 0, 0);";
/// Whoever begins to work on a row says so first: what is read afterwards can only be changed by a later holder.
const CLAIM: &str = "UPDATE invoices SET fence = ?1 WHERE id = ?2 AND fence < ?1";
const READ: &str = "SELECT total FROM invoices WHERE id = ?1";
/// Changes nothing once a later holder has claimed the row. One claim is good for any number of writes.
const WRITE: &str = "UPDATE invoices SET total = ?3 WHERE id = ?2 AND fence = ?1";
/// What everybody writes who trusts in the lock alone.
const WRITE_BLINDLY: &str = "UPDATE invoices SET total = ?2 WHERE id = ?1";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let backend = Backend::from_env();
    let (alice, bob) = (backend.connect().await?, backend.connect().await?);
    let lock = |client: &Client| client.lock("invoice").options(backend.options()).fenced();

    println!("without a fence:");
    let table = Table::new()?;
    let hers = table.total()?;
    let his = table.total()?; // alice was paused, her lease has ended, and bob has the lock
    table.write_blindly(his + 2)?;
    table.write_blindly(hers + 40)?; // alice goes on
    println!("  alice adds 40 and bob adds 2: {} in all, and bob's 2 are lost", table.total()?);

    println!("with a fence:");
    let table = Table::new()?;
    let first = lock(&alice).acquire().await?;
    println!("  alice claims the row: {}", table.claim(first.token())?);
    let hers = table.total()?;
    end_lease_of(&first, &bob, &backend).await?;
    let second = lock(&bob).acquire().await?;
    println!("  alice is paused; bob claims the row: {}", table.claim(second.token())?);
    let his = table.total()?;
    println!("  bob adds 2: {}", table.write(second.token(), his + 2)?);
    println!("  alice goes on, and adds 40: {}", table.write(first.token(), hers + 40)?);
    println!("  {} in all, and alice knows that she has to begin again", table.total()?);
    second.release().await?;
    bob.del(format!("{{{}}}:f", first.key())).await?;
    Ok(())
}

/// For the example, a lease ends by an operator's hand.
async fn end_lease_of(
    guard: &tenure::Guard,
    operator: &Client,
    backend: &Backend,
) -> Result<(), Box<dyn Error>> {
    let lock = operator.lock("invoice").options(backend.options());
    let seen = lock.inspect().await?.ok_or("it should be held")?;
    lock.force_release(&seen).await?;
    assert!(guard.is_held(), "its holder does not know yet");
    Ok(())
}

struct Table {
    sqlite: Connection,
}

impl Table {
    const INVOICE: i64 = 42;

    fn new() -> rusqlite::Result<Self> {
        let sqlite = Connection::open_in_memory()?;
        sqlite.execute_batch(TABLE)?;
        Ok(Self { sqlite })
    }

    fn claim(&self, token: FencingToken) -> rusqlite::Result<&'static str> {
        let rows = self.sqlite.execute(CLAIM, (token.as_i64(), Self::INVOICE))?;
        Ok(if rows == 1 { "claimed" } else { "refused" })
    }

    fn total(&self) -> rusqlite::Result<i64> {
        self.sqlite.query_row(READ, [Self::INVOICE], |row| row.get(0))
    }

    fn write(&self, token: FencingToken, total: i64) -> rusqlite::Result<&'static str> {
        let rows = self.sqlite.execute(WRITE, (token.as_i64(), Self::INVOICE, total))?;
        Ok(if rows == 1 { "written" } else { "refused, 0 rows" })
    }

    fn write_blindly(&self, total: i64) -> rusqlite::Result<()> {
        self.sqlite.execute(WRITE_BLINDLY, (Self::INVOICE, total)).map(drop)
    }
}
