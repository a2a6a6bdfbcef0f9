//! What one task could at best come to over tokio's reactor. The bytes are those of the blocking socket, encoded beforehand; replies
//! are counted and not parsed.

use crate::Failure;
use crate::connection::contestant::{Block, Contestant, Flavour, Kind, Load, What, block, nanos};
use crate::connection::floor::{Bytes, OK, ONE, VALUE};
use crate::connection::peers::Target;
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A task that writes and reads in turn, on a socket of tokio: no client over tokio's reactor is faster.
pub(crate) struct ByHand {
    runtime: Runtime,
    /// Lent to the task of a block.
    stream: Cell<Option<Box<dyn Stream>>>,
    bytes: Arc<Bytes>,
}

impl ByHand {
    pub(crate) const NAME: &str = "tokio by hand";

    pub(crate) fn connect(target: &Target, flavour: Flavour) -> Result<Self, Failure> {
        let runtime = flavour.runtime()?;
        let stream = runtime.block_on(connect(&target.url))?;
        let bytes = Arc::new(Bytes::new(target, 999_997));
        Ok(Self { runtime, stream: Cell::new(Some(stream)), bytes })
    }
}

async fn connect(url: &str) -> io::Result<Box<dyn Stream>> {
    Ok(match url.strip_prefix("unix://") {
        Some(path) => Box::new(UnixStream::connect(path).await?),
        None => {
            let stream = TcpStream::connect(url.trim_start_matches("redis://")).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
    })
}

impl Contestant for ByHand {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn kind(&self) -> Kind {
        Kind::Floor
    }

    fn block(&self, load: Load) -> Block {
        let mut stream = self.stream.take().expect("the last block has given it back");
        let bytes = Arc::clone(&self.bytes);
        block(load, || {
            // As a task, like the others' work.
            let work = async move {
                let times = work(&mut stream, &bytes, load).await.expect("the server answers");
                (stream, times)
            };
            let task = async { tokio::spawn(work).await.expect("it ends without a panic") };
            let (stream, times) = self.runtime.block_on(task);
            self.stream.set(Some(stream));
            times
        })
    }
}

async fn work(stream: &mut dyn Stream, bytes: &Bytes, load: Load) -> io::Result<Vec<u32>> {
    let mut times = Vec::with_capacity(load.each);
    for _ in 0..load.each {
        let begun = Instant::now();
        match load.what {
            What::Pair => {
                let [set, release] = &bytes.pair;
                exchange(stream, set, OK).await?;
                exchange(stream, release, ONE).await?;
            }
            What::Get => exchange(stream, &bytes.get, VALUE).await?,
        }
        times.push(nanos(begun));
    }
    Ok(times)
}

/// Sends, and reads as many bytes as the answer has. The room is larger than that: a read that fills it would be followed by one
/// more that finds nothing.
async fn exchange(stream: &mut dyn Stream, command: &[u8], answer: usize) -> io::Result<()> {
    stream.write_all(command).await?;
    let (mut reply, mut read) = ([0; 256], 0);
    while read < answer {
        read += match stream.read(&mut reply[read..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            some => some,
        };
    }
    Ok(())
}
