//! hiredis' reader and its encoder, as far as they are measured.

use hiredis_sys as c;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

/// hiredis' reply reader.
#[derive(Debug)]
pub struct Reader {
    reader: *mut c::redisReader,
    objects: bool,
}

/// One reply, freed on drop.
#[derive(Debug)]
pub struct Reply {
    object: *mut c_void,
    owned: bool,
}

impl Reader {
    /// A reader that builds `redisReply` objects, as hiredis' own connections use it.
    pub fn with_objects() -> Self {
        // SAFETY: takes nothing; the pointer is checked.
        Self::checked(unsafe { c::redisReaderCreate() }, true)
    }

    /// A reader that walks the bytes and builds nothing.
    pub fn without_objects() -> Self {
        // SAFETY: hiredis builds nothing when there are no functions to build with.
        Self::checked(unsafe { c::redisReaderCreateWithFunctions(ptr::null_mut()) }, false)
    }

    fn checked(reader: *mut c::redisReader, objects: bool) -> Self {
        assert!(!reader.is_null(), "hiredis has no memory");
        Self { reader, objects }
    }

    /// Copies bytes into the reader's buffer.
    pub fn feed(&mut self, bytes: &[u8]) {
        // SAFETY: pointer and length are those of a slice, and hiredis copies from it.
        let fed = unsafe { c::redisReaderFeed(self.reader, bytes.as_ptr().cast(), bytes.len()) };
        assert_eq!(fed, c::REDIS_OK, "hiredis refuses the bytes");
    }

    /// The next reply, if it is whole.
    pub fn reply(&mut self) -> Option<Reply> {
        let mut object = ptr::null_mut();
        // SAFETY: the reader lives, and `object` is written only if there is a reply.
        let read = unsafe { c::redisReaderGetReply(self.reader, &raw mut object) };
        assert_eq!(read, c::REDIS_OK, "hiredis cannot parse this");
        (!object.is_null()).then_some(Reply { object, owned: self.objects })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: made by hiredis and freed once.
        unsafe { c::redisReaderFree(self.reader) };
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: an object of hiredis' own, freed once.
            unsafe { c::freeReplyObject(self.object) };
        }
    }
}

/// Formats a command as hiredis does, hands its bytes to `with` and frees them.
pub fn format_command(args: &[&[u8]], with: impl FnOnce(&[u8])) {
    const MOST: usize = 16;
    assert!(args.len() <= MOST, "more arguments than are measured");
    let (mut starts, mut lengths) = ([ptr::null::<c_char>(); MOST], [0_usize; MOST]);
    for (at, arg) in args.iter().enumerate() {
        (starts[at], lengths[at]) = (arg.as_ptr().cast(), arg.len());
    }
    let mut target = ptr::null_mut();
    // SAFETY: as many starts and lengths as the count says, all of living slices, which hiredis copies.
    let len = unsafe {
        let count = args.len() as c_int;
        c::redisFormatCommandArgv(&raw mut target, count, starts.as_mut_ptr(), lengths.as_ptr())
    };
    let len = usize::try_from(len).expect("hiredis formats what it is given");
    // SAFETY: hiredis has written that many bytes there, and nobody frees them before the next line.
    with(unsafe { std::slice::from_raw_parts(target.cast::<u8>(), len) });
    // SAFETY: made by hiredis and freed once.
    unsafe { c::redisFreeCommand(target) };
}
