//! Arguments have to be `Send` for a future to be, and nothing else: a value that threads may not share can be given to every call.
//!
//! That this compiles is the test; what each of them does is tested elsewhere.

use std::cell::Cell;
use std::time::Duration;
use tenure::client::{Args, SetOptions, Subscription, Typed, Watch};
use tenure::{Client, FencingToken, FromReply, Script, ToArg};

/// A value that may go to another thread, but not be seen from two.
struct Counted {
    written: Cell<u32>,
}

impl ToArg for Counted {
    fn write_args(&self, args: &mut Args) {
        self.written.set(self.written.get() + 1);
        args.push_i64(self.written.get().into());
    }
}

fn counted() -> Counted {
    Counted { written: Cell::new(0) }
}

impl FromReply for Counted {
    fn from_reply(reply: tenure::Frame) -> Result<Self, tenure::Error> {
        u32::from_reply(reply).map(|written| Self { written: Cell::new(written) })
    }
}

fn is_send(_: impl Future + Send) {}

fn calls_of_a_client(client: &Client, options: &SetOptions) {
    is_send(client.get(counted()));
    is_send(client.set(counted(), counted()));
    is_send(client.set_with(counted(), counted(), options));
    is_send(client.set_and_get(counted(), counted(), options));
    is_send(client.set_nx(counted(), counted()));
    is_send(client.del(counted()));
    is_send(client.del_if_equal(counted(), counted()));
    is_send(client.incr(counted()));
    is_send(client.incr_by(counted(), 1));
    is_send(client.exists(counted()));
    is_send(client.expire(counted(), Duration::ZERO));
    is_send(client.pttl(counted()));
    is_send(client.mget(counted()));
    is_send(client.mset([(counted(), counted())]));
    is_send(client.ping());
    is_send(client.publish(counted(), counted()));
    is_send(client.eval::<Counted>("", counted(), counted()));
}

fn commands_and_batches(client: &Client, options: &SetOptions) {
    is_send(client.command("GET").arg(counted()).send::<Counted>());
    is_send(client.blocking_command("BLPOP").arg(counted()).send::<Counted>());
    let batch = client.pipeline().arg(counted()).set_with(counted(), counted(), options);
    is_send(batch.send::<(Counted, Counted)>());
    is_send(client.transaction().get(counted()).send::<(Counted,)>());
}

fn scripts_and_fenced_values(client: &Client, script: &Script, token: FencingToken) {
    is_send(script.run::<Counted>(client, counted(), counted()));
    is_send(client.fenced_set(counted(), token, counted()));
    is_send(client.fenced_get::<Counted>(counted(), token));
}

fn subscriptions_and_watches(client: &Client, subscription: &Subscription, watch: &Watch) {
    is_send(client.subscribe(counted()));
    is_send(client.psubscribe(counted()));
    is_send(client.ssubscribe(counted()));
    is_send(subscription.subscribe(counted()));
    is_send(subscription.psubscribe(counted()));
    is_send(subscription.ssubscribe(counted()));
    is_send(client.watch(counted()));
    is_send(watch.get(counted()));
}

/// A value that is only lent is another matter: who lends it may look at it meanwhile.
fn typed_values(values: &Typed<Counted>) {
    is_send(values.get(counted().written.get()));
}

#[test]
fn value_that_threads_may_not_share_can_be_given_to_every_call() {
    let _ = (calls_of_a_client, commands_and_batches, scripts_and_fenced_values);
    let _ = (subscriptions_and_watches, typed_values, in_a_task::<Counted>);
}

/// As a task that owns what it sends has them.
async fn in_a_task<T: ToArg + Send + 'static>(client: Client, value: T, other: T, third: T) {
    let task = tokio::spawn(async move {
        let (key, options) = (String::from("k"), SetOptions::new());
        client.set(&key, value).await?;
        client.set_with(key.as_str(), other, &options).await?;
        client.del_if_equal([&key[..]], third).await
    });
    task.abort();
}
