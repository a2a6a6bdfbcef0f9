//! What `tracing` gets, under which names. In process, on a paused clock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tenure::observe::Spans;
use tenure::{Client, Config};
use tenure_server::{Fault, Profile, Server};
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps all that it is told.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    spans: Vec<Recording>,
    /// Entered, innermost last.
    entered: Vec<u64>,
    events: Vec<(Level, String)>,
}

#[derive(Debug, Default, Clone)]
struct Recording {
    name: String,
    parent: Option<u64>,
    fields: BTreeMap<&'static str, String>,
    closed: bool,
}

impl Visit for Recording {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

impl Recorder {
    fn change(&self, span: &Id, change: impl FnOnce(&mut Recording)) {
        let at = usize::try_from(span.into_u64()).unwrap() - 1;
        change(&mut self.0.lock().unwrap().spans[at]);
    }

    /// The spans of this name, each as its fields.
    fn take(&self, name: &str) -> Vec<Recording> {
        let recorded = self.0.lock().unwrap();
        recorded.spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    fn events(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap().events)
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut recorded = self.0.lock().unwrap();
        let parent = recorded.entered.last().copied();
        let name = attributes.metadata().name().to_owned();
        let mut span = Recording { name, parent, ..Recording::default() };
        attributes.record(&mut span);
        recorded.spans.push(span);
        Id::from_u64(recorded.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.change(span, |recording| values.record(recording));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut recording = Recording::default();
        event.record(&mut recording);
        let text = format!("{:?}", recording.fields);
        self.0.lock().unwrap().events.push((*event.metadata().level(), text));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }

    fn try_close(&self, span: Id) -> bool {
        self.change(&span, |recording| recording.closed = true);
        true
    }
}

fn config(server: &Server) -> Config {
    Config::dialer(server.dialer())
        .username("default")
        .password("canary")
        .db(3)
        .observer(Arc::new(Spans::new()))
}

#[tokio::test(start_paused = true)]
async fn span_of_a_command_has_the_fields_of_the_conventions_and_nothing_secret() {
    let recorder = Recorder::default();
    let _recording = tracing::subscriber::set_default(recorder.clone());
    let server = Server::builder(Profile::Valkey9).password("canary").build();
    let address = server.listen_tcp().await.unwrap();
    let url = format!("redis://:canary@{address}/3");
    let over_tcp = Config::from_url(&url).unwrap().observer(Arc::new(Spans::new()));
    let client = Client::with_config(over_tcp).await.unwrap();
    let request = tracing::info_span!("request");
    {
        use std::future::Future as _;
        let mut call = Box::pin(client.set("key", "canary"));
        std::future::poll_fn(|cx| request.in_scope(|| call.as_mut().poll(cx))).await.unwrap();
    }
    client.incr("key").await.unwrap_err();
    let _: (Option<String>, i64) = client.pipeline().get("key").incr("n").send().await.unwrap();

    let spans = recorder.take("command");
    assert!(spans.iter().all(|span| span.closed), "{spans:#?}");
    let [set, incr, batch] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(set.parent, Some(1), "the caller's span is the parent");
    assert_eq!(incr.parent, None);
    let field = |span: &Recording, name| span.fields.get(name).cloned().unwrap_or_default();
    let common = [
        ("db.system.name", "redis"),
        ("db.namespace", "3"),
        ("otel.kind", "client"),
        ("server.address", "127.0.0.1"),
        ("server.port", &address.port().to_string()),
    ];
    for (span, name, code) in [(set, "SET", ""), (incr, "INCR", "ERR"), (batch, "PIPELINE", "")] {
        for (key, value) in common {
            assert_eq!(field(span, key), value, "{key}");
        }
        assert_eq!(field(span, "db.operation.name"), name);
        assert_eq!(field(span, "otel.name"), name);
        assert_eq!(field(span, "error.type"), code);
        assert_eq!(field(span, "db.response.status_code"), code);
        assert_eq!(field(span, "otel.status_code"), if code.is_empty() { "" } else { "ERROR" });
    }
    assert_eq!(field(batch, "db.operation.batch.size"), "2");
    assert_eq!(field(set, "db.operation.batch.size"), "");
    let everything = format!("{recorder:?}");
    assert!(!everything.contains("canary") && !everything.contains("\"key\""), "{everything}");
}

#[tokio::test(start_paused = true)]
async fn connections_and_locks_are_events() {
    let recorder = Recorder::default();
    let _recording = tracing::subscriber::set_default(recorder.clone());
    let server = Server::builder(Profile::Valkey9).password("canary").build();
    let client = Client::with_config(config(&server)).await.unwrap();
    let guard = client.lock("k").acquire().await.unwrap();
    server.fault(Fault::close().on("GET").times(1));
    client.get("x").await.unwrap_err();
    guard.release().await.unwrap();
    let guard = client.lock("k").acquire().await.unwrap();
    sleep(Duration::from_secs(4)).await;
    server.flush();
    guard.lost().await;
    client.close(Duration::from_secs(1)).await;
    let events = recorder.events();
    let told = |level: Level, words: [&str; 2]| {
        events.iter().any(|(at, text)| *at == level && words.iter().all(|word| text.contains(word)))
    };
    for (level, words) in [
        (Level::INFO, ["connection opened", "\"db.client.connection.purpose\": \"data\""]),
        (Level::WARN, ["connection lost", "the server closed the connection"]),
        (Level::DEBUG, ["connection closed", "locks"]),
        (Level::DEBUG, ["lock acquired", "\"lock.key\": \"lk:k\""]),
        (Level::DEBUG, ["lock released", "lock.held"]),
        (Level::TRACE, ["lock renewed", "lock.renew.margin"]),
        (Level::WARN, ["lock lost", "the key was deleted"]),
    ] {
        assert!(told(level, words), "{level} {words:?} in {events:#?}");
    }
    assert!(!format!("{recorder:?}").contains("canary"));
}
