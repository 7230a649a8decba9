//! Redis' protocol, version 2, as far as we speak it: commands out, replies in.

use bytes::{Bytes, BytesMut};

/// What is longer is sent from where it lies; copying what is shorter costs less than a place of its own in a
/// vectored write.
const COPIED: usize = 512;
/// Room for the names and lengths of a short command.
const COMMAND: usize = 128;
/// Replies are a few hundred bytes; a server that announces more than this talks another protocol.
const LONGEST_REPLY: usize = 1 << 20;
/// How deep arrays may be nested in a reply.
const DEEPEST: u32 = 8;

/// Commands as they go to the socket, one after another. Some hold a password, so they cannot be shown.
#[derive(Default)]
pub(super) struct Commands {
    parts: Vec<Bytes>,
    text: BytesMut,
    count: usize,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A status, or a text.
    Text(Bytes),
    Integer(i64),
    Null,
    Array(Vec<Self>),
    /// What the server refuses, and why.
    Error(String),
}

/// The bytes are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

// === impl Commands ===

impl Commands {
    /// Room for about so many short commands.
    pub(super) fn with_capacity(commands: usize) -> Self {
        Self {
            parts: Vec::with_capacity(2 * commands + 1),
            text: BytesMut::with_capacity(COMMAND * commands),
            count: 0,
        }
    }

    /// One command of short words.
    pub(super) fn of(words: &[&str]) -> Self {
        let mut commands = Self::with_capacity(1);
        commands.begin(words.len());
        words.iter().for_each(|word| commands.word(word.as_bytes()));
        commands
    }

    /// Begins a command of `words` words, its name included.
    pub(super) fn begin(&mut self, words: usize) {
        self.count += 1;
        self.length(b'*', words);
    }

    /// A word, copied.
    pub(super) fn word(&mut self, word: &[u8]) {
        self.length(b'$', word.len());
        self.text.extend_from_slice(word);
        self.text.extend_from_slice(b"\r\n");
    }

    /// A number as a word.
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.word(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A word that is shared instead of copied when it is long.
    pub(super) fn shared(&mut self, word: &Bytes) {
        if word.len() <= COPIED {
            return self.word(word);
        }
        self.length(b'$', word.len());
        self.parts.push(self.text.split().freeze());
        self.parts.push(word.clone());
        self.text.extend_from_slice(b"\r\n");
    }

    /// How many commands there are.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The parts in order, none of them empty.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.parts.push(self.text.freeze());
        self.parts
    }

    fn length(&mut self, kind: u8, length: usize) {
        self.text.extend_from_slice(&[kind]);
        self.text.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }
}

// === impl Reply ===

impl Reply {
    /// The first reply in `input` and how long it is; `None` when it is not whole yet.
    ///
    /// # Errors
    /// [`Malformed`], also for what is longer than any reply to what we ask.
    pub(super) fn read(input: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let read = read_at(input, 0, 0)?;
        if read.is_none() && input.len() > LONGEST_REPLY { Err(Malformed) } else { Ok(read) }
    }

    /// The text of a status or string.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

fn read_at(input: &[u8], from: usize, depth: u32) -> Result<Option<(Reply, usize)>, Malformed> {
    let Some(end) = line_end(input, from) else {
        return Ok(None);
    };
    let Some((kind, line)) = input[from..end].split_first() else {
        return Err(Malformed);
    };
    let next = end + 2;
    let reply = match kind {
        b'+' => Reply::Text(Bytes::copy_from_slice(line)),
        b'-' => Reply::Error(String::from_utf8_lossy(line).into_owned()),
        b':' => Reply::Integer(integer(line)?),
        b'$' => match length(line)? {
            None => Reply::Null,
            Some(length) => {
                let Some(text) = input.get(next..next + length + 2) else {
                    return Ok(None);
                };
                let text = text.strip_suffix(b"\r\n").ok_or(Malformed)?;
                return Ok(Some((Reply::Text(Bytes::copy_from_slice(text)), next + length + 2)));
            }
        },
        b'*' => match length(line)? {
            None => Reply::Null,
            Some(_) if depth >= DEEPEST => return Err(Malformed),
            Some(length) => return read_array(input, next, length, depth),
        },
        _ => return Err(Malformed),
    };
    Ok(Some((reply, next)))
}

fn read_array(
    input: &[u8],
    mut at: usize,
    length: usize,
    depth: u32,
) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut items = Vec::new();
    for _ in 0..length {
        let Some((item, next)) = read_at(input, at, depth + 1)? else {
            return Ok(None);
        };
        items.push(item);
        at = next;
    }
    Ok(Some((Reply::Array(items), at)))
}

fn line_end(input: &[u8], from: usize) -> Option<usize> {
    let line = input.get(from..)?;
    let end = line.iter().position(|byte| *byte == b'\r')?;
    (line.get(end + 1) == Some(&b'\n')).then_some(from + end)
}

fn integer(line: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
}

/// `None` stands for nothing.
fn length(line: &[u8]) -> Result<Option<usize>, Malformed> {
    match integer(line)? {
        -1 => Ok(None),
        length => {
            usize::try_from(length).ok().filter(|length| *length <= LONGEST_REPLY).map(Some).ok_or(Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Reply {
        Reply::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn replies_are_read_one_by_one() {
        let check = |input: &str, expect: Result<Option<(Reply, usize)>, Malformed>| {
            assert_eq!(Reply::read(input.as_bytes()), expect, "{input:?}");
        };
        check(":3\r\n:4\r\n", Ok(Some((Reply::Integer(3), 4))));
        check("+OK\r\n", Ok(Some((text("OK"), 5))));
        check("$5\r\na\r\nbc\r\n+", Ok(Some((text("a\r\nbc"), 11))));
        check("$-1\r\n", Ok(Some((Reply::Null, 5))));
        check("-ERR no\r\n", Ok(Some((Reply::Error("ERR no".into()), 9))));
        let array = Reply::Array(vec![text("role"), Reply::Integer(-1), Reply::Array(Vec::new())]);
        check("*3\r\n$4\r\nrole\r\n:-1\r\n*0\r\n", Ok(Some((array, 23))));
        check("$5\r\nabc", Ok(None));
        check("*2\r\n:1\r\n", Ok(None));
        check("HTTP/1.1 400 Bad Request\r\n", Err(Malformed));
        check("$9999999999\r\n", Err(Malformed));
        check(&"*1\r\n".repeat(20), Err(Malformed));
    }

    #[test]
    fn commands_share_what_is_long() {
        let mut commands = Commands::with_capacity(2);
        let long = Bytes::from(vec![b'x'; COPIED + 1]);
        for payload in [&Bytes::from_static(b"short"), &long] {
            commands.begin(3);
            commands.word(b"PUBLISH");
            commands.number(7);
            commands.shared(payload);
        }
        assert_eq!(commands.count(), 2);
        let parts = commands.finish();
        assert_eq!(
            parts[0],
            "*3\r\n$7\r\nPUBLISH\r\n$1\r\n7\r\n$5\r\nshort\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\n7\r\n$513\r\n"
        );
        assert_eq!((parts[1].as_ptr(), &parts[2][..]), (long.as_ptr(), &b"\r\n"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic_and_a_prefix_never_says_more(bytes: Vec<u8>, cut in 0usize..64) {
            let whole = Reply::read(&bytes);
            let part = Reply::read(&bytes[..cut.min(bytes.len())]);
            if let Ok(Some(read)) = part {
                prop_assert_eq!(whole, Ok(Some(read)));
            }
        }

        #[test]
        fn words_come_back(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..5)) {
            let mut commands = Commands::default();
            commands.begin(words.len());
            words.iter().for_each(|word| commands.shared(&Bytes::from(word.clone())));
            let sent = commands.finish().concat();
            let expect = Reply::Array(words.iter().map(|word| Reply::Text(word.clone().into())).collect());
            prop_assert_eq!(Reply::read(&sent), Ok(Some((expect, sent.len()))));
        }
    }
}
