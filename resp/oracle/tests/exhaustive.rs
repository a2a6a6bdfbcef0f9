//! Every short string over small alphabets, against the naive decoder.
//!
//! A symbol is a byte, or CR LF: so six of them are enough for an array of one string. `TENURE_EXHAUSTIVE=7` adds one symbol, and
//! minutes.

use bytes::BytesMut;
use resp_oracle::{Case, compare};
use std::env;

/// Aggregates, strings and numbers, of both protocols.
const CORE: [&str; 14] = ["+", "-", ":", "$", "*", "_", "#", ",", "%", "|", ".", "1", "\r\n", "\r"];
/// What has an end of its own, and what may stand inside.
const STREAMS: [&str; 14] =
    ["$", ";", "*", "~", "%", "|", "?", ".", "0", "1", "2", "_\r\n", "\r\n", "\n"];
/// Texts that are nearly right.
const TEXTS: [&str; 14] = [":", ",", "(", "#", "=", "!", "$", "0", "4", "-", "t", "e", "\r\n", ">"];

#[test]
fn short_strings_of_aggregates_and_scalars_are_decoded_as_the_naive_decoder_does() {
    sweep(CORE);
}

#[test]
fn short_strings_of_streams_are_decoded_as_the_naive_decoder_does() {
    sweep(STREAMS);
}

#[test]
fn short_strings_of_texts_are_decoded_as_the_naive_decoder_does() {
    sweep(TEXTS);
}

fn sweep(alphabet: [&str; 14]) {
    let longest = env::var("TENURE_EXHAUSTIVE")
        .map_or(6, |text| text.parse().expect("a number of symbols, such as 7"));
    let mut input = BytesMut::new();
    for protocol in ["2", "3"] {
        for len in 0..=longest {
            let mut symbols = vec![0_usize; len];
            let mut text = Vec::new();
            loop {
                text.clear();
                text.extend_from_slice(protocol.as_bytes());
                text.push(b'a');
                for &symbol in &symbols {
                    text.extend_from_slice(alphabet[symbol].as_bytes());
                }
                let case = Case::read(&text).expect("two bytes of choices");
                compare(&case, &mut input);
                if !advance(&mut symbols) {
                    break;
                }
            }
        }
    }
}

/// The next string of as many symbols; false after the last one.
fn advance(symbols: &mut [usize]) -> bool {
    for symbol in symbols {
        *symbol += 1;
        if *symbol < 14 {
            return true;
        }
        *symbol = 0;
    }
    false
}
