//! The replies that the codec is measured with.

/// A name, and the bytes of one reply.
pub(crate) fn replies() -> Vec<(&'static str, Vec<u8>)> {
    let mut array = b"*100\r\n".to_vec();
    for number in 0..100 {
        array.extend_from_slice(format!("$16\r\nvalue-{number:010}\r\n").as_bytes());
    }
    let mut map = b"%50\r\n".to_vec();
    for number in 0..50 {
        let pair = format!("$8\r\nfield-{number:02}\r\n$16\r\nvalue-{number:010}\r\n");
        map.extend_from_slice(pair.as_bytes());
    }
    let mebibyte = [b"$1048576\r\n", &vec![b'x'; 1 << 20][..], b"\r\n"].concat();
    vec![
        ("ok", b"+OK\r\n".to_vec()),
        ("integer", b":12345\r\n".to_vec()),
        ("bulk of 36 bytes", b"$36\r\n0e8f5c9a-6f5e-4d0c-9a57-3b1de0a4c7f2\r\n".to_vec()),
        ("bulk of 100 bytes", [b"$100\r\n", &[b'x'; 100][..], b"\r\n"].concat()),
        ("null", b"_\r\n".to_vec()),
        ("null of RESP2", b"$-1\r\n".to_vec()),
        ("error", b"-ERR unknown command 'x'\r\n".to_vec()),
        ("array of 100 strings", array),
        ("map of 50 pairs", map),
        ("bulk of 1 MiB", mebibyte),
        ("four small replies", b"+OK\r\n:1\r\n$5\r\nvalue\r\n_\r\n".to_vec()),
    ]
}

/// As many replies as an ordinary read holds, a thousand at most, and one at least.
pub(crate) fn pipeline(reply: &[u8]) -> Vec<u8> {
    reply.repeat(((60 << 10) / reply.len()).clamp(1, 1_000))
}
