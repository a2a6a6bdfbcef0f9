//! `Tree`: a decoded value that shares nothing with the codec, so that two decoders can be compared.

use resp::Frame;

/// One value. Doubles are kept as bits, every not-a-number the same.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these types and no others")]
#[expect(missing_docs, reason = "named like the variants of `Frame`")]
pub enum Tree {
    Null,
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Self>),
    Boolean(bool),
    Double(u64),
    BigNumber(Vec<u8>),
    BulkError(Vec<u8>),
    Verbatim([u8; 3], Vec<u8>),
    Map(Vec<(Self, Self)>),
    Set(Vec<Self>),
    Push(Vec<Self>),
    Attributed(Vec<(Self, Self)>, Box<Self>),
}

impl Tree {
    /// A double by its bits.
    pub fn double(number: f64) -> Self {
        Self::Double(if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() })
    }

    /// An aggregate by its type byte; attributes have the value that they annotate behind them.
    pub(crate) fn aggregate(kind: u8, mut values: Vec<Self>) -> Self {
        match kind {
            b'*' => Self::Array(values),
            b'~' => Self::Set(values),
            b'>' => Self::Push(values),
            b'%' => Self::Map(pairs(values)),
            _ => match values.pop() {
                Some(value) => Self::Attributed(pairs(values), Box::new(value)),
                None => Self::Null, // of a reply that is only skipped
            },
        }
    }
}

/// Keys and values in turn, as pairs.
fn pairs(values: Vec<Tree>) -> Vec<(Tree, Tree)> {
    let mut pairs = Vec::with_capacity(values.len() / 2);
    let mut values = values.into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// What a decoder gave, as a tree.
///
/// # Panics
///
/// If the frame is invalid at any depth: that stands for a whole reply and is never inside one.
pub fn tree(frame: &Frame) -> Tree {
    let all = |frames: &[Frame]| frames.iter().map(tree).collect();
    let pairs = |pairs: &[(Frame, Frame)]| {
        pairs.iter().map(|(key, value)| (tree(key), tree(value))).collect()
    };
    match frame {
        Frame::Null => Tree::Null,
        Frame::Simple(text) => Tree::Simple(text.to_vec()),
        Frame::Error(text) => Tree::Error(text.to_vec()),
        Frame::Integer(number) => Tree::Integer(*number),
        Frame::Bulk(bytes) => Tree::Bulk(bytes.to_vec()),
        Frame::Array(items) => Tree::Array(all(items)),
        Frame::Boolean(yes) => Tree::Boolean(*yes),
        Frame::Double(number) => Tree::double(*number),
        Frame::BigNumber(text) => Tree::BigNumber(text.to_vec()),
        Frame::BulkError(bytes) => Tree::BulkError(bytes.to_vec()),
        Frame::Verbatim(verbatim) => Tree::Verbatim(verbatim.format, verbatim.text.to_vec()),
        Frame::Map(items) => Tree::Map(pairs(items)),
        Frame::Set(items) => Tree::Set(all(items)),
        Frame::Push(items) => Tree::Push(all(items)),
        Frame::Attributed(attributed) => {
            Tree::Attributed(pairs(&attributed.attributes), Box::new(tree(&attributed.frame)))
        }
        other => panic!("not a value: {other:?}"),
    }
}
