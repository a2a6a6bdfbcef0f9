//! How do I keep values of one type under a lock of their own?
#![allow(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use std::error::Error;
use std::time::Duration;
use support::Backend;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let backend = Backend::from_env();
    let client = backend.connect().await?;
    let stock = client.typed::<i64>(backend.key("stock"));
    stock.set("apples", &10).await?;

    let guard = stock.lock().options(backend.options()).acquire().await?;
    let apples = stock.get("apples").await?.unwrap_or_default();
    if apples >= 3 {
        stock.set("apples", &(apples - 3)).await?;
    }
    guard.release().await?;

    println!("apples left: {:?}", stock.get("apples").await?);
    println!("pears: {:?}", stock.get("pears").await?);
    stock.del("apples").await?;
    client.close(Duration::from_secs(1)).await;
    Ok(())
}
