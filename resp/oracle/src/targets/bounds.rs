//! What bytes may cost: memory and work are bounded by what has arrived, whatever it claims.

use crate::Case;
use crate::ways::Way;
use bytes::BytesMut;
use resp::{Decoder, Frame};

/// Memory that is free, and memory per byte that has arrived.
const FREE: u64 = 64 << 10;
const PER_BYTE: u64 = 64;

/// Decoding takes at most 64 KiB and 64 bytes for each byte of input at its peak, the input and all frames included, and nothing
/// once they are dropped.
pub(super) fn alloc(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    assert_frugal(&case, &[case.wire]);
    assert_frugal(&case, &case.pieces().collect::<Vec<_>>());
    if case.seed.is_multiple_of(16) {
        // Short input hides behind what is free.
        let long = case.wire.repeat(16 << 10 >> case.wire.len().max(2).ilog2());
        assert_frugal(&case, &[&long[..]]);
    }
}

fn assert_frugal(case: &Case<'_>, pieces: &[&[u8]]) {
    let arrived: usize = pieces.iter().map(|piece| piece.len()).sum();
    let allowed = FREE + PER_BYTE * arrived as u64;
    let way = Way::among(&Way::OWNING, usize::from(case.seed) + pieces.len());
    let used = allocation_counter::measure(|| drop(decode(case, way, pieces)));
    let (peak, count) = (used.bytes_max, pieces.len());
    assert!(
        peak <= allowed,
        "{way:?}: {peak} bytes for {arrived} in {count} pieces, {allowed} allowed"
    );
    assert_eq!((used.count_current, used.bytes_current), (0, 0), "left behind");
}

fn decode(case: &Case<'_>, way: Way, pieces: &[&[u8]]) -> Vec<Frame> {
    let mut decoder = Decoder::new(case.protocol, case.limits);
    let mut input = BytesMut::new();
    let (mut storage, mut frames) = (Frame::Null, Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        if way.drain(&mut decoder, &mut input, &mut storage, &mut frames).is_err() {
            break;
        }
    }
    frames
}

/// However the bytes are cut, at most three are looked at for each that has arrived.
pub(super) fn work(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    let arrived = case.wire.len() as u64;
    let cuts: [(&str, Vec<&[u8]>); 3] = [
        ("whole", vec![case.wire]),
        ("in pieces", case.pieces().collect()),
        ("byte by byte", case.wire.chunks(1).collect()),
    ];
    for (how, pieces) in cuts {
        let way = Way::among(&Way::ALL, usize::from(case.seed) + pieces.len());
        let before = resp::work::examined();
        drop(decode(&case, way, &pieces));
        let examined = resp::work::examined() - before;
        assert!(
            examined <= 3 * arrived,
            "{how}, {way:?}: {examined} bytes looked at, {arrived} arrived"
        );
        assert!(arrived == 0 || examined > 0, "nothing was counted");
    }
}
