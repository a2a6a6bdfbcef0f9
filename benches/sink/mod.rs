//! A server that knows the answers without doing any work: what is left is the client's.

mod requests;

use requests::{Request, Requests};
use std::io::{self, Write as _};
use std::net::TcpStream;

/// Answers until the client has gone.
pub(crate) fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut requests, mut answers) = (Requests::new(), Vec::new());
    while requests.read(&mut stream)? {
        while let Some(request) = requests.next()? {
            answer(&request, &mut answers);
        }
        stream.write_all(&answers)?;
        answers.clear();
    }
    Ok(())
}

fn answer(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(match request.words() {
        [b"HELLO", ..] => b"%2\r\n$7\r\nversion\r\n$5\r\n9.0.0\r\n$5\r\nproto\r\n:3\r\n",
        // Of what a lock asks for, it has `DELIFEQ`.
        [b"COMMAND", ..] => b"*2\r\n*1\r\n$7\r\ndelifeq\r\n_\r\n",
        [b"SCRIPT" | b"INFO", ..] => b"$1\r\n-\r\n",
        [b"SET", .., b"GET"] => b"_\r\n",
        [b"PING", words, ..] => {
            let words = String::from_utf8_lossy(words);
            return out.extend_from_slice(format!("${}\r\n{words}\r\n", words.len()).as_bytes());
        }
        [b"PING"] => b"+PONG\r\n",
        // Of scripts only that is called which takes a lock with a fence.
        [b"EVALSHA", ..] => b"+1790000000123-45000\r\n",
        [b"DELIFEQ", ..] => b":1\r\n",
        [b"GET", ..] => b"$36\r\n0123456789abcdef0123456789abcdef0123\r\n",
        _ => b"+OK\r\n",
    });
}
